"""Models of what reads our reports: GitHub's code scanning, and its runner."""

import gzip
import re
from dataclasses import dataclass
from typing import Any

MOST_RESULTS = 5_000
MOST_BYTES = 10_000_000
_TEXTS = 1_024


def refused(log: dict[str, Any], text: str) -> list[str]:
    """Why GitHub code scanning would refuse or cut a SARIF file; after its documentation of supported properties."""
    found = []
    if log.get("version") != "2.1.0" or "sarif" not in log.get("$schema", ""):
        found.append("version or $schema")
    if len(gzip.compress(text.encode())) > MOST_BYTES:
        found.append("too large")
    if not 1 <= len(log["runs"]) <= 20:
        found.append("number of runs")
    found += [f"empty text at {path}" for path in _empty(log)]
    for run in log["runs"]:
        found += _of_run(run)
    return found


def _of_run(run: dict[str, Any]) -> list[str]:
    found = []
    if not run["automationDetails"]["id"].endswith("/"):
        found.append("category")
    if len(run["results"]) > MOST_RESULTS:
        found.append("too many results")
    if not run["tool"]["driver"].get("name"):
        found.append("tool without a name")
    rules = run["tool"]["driver"]["rules"]
    for rule in rules:
        for part in ("shortDescription", "fullDescription", "help"):
            if not 0 < len(rule[part]["text"]) <= _TEXTS:
                found.append(f"{rule['id']}: {part}")
        if not 0 < len(rule["id"]) <= 255 or len(rule["properties"]["tags"]) > 20:
            found.append(f"{rule['id']}: id or tags")
        if rule["properties"]["problem.severity"] not in ("error", "warning", "recommendation"):
            found.append(f"{rule['id']}: severity")
        if "security-severity" in rule["properties"]:
            found.append(f"{rule['id']}: it is no vulnerability")
    for result in run["results"]:
        found += [f"result {result['ruleId']}: {words}" for words in _of_result(result, rules)]
    return found


def _of_result(result: dict[str, Any], rules: list[dict[str, Any]]) -> list[str]:
    found = []
    if rules[result["ruleIndex"]]["id"] != result["ruleId"]:
        found.append("the index is another rule's")
    if not result["message"]["text"] or result["level"] not in ("error", "warning", "note"):
        found.append("message or level")
    if not result["partialFingerprints"].get("primaryLocationLineHash"):
        found.append("no line hash")
    if not result["locations"]:
        found.append("no location")
    for location in result["locations"]:
        place = location["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        if not re.fullmatch(r"(file:///)?[\w.~%!$&'()*+,;=@-][\w.~%!$&'()*+,;=@/-]*", uri, re.ASCII):
            found.append(f"uri {uri}")
        region = place["region"]
        if not all(region[name] >= 1 for name in ("startLine", "startColumn", "endLine", "endColumn")):
            found.append("region")
        if (region["endLine"], region["endColumn"]) <= (region["startLine"], region["startColumn"]):
            found.append("an empty region")
    return found


def _empty(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [each for key, part in value.items() for each in _empty(part, f"{path}/{key}")]
    if isinstance(value, list):
        return [each for number, part in enumerate(value) for each in _empty(part, f"{path}/{number}")]
    return [path] if value == "" else []


@dataclass(frozen=True)
class Command:
    """A workflow command as the runner understands it."""

    name: str
    properties: dict[str, str]
    data: str


def obeyed(line: str) -> Command | None:
    """Return the command in a line of a log, after actions/runner ActionCommand.cs, TryParseV2; None where there is none."""
    line = line.lstrip()
    if not line.startswith("::") or (end := line.find("::", 2)) < 0:
        return None
    name, _, rest = line[2:end].partition(" ")
    properties = {}
    for part in rest.strip().split(","):
        key, equals, value = part.partition("=")
        if key.strip() and equals and value:
            for sign, escaped in (("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C"), ("%", "%25")):
                value = value.replace(escaped, sign)
            properties[key.strip()] = value
    data = line[end + 2 :]
    for sign, escaped in (("\r", "%0D"), ("\n", "%0A"), ("%", "%25")):
        data = data.replace(escaped, sign)
    return Command(name, properties, data)
