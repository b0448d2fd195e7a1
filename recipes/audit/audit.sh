#!/bin/sh
# Prints PASS, FAIL or SKIP, an id, what is checked, and what was found. Status 1 when
# anything failed. The subjects are those of the CIS benchmarks for Linux; the words and the
# tests are our own.
passed=0 failed=0 skipped=0
verdict() { # verdict PASS|FAIL|SKIP ID SUBJECT [FOUND]
    case $1 in PASS) passed=$((passed + 1)) ;; FAIL) failed=$((failed + 1)) ;; *) skipped=$((skipped + 1)) ;; esac
    printf '%-4s %-6s %s\n' "$1" "$2" "$3"
    [ -z "${4-}" ] || printf '%s\n' "$4" | head -n 20 | sed 's/^/            /'
}
none() { # none ID SUBJECT FOUND: passes when nothing was found
    if [ -z "$3" ]; then verdict PASS "$1" "$2"; else verdict FAIL "$1" "$2" "$3"; fi
}
mode() { # mode ID FILE MOST: permissions of at most these bits, owner root
    [ -e "$2" ] || { verdict SKIP "$1" "$2 is not here"; return; }
    have=$(stat -c '%a %U' "$2")
    if [ "${have#* }" = root ] && [ $((0${have% *} & ~0$3)) -eq 0 ]; then
        verdict PASS "$1" "$2 is root's, with at most $3"
    else
        verdict FAIL "$1" "$2 is root's, with at most $3" "it is ${have#* }'s, with ${have% *}"
    fi
}
kernel() { # kernel ID NAME VALUE
    have=$(cat "/proc/sys/$(echo "$2" | tr . /)" 2>/dev/null) || { verdict SKIP "$1" "$2 is not here"; return; }
    if [ "$have" = "$3" ]; then verdict PASS "$1" "$2 is $3"; else verdict FAIL "$1" "$2 is $3" "it is $have"; fi
}

printf 'Audit of %s, %s\n\n' "$(uname -n)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
none ACC-1 'only root has user id 0' "$(awk -F: '$3 == 0 && $1 != "root" { print $1 }' /etc/passwd)"
if [ -r /etc/shadow ]; then
    none ACC-2 'no account has an empty password' "$(awk -F: '$2 == "" { print $1 }' /etc/shadow)"
else
    verdict SKIP ACC-2 'no account has an empty password (/etc/shadow cannot be read)'
fi
none ACC-3 'no two accounts share a user id' "$(awk -F: '{ n[$3]++; names[$3] = names[$3] " " $1 } END { for (id in n) if (n[id] > 1) print id ":" names[id] }' /etc/passwd)"
none ACC-4 'no system account has a login shell' "$(awk -F: '$3 > 0 && $3 < 1000 && $7 !~ /(nologin|false|sync|shutdown|halt)$/ { print $1 ": " $7 }' /etc/passwd)"
mode FILE-1 /etc/passwd 644
mode FILE-2 /etc/shadow 640
mode FILE-3 /etc/group 644
mode FILE-4 /etc/crontab 644
mode FILE-5 /etc/ssh/sshd_config 644
mode FILE-6 /etc/sudoers 440
none FILE-7 'no file below /etc can be changed by all' "$(find /etc -xdev -type f -perm -0002 2>/dev/null)"
none FILE-8 'folders that all may write to are sticky' "$(find / -xdev -type d -perm -0002 ! -perm -1000 2>/dev/null | head -n 20)"
none FILE-9 'system files have an owner' "$(find /etc /usr -xdev \( -nouser -o -nogroup \) 2>/dev/null | head -n 20)"
if command -v sshd >/dev/null && effective=$(sshd -T 2>/dev/null); then
    none SSH-1 'root does not log in with a password' "$(echo "$effective" | grep -i '^permitrootlogin yes')"
    none SSH-2 'empty passwords are refused' "$(echo "$effective" | grep -i '^permitemptypasswords yes')"
else
    verdict SKIP SSH-1 'sshd is not here, or its configuration cannot be read'
fi
kernel NET-1 net.ipv4.conf.all.accept_redirects 0
kernel NET-2 net.ipv4.conf.all.accept_source_route 0
kernel NET-3 net.ipv4.tcp_syncookies 1
kernel KERN-1 kernel.randomize_va_space 2
kernel KERN-2 fs.suid_dumpable 0
none SVC-1 'nothing listens for telnet, rsh or ftp on all addresses' "$(awk '$4 == "0A" && $2 ~ /^0+:(0017|0201|0202|0015)$/ { print $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
