# shellcheck shell=bash
# Sourced by the other scripts: how aigate is run from the action's own path.

root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)

# Run a module of aigate. `-P` and a PYTHONPATH of our own: nothing in the caller's workspace or
# environment can stand in for a module of ours.
aigate_module() {
    local path=$root/src
    if [[ -n ${AIGATE_ACTION_PACKAGES:-} ]]; then
        path+=:$AIGATE_ACTION_PACKAGES
    fi
    env -u PYTHONHOME -u PYTHONSTARTUP PYTHONPATH="$path" PYTHONUTF8=1 "$AIGATE_ACTION_PYTHON" -P -s -m "$@"
}
