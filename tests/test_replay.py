"""A recorded decision, made once more: the same bytes, or the first place that differs; never a yes by accident."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.again.record import NotFoundError, evidence, find_beside, load_record, replay
from aigate.again.rules import rules
from aigate.decision import Actor, Decision
from aigate.digest import canonical, digest_bytes
from aigate.errors import ConfigError
from aigate.evaluate import Setting, decide, judge
from aigate.gate import evaluate_snapshot
from aigate.policy import run
from aigate.replay import ABSENT, Replay, compared, first_difference, once_more
from aigate.report import ReportContext
from aigate.report.json import decision_id, read_record, record
from aigate.report.replay import render
from aigate.snapshot import Snapshot
from aigate.testing import change, load_policy, missing, passing_snapshot
from recorded import FLOOR, MANIFEST, WAIVERS, Project

PLAIN = ReportContext(columns=100)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def again(project: Project, path: Path, policies: Path | None = None) -> Replay:
    data, recorded = load_record(path)
    loaded = project.loaded
    return replay(
        recorded,
        json.loads(data)["id"],
        find_beside(recorded, path),
        rules(loaded, recorded.environment, policies),
        loaded.manifest,
        loaded.digest,
    )


@pytest.mark.parametrize(
    ("accuracy", "verdict"), [("0.943", "allow"), ("0.71", "deny")], ids=["allowed", "denied"]
)
def test_a_decision_comes_out_again_byte_for_byte(project: Project, accuracy: str, verdict: str) -> None:
    told = again(project, project.decided(project.snapshot(accuracy=accuracy), "one"))
    assert (told.identical, told.recorded, told.now, told.exit_code) == (True, verdict, verdict, 0)
    assert (told.first, told.policies, told.changed) == (None, (), ())


def test_what_nobody_knew_then_is_unknown_again(project: Project) -> None:
    snapshot = change(project.snapshot(), "/challenger/measurements", missing("MLflow answered 503"))
    told = again(project, project.decided(snapshot, "one"))
    assert (told.identical, told.now) == (True, "hold")


def test_one_byte_of_a_policy_is_told(project: Project) -> None:
    path = project.decided(project.snapshot(), "one")
    other = project.policies("other", "0.92", FLOOR + "# \n")
    told = again(project, path, other)
    assert (told.identical, told.exit_code, told.now) == (False, 1, "allow")
    assert told.first is not None
    assert told.first.at == "/judgements/0/info/file_digest"
    assert told.first.policy == "mine.floor"
    assert [changed.what for changed in told.changed] == ["policy file policies/mine.py"]
    assert told.policies == ()
    assert told.changed[0].recorded == json.loads(told.first.recorded)


def test_another_verdict_is_told_with_both_values(project: Project) -> None:
    path = project.decided(project.snapshot(accuracy="0.93"), "one")
    told = again(project, path, project.policies("other", "0.95"))
    assert (told.recorded, told.now, told.policies) == ("allow", "deny", ("mine.floor",))
    assert told.first is not None
    assert (told.first.at, told.first.recorded, told.first.now) == ("/counts/failed", "0", "1")
    text = render(told, PLAIN)
    assert text.startswith("DIFFERS  churn v2 → @champion")
    assert "deny, recorded was allow" in text
    assert "/counts/failed" in text


def test_another_manifest_is_told(project: Project) -> None:
    path = project.decided(project.snapshot(accuracy="0.71"), "one")
    (project.folder / "aigate.yaml").write_text(
        MANIFEST + "environments: {production: {levels: {mine.floor: advise}}}\n"
    )
    told = again(project, path)
    assert (told.identical, told.recorded, told.now) == (False, "deny", "allow")
    assert told.changed[0].what == "manifest (levels, parameters)"


def test_the_waivers_of_then_count_though_they_are_gone_now(project: Project) -> None:
    file = project.folder / "waivers.yaml"
    file.write_text(WAIVERS)
    path = project.decided(project.snapshot(accuracy="0.71"), "one")
    file.unlink()
    told = again(project, path)
    assert (told.identical, told.recorded, told.now) == (True, "allow", "allow")


def test_waivers_that_came_with_a_change_under_review_count_for_nothing_again(project: Project) -> None:
    (project.folder / "waivers.yaml").write_text(WAIVERS)
    snapshot = project.snapshot(accuracy="0.71")
    answer = evaluate_snapshot(project.loaded, snapshot, Actor(name="user:kai"), trusted=False)
    (project.kept / "one.snapshot.json").write_bytes(canonical(snapshot))
    path = project.kept / "one.json"
    path.write_bytes(record(answer.decision))
    told = again(project, path)
    assert (told.identical, told.recorded) == (True, "deny")


EDITS: dict[str, tuple[str, str]] = {
    "a verdict": ('"verdict":"deny"', '"verdict":"allow"'),
    "a number": ('"failed":1', '"failed":0'),
    "a reason": ("1 of 1 policy failed", "0 of 1 policy failed"),
    "a space": ('"verdict":"deny"', '"verdict": "deny"'),
    "a key twice": ('"verdict":"deny"', '"verdict":"allow","verdict":"deny"'),
    "a key twice, the last one wrong": ('"verdict":"deny"', '"verdict":"deny","verdict":"allow"'),
    "an escape": ('"verdict"', '"verd\\u0069ct"'),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_record_is_refused_with_the_place(project: Project, edit: str) -> None:
    path = project.decided(project.snapshot(accuracy="0.71"), "one")
    was, becomes = EDITS[edit]
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes, 1))
    with pytest.raises(ConfigError) as refused:
        load_record(path)
    assert refused.value.message.startswith(f"{path}: ")
    assert "byte" in refused.value.message or "its content has sha256:" in refused.value.message


def test_a_reordered_record_is_refused(project: Project) -> None:
    path = project.decided(project.snapshot(), "one")
    fields = json.loads(path.read_bytes())
    path.write_text(json.dumps(dict(reversed(fields.items())), separators=(",", ":"), ensure_ascii=False))
    with pytest.raises(ConfigError, match=r"not in canonical form .RFC 8785.: at byte"):
        load_record(path)


def test_a_record_that_was_made_anew_differs(project: Project) -> None:
    """Whoever can compute the id can write a record that is sound in itself; replaying it shows that it is a lie."""
    path = project.decided(project.snapshot(accuracy="0.71"), "one")
    fields = json.loads(path.read_bytes())
    del fields["id"]
    fields |= {"verdict": "allow", "exit_code": 0, "reason": "1 policy assessed, none that counts failed"}
    path.write_bytes(rfc8785.dumps({**fields, "id": digest_bytes(rfc8785.dumps(fields))}))
    told = again(project, path)
    assert (told.recorded, told.now, told.exit_code) == ("allow", "deny", 1)
    assert told.first is not None
    assert told.first.at == "/exit_code"


@pytest.mark.parametrize("at", ["judgements/0/result/reads", "waivers", "runbooks", "waivers_digest"])
def test_a_record_with_a_place_taken_out_is_not_identical(project: Project, at: str) -> None:
    """Only the record of another version may lack what ours has; here it hides what a policy read."""
    path = project.decided(project.snapshot(accuracy="0.71"), "one")
    fields = json.loads(path.read_bytes())
    del fields["id"]
    *steps, last = at.split("/")
    inner = fields
    for step in steps:
        inner = inner[int(step) if step.isdigit() else step]
    del inner[last]
    path.write_bytes(rfc8785.dumps({**fields, "id": digest_bytes(rfc8785.dumps(fields))}))
    told = again(project, path)
    assert not told.identical
    assert told.first is not None
    assert (told.first.at, told.first.recorded) == (f"/{at}", ABSENT)
    fields["versions"]["aigate"] = "0.0.1"
    path.write_bytes(rfc8785.dumps({**fields, "id": digest_bytes(rfc8785.dumps(fields))}))
    assert again(project, path).identical


def test_evidence_that_was_edited_is_refused(project: Project) -> None:
    path = project.decided(project.snapshot(accuracy="0.71"), "one")
    _, recorded = load_record(path)
    data = (project.kept / "one.snapshot.json").read_bytes().strip().replace(b'"0.71"', b'"0.97"')
    with pytest.raises(ConfigError, match=r"its digest is sha256:.*, the decision was made from"):
        evidence(recorded, data, "edited")


def test_evidence_is_found_by_its_digest_alone(project: Project) -> None:
    path = project.decided(project.snapshot(), "one")
    project.decided(project.snapshot(3), "two")
    _, recorded = load_record(path)
    assert find_beside(recorded, path).challenger.subject.version == "2"  # type: ignore[union-attr]
    (project.kept / "one.snapshot.json").unlink()
    with pytest.raises(NotFoundError) as gone:
        find_beside(recorded, path)
    assert gone.value.exit_code == 3


def test_evidence_of_an_exported_history_is_found(project: Project) -> None:
    path = project.decided(project.snapshot(), "one")
    _, recorded = load_record(path)
    (project.folder / "bundle/records").mkdir(parents=True)
    (project.folder / "bundle/snapshots").mkdir()
    name = recorded.snapshot_digest.removeprefix("sha256:")
    (project.kept / "one.snapshot.json").rename(project.folder / f"bundle/snapshots/{name}.json")
    moved = path.rename(project.folder / "bundle/records/r.json")
    assert find_beside(recorded, moved).now == recorded.now


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, None),
        ({"a": 1, "b": 2}, {"a": 1}, "/b"),
        ({"a": [1, 2]}, {"a": [1]}, "/a/1"),
        ({"a": [1]}, {"a": [1, 2]}, "/a/1"),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, "/a~1b/~0"),
        ({"a": 1}, {"a": True}, "/a"),
        ({"a": None}, {"a": 0}, "/a"),
        ({"a": {}}, {"a": []}, "/a"),
    ],
    ids=[
        "younger key",
        "lost key",
        "shorter",
        "longer",
        "escaped",
        "true is not 1",
        "null is not 0",
        "kinds",
    ],
)
def test_the_first_difference(one: Any, other: Any, expected: str | None) -> None:
    found = first_difference(one, other)
    assert (None if found is None else found[0]) == expected


def test_a_place_that_is_gone_is_said_to_be(project: Project) -> None:
    path = project.decided(project.snapshot(), "one")
    _, recorded = load_record(path)
    told = compared(decision_id(recorded), recorded, recorded.model_copy(update={"judgements": ()}))
    assert told.first is not None
    assert (told.first.at, told.first.now, told.first.policy) == ("/judgements/0", ABSENT, "mine.floor")


# What holds for any snapshot.

POINTERS: dict[str, Any] = {
    "/owner": None,
    "/model": missing("the registry is down"),
    "/champion": None,
    "/challenger": missing("it was deleted"),
    "/stages/features/age": timedelta(hours=40),
    "/stages/features/freshness": missing("503"),
    "/challenger/measurements/accuracy/value": Decimal("0.7"),
    "/challenger/measurements": missing("timed out"),
    "/end_to_end/age": missing("nobody knows"),
    "/thresholds": (),
    "/evidence": (),
}


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    made = passing_snapshot(draw(st.sampled_from(["promote", "retain"])))
    for pointer in draw(st.lists(st.sampled_from(sorted(POINTERS)), unique=True, max_size=4)):
        try:
            made = change(made, pointer, POINTERS[pointer])
        except KeyError:  # another change took the place away
            continue
    return made


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_a_decision_of_the_gate_is_identical_when_it_is_replayed(snapshot: Snapshot) -> None:
    """From the bytes that are kept, through the strict readers, for whatever evidence there was."""
    first = _decided(snapshot)
    kept, written = canonical(snapshot), record(first)
    recorded = read_record(written)
    assert recorded.snapshot_digest == digest_bytes(kept)
    second = _decided(evidence(recorded, kept, "kept"))
    told = compared(decision_id(recorded), recorded, once_more(recorded, second))
    assert told.identical
    assert record(once_more(recorded, second)) == written


STANDARD = Path(__file__).parent.parent / "policies"
POLICIES = [
    load_policy(STANDARD / f"{id.partition('.')[0]}.py", id)
    for id in ("evaluation.floor", "freshness.stage", "freshness.end_to_end", "ownership.accountable")
]


def _decided(snapshot: Snapshot) -> Decision:
    from aigate.decision import PolicyInfo, Versions

    infos = [
        PolicyInfo(
            id=p.id,
            title=p.title,
            severity=p.severity,
            blames=p.blames,
            file="f.py",
            file_digest="sha256:" + "0" * 64,
        )
        for p in POLICIES
    ]
    results = {p.id: run(p, snapshot, p.bind({})) for p in POLICIES}
    setting = Setting(
        policies_digest="sha256:" + "1" * 64,
        isolation="process",
        versions=Versions(aigate="1", python="3", pydantic="2"),
        actor=Actor(name="user:kai"),
    )
    return decide(snapshot, judge(infos, results, {}), setting)
