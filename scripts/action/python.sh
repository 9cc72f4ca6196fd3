# shellcheck shell=bash
# Sourced by the other scripts: how aigate is run from the action's own path.

root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)

fail() {
    printf '::error title=aigate::%s\n' "$1"
    exit 1
}

# Print what ends a pause of the runner's commands; fails where it could be guessed.
random_token() {
    local token
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    [[ ${#token} == 32 ]] && echo "$token"
}

# Run a module of aigate. `-P` and a PYTHONPATH of our own: nothing in the caller's workspace or
# environment can stand in for a module of ours, or change how Python runs.
aigate_module() {
    local path=$root/src
    if [[ -n ${AIGATE_ACTION_PACKAGES:-} ]]; then
        path+=:$AIGATE_ACTION_PACKAGES
    fi
    (
        unset "${!PYTHON@}"
        PYTHONPATH=$path PYTHONUTF8=1 exec "$AIGATE_ACTION_PYTHON" -P -s -m "$@"
    )
}
