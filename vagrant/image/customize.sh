#!/bin/sh
# mmdebstrap customize hook; $1 is the root of the new system.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")
cp -a --no-preserve=ownership "$here/overlay/." "$root/"
printf '/dev/vda / ext4 defaults,noatime 0 1\n' > "$root/etc/fstab"
printf 'drbd\n' > "$root/etc/modules-load.d/lab.conf"
printf 'lab\n' > "$root/etc/hostname"
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"

# What the guest's profile says is wrong with its packages, a word each.
for workaround in ${WORKAROUNDS:-}; do
    "$here/workarounds/$workaround" "$root"
done

# The recipe's, then the profile's own ones.
printf '%s\n' "${UNITS:-}" | cat "$here/units.txt" - | while read -r verb unit _; do
    case $verb in
        '' | '#'*) ;;
        disable)
            if chroot "$root" systemctl list-unit-files "$unit" < /dev/null | grep -q "^$unit"; then
                chroot "$root" systemctl disable "$unit" < /dev/null > /dev/null 2>&1
            fi ;;
        mask | enable)
            chroot "$root" systemctl "$verb" "$unit" < /dev/null > /dev/null 2>&1 ;;
        *)
            echo "units.txt: what is $verb?" >&2
            exit 1 ;;
    esac
done
chroot "$root" update-initramfs -u -k all
chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' > "$root/etc/lab-packages"
