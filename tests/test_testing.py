"""What authors of policies test with: the passing snapshot, and changes that go through validation."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from aigate.errors import ConfigError, UsageError
from aigate.isolate import Isolate
from aigate.rules import read_standard
from aigate.snapshot import Snapshot, Tag
from aigate.testing import NOW, Gate, change, load_policy, missing, passing_manifest, passing_snapshot
from aigate.testing.runner import find_manifest
from aigate.values import Missing
from standard_pack import pack

PASSING = passing_snapshot()


@pytest.mark.parametrize("id", sorted(pack()))
def test_every_standard_policy_passes_or_is_skipped_on_the_passing_snapshot(id: str) -> None:
    result = pack()[id].run(PASSING)
    assert result.outcome in ("pass", "skip"), (result.reason, result.findings)


def test_none_of_them_is_skipped_so_that_each_can_be_broken() -> None:
    skipped = [id for id, policy in pack().items() if policy.run(PASSING).outcome == "skip"]
    assert skipped == ["pipeline.watched"], "which is asked only where a parameter says so"


def test_the_passing_snapshot_is_of_the_instant_that_tests_use() -> None:
    assert PASSING.now == NOW
    assert passing_manifest().system == PASSING.system
    assert passing_snapshot() == PASSING


def test_the_other_question_is_about_the_champion() -> None:
    retain = passing_snapshot("retain")
    assert retain.challenger is None
    assert retain.judged.subject.version == "1"


def test_a_change_is_the_only_difference() -> None:
    changed = change(PASSING, "/stages/features/age", timedelta(hours=12))
    assert changed.stages[1].age == timedelta(hours=12)
    assert change(changed, "/stages/1/age", PASSING.stages[1].age) == PASSING
    assert Snapshot.model_validate_json(changed.model_dump_json(by_alias=True)) == changed


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        pytest.param(
            "/challenger/measurements/correctness~1mean/value", Decimal("0.5"), id="an-escaped-name"
        ),
        pytest.param("/challenger/tags/aigate.artifact_digest/value", "x", id="a-key"),
        pytest.param("/comparisons/accuracy/rows/gained", 7, id="a-metric"),
        pytest.param("/runbooks/data/exists", False, id="what-a-runbook-is-for"),
        pytest.param("/metrics/accuracy/rule/slices/new/metric", "m", id="inside-a-dict"),
        pytest.param("/model/tags", (Tag(key="a", value="b"),), id="a-tuple-of-models"),
        pytest.param("/champion", None, id="none"),
        pytest.param("/owner/team", "x", id="a-text"),
        pytest.param("/challenger/run", missing("gone"), id="missing"),
    ],
)
def test_places_are_found_by_name_key_or_position(pointer: str, value: object) -> None:
    assert change(PASSING, pointer, value) != PASSING


@pytest.mark.parametrize(
    "pointer",
    [
        "/stages/nowhere/age",
        "/stages/9/age",
        "/nowhere",
        "/stages/features/promise/value/deeper",
        "/end_to_end/x",
    ],
)
def test_a_place_that_is_not_there_is_refused(pointer: str) -> None:
    with pytest.raises(KeyError, match=pointer.split("/")[1]):
        change(PASSING, pointer, None)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/now", "2026-11-21 12:00"),
        ("/challenger/measurements/accuracy/value", "NaN"),
        ("/challenger/measurements/accuracy/value", 0.92),
        ("/stages/features/owner", missing("an owner is declared, not collected")),
        ("/challenger/subject/version", "01"),
    ],
    ids=["naive", "not-a-number", "a-float", "missing-where-it-cannot-be", "a-version-mlflow-takes"],
)
def test_what_cannot_be_cannot_be_made(pointer: str, value: object) -> None:
    with pytest.raises(ValidationError):
        change(PASSING, pointer, value)


def test_missing_says_why() -> None:
    assert missing("time-out", "data.example") == Missing(missing="time-out", source="data.example")


def test_a_policy_is_loaded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "house.py"
    path.write_text(
        "from aigate import Findings, Snapshot, deny, policy\n\n\n"
        "@policy('house.stages')\n"
        "def stages(s: Snapshot, *, least: int = 1) -> Findings:\n"
        '    """There are stages."""\n'
        "    if len(s.stages) < least:\n"
        "        yield deny('too few')\n"
    )
    policy = load_policy(path, "house.stages")
    assert policy.run(PASSING).outcome == "pass"
    assert policy.run(PASSING, least=9).outcome == "fail"
    with pytest.raises(KeyError, match=r"house\.py has no policy 'house\.other' \(it has: house\.stages\)"):
        load_policy(path, "house.other")


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with Gate() as found:
        yield found


STALE = change(PASSING, "/stages/features/age", timedelta(hours=12))


@pytest.mark.parametrize(
    "snapshot", [PASSING, STALE, passing_snapshot("retain")], ids=["well", "stale", "retain"]
)
def test_the_runner_answers_as_the_gate_does(snapshot: Snapshot, gate: Gate) -> None:
    with Isolate(read_standard(), {}) as isolate:
        alone = isolate.run(snapshot).results
    decision = gate.decide(snapshot)
    assert {j.info.id: j.result for j in decision.judgements} == alone
    assert {id: gate.run(id, snapshot) for id in ("freshness.stage", "ownership.stages")} == {
        id: alone[id] for id in ("freshness.stage", "ownership.stages")
    }


def test_the_runner_decides(gate: Gate) -> None:
    assert gate.decide(PASSING).verdict == "allow"
    assert gate.decide(STALE).verdict == "deny"
    assert gate.decide(change(PASSING, "/champion", missing("503"))).verdict in ("hold", "deny")


def test_parameters_of_one_question(gate: Gate) -> None:
    assert gate.run("freshness.stage", STALE).outcome == "fail"
    assert gate.run("freshness.stage", STALE, grace=timedelta(hours=9)).outcome == "pass"
    assert gate.run("freshness.stage", STALE).outcome == "fail"


def test_the_runner_takes_the_manifest_s_levels_and_refuses_strangers(tmp_path: Path) -> None:
    manifest = tmp_path / "aigate.yaml"
    text = (
        "version: 1\nsystem: churn\nmodel: {name: churn}\nenvironments: {staging: {levels: {'*': advise}}}\n"
    )
    manifest.write_text(text)
    with Gate(manifest, "staging") as lax:
        assert lax.decide(STALE).verdict == "allow", "nothing counts there"
        with pytest.raises(UsageError, match=r"no policy 'house\.x' is in force by .*aigate\.yaml"):
            lax.run("house.x", PASSING)
    with pytest.raises(UsageError, match="environment"):
        Gate(manifest, "nowhere")
    manifest.write_text("version: 1\n")
    with pytest.raises(ConfigError):
        Gate(manifest)


def test_the_nearest_manifest(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_manifest(inner) is None
    (tmp_path / "a" / "aigate.yml").write_text("")
    (tmp_path / "aigate.yaml").write_text("")
    assert find_manifest(inner / "test_x.py") == tmp_path / "a" / "aigate.yml"
    assert find_manifest(tmp_path) == tmp_path / "aigate.yaml"
