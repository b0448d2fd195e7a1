#!/bin/sh
# update.sh USER: install the file crontab beside this script, unless it is in place.
set -eu
user=${1:?whose cron table}
command -v crontab >/dev/null || { echo "crontab is not installed here" >&2; exit 2; }
id "$user" >/dev/null
before=$(mktemp)
trap 'rm -f "$before"' EXIT
crontab -u "$user" -l >"$before" 2>/dev/null || : >"$before"
if cmp -s "$before" crontab; then
    echo "unchanged: cron table of $user"
    exit 0
fi
echo "replaced: cron table of $user, which was:"
cat "$before"
crontab -u "$user" crontab
if ! crontab -u "$user" -l | cmp -s - crontab; then
    echo "it is not what was installed; putting the old one back" >&2
    crontab -u "$user" "$before"
    exit 1
fi
