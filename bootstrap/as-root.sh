#!/usr/bin/env bash
# Runs a command as root: as it is if this is root already, else through sudo.
#
# Usage: bash bootstrap/as-root.sh COMMAND...
#
# The exit code is the command's. GNU make turns any failure of a recipe into its own exit code 2,
# so the code is also printed, and said in words for `harness`.

set -uo pipefail

command=("$@")
if [[ $(id -u) != 0 ]]; then
    if ! command -v sudo >/dev/null; then
        printf 'error: this needs root, and there is no sudo\n  hint: run it as root\n' >&2
        exit 21
    fi
    # sudo drops the environment; the harness's own settings go along. No .pyc files of root's are
    # left in the user's checkout.
    settings=(PYTHONDONTWRITEBYTECODE=1)
    while IFS= read -r name; do settings+=("$name=${!name}"); done < <(
        compgen -e | grep -E '^(FAILOVER_HARNESS_|https?_proxy$|no_proxy$|NO_COLOR$|CI$)'
    )
    command=(sudo env "${settings[@]}" "$@")
fi

"${command[@]}"
code=$?

if ((code != 0)); then
    meaning=
    if [[ ${1##*/} == harness ]]; then
        case $code in
            1) meaning=': INVALID, a check failed' ;;
            10) meaning=': INCONCLUSIVE, nothing can be said of the cluster' ;;
            20) meaning=': the harness itself failed' ;;
            21) meaning=': something is missing or was not understood; the lines above say what' ;;
        esac
    fi
    printf '%s ended with exit code %d%s\n' "${1##*/}" "$code" "$meaning" >&2
fi
exit "$code"
