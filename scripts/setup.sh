#!/usr/bin/env bash
# Installs what the targets of the Makefile need and this machine lacks:
#   setup.sh PROGRAM...   Debian packages, by the program that they bring
# Without root it says what to install instead.
set -euo pipefail

package_of() {
    case $1 in
    gcc) echo gcc libc6-dev ;;
    pgrep) echo procps ;;
    unshare) echo util-linux ;;
    gpg) echo gnupg ;;
    setfattr) echo attr ;;
    crontab) echo cron ;;
    named-checkzone) echo bind9-utils ;;
    ping) echo iputils-ping ;;
    ip) echo iproute2 ;;
    rpmbuild) echo rpm ;;
    ssh-agent) echo openssh-client ;;
    logger | script) echo bsdutils ;;
    apache2) echo apache2 apache2-utils ;;
    *) echo "$1" ;;
    esac
}

missing=()
for program in "$@"; do
    if ! command -v "$program" >/dev/null 2>&1; then
        # shellcheck disable=SC2207
        missing+=($(package_of "$program"))
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: missing: ${missing[*]}; install them (as root on Debian: apt-get install ${missing[*]})" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
