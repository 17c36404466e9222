#!/usr/bin/env bash
# Brings a Debian or Ubuntu host to where the harness runs: system packages, then .venv.
#
# Usage: bash bootstrap/install.sh        (or: make install)
#
# Only what is missing is installed, no service of the host is started, enabled or changed, and a
# second run does nothing. As an ordinary user it goes through sudo for the packages only.
#
# Environment:
#   PYTHON                the Python to use, at least 3.11; default: the first fitting one found
#   BOOTSTRAP_POLICY_RC_D, BOOTSTRAP_SYSTEMD    other paths than the host's, for the tests
#
# Exit codes: 0 ready, 21 the environment lacks something (one line says what, a hint what to do).

set -euo pipefail
export LC_ALL=C

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly venv=$root/.venv
readonly stamp_file=$venv/bootstrap-stamp
readonly logs=$root/build/log
readonly apt_log=$logs/bootstrap-apt.log
readonly pip_log=$logs/bootstrap-pip.log
# policy-rc.d: how a Debian host says which services a package may start (invoke-rc.d(8)).
readonly policy=${BOOTSTRAP_POLICY_RC_D:-/usr/sbin/policy-rc.d}
# There while systemd runs (sd_booted(3)).
readonly systemd=${BOOTSTRAP_SYSTEMD:-/run/systemd/system}

readonly packages=(
    qemu-system-x86 qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients
    libvirt-dev pkg-config gcc python3-dev python3-venv fence-virtd mmdebstrap nftables iproute2
    nbdkit e2fsprogs ca-certificates zstd debian-archive-keyring openssh-client make uidmap
)

sudo=()
ticker=
policy_is_ours=
last_log=
last_from=0

# die MESSAGE HINT: one clear line, the hint, exit code 21 (missing environment).
die() {
    printf 'error: %s\n  hint: %s\n' "$1" "$2" >&2
    exit 21
}

note() {
    printf '%s\n' "$1" >&2
}

cleanup() {
    stop_ticker
    if [[ -n $policy_is_ours ]]; then
        policy_is_ours=
        "${sudo[@]}" rm -f -- "$policy"
    fi
}

# Says every now and then what is being done and for how long: each second on one line of a
# terminal, every 15 seconds in a log.
start_ticker() {
    local title=$1 started=$SECONDS log=$2
    (
        while sleep 1 2>/dev/null; do
            elapsed=$((SECONDS - started))
            if [[ -t 2 ]]; then
                doing=$(tail -n 1 -- "$log" 2>/dev/null | tr -cd '[:print:]') || doing=
                printf '\r\033[K… %s (%d s) %.50s' "$title" "$elapsed" "$doing" >&2
            elif ((elapsed % 15 == 0)); then
                printf '… %s (%d s)\n' "$title" "$elapsed" >&2
            fi
        done
    ) </dev/null >/dev/null 9>&- &
    ticker=$!
}

stop_ticker() {
    [[ -n $ticker ]] || return 0
    kill "$ticker" 2>/dev/null || :
    wait "$ticker" 2>/dev/null || :
    ticker=
    if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
}

# step TITLE LOG COMMAND...: run a long command with its output added to LOG; returns its exit code.
step() {
    local title=$1 log=$2 started=$SECONDS code=0
    shift 2
    note "… $title"
    printf '$ %s\n' "$*" >>"$log"
    last_log=$log
    last_from=$(stat -c %s -- "$log")
    start_ticker "$title" "$log"
    # The lock stays ours: nothing that the command leaves running may hold it.
    "$@" >>"$log" 2>&1 </dev/null 9>&- || code=$?
    stop_ticker
    if ((code == 0)); then
        note "✓ $title ($((SECONDS - started)) s)"
    else
        note "✗ $title ($((SECONDS - started)) s)"
    fi
    return "$code"
}

# What the last step wrote, for whoever wants to know what went wrong.
last_output() {
    tail -c "+$((last_from + 1))" -- "$last_log"
}

# The wanted packages that are not installed, one per line.
missing_packages() {
    local installed=" " status name package
    while read -r status name; do
        # "ii" and "hi": installed, and installed on hold.
        if [[ $status == ?i ]]; then installed+="$name "; fi
    done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null)
    for package in "${packages[@]}"; do
        if [[ $installed != *" $package "* ]]; then printf '%s\n' "$package"; fi
    done
}

