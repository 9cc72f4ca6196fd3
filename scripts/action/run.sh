#!/usr/bin/env bash
# Run aigate. This step is green whatever it says: a later one enforces, so that reports come in between.
# The exit code is the first output that is written, and the only one that a crash leaves behind.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=python.sh
source "${BASH_SOURCE[0]%/*}/python.sh"

reports=${AIGATE_INPUT_REPORT_DIR:-}
if [[ -z $reports ]]; then
    reports=$(mktemp -d "${RUNNER_TEMP:-/tmp}/aigate-reports.XXXXXXXX") || exit 1
fi
mkdir -p "$reports" || exit 1
reports=$(cd "$reports" && pwd)
export AIGATE_ACTION_REPORTS=$reports

# Names and texts from a registry are printed: the runner is not to act upon them. The token is made
# here, so that the pause ends even where aigate does not come to its own end.
token=$("$AIGATE_ACTION_PYTHON" -I -c 'import secrets; print(secrets.token_hex(16))')
export AIGATE_ACTION_TOKEN=$token
code=0
aigate_module aigate.action run </dev/null 2>"$reports/run.txt" || code=$?
cat "$reports/run.txt"
echo
echo "::$token::"
{
    echo "exit-code=$code"
    echo "report-dir=$reports"
} >>"$GITHUB_OUTPUT"
exit 0
