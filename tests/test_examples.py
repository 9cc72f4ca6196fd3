"""Every example, asked as its README says: the same evidence gives the same verdict, failures and report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/aigate.yaml"))
NAMES = {"stale-cache", "frozen-threshold", "silent-lag", "no-owner", "three-green-teams"}

FAILS = {
    "stale-cache": ["freshness.cache"],
    "silent-lag": ["freshness.end_to_end"],
    "no-owner": ["ownership.accountable"],
    "frozen-threshold": [
        "provenance.applied",
        "provenance.environment",
        "provenance.measured_with",
        "provenance.review",
    ],
    "three-green-teams": [
        "evaluation.floor",
        "evaluation.regression",
        "freshness.cache",
        "freshness.end_to_end",
        "freshness.stage",
        "provenance.environment",
        "provenance.review",
    ],
}
"""What each example is there to show, and nothing else."""


def test_every_example_is_here() -> None:
    assert {example.name for example in EXAMPLES} == NAMES


def command_of(example: Path) -> list[str]:
    """The command in the example's README, as somebody would paste it in the project's folder."""
    (line,) = re.findall(
        r"^    aigate (evaluate .+)$", (example / "README.md").read_text(), flags=re.MULTILINE
    )
    words: list[str] = line.split()
    return words


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_says_what_it_said_when_it_was_recorded(example: Path, tmp_path: Path) -> None:
    words = command_of(example)
    assert words == [
        "evaluate",
        *("--snapshot", f"examples/{example.name}/snapshot.json"),
        *("--manifest", f"examples/{example.name}/aigate.yaml"),
    ]
    record = tmp_path / "decision.json"
    done = subprocess.run(
        [sys.executable, "-m", "aigate", *words, "-o", "text", "-o", f"json:{record}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    expected = json.loads((example / "expected" / "verdict.json").read_text())
    decision = json.loads(record.read_text())
    by_outcome: dict[str, list[str]] = {}
    for judgement in decision["judgements"]:
        by_outcome.setdefault(judgement["result"]["outcome"], []).append(judgement["info"]["id"])
    assert done.returncode == expected["exit_code"] == 1
    assert decision["verdict"] == expected["verdict"] == "deny"
    assert by_outcome["fail"] == expected["failed"] == FAILS[example.name]
    assert by_outcome.keys() == {"fail", "pass", "skip"}, "one failure, shown clearly"
    report = re.sub(r"\bdecision [0-9a-f]{12}\b", "decision ············", done.stdout)
    assert report == (example / "expected" / "report.txt").read_text(encoding="utf-8")


def test_the_projects_readme_shows_the_whole_story() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = (ROOT / "examples" / "three-green-teams" / "expected" / "report.txt").read_text(encoding="utf-8")
    assert f"<!-- denial -->\n```text\n{report}```\n<!-- /denial -->" in readme


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_readme_shows_the_report(example: Path) -> None:
    report = (example / "expected" / "report.txt").read_text(encoding="utf-8")
    shown = "".join(f"    {line}".rstrip() + "\n" for line in report.splitlines())
    assert shown in (example / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_names_runbooks_that_are_there(example: Path) -> None:
    named = re.findall(r"runbooks/[\w-]+\.md", (example / "aigate.yaml").read_text())
    assert named
    assert all((example / path).is_file() for path in named)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_another_manifest_is_refused(example: Path, tmp_path: Path) -> None:
    changed = tmp_path / "aigate.yaml"
    changed.write_text((example / "aigate.yaml").read_text().replace("value: 0.92", "value: 0.10"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "aigate", "evaluate"),
            *("--snapshot", str(example / "snapshot.json"), "--manifest", str(changed)),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "another manifest" in done.stderr
