#!/usr/bin/env bash
# Tell people: job summary, annotations, comment, commit status. It can fail, and then fails nothing else.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=python.sh
source "${BASH_SOURCE[0]%/*}/python.sh"

if [[ -z ${AIGATE_ACTION_PYTHON:-} ]]; then
    echo "aigate: not installed, so there is nothing to publish"
    exit 0
fi
aigate_module aigate.action publish </dev/null ||
    echo "::warning title=aigate::what was decided could not be published; the decision stands"
exit 0
