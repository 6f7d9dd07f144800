#!/bin/sh
# Installs the Debian packages that tests and demo use where they are missing.
# usage: packages.sh [SUDO] [-- PACKAGE ...]; on another distribution, or without the rights, it says what it would want.
sudo=""
[ "${1:-}" = "" ] || [ "${1:-}" = "--" ] || { sudo=$1; shift; }
[ "${1:-}" = "--" ] && shift
if [ $# = 0 ]; then
    set -- iproute2 iputils-arping iputils-ping ethtool nftables tcpdump keepalived frr runit daemontools  # links, peers, supervisors
    set -- "$@" unbound bind9 bind9-utils bind9-dnsutils                                               # DNS servers and their tools
    set -- "$@" drbd-utils restic borgbackup                                                           # drbdctl's
fi
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || { [ "$(id -u)" != 0 ] && [ -z "$sudo" ]; }; then
    echo "not installed:$missing; what needs them is skipped" >&2
    exit 0
fi
# A package's service must not start on this machine: the tests run their own in namespaces.
policy=/usr/sbin/policy-rc.d
[ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod 755 $policy && made=1; }
DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq update &&
    DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq -y install --no-install-recommends $missing >/dev/null
status=$?
[ -z "${made:-}" ] || $sudo rm -f $policy
[ $status = 0 ] || echo "could not install:$missing; what needs them is skipped" >&2
exit $status
