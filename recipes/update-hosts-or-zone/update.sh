#!/bin/sh
# update.sh hosts FILE NAME ADDRESS
# update.sh zone FILE ORIGIN NAME TYPE VALUE
set -eu
kind=${1:?hosts or zone}
file=${2:?which file}
[ -f "$file" ] || { echo "$file is not a file" >&2; exit 2; }
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT

replace() { # the new file takes the old one's owner and permissions, in one step
    if cmp -s "$file" "$new"; then
        echo "unchanged: $file"
        exit 0
    fi
    diff "$file" "$new" || true
    if command -v chown >/dev/null; then chown "$(ls -ln "$file" | awk '{print $3 ":" $4}')" "$new"; fi
    chmod 644 "$new"
    mv "$new" "$file"
    trap - EXIT
    echo "replaced: $file"
}

case $kind in
hosts)
    name=${3:?which name} address=${4:?which address}
    awk -v name="$name" -v address="$address" '
        { line = $0; sub(/#.*/, "", line); n = split(line, field, /[ \t]+/); hit = 0
          for (i = 2; i <= n; i++) if (field[i] == name) hit = 1
          if (!hit) { print; next }
          if (field[1] == address) { print; done = 1; next }
          out = field[1]; left = 0
          for (i = 2; i <= n; i++) if (field[i] != "" && field[i] != name) { out = out "\t" field[i]; left++ }
          if (left) print out }
        END { if (!done) print address "\t" name }' "$file" >"$new"
    replace
    ;;
zone)
    origin=${3:?which zone} name=${4:?which name} type=${5:?which type} value=${6:?which value}
    command -v named-checkzone >/dev/null || { echo "named-checkzone is not installed here" >&2; exit 2; }
    # One record a line, as most zones are written; the serial number is the first number
    # of the SOA record, or has the word "serial" behind it.
    awk -v name="$name" -v type="$type" -v value="$value" '
        function bump(s,   n) { n = s + 1; return n }
        { text = $0; sub(/;.*/, "", text); n = split(text, f, /[ \t]+/)
          at = 2; if (f[at] ~ /^[0-9]+$/) at++; if (toupper(f[at]) == "IN") at++
          if (f[1] == name && toupper(f[at]) == type) {
              if (!done) print name "\tIN\t" type "\t" value
              done = 1; next }
          if (toupper(text) ~ /[ \t]SOA[ \t]/) soa = 1
          if (soa && !bumped && match(text, /(^|[ \t(])[0-9]+([ \t);]|$)/)) {
              if (match($0, /[0-9][0-9][0-9]+/)) {
                  $0 = substr($0, 1, RSTART - 1) bump(substr($0, RSTART, RLENGTH)) substr($0, RSTART + RLENGTH); bumped = 1 } }
          print }
        END { if (!done) print name "\tIN\t" type "\t" value }' "$file" >"$new"
    before=$(mktemp) after=$(mktemp)
    trap 'rm -f "$new" "$before" "$after"' EXIT
    named-checkzone -D -q -o "$before" "$origin" "$file" 2>/dev/null || true
    if ! named-checkzone -D -o "$after" "$origin" "$new" >&2; then
        echo "the zone would be wrong; nothing was changed" >&2
        exit 1
    fi
    if [ "$(grep -v SOA "$before")" = "$(grep -v SOA "$after")" ]; then
        echo "unchanged: $file"
        exit 0
    fi
    rm -f "$before" "$after"
    replace
    if command -v rndc >/dev/null && rndc status >/dev/null 2>&1; then rndc reload "$origin"; fi
    ;;
*)
    echo "$kind is neither hosts nor zone" >&2
    exit 2
    ;;
esac
