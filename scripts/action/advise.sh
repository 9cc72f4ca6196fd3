#!/usr/bin/env bash
# Say what the pull request's own manifest would make of the same model version. It decides nothing.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=python.sh
source "${BASH_SOURCE[0]%/*}/python.sh"

token=$(random_token) || exit 1
rm -f -- "$AIGATE_ACTION_REPORTS/advise.txt" || exit 1
echo "::stop-commands::$token"
aigate_module aigate.action advise </dev/null 2>"$AIGATE_ACTION_REPORTS/advise.txt"
cat "$AIGATE_ACTION_REPORTS/advise.txt"
echo
echo "::$token::"
exit 0
