#!/bin/bash
# Builds the guest image into $OUT; runs inside mount and PID namespaces of its own
# (harness/lab/image.py). Progress on stdout, one line a step; everything else on stderr.
# $WORK is an empty folder of the caller's, who removes it: what is mounted there goes with the
# namespace, the folder itself does not.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
say() { echo "$1"; echo "== $1" >&2; }

work=${WORK:?}
mount -t tmpfs -o size=4G,mode=0755 lab-image "$work"
root=$work/root

options=(--variant=minbase "--include=$PACKAGES" --mode=root
    --skip=download/empty --skip=essential/unlink
    --setup-hook='mkdir -p "$1"/var/cache/apt/archives/'
    --setup-hook="sync-in $PACKAGE_CACHE /var/cache/apt/archives/"
    --customize-hook="sync-out /var/cache/apt/archives $PACKAGE_CACHE"
    --customize-hook="$here/customize.sh"
    --aptopt='Acquire::Retries "3"' --aptopt='Acquire::http::Timeout "30"'
    --aptopt='APT::Install-Recommends "false"')
[ -z "${COMPONENTS:-}" ] || options+=("--components=$COMPONENTS")
[ -z "${KEYRING:-}" ] || options+=("--keyring=$KEYRING")
while read -r path; do
    [ -z "$path" ] || options+=("--dpkgopt=path-exclude=$path")
done <<< "${EXCLUDED:-}"
[ -z "${PROXY:-}" ] || options+=(--aptopt="Acquire::http::Proxy \"$PROXY\"")
# Offline: apt lists come from the cache too, nothing may be downloaded.
if [ -n "${OFFLINE:-}" ]; then
    options+=(--skip=update
        --setup-hook="sync-in $PACKAGE_CACHE/lists /var/lib/apt/lists/"
        --aptopt='Acquire::http::Proxy "http://127.0.0.1:9"')
else
    mkdir -p "$PACKAGE_CACHE/lists"
    options+=(--skip=cleanup/apt/lists
        --customize-hook="sync-out /var/lib/apt/lists $PACKAGE_CACHE/lists")
fi

say "installing packages with mmdebstrap"
mmdebstrap "${options[@]}" "$SUITE" "$root" ${MIRROR:+"$MIRROR"} >&2
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/*/changelog*

say "writing the file system"
cp "$root"/boot/vmlinuz-* "$OUT/vmlinuz"
cp "$root"/boot/initrd.img-* "$OUT/initrd.img"
mv "$root/etc/lab-packages" "$OUT/packages.txt"
truncate -s "${ROOT_GIB}G" "$work/base.raw"
mke2fs -q -t ext4 -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$work/base.raw" >&2
say "converting to qcow2"
qemu-img convert -O qcow2 "$work/base.raw" "$OUT/base.qcow2" >&2
chmod 0600 "$OUT"/*
say "done"
