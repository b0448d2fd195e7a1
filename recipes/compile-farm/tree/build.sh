#!/bin/sh
# Builds the folder source into the folder out. Paths and times stay out of the artefacts,
# so that machines of the same kind make the same bytes (reproducible-builds.org).
set -eu
export SOURCE_DATE_EPOCH=0 LC_ALL=C TZ=UTC
mkdir out
cd source
cc=$(command -v cc || command -v gcc || command -v clang) || { echo "there is no C compiler here" >&2; exit 2; }
"$cc" -O2 -ffile-prefix-map="$PWD"=. -o ../out/hello hello.c
cd ../out
{
    uname -s -m
    "$cc" --version | head -n 1
} >about.txt
for file in *; do
    [ -f "$file" ] && [ "$file" != about.txt ] || continue
    { sha256sum "$file" 2>/dev/null || shasum -a 256 "$file"; }
done
./hello
