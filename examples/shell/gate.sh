#!/usr/bin/env bash
# Decide, and promote exactly what was decided: gate.sh [MODEL[@VERSION|@ALIAS]], in the manifest's folder.
# Ends with aigate's exit code. Reports are in $REPORTS (default: aigate-reports).
set -euo pipefail

reports=${REPORTS:-aigate-reports}
record=$reports/record.json
mkdir -p "$reports"
rm -f "$record" "$reports"/{snapshot.json,junit.xml,result.json}

code=0
aigate evaluate --save-snapshot "$reports/snapshot.json" -o text -o "json:$record" \
    -o "junit:$reports/junit.xml" -- "$@" || code=$?
case $code in
0) ;;
1) echo "gate: denied; the report says by which policies, and what to do next" >&2 ;;
2) echo "gate: nothing was decided; mend the command line, the manifest or the policy that is named above" >&2 ;;
3) echo "gate: on hold; evidence is missing, so try again when its source answers" >&2 ;;
*) echo "gate: nothing was decided (exit code $code)" >&2 ;;
esac
if [[ $code != 0 ]]; then
    exit "$code"
fi

# Where another job or machine promotes, these two travel beside the record, not with it.
id=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["id"])' "$record")
version=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["subject"]["version"])' "$record")

aigate promote --version "$version" --decision "$record" --decision-id "$id" \
    --result "$reports/result.json" || code=$?
case $code in
0) echo "gate: version $version holds the alias, as decision $id allowed" ;;
3) echo "gate: something changed since the decision, and nothing was moved; run it again" >&2 ;;
4) echo "gate: it cannot be confirmed whether the alias was moved; run it again, it finds out and finishes" >&2 ;;
1 | 2) echo "gate: the alias was not moved" >&2 ;;
*) echo "gate: exit code $code; \`aigate status\` says which version holds the alias" >&2 ;;
esac
exit "$code"
