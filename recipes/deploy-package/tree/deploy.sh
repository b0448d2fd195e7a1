#!/bin/sh
# deploy.sh [--check]: install the packages of this machine's kind that it does not have.
set -eu
check=no
[ "${1-}" != --check ] || check=yes
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
found=no
status=0

# install NAME WANTED INSTALLED COMMAND...: when the versions differ
install() {
    name=$1 wanted=$2 installed=$3
    shift 3
    found=yes
    if [ "$wanted" = "$installed" ]; then
        echo "installed: $name $wanted"
    elif [ "$check" = yes ]; then
        echo "to install: $name $wanted (now ${installed:-none})"
        status=1
    elif "$@" </dev/null; then
        echo "now installed: $name $wanted (was ${installed:-none})"
    else
        echo "not installed: $name $wanted" >&2
        status=1
    fi
}

for package in packages/*; do
    case $package in
    *.deb)
        command -v dpkg >/dev/null || continue
        name=$(dpkg-deb --field "$package" Package)
        wanted=$(dpkg-deb --field "$package" Version)
        # shellcheck disable=SC2016
        installed=$(dpkg-query --show --showformat '${db:Status-Abbrev}${Version}' "$name" 2>/dev/null | sed -n 's/^ii //p') || installed=
        if command -v apt-get >/dev/null; then # also gets what it depends on
            install "$name" "$wanted" "$installed" apt-get install -y --no-install-recommends --allow-downgrades "./$package"
        else
            install "$name" "$wanted" "$installed" dpkg --install "$package"
        fi
        ;;
    *.rpm)
        if ! command -v rpm >/dev/null || command -v dpkg >/dev/null; then continue; fi
        name=$(rpm --query --package --queryformat '%{NAME}' "$package")
        wanted=$(rpm --query --package --queryformat '%{VERSION}-%{RELEASE}' "$package")
        installed=$(rpm --query --queryformat '%{VERSION}-%{RELEASE}' "$name" 2>/dev/null) || installed=
        if command -v dnf >/dev/null; then
            install "$name" "$wanted" "$installed" dnf install -y "./$package"
        elif command -v zypper >/dev/null; then
            install "$name" "$wanted" "$installed" zypper --non-interactive install "./$package"
        else
            install "$name" "$wanted" "$installed" rpm --upgrade --oldpackage "$package"
        fi
        ;;
    *.pkg)
        command -v pkg >/dev/null && [ "$(uname -s)" = FreeBSD ] || continue
        name=$(pkg query -F "$package" %n)
        wanted=$(pkg query -F "$package" %v)
        installed=$(pkg query %v "$name" 2>/dev/null) || installed=
        install "$name" "$wanted" "$installed" pkg add -f "$package"
        ;;
    *.pkg.sol)
        command -v pkgadd >/dev/null || continue
        name=$(pkginfo -d "$PWD/$package" | awk 'NR == 1 { print $2 }')
        wanted=$(pkgparam -d "$PWD/$package" "$name" VERSION)
        installed=$(pkgparam "$name" VERSION 2>/dev/null) || installed=
        install "$name" "$wanted" "$installed" pkgadd -n -a admin -d "$PWD/$package" "$name"
        ;;
    esac
done
[ "$found" = yes ] || { echo "no package here is of this machine's kind" >&2; exit 2; }
exit $status
