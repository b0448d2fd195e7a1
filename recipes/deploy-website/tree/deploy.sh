#!/bin/sh
# deploy.sh FOLDER: FOLDER/current becomes a link to a new release of the folder site.
# deploy.sh FOLDER back: it becomes a link to the release before.
set -eu
folder=${1:?which folder}
keep=3
releases=$folder/releases
mkdir -p "$releases"
now=$(readlink "$folder/current" 2>/dev/null || true)
switch() { # a rename of a link is one step: no visitor sees half a site
    rm -f "$folder/current.new"
    ln -s "$1" "$folder/current.new"
    # mv follows a link to a folder unless it is told not to, and each in its own way.
    mv -T "$folder/current.new" "$folder/current" 2>/dev/null || mv -h "$folder/current.new" "$folder/current"
    echo "current: $1 (was ${now:-nothing})"
}
if [ "${2-}" = back ]; then
    before=
    for release in "$releases"/*; do # in order of their numbers
        [ "$folder/$now" = "$release" ] && break
        before=releases/${release##*/}
    done
    [ -n "$before" ] || { echo "there is no release before ${now:-nothing}" >&2; exit 1; }
    switch "$before"
    exit 0
fi
last=0
for release in "$releases"/*; do
    case ${release##*/} in *[!0-9]*) ;; *) last=${release##*/} ;; esac
done
number=$(printf '%s\n' "$last" | awk '{ printf "%06d", $1 + 1 }') # awk: a leading zero is not octal
release=$releases/$number
rm -rf "$release.part"
cp -R site "$release.part"
chmod -R u=rwX,go=rX "$release.part"
if [ -n "$now" ] && diff -r "$folder/$now" "$release.part" >/dev/null 2>&1; then
    rm -rf "$release.part"
    echo "unchanged: $now"
    exit 0
fi
mv "$release.part" "$release"
switch "releases/$number"
count=0
for old in "$releases"/*; do count=$((count + 1)); done
for old in "$releases"/*; do # the oldest first
    [ "$count" -gt "$keep" ] || break
    count=$((count - 1))
    case $old in "$release" | "$folder/$now") continue ;; esac
    rm -rf "${old:?}"
    echo "removed: $old"
done