# unknown_packages NAME...: those that apt has no candidate for, one per line.
unknown_packages() {
    local line name='' known=' ' package
    while read -r line; do
        case $line in
            "Candidate: (none)") ;;
            "Candidate: "*) known+="$name " ;;
            *:) name=${line%:} ;;
        esac
    done < <(apt-cache policy "$@" 2>/dev/null)
    for package in "$@"; do
        if [[ $known != *" $package "* ]]; then printf '%s\n' "$package"; fi
    done
}

apt() {
    # needrestart (Ubuntu) would restart services of the host after the installation.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C apt-get \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
        -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

mirror_failed() {
    last_output | grep -E 'Failed to fetch|Could not (resolve|connect)|Unable to connect|Temporary failure|Connection (timed out|failed)' >/dev/null
}

die_of_apt() {
    local said
    if mirror_failed; then
        said=$(last_output | grep -Eo 'https?://[^/ ]+' | sort -u | head -n 3 | tr '\n' ' ') || said=
        die "the package mirror does not answer${said:+: ${said% }}" \
            "check the network, the proxy and apt's sources, then run this again (log: $apt_log)"
    fi
    said=$(last_output | grep -E '^E: ' | tail -n 1) || said=
    die "$1${said:+: ${said#E: }}" "the whole output is in $apt_log"
}

# Known unit files and whether they are enabled, "NAME STATE" per line.
units() {
    systemctl list-unit-files --no-legend --no-pager --type=service,socket,timer,path 2>/dev/null |
        while read -r name state _; do printf '%s %s\n' "$name" "$state"; done
}

forbid_starts() {
    # Left behind by a bootstrap that was killed: it is ours to reuse and to remove.
    if [[ -e $policy ]] && ! grep -q 'failover-harness bootstrap' -- "$policy" 2>/dev/null; then
        return
    fi
    policy_is_ours=yes
    # 101: the action is forbidden (policy-rc.d interface, invoke-rc.d(8)).
    printf '#!/bin/sh\n# temporary, by the failover-harness bootstrap\nexit 101\n' |
        "${sudo[@]}" tee -- "$policy" >/dev/null
    "${sudo[@]}" chmod 755 -- "$policy"
}

# disable_new UNITS_BEFORE: units that came with the packages stay off; the others are not touched.
disable_new() {
    local name state fresh=()
    while read -r name state; do
        if [[ $state == enabled* && $'\n'$1 != *$'\n'"$name "* ]]; then fresh+=("$name"); fi
    done < <(units)
    ((${#fresh[@]})) || return 0
    if "${sudo[@]}" systemctl disable --now "${fresh[@]}" >>"$apt_log" 2>&1; then
        note "· new services stay off: ${fresh[*]}"
    else
        note "warning: could not disable the new services ${fresh[*]} (log: $apt_log)"
    fi
}

install_packages() {
    local missing unknown before=''
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null ||
            die "installing packages needs root, and there is no sudo: ${missing[*]}" "run this as root"
        sudo=(sudo)
        # Asks for the password here, before the output goes to a log.
        sudo -v || die "installing packages needs root: ${missing[*]}" "run this as root"
    fi
    : >>"$apt_log" || die "cannot write $apt_log" "remove $root/build, which another user made"
    mapfile -t unknown < <(unknown_packages "${missing[@]}")
    local updated=
    if ((${#unknown[@]})); then
        # Some other repository of the host may be broken; what counts is what apt knows afterwards.
        step "apt-get update" "$apt_log" apt update || :
        updated=yes
        mapfile -t unknown < <(unknown_packages "${missing[@]}")
        if ((${#unknown[@]})); then
            if mirror_failed; then die_of_apt "apt-get update failed"; fi
            die "apt knows no package named: ${unknown[*]}" \
                "on Ubuntu enable universe (add-apt-repository universe); else install what provides it"
        fi
    fi
    if [[ -d $systemd ]]; then before=$(units); fi
    forbid_starts
    note "· missing packages: ${missing[*]}"
    local title="installing ${#missing[@]} packages"
    local arguments=(install -y --no-install-recommends "${missing[@]}")
    if ! step "$title" "$apt_log" apt "${arguments[@]}"; then
        # Old lists name files that the mirror has replaced since.
        if [[ -n $updated ]] || ! mirror_failed; then die_of_apt "apt-get install failed"; fi
        step "apt-get update" "$apt_log" apt update || :
        step "$title" "$apt_log" apt "${arguments[@]}" || die_of_apt "apt-get install failed"
    fi
    if [[ -d $systemd ]]; then disable_new "$before"; fi
    cleanup
}

# fits PYTHON: at least 3.11, can make virtual environments, has the headers for libvirt-python.
fits() {
    "$1" - >/dev/null 2>&1 <<'EOF'
import os, sys, sysconfig
import ensurepip, venv
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(0 if sys.version_info >= (3, 11) and os.path.exists(header) else 1)
EOF
}

pick_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        fits "$PYTHON" || die "PYTHON=$PYTHON is not a Python >= 3.11 with venv and headers" \
            "choose another one, or unset PYTHON"
        python=$PYTHON
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null && fits "$candidate"; then
            python=$candidate
            return
        fi
    done
    die "no Python >= 3.11 with venv and headers was found" \
        "install one (such as python3.11 python3.11-venv python3.11-dev) or set PYTHON=/path/to/python"
}

# What .venv was made from and where; a stamp that differs means that there is work to do.
wanted_stamp() {
    local hash _
    read -r hash _ < <(sha256sum -- "$root/pyproject.toml")
    printf '%s %s' "$hash" "$root"
}

# Whether .venv was made by the Python that the user asks for, if any.
asked_python() {
    local who='import sys; print(sys.base_prefix, sys.version_info[:3])'
    [[ -z ${PYTHON:-} || $("$PYTHON" -c "$who" 2>&1) == $("$venv/bin/python" -c "$who" 2>&1) ]]
}

python_ready() {
    local stamp=''
    if [[ -r $stamp_file ]]; then read -r stamp <"$stamp_file" || :; fi
    [[ $stamp == "$(wanted_stamp)" ]] &&
        "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 &&
        asked_python
}

install_python() {
    local python stamp clear=() said
    pick_python
    stamp=$(wanted_stamp)
    rm -f -- "$stamp_file"
    : >>"$pip_log" || die "cannot write $pip_log" "remove $root/build, which another user made"
    # One that does not run any more, or that another Python made, starts anew.
    if [[ -e $venv ]] && ! { fits "$venv/bin/python" && asked_python; }; then clear=(--clear); fi
    step "making .venv with $python" "$pip_log" "$python" -m venv "${clear[@]}" "$venv" ||
        die "$python could not make $venv: $(last_output | tail -n 1)" "remove it and run this again"
    cd -- "$root"
    if ! PIP_ROOT_USER_ACTION=ignore step "installing the project into .venv" "$pip_log" \
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input -e '.[dev]'; then
        if last_output | grep -E 'CERTIFICATE_VERIFY_FAILED' >/dev/null; then
            die "the Python package index shows a certificate that this host does not trust" \
                "add its authority to the host's, or name it in PIP_CERT (log: $pip_log)"
        fi
        if last_output | grep -E 'ConnectionError|Max retries|Temporary failure|timed out' >/dev/null; then
            die "the Python package index does not answer" \
                "check the network and pip's settings, then run this again (log: $pip_log)"
        fi
        said=$(last_output | grep -iE '^ *error: ' | tail -n 1) || said=
        die "pip could not install the project${said:+: $said}" "the whole output is in $pip_log"
    fi
    printf '%s\n' "$stamp" >"$stamp_file"
}

main() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        die "this is no Debian or Ubuntu host; it needs what these have as: ${packages[*]}" \
            "install them by your host's means and make .venv by hand (pip install -e '.[dev]')"
    fi
    local missing
    missing=$(missing_packages)
    if [[ -z $missing ]] && python_ready; then return; fi
    mkdir -p -- "$logs" 2>/dev/null ||
        die "cannot write $logs" "remove $root/build, which another user made"
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    exec 9>"$logs/bootstrap.lock"
    if ! flock --nonblock 9; then
        note "… waiting for another bootstrap of this checkout"
        flock 9
    fi
    local started=$SECONDS
    install_packages
    python_ready || install_python
    note "✓ the host is ready ($((SECONDS - started)) s); check it with: make doctor"
}

main "$@"
