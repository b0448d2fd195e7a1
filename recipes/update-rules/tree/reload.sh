#!/bin/sh
# reload.sh FILE: make the service read the file. Here: a signal to the process whose
# number is in FILE.pid. For a service of systemd: systemctl reload NAME.
[ ! -f "$1.pid" ] || kill -HUP "$(cat "$1.pid")"
