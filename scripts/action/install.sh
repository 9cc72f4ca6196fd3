#!/usr/bin/env bash
# Install aigate's dependencies for one job, from the hash-locked list beside it: into a folder of
# their own under RUNNER_TEMP, with no virtual environment to make and no index named here.
# aigate itself is run from the action's own path, so that no package of its name can take its place.
set -euo pipefail

# Composite steps may get the path with a part such as `/./` in it; everything below is named from here.
root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
lock=$root/requirements/base.txt
# Who signs tickets for a guarded server needs one library more.
if [[ -n ${AIGATE_SIGNING_KEY:-}${AIGATE_SIGNING_KEY_FILE:-} ]]; then
    lock=$root/requirements/sign.txt
fi

fail() {
    printf '::error title=aigate::%s\n' "$1"
    exit 1
}

# Print the interpreter that a command starts, and its version, where it is new enough.
interpreter() {
    command -v "$1" >/dev/null &&
        "$1" -I -c 'import sys; print(sys.executable); print(sys.version); sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

installer=${AIGATE_INSTALLER:-auto}
case $installer in
auto | uv | pip | none) ;;
*) fail "no decision was reached: the input installer is auto, uv, pip or none" ;;
esac
if [[ $installer == uv ]] && ! command -v uv >/dev/null; then
    fail "no decision was reached: installer is uv, and there is no uv; add astral-sh/setup-uv before this step"
fi

python='' version=''
for candidate in python3 python python3.14 python3.13 python3.12 python3.11; do
    if found=$(interpreter "$candidate"); then
        { read -r python && read -r version; } <<<"$found"
        break
    fi
done
if [[ -z $python && $installer != pip && $installer != none ]] && command -v uv >/dev/null; then
    python=$(uv python find --no-config --no-project '>=3.11' 2>/dev/null) || python=
    version=$python
fi
if [[ -z $python ]]; then
    fail "no decision was reached: there is no Python 3.11 or newer; add actions/setup-python before this step"
fi

packages=
if [[ $installer != none ]]; then
    made_from=$({ echo "$python $version" && cat "$lock"; } | sha256sum)
    # A name that can be known beforehand is only good where nobody else can write: not in /tmp, and only if ours.
    temp=${RUNNER_TEMP:-$(mktemp -d)}
    packages=$temp/aigate-${made_from:0:16}
    if [[ -L $packages || ! -O $packages || ! -O $packages/.complete ]]; then
        # Beside it and then moved there whole, for another job of this machine may be doing the same.
        making=$(mktemp -d "$temp/aigate-making.XXXXXXXX")
        began=$SECONDS
        locked=(--require-hashes --no-deps --only-binary :all: -r "$lock")
        if [[ $installer != pip ]] && command -v uv >/dev/null; then
            with=uv
            install=(uv pip install --quiet --no-config --python "$python" --target "$making" "${locked[@]}")
        elif "$python" -I -m pip --version >/dev/null 2>&1; then
            with=pip
            install=("$python" -I -m pip install -qq --no-input --disable-pip-version-check --no-compile
                --no-warn-conflicts --target "$making" "${locked[@]}")
        else
            fail "no decision was reached: there is neither uv nor pip; add astral-sh/setup-uv before this step"
        fi
        # What an installer prints is not ours, so the runner is not to act upon it.
        token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
        echo "::stop-commands::$token"
        failed=0
        "${install[@]}" </dev/null || failed=$?
        echo "::$token::"
        if ((failed)); then
            fail "no decision was reached: $with could not install aigate's dependencies (exit $failed, see above)"
        fi
        : >"$making/.complete"
        rm -rf "$packages"
        mv -T "$making" "$packages" 2>/dev/null || [[ -O $packages/.complete && ! -L $packages ]]
        echo "aigate: dependencies installed by $with in $((SECONDS - began)) s"
    fi
fi
{
    echo "python=$python"
    echo "packages=$packages"
} >>"$GITHUB_OUTPUT"
