#!/bin/sh
# update.sh USER shell|comment|home VALUE, or update.sh USER lock|unlock
set -eu
user=${1:?which account} field=${2:?which field}
entry() { grep "^$user:" /etc/passwd; }
before=$(entry) || { echo "there is no account $user here" >&2; exit 2; }
case $field in
shell | comment | home) value=${3:?which value} ;;
lock | unlock) value= ;;
*) echo "$field is not one of shell, comment, home, lock, unlock" >&2; exit 2 ;;
esac
case $value in *:*) echo "a value holds no colon" >&2; exit 2 ;; esac
if [ "$field" = shell ] && ! { [ -x "$value" ] && grep -qx "$value" /etc/shells || [ "$value" = /usr/sbin/nologin ] || [ "$value" = /bin/false ]; }; then
    echo "$value is no shell of this host (/etc/shells)" >&2
    exit 2
fi
if command -v usermod >/dev/null; then
    case $field in
    shell) usermod --shell "$value" "$user" ;;
    comment) usermod --comment "$value" "$user" ;;
    home) usermod --home "$value" "$user" ;;
    lock) usermod --lock "$user" ;;
    unlock) usermod --unlock "$user" ;;
    esac
elif command -v pw >/dev/null; then # FreeBSD, DragonFly
    case $field in
    shell) pw usermod "$user" -s "$value" ;;
    comment) pw usermod "$user" -c "$value" ;;
    home) pw usermod "$user" -d "$value" ;;
    lock) pw lock "$user" ;;
    unlock) pw unlock "$user" ;;
    esac
else
    echo "neither usermod nor pw is here" >&2
    exit 2
fi
echo "before: $before"
echo "after:  $(entry)"
