#!/bin/sh
# Runs a command on a copy of this host, of which nothing stays but what it writes below
# $WORK: for tests of recipes that change a host. Needs root on Linux.
set -eu
if [ -z "${IN_COPY-}" ]; then
    export IN_COPY=yes
    exec unshare --mount --propagation private sh "$0" "$@"
fi
bin=$(dirname "$(command -v webjob)")
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
for folder in /proc /sys /dev "$WORK" "$bin"; do
    mkdir -p "/mnt/root$folder"
    mount --rbind "$folder" "/mnt/root$folder"
done
# shellcheck disable=SC2016
exec chroot /mnt/root sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
