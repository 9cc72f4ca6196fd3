"""`aigate replay` at its door: exit codes, formats, and what it says of records that lie."""

import contextlib
import json
import os
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from aigate.decision import Actor
from aigate.enforce.ledger import Ledger
from aigate.enforce.sql_store import open_sql_store
from aigate.ledger import Identity, Intent
from aigate.report.json import decision_id, read_record
from commands import aigate_here
from recorded import Project


def aigate(project: Project, *args: object) -> CompletedProcess[str]:
    return aigate_here(project.folder, *args, HOME=str(project.folder))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """v9 was denied, v11 allowed on 0.93."""
    made = Project(tmp_path_factory.mktemp("replay"))
    made.decided(made.snapshot(9, "0.915"), "v9")
    made.decided(made.snapshot(11, "0.93"), "v11")
    made.policies("other", "0.94")
    return made


def test_the_same_bytes_are_0(project: Project) -> None:
    done = aigate(project, "replay", "kept/v9.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("IDENTICAL  churn v9 → @champion")
    told = json.loads(aigate(project, "replay", "kept/v11.json", "--format", "json").stdout)
    assert (told["schema"], told["identical"], told["now"]) == ("aigate.replay/v1", True, "allow")


def test_a_difference_is_1_and_named(project: Project) -> None:
    done = aigate(project, "replay", "kept/v11.json", "--policies", "other")
    assert done.returncode == 1
    assert "/counts/failed" in done.stdout
    assert "policy file policies/mine.py" in done.stdout


def test_a_record_that_was_edited_is_2_with_the_place(project: Project) -> None:
    text = (project.kept / "v9.json").read_text()
    lie = project.folder / "lie.json"
    lie.write_text(text.replace('"deny"', '"allow"'))
    done = aigate(project, "replay", lie)
    assert (done.returncode, done.stdout) == (2, "")
    assert "it is not what was written" in done.stderr
    lie.write_text(text.replace('"system":"churn"', '"system":"other","system":"churn"'))
    done = aigate(project, "replay", lie)
    assert done.returncode == 2
    assert "at byte " in done.stderr


def test_evidence_that_is_gone_is_3(project: Project) -> None:
    alone = project.folder / "alone"
    alone.mkdir(exist_ok=True)
    (alone / "record.json").write_bytes((project.kept / "v9.json").read_bytes())
    done = aigate(project, "replay", "alone/record.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "--snapshot FILE" in done.stderr
    done = aigate(project, "replay", "alone/record.json", "--snapshot", "kept/v9.snapshot.json")
    assert done.returncode == 0
    done = aigate(project, "replay", "alone/record.json", "--snapshot", "kept/v11.snapshot.json")
    assert done.returncode == 2
    assert "the decision was made from" in done.stderr


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (("kept/v9.json", "--since", "90d"), "RECORD is one"),
        (("kept/v9.json", "--format", "markdown"), "--format json"),
        (("--snapshot", "kept/v9.snapshot.json", "--source", "kept"), "of one RECORD"),
        (("--source", "nowhere"), "there is no nowhere"),
        (("--source", "kept", "--since", "soon"), "--since"),
        (("--source", "kept", "--policies", "nowhere"), "nowhere"),
        (("nowhere.json",), "cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_usage_is_2(project: Project, words: tuple[str, ...], needle: str) -> None:
    done = aigate(project, "replay", *words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert needle in done.stderr


def test_a_backtest_says_what_would_have_changed(project: Project) -> None:
    done = aigate(project, "replay", "--source", "kept", "--policies", "other")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BACKTEST  Would have blocked v11\n")
    told = json.loads(
        aigate(project, "replay", "--source", "kept", "--policies", "other", "--format", "json").stdout
    )
    assert (told["schema"], told["blocked"], told["unchanged"]) == ("aigate.backtest/v1", 1, 1)
    page = aigate(project, "replay", "--source", "kept", "--policies", "other", "--format", "markdown").stdout
    assert page.startswith("## Backtest: would have blocked v11\n")


def test_exit_codes_of_a_backtest(project: Project, tmp_path: Path) -> None:
    other = ("replay", "--source", "kept", "--policies", "other")
    assert aigate(project, *other, "--fail-on", "changed").returncode == 1
    assert aigate(project, "replay", "--source", "kept", "--fail-on", "changed").returncode == 0
    (tmp_path / "other.json").write_text("{}")
    done = aigate(project, "replay", "--source", tmp_path)
    assert done.returncode == 3
    assert "Nothing to compare" in done.stdout
    (tmp_path / "cut.json").write_bytes((project.kept / "v9.snapshot.json").read_bytes()[:-100])
    for name in ("v9.json", "v9.snapshot.json"):
        (tmp_path / name).write_bytes((project.kept / name).read_bytes())
    assert aigate(project, "replay", "--source", tmp_path).returncode == 0
    assert aigate(project, "replay", "--source", tmp_path, "--fail-on", "changed").returncode == 3


def test_what_the_ledger_keeps_is_a_source(project: Project) -> None:
    """No registry is needed for it: the ledger is in a database of its own."""
    uri = f"sqlite:///{project.folder}/ledger.db"
    now = project.snapshot(11).now
    with contextlib.closing(open_sql_store(uri)) as store:
        ledger = Ledger(
            store, "churn", actor=Actor(name="user:kai"), clock=lambda: now, nonce=lambda: os.urandom(8).hex()
        )
        ledger.refresh()
        data = (project.kept / "v11.json").read_bytes().strip()
        decision = read_record(data)
        challenger = project.snapshot(11, "0.93").challenger
        assert challenger is not None
        intent = Intent(
            action="promote",
            alias="champion",
            from_=None,
            to=Identity.of(challenger.subject),
            environment="production",
            reason="allow",
            expires=now + timedelta(minutes=5),
            decision=decision_id(decision),
            record=ledger.keep(data),
            snapshot=ledger.keep((project.kept / "v11.snapshot.json").read_bytes().strip()),
        )
        ledger.append(intent)
    way = ("--ledger", uri, "--tracking-uri", "http://127.0.0.1:9")
    done = aigate(project, "replay", "--policies", "other", *way)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BACKTEST  Would have blocked v11\n")
    assert "the ledger of churn" in done.stdout
    done = aigate(project, "replay", decision_id(decision).removeprefix("sha256:")[:12], *way)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("IDENTICAL  churn v11")
    done = aigate(project, "replay", "0123456789ab", *way)
    assert (done.returncode, done.stdout) == (3, "")


def test_days_since_choose(project: Project) -> None:
    done = aigate(project, "replay", "--source", "kept", "--since", "2026-12-01", "--format", "json")
    told = json.loads(done.stdout)
    assert (told["before"], told["unchanged"]) == (1, 1)
