#!/bin/sh
# A hook that refuses while a file is there: maintenance-window.sh FILE
set -eu
[ -e "$1" ] || exit 0
reason=$(head -n 1 "$1" | tr -cd 'A-Za-z0-9 .,:_-')
printf '{"decision": "refuse", "reason": "%s"}\n' "${reason:-maintenance}"
