"""Looking back at a registry, a ledger and its documents: what was verified, and what gets in the way of that."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aigate.account import Explanation, Look
from aigate.audit import Audit
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.collect.mlflow.reader import RegistryError
from aigate.decision import Actor, Waivers
from aigate.digest import canonical, digest_bytes
from aigate.enforce.store import LedgerError
from aigate.errors import UsageError
from aigate.evaluate import decide, subject_of
from aigate.gate import evaluate_snapshot
from aigate.history import known_good, status_of, why
from aigate.history.verify import decided_again, evaluated_again
from aigate.ledger import Halt, Identity, Intent, Kept
from aigate.manifest import RollbackRules
from aigate.report.json import decision_id, read_record, record
from aigate.testing import passing_snapshot
from aigate.values import gap
from story import Story, told


def looks(got: Explanation) -> dict[str, Look]:
    return {look.name: look for look in got.looks}


def ask(story: Story, version: str = "3", **fields: Any) -> Explanation:
    return why(story.sight(**fields), "champion", version, None)


def body_of(story: Story, seq: int) -> Intent:
    entry = story.ledger.chain.entry(seq)
    assert entry is not None
    assert isinstance(entry.body, Intent)
    return entry.body


def record_of(story: Story, seq: int) -> Kept:
    kept = body_of(story, seq).record
    assert kept is not None
    return kept


# ---- why


def test_everything_that_an_answer_rests_on_is_verified() -> None:
    got = ask(told())
    assert got.exit_code == 0
    states = {name: look.state for name, look in looks(got).items()}
    assert states == {
        "chain": "ok",
        "anchors": "ok",
        "record": "ok",
        "evidence": "ok",
        "decision": "ok",
        "policies": "note",
        "version": "ok",
    }
    assert looks(got)["chain"].words.startswith("entry 7 of 8, links verified to head")
    assert got.decision is not None
    assert got.decision_id == decision_id(got.decision)


def _altered(story: Story) -> None:
    kept = record_of(story, 7)
    story.store.documents[kept.place] = story.store.documents[kept.place].replace(b'"allow"', b'"keep!"')


def _lost(story: Story) -> None:
    del story.store.documents[record_of(story, 7).place]


def _evidence_lost(story: Story) -> None:
    kept = body_of(story, 7).snapshot
    assert kept is not None
    del story.store.documents[kept.place]


def _edited(story: Story) -> None:
    story.lines[1] = story.lines[1].replace(b'"ci', b'"ci', 1).replace(b"d.silva", b"m.silva")


def _cut(story: Story) -> None:
    del story.lines[7]


def _anew(story: Story) -> None:
    story.fake.versions["churn", "3"]["creation_timestamp"] += 1000


def _overwritten(story: Story) -> None:
    story.fake.files["m-" + "3" * 32, "data/weights"] = b"others"


@pytest.mark.parametrize(
    ("change", "name", "state", "code"),
    [
        pytest.param(_altered, "record", "bad", 1, id="a record that was edited"),
        pytest.param(_lost, "record", "bad", 1, id="a record that is gone"),
        pytest.param(_evidence_lost, "evidence", "bad", 1, id="evidence that is gone"),
        pytest.param(_edited, "chain", "bad", 1, id="an entry that was edited"),
        pytest.param(_cut, "anchors", "bad", 1, id="a ledger that was cut off"),
        pytest.param(_anew, "version", "bad", 1, id="a version that was made anew"),
        pytest.param(_overwritten, "version", "bad", 1, id="files that were overwritten"),
        pytest.param(
            lambda s: s.fake.versions.pop(("churn", "3")), "version", "note", 0, id="a version that is gone"
        ),
        pytest.param(
            lambda s: s.fake.fails.update({"model churn": RegistryError("unreachable", "503")}),
            "anchors",
            "unknown",
            3,
            id="a registry that is down",
        ),
    ],
)
def test_what_does_not_hold_is_named(
    change: Callable[[Story], object], name: str, state: str, code: int
) -> None:
    story = told()
    change(story)
    got = ask(story)
    assert looks(got)[name].state == state, got.looks
    if change in (_edited, _cut):  # what it no longer speaks of may have been
        assert gap(got.answer) is not None
    else:
        assert got.answer == "promoted"
    assert got.exit_code == code


def test_a_record_of_an_older_aigate_still_verifies() -> None:
    """It has fewer fields than ours: its id is over its own bytes, not over what we would write."""
    import json

    import rfc8785

    story = Story()
    _, decision = story.evidence("1", _passed())
    fields = json.loads(record(decision))
    for younger in ("id", "bound", "waivers"):
        fields.pop(younger)
    id = digest_bytes(rfc8785.dumps(fields))
    kept = story.ledger.keep(rfc8785.dumps({**fields, "id": id}))
    assert id != decision_id(decision)
    story.promote("1", decision=id, record=kept)
    got = ask(story, "1")
    assert looks(got)["record"].state == "ok"
    assert got.decision_id == id
    assert not [r for r in story.audit().remarks if r.code == "document"]


def _passed() -> Any:
    from story import result

    return result("pass")


def _failed() -> Any:
    from story import result

    return result("fail")


def test_a_record_of_another_version_is_no_leave_for_this_one() -> None:
    story = Story()
    story.promote("1")
    first = body_of(story, 1)
    story.promote("2", decision=first.decision, record=first.record, snapshot=first.snapshot)
    got = ask(story, "2")
    assert looks(got)["record"].state == "bad"
    assert "it is about v1" in looks(got)["record"].words
    assert [r.where for r in story.audit().remarks if r.code == "document"] == ["entry 3"]


def test_a_record_of_another_decision_is_not_this_one() -> None:
    story = Story()
    story.promote("1", decision="sha256:" + "0" * 64)
    assert looks(ask(story, "1"))["record"].words == "it is the record of another decision"
    assert [r.gravity for r in story.audit().remarks if r.code == "document"] == ["broken"]


def test_a_verdict_that_does_not_follow_from_its_outcomes_is_found() -> None:
    story = Story()
    snapshot, decision = story.evidence("1", _passed())
    assert decided_again(snapshot, decision).state == "ok"
    from story import result

    forged = decision.model_copy(update={"judgements": (result("fail"),)})
    look = decided_again(snapshot, forged)
    assert look.state == "bad"
    assert look.words == "its own outcomes give deny, and it says allow"


def test_a_document_in_a_file_beside_the_manifest(tmp_path: Path) -> None:
    story = Story()
    _, decision = story.evidence("1", _passed())
    content = record(decision)
    where = Kept(digest=digest_bytes(content), place="file:aigate-decision-1.json")
    story.promote("1", decision=decision_id(decision), record=where)
    assert looks(ask(story, "1", folder=tmp_path))["record"].state == "unknown"
    (tmp_path / "aigate-decision-1.json").write_bytes(content)
    assert looks(ask(story, "1", folder=tmp_path))["record"].state == "ok"
    (tmp_path / "aigate-decision-1.json").write_bytes(content + b" ")
    assert looks(ask(story, "1", folder=tmp_path))["record"].state == "bad"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", ""])
def test_a_ledger_names_no_file_elsewhere(name: str, tmp_path: Path) -> None:
    story = Story()
    story.promote("1", record=Kept(digest="sha256:" + "0" * 64, place=f"file:{name}"))
    assert looks(ask(story, "1", folder=tmp_path))["record"].state == "unknown"


# ---- evaluated again

MANIFEST = """\
version: 1
system: churn
owner: {team: retention-platform, contact: "#churn-oncall"}
model: {name: churn}
policies: {standard: false}
"""
POLICY = '''\
from aigate import deny, policy


@policy("mine.owner")
def owner(s):
    """Somebody answers for it."""
    if s.owner is None:
        yield deny("nobody")
'''


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedManifest:
    (tmp_path / "aigate.yaml").write_text(MANIFEST)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "mine.py").write_text(POLICY)
    return load_manifest(tmp_path / "aigate.yaml")


def test_the_same_evidence_and_policies_give_the_same_bytes(loaded: LoadedManifest) -> None:
    snapshot = passing_snapshot().model_copy(update={"manifest_digest": loaded.digest})
    recorded = read_record(record(evaluate_snapshot(loaded, snapshot, Actor(name="ci")).decision))
    story = Story()
    look = evaluated_again(story.sight(loaded=loaded), snapshot, recorded)
    assert (look.state, look.words) == (
        "ok",
        "evaluated again today with the same evidence: same verdict, byte for byte",
    )
    forged = recorded.model_copy(update={"verdict": "deny", "exit_code": 1})
    look = evaluated_again(story.sight(loaded=loaded), snapshot, forged)
    assert look.state == "bad"
    assert "allow, not deny" in look.words
    reworded = recorded.model_copy(update={"reason": "because"})
    look = evaluated_again(story.sight(loaded=loaded), snapshot, reworded)
    assert look.state == "note"
    assert "/reason differs" in look.words


LATE = '''\
from aigate import deny, policy


@policy("mine.owner")
def owner(s):
    """Somebody answers for it."""
    if s.owner is not None:
        yield deny("the wrong one", key="owner")


@policy("mine.other")
def other(s):
    """The other one."""
    if s.owner is None:
        yield deny("nobody")
'''


def test_a_decision_with_waivers_is_made_again_by_those_of_its_record(loaded: LoadedManifest) -> None:
    (loaded.folder / "policies" / "mine.py").write_text(LATE)
    snapshot = passing_snapshot().model_copy(update={"manifest_digest": loaded.digest})
    subject = subject_of(snapshot)
    assert gap(subject) is None
    (loaded.folder / "waivers.yaml").write_text(
        "version: 1\nwaivers:\n"
        f"  - {{policy: mine.owner, key: owner, registry: '{subject.registry}', model: churn, version: 2, reason: r, "
        "approver: a, approved_on: 2026-11-21, expires: 2026-12-01}\n"
        "  - {policy: mine.owner, key: gone}\n"
    )
    recorded = read_record(record(evaluate_snapshot(loaded, snapshot, Actor(name="ci")).decision))
    assert (recorded.verdict, recorded.counts.waived) == ("allow", 1)
    sight = Story().sight(loaded=loaded)
    (loaded.folder / "waivers.yaml").unlink()
    assert evaluated_again(sight, snapshot, recorded).state == "ok"
    assert decided_again(snapshot, recorded).state == "ok"
    forged = recorded.model_copy(update={"waivers": Waivers()})
    look = decided_again(snapshot, forged)
    assert (look.state, look.words) == (
        "bad",
        "mine.owner is marked as waived, and no waiver in the record says so",
    )
    hidden = recorded.model_copy(update={"counts": recorded.counts.model_copy(update={"waived": 0})})
    assert decided_again(snapshot, hidden).words == "decided again from its own outcomes, counts differs"


def test_other_policies_and_other_manifests_are_not_run(loaded: LoadedManifest) -> None:
    snapshot = passing_snapshot().model_copy(update={"manifest_digest": loaded.digest})
    recorded = read_record(record(evaluate_snapshot(loaded, snapshot, Actor(name="ci")).decision))
    sight = Story().sight(loaded=loaded)
    (loaded.folder / "policies" / "mine.py").write_text(POLICY + "# one byte more\n")
    assert "the policies are others now" in evaluated_again(sight, snapshot, recorded).words
    loaded.path.write_text(MANIFEST + "# another\n")
    sight = Story().sight(loaded=load_manifest(loaded.path))
    assert "is another manifest now" in evaluated_again(sight, snapshot, recorded).words


# ---- status


def holder(story: Story) -> Identity | None:
    return story.ledger.standing.holder("champion")


def test_known_good_is_the_last_that_soaked_and_is_free() -> None:
    story = told()
    good = known_good(story.ledger.standing, "champion", holder(story), story.now, RollbackRules())
    assert good is not None
    assert (good.identity.version, good.soaked, good.lived) == ("1", True, timedelta(days=7, minutes=2))


def test_one_that_did_not_soak_is_better_than_none_and_says_so() -> None:
    story = Story()
    story.promote("1")
    story.promote("2")
    good = known_good(story.ledger.standing, "champion", holder(story), story.now, RollbackRules())
    assert good is not None
    assert (good.identity.version, good.soaked) == ("1", False)
    assert known_good(Story().ledger.standing, "champion", None, story.now, RollbackRules()) is None


def _of_one(story: Story) -> Any:
    return story.fake.versions["churn", "1"]


def _no_model(story: Story) -> None:
    story.fake.logged["m-" + "1" * 32] = None
    story.fake.fails["logged m-" + "1" * 32] = RegistryError("not_found", "no such model")


@pytest.mark.parametrize(
    ("change", "state", "words", "code"),
    [
        pytest.param(lambda s: None, "ok", "files not checked", 0, id="there"),
        pytest.param(lambda s: s.fake.versions.pop(("churn", "1")), "bad", "it is deleted", 0, id="deleted"),
        pytest.param(
            lambda s: _of_one(s).update(creation_timestamp=_of_one(s)["creation_timestamp"] + 1000),
            "bad",
            "it was deleted and made anew",
            0,
            id="made anew",
        ),
        pytest.param(_no_model, "bad", "its model is gone", 0, id="its model is gone"),
        pytest.param(
            lambda s: _of_one(s).update(status="FAILED_REGISTRATION"),
            "bad",
            "it is FAILED_REGISTRATION",
            0,
            id="not ready",
        ),
        pytest.param(
            lambda s: s.fake.fails.update({"version churn 1": RegistryError("unreachable", "answered 503")}),
            "unknown",
            "answered 503",
            3,
            id="not to be had",
        ),
    ],
)
def test_the_last_known_good_is_looked_at(
    change: Callable[[Story], object], state: str, words: str, code: int
) -> None:
    story = told()
    change(story)
    got = status_of(story.sight(), "champion", "production")
    good = got.known_good
    assert good is not None
    assert gap(good) is None
    assert (good.identity.version, good.state, got.exit_code) == ("1", state, code)
    assert words in good.words


def test_what_was_taken_from_the_alias_by_hand_is_what_a_rollback_returns_to() -> None:
    story = told()
    story.promote("4")  # too short ago to be known good, and yet it is where the alias belongs
    story.fake.aliases["churn", "champion"] = "2"
    got = status_of(story.sight(), "champion", "production").known_good
    assert got is not None
    assert gap(got) is None
    assert got.identity.version == "4"


def test_a_promotion_that_names_no_decision_is_no_allow() -> None:
    story = Story()
    story.promote("1", decision=None, record=None)
    got = ask(story, "1")
    assert looks(got)["decision"].words == "the entry names no decision"
    assert got.exit_code == 1


def test_status_with_the_ledger_or_the_registry_down() -> None:
    story = told()
    story.store.dead = True
    got = status_of(story.sight(), "champion", "production")
    assert (got.holder, got.exit_code) == ("3", 3)
    assert "the store does not answer" in got.unknown[0]
    story.store.dead = False
    story.fake.fails["model churn"] = RegistryError("unreachable", "MLflow answered 503")
    got = status_of(story.sight(), "champion", "production")
    assert got.tenure is not None
    assert gap(got.holder) is not None
    assert got.exit_code == 3


def test_a_model_that_nobody_knows_is_a_mistake_of_the_user() -> None:
    story = told()
    with pytest.raises(UsageError, match="has no model"):
        status_of(story.sight(model="chrun", book=_empty(story)), "champion", "production")


def _empty(story: Story) -> Any:
    from aigate.history.sight import read_book

    return read_book(story.store, "chrun")[0]


# ---- audit


def remarks(got: Audit, code: str) -> list[tuple[str, str]]:
    return [(remark.gravity, remark.where) for remark in got.remarks if remark.code == code]


def test_a_story_that_nobody_touched_is_clean() -> None:
    got = told().audit()
    assert got.exit_code == 0
    assert (got.versions, got.files, got.documents) == (3, 2, 6)


def test_files_are_read_again_where_they_may_serve_or_all_where_asked() -> None:
    story = told()
    story.fake.files["m-" + "2" * 32, "data/weights"] = b"others"  # 2 is in quarantine
    assert not remarks(story.audit(), "artifact")
    assert remarks(story.audit(all_versions=True), "artifact") == [("broken", "v2")]
    story.fake.files["m-" + "1" * 32, "data/weights"] = b"others"
    assert remarks(story.audit(), "artifact") == [("broken", "v1")]


@pytest.mark.parametrize("change", [_altered, _lost, _evidence_lost])
def test_documents_are_read_again(change: Callable[[Story], object]) -> None:
    story = told()
    change(story)
    assert remarks(story.audit(), "document") == [("broken", "entry 7")]


def _halted(content: bytes | None = None, **other: Any) -> tuple[Story, Kept]:
    """A story that ends in a halt that a decision called for."""
    story = told()
    _, decision = story.evidence("3", _failed())
    kept = story.ledger.keep(record(decision) if content is None else content)
    fields = {"decision": decision_id(decision), "record": kept, **other}
    story.write(Halt(reason="accuracy 0.71", role="watch", automatic=True, **fields))
    return story, kept


def _cut_short(story: Story, kept: Kept) -> None:
    story.store.documents[kept.place] = story.store.documents[kept.place][:-1]


def _taken_away(story: Story, kept: Kept) -> None:
    del story.store.documents[kept.place]


@pytest.mark.parametrize(
    ("other", "change", "words"),
    [
        pytest.param({}, None, "", id="sound"),
        pytest.param({}, _cut_short, "its decision's record is not what was kept: its digest", id="altered"),
        pytest.param({}, _taken_away, "its decision's record is gone", id="gone"),
        pytest.param({"decision": "sha256:" + "0" * 64}, None, "of another decision", id="another decision"),
        pytest.param({"decision": None}, None, "of another decision", id="no decision"),
    ],
)
def test_the_record_of_a_halt_is_read_again(
    other: dict[str, Any], change: Callable[[Story, Kept], None] | None, words: str
) -> None:
    story, kept = _halted(**other)
    if change is not None:
        change(story, kept)
    got = story.audit()
    assert got.documents == 7
    assert remarks(got, "document") == ([("broken", "entry 9")] if words else [])
    assert all(words in remark.what for remark in got.remarks if remark.code == "document")


def test_the_record_of_a_halt_that_is_no_record_is_found() -> None:
    story, _ = _halted(content=b"{}")
    got = story.audit()
    assert remarks(got, "document") == [("broken", "entry 9")]
    assert "is not what was kept" in next(r.what for r in got.remarks if r.code == "document")


def test_a_halt_by_a_person_rests_on_no_document() -> None:
    story = told()
    story.halt()
    assert story.audit().documents == 6


def test_a_store_that_dies_in_between_is_not_called_a_liar() -> None:
    story = told()
    sight = story.sight()
    story.store.dead = True
    from aigate.history import audited

    got = audited(sight, "champion", "production").audit
    assert {gravity for gravity, _ in remarks(got, "document")} == {"unseen"}
    assert got.exit_code == 3


def test_a_ledger_with_a_gap_is_not_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    story = told()

    def gap_in(model: str) -> tuple[bytes, ...]:
        raise LedgerError("entry 3 is lacking, and entry 4 is there")

    monkeypatch.setattr(story.store, "read", gap_in)
    got = story.audit()
    assert got.exit_code == 3
    assert "entry 3 is lacking" in next(r.what for r in got.remarks if r.code == "ledger")


def test_versions_that_the_ledger_never_heard_of_are_looked_at_for_receipts() -> None:
    from aigate.enforce.receipts import RECEIPT

    story = told()
    story.tag("4", RECEIPT, story.receipt_of("3"))  # copied, as MLflow copies tags with a version
    story.fake.models["churn"]["latest_versions"] = [{"version": "4"}]
    assert remarks(story.audit(), "receipt") == [("broken", "v4")]


def test_a_version_that_cannot_be_read_is_not_gone() -> None:
    story = told()
    story.fake.fails["version churn 2"] = RegistryError("unreachable", "MLflow answered 503")
    assert remarks(story.audit(), "version") == [("unseen", "v2")]
    del story.fake.fails["version churn 2"]
    del story.fake.versions["churn", "2"]
    assert remarks(story.audit(), "version") == [("warning", "v2")]


def test_a_model_that_was_deleted_leaves_its_ledger() -> None:
    story = told()
    del story.fake.models["churn"]
    got = story.audit()
    assert ("broken", "@champion") in remarks(got, "drift")
    assert got.exit_code == 1


def test_a_model_with_more_versions_than_are_looked_at() -> None:
    story = told()
    story.fake.models["churn"]["latest_versions"] = [{"version": "1000000"}]
    assert story.audit().exit_code == 3


def test_progress_is_told() -> None:
    said: list[str] = []
    told().audit(progress=said.append)
    assert said[0] == "reading the documents of entry 1 of 8"
    assert said[-1] == "reading the registry"


def test_the_decision_is_really_decided_again() -> None:
    """Guards the guard: `decide` on the story's evidence gives what the record says, field by field."""
    story = Story()
    snapshot, decision = story.evidence("1", _passed())
    from aigate.evaluate import Setting

    setting = Setting(
        policies_digest=decision.policies_digest,
        isolation=decision.isolation,
        versions=decision.versions,
        actor=decision.actor,
    )
    assert canonical(decide(snapshot, decision.judgements, setting)) == canonical(decision)
