#!/usr/bin/env bash
# Make the virtual environments that tests and demo run in.
#
#   scripts/setup.sh          .venv: requirements/dev.txt, and this project, editable
#   scripts/setup.sh dbt      .venv-dbt: requirements/dbt.txt alone, for dbt wants versions of its own
#   scripts/setup.sh mlflow2  .venv-mlflow2: requirements/mlflow2.txt with a server of MLflow 2, and this
#                             project, editable, which guards that server too
#
# Nothing is installed that a lock does not name by hash. It uses uv where uv is
# installed, venv and pip otherwise. A second run compares two digests and ends.
# PYTHON names an interpreter other than the first of python3, python3.13 … 3.11.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-dev}" in
dev) venv=.venv lock=requirements/dev.txt project=pyproject.toml ;;
dbt) venv=.venv-dbt lock=requirements/dbt.txt project=/dev/null ;;
mlflow2) venv=.venv-mlflow2 lock=requirements/mlflow2.txt project=pyproject.toml ;;
*)
    echo "usage: scripts/setup.sh [dev|dbt|mlflow2]" >&2
    exit 2
    ;;
esac

new_enough() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
if [[ -z $python ]]; then
    echo "setup: needs Python 3.11 or newer; set PYTHON to one (tried: ${PYTHON:-python3 python3.13 python3.12 python3.11})" >&2
    exit 1
fi

# What an environment was made from. It is not one that can be moved, so its place counts too.
wanted_locked="$(sha256sum <"$lock") $("$python" -VV 2>&1 | tr -d '\n') $PWD"
wanted_project="$(sha256sum <"$project") $PWD"
stamp=$venv/.setup
locked='' installed=''
if [[ -f $stamp && -x $venv/bin/python ]]; then
    { read -r locked && read -r installed; } <"$stamp" || true
fi
if [[ $locked == "$wanted_locked" && $installed == "$wanted_project" ]]; then
    exit 0
fi

if command -v uv >/dev/null; then
    make_venv() { uv venv --quiet --clear --python "$python" "$venv"; }
    install() { uv pip install --quiet --python "$venv/bin/python" "$@"; }
else
    make_venv() {
        if ! "$python" -c 'import ensurepip' 2>/dev/null; then
            echo "setup: $python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2
            exit 1
        fi
        "$python" -m venv --clear "$venv"
    }
    install() {
        # An environment that uv made has no pip.
        "$venv/bin/python" -c 'import pip' 2>/dev/null || "$venv/bin/python" -m ensurepip >/dev/null
        "$venv/bin/python" -m pip install -qq --no-input --no-compile --disable-pip-version-check "$@"
    }
fi

if [[ $locked != "$wanted_locked" ]]; then
    echo "setup: making $venv from $lock (a minute or two, once)" >&2
    make_venv
    rm -f "$stamp"
    install --require-hashes --no-deps -r "$lock"
fi
if [[ $project != /dev/null ]]; then
    rm -f "$stamp"
    install --no-deps --no-build-isolation --editable .
fi
printf '%s\n%s\n' "$wanted_locked" "$wanted_project" >"$stamp"
