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
# A line break in it would be an output of its own, and `-` or a name in CDPATH another folder.
if [[ $PWD$reports == *[[:cntrl:]]* ]]; then
    fail "no decision was reached: the input report-dir has a line break or a control character"
fi
[[ $reports == /* ]] || reports=$PWD/$reports
mkdir -p -- "$reports" || exit 1
reports=$(cd -- "$reports" && pwd) || exit 1
# A change may bring a link of that name along, and the folder is uploaded, or its files written over.
here=${GITHUB_WORKSPACE:-$PWD}
if [[ $reports/ == "$here"/* && $(cd -- "$reports" && pwd -P) != "$(cd -- "$here" && pwd -P)${reports#"$here"}" ]]; then
    fail "no decision was reached: the input report-dir leads over a link in the workspace"
fi
rm -f -- "$reports/run.txt" || exit 1
export AIGATE_ACTION_REPORTS=$reports

# Names and texts from a registry are printed: the runner is not to act upon them. The token is made
# here, so that the pause ends even where aigate does not come to its own end.
token=$(random_token) || exit 1
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
