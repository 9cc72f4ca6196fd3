#!/usr/bin/env bash
# Fail the step unless an explicit yes was said: exit code 0, and a result file that says so too.
set -uo pipefail

code=${AIGATE_ACTION_EXIT_CODE:-}
[[ $code =~ ^[0-9]{0,4}$ ]] || code=unknown
if [[ $code == 0 && ${AIGATE_ACTION_YES:-} == yes ]]; then
    echo "aigate: ${AIGATE_ACTION_SAID:-}"
    exit 0
fi
if [[ -n ${AIGATE_ACTION_SAID:-} ]]; then
    echo "aigate: $AIGATE_ACTION_SAID"
elif [[ -z $code ]]; then
    echo "::error title=aigate::no decision was reached: aigate did not run"
else
    echo "::error title=aigate::no decision was reached (exit code $code)"
fi
# A shell keeps the last eight bits of it: 256 would pass.
if [[ ! $code =~ ^[1-9][0-9]{0,2}$ ]] || ((code > 255)); then
    code=3
fi
exit "$code"
