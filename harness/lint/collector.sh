#!/bin/sh
# Collects what `harness lint` looks at, on one machine of a cluster, into a folder named like it:
#
#     sh collector.sh FOLDER     makes FOLDER/<this machine's name>/, run as root on each machine
#     sh collector.sh -          writes the same as a tar archive to standard output
#
# It only reads, and starts nothing. Passwords, shared secrets and keys are left out. What it looks
# for and does not find is noted in absent.txt: that is something else than not having looked.
# LINT_ROOT is a folder to take for /, for tests.
set -eu
umask 077
root=${LINT_ROOT:-}
out=${1:?usage: sh collector.sh FOLDER, or - for a tar archive}
name=$(uname -n)
name=${name%%.*}
work=
if [ "$out" = - ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    out=$work
fi
here=$out/$name
mkdir -p "$here"
: > "$here/absent.txt"

absent() {
    echo "$1" >> "$here/absent.txt"
}

# Secrets of drbd.conf, corosync.conf, iscsid.conf and crm's notation, then of a CIB.
without_secrets() {
    sed -E \
        -e 's/(shared-secret[[:space:]]+)("[^"]*"|[^;[:space:]]+)/\1"-"/' \
        -e 's/^([[:space:]]*(discovery|node)\..*password[a-z_]*[[:space:]]*=).*/\1 -/' \
        -e 's/("chap_(mutual_)?password":[[:space:]]*)"[^"]*"/\1"-"/g' \
        -e 's/(name="[a-z_]*passw[a-z_]*"[[:space:]]+value=)"[^"]*"/\1"-"/g' \
        -e 's/(value=)"[^"]*"([[:space:]]+name="[a-z_]*passw[a-z_]*")/\1"-"\2/g'
}

file() { # NAME PATH: one file
    if [ -f "$root$2" ]; then
        without_secrets < "$root$2" > "$here/$1"
    else
        absent "$1"
    fi
}

folder() { # NAME/ PATH PATTERN…: the files of a folder
    to=$1 from=$root$2
    shift 2
    found=
    for pattern; do
        for path in "$from"/$pattern; do
            [ -f "$path" ] || continue
            target=$here/$to${path#"$from"/}
            mkdir -p "${target%/*}"
            without_secrets < "$path" > "$target"
            found=1
        done
    done
    [ -n "$found" ] || absent "$to"
}

said() { # NAME COMMAND…: what a command prints
    to=$1
    shift
    if command -v "$1" > /dev/null 2>&1 && "$@" > "$work_file" 2> /dev/null && [ -s "$work_file" ]
    then
        without_secrets < "$work_file" > "$here/$to"
    else
        absent "$to"
    fi
}
work_file=$here/.said

# Packages leave corosync.conf and drbd.conf on machines that are no nodes.
kind=initiator
for test in is-enabled is-active; do
    systemctl -q $test corosync.service > /dev/null 2>&1 && kind=node
done
[ -f "$root/var/lib/pacemaker/cib/cib.xml" ] && kind=node
echo $kind > "$here/kind.txt"

file corosync.conf /etc/corosync/corosync.conf
file drbd.conf /etc/drbd.conf
folder drbd.d/ /etc/drbd.d '*.conf' '*.res'
said cib.xml cibadmin -Q
file saveconfig.json /etc/rtslib-fb-target/saveconfig.json
[ -f "$here/saveconfig.json" ] || file saveconfig.json /etc/target/saveconfig.json
file targets.conf /etc/tgt/targets.conf
file ietd.conf /etc/iet/ietd.conf
folder networkd/ /etc/systemd/network '*.network' '*.network.d/*.conf'
[ -d "$here/networkd" ] || folder networkd/ /run/systemd/network '*.network' '*.network.d/*.conf'
file interfaces /etc/network/interfaces
said ip-addr.json ip -j -d address show
said ip-route.json ip -j route show
file hosts /etc/hosts
said unit-files.txt systemctl list-unit-files --no-legend --no-pager --plain
agent=$root/usr/lib/ocf/resource.d/heartbeat/portblock
if [ -f "$agent" ]; then
    { iptables --version 2> /dev/null || true; } > "$here/portblock.txt"
    sed -n '/^active_grep_pat()/,/^}/p' "$agent" >> "$here/portblock.txt"
else
    absent portblock.txt
fi
file iscsid.conf /etc/iscsi/iscsid.conf
said iscsi-nodes.txt iscsiadm -m node -o show
file multipath.conf /etc/multipath.conf
file initiatorname.iscsi /etc/iscsi/initiatorname.iscsi
folder udev/ /etc/udev/rules.d '*.rules'
for disk in "$root"/sys/block/sd*; do
    [ -f "$disk/device/timeout" ] || continue
    vendor=$(tr -s ' ' < "$disk/device/vendor")
    echo "${disk##*/} ${vendor% } $(cat "$disk/device/timeout")"
done > "$here/scsi-timers.txt"
rm -f "$work_file"
[ -z "$work" ] || tar -C "$work" -cf - "$name"
