#!/bin/sh
# harvest.sh SECONDS INTERFACE [FILTER]
set -eu
seconds=${1:?how many seconds}
interface=${2:?which interface}
filter=${3-}
case $interface in -*) echo "interface $interface begins with a hyphen" >&2; exit 2 ;; esac
command -v tcpdump >/dev/null || { echo "tcpdump is not installed here" >&2; exit 2; }
mkdir out
# Packets reach the file as they come (-U), names are not looked up (-n).
tcpdump -i "$interface" -n -U -w out/packets.pcap ${filter:+"$filter"} 2>out/log &
capture=$!
trap 'kill -INT $capture 2>/dev/null || true' EXIT
count=0
while [ "$count" -lt "$seconds" ] && kill -0 $capture 2>/dev/null; do
    sleep 1
    count=$((count + 1))
    if [ "$(wc -c <out/packets.pcap 2>/dev/null || echo 0)" -gt 100000000 ]; then
        echo "100 MB are full after $count of $seconds seconds"
        break
    fi
done
if kill -0 $capture 2>/dev/null; then
    kill -INT $capture
    wait $capture || true
    trap - EXIT
    cat out/log
else
    trap - EXIT
    cat out/log >&2
    echo "tcpdump ended after $count of $seconds seconds" >&2
    exit 1
fi
