#!/bin/sh
# update.sh FILE: install the file rules beside this script as FILE.
set -eu
file=${1:?which file}
digest() { { sha256sum "$1" 2>/dev/null || shasum -a 256 "$1" || openssl dgst -sha256 -r "$1"; } | cut -d ' ' -f 1; }

new=$(digest rules)
old=none
[ ! -f "$file" ] || old=$(digest "$file")
if [ "$new" = "$old" ]; then
    echo "unchanged: $file is $new"
    exit 0
fi
if ! sh ./check.sh rules; then
    echo "the new rules do not pass their check; nothing was changed" >&2
    exit 1
fi
put() { # in one step, so that no reader sees half a file
    cp "$1" "$file.new"
    chmod "${2-644}" "$file.new"
    mv "$file.new" "$file"
}
trap 'rm -f "$file.new"' EXIT
[ "$old" = none ] || cp -p "$file" "$file.before"
put rules
if sh ./reload.sh "$file" && sh ./check.sh "$file"; then
    echo "replaced: $file was $old and is $new"
    exit 0
fi
echo "the reload or the check after it failed; rolling back" >&2
if [ "$old" = none ]; then
    rm -f "$file"
else
    mv "$file.before" "$file"
fi
sh ./reload.sh "$file" || echo "the reload of the old rules failed, too: look at the service" >&2
exit 1
