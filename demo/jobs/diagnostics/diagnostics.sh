#!/bin/sh
# Harvests the state of a Unix host. Each section tries the tools that systems have,
# best first, and says so when there is none. Nothing is changed.

section() { printf '\n== %s\n' "$1"; }

# first runs the first of the given commands that is there.
first() {
    for command in "$@"; do
        program=${command%% *}
        if command -v "$program" >/dev/null 2>&1; then
            $command 2>&1 && return
        fi
    done
    echo "(none of these is here: $*)"
}

section system
uname -a
[ -r /etc/os-release ] && grep -E '^(NAME|VERSION)=' /etc/os-release
first uptime "cat /proc/uptime"
date -u +%Y-%m-%dT%H:%M:%SZ

section processes
if command -v ps >/dev/null 2>&1; then
    ps -eo pid,ppid,user,args 2>/dev/null || ps aux
elif [ -d /proc/1 ]; then
    for dir in /proc/[0-9]*; do
        printf '%s\t%s\n' "${dir#/proc/}" "$(tr '\0' ' ' <"$dir/cmdline" 2>/dev/null)"
    done
fi

section mounts
first mount "cat /proc/mounts"
first "df -k"

section network
first "ip address" "ifconfig -a" "cat /proc/net/dev"
first "ip route" "netstat -rn" "cat /proc/net/route"

section sockets
first "ss -tunap" "netstat -an" "cat /proc/net/tcp /proc/net/udp"

section users
cat /etc/passwd
first who
first last

section packages
first "dpkg-query -W" "rpm -qa" "apk info" "pkg info" "pkg_info" "pacman -Q"
