"""What verifies an answer: chain, anchors, record, evidence, the decision once more, and the version itself."""

from collections.abc import Iterator
from typing import Any

from aigate.account import Explanation, Look, Registry
from aigate.audit import Paper, anchors_of
from aigate.collect.snapshot_file import parse_snapshot
from aigate.decision import Decision
from aigate.errors import AigateError, ConfigError
from aigate.evaluate import Setting, decide
from aigate.gate import evaluate_snapshot
from aigate.history.papers import content_of, paper_of
from aigate.history.sight import Sight
from aigate.ledger import Chain, Identity, Intent, check_anchor
from aigate.replay import compared, once_more
from aigate.report.json import decision_id, read_record, short
from aigate.rules import policies_digest, policies_in_force
from aigate.snapshot import Snapshot
from aigate.values import Evident, gap
from aigate.waiver import book_of, unfounded


def chain_looks(chain: Chain, told: Explanation) -> Iterator[Look]:
    """Say whether the links of the chain hold."""
    for fault in chain.faults:
        yield Look(name="chain", state="bad", words=f"entry {fault.seq}: {fault.what}")
    if not chain.faults and chain.head is not None:
        entry = f"entry {told.entry.seq} of {told.entries}, " if told.entry is not None else ""
        yield Look(
            name="chain",
            state="ok",
            words=f"{entry}links verified to head {short(chain.head.digest)} (entry {chain.head.seq})",
        )


def anchor_look(chain: Chain, told: Explanation, registry: Evident[Registry]) -> Look:
    """Say whether anything outside of the ledger agrees with it."""
    if (lost := gap(registry)) is not None:
        return Look(name="anchors", state="unknown", words=f"the registry was not read: {lost.missing}")
    least = 1 if told.entry is None else told.entry.seq
    found = [(head, place) for head, place in anchors_of(registry) if head.seq >= least]
    beyond = len(chain.entries) if chain.faults else max((head.seq for head, _ in found), default=0)
    reached = [(head, place) for head, place in found if head.seq <= beyond]
    for head, place in reached:
        if (fault := check_anchor(chain, head, place)) is not None:
            return Look(name="anchors", state="bad", words=fault.what)
    if not found:
        return Look(
            name="anchors", state="note", words="nothing outside of the ledger vouches for this entry"
        )
    if not reached:
        return Look(name="anchors", state="unknown", words="all of them lie beyond what can be believed")
    found = reached
    places = ", ".join(f"{place} (entry {head.seq})" for head, place in found)
    return Look(name="anchors", state="ok", words=f"on the chain: {places}")


def decision_looks(sight: Sight, body: Intent, found: dict[str, Any]) -> Iterator[Look]:
    """Verify the decision that an entry rests on; what was found out goes into `found`."""
    found["decision_id"] = body.decision
    if body.decision is None:
        yield Look(name="decision", state="bad", words="the entry names no decision")
        return
    if body.record is None:
        yield Look(name="record", state="unknown", words="no record was kept with the entry")
        return
    record = content_of(sight, body.record)
    paper = paper_of(1, body, "record", body.record, record)
    if paper.state != "same" or not isinstance(record, bytes):
        yield Look(name="record", state="bad" if paper.state != "unseen" else "unknown", words=paper.why)
        return
    decision = read_record(record)
    found["decision"] = decision
    yield Look(
        name="record",
        state="ok",
        words=f"{short(body.decision)}: its id is its digest, as the entry names it",
    )
    snapshot = _snapshot(sight, body, decision)
    if isinstance(snapshot, Look):
        yield snapshot
        return
    count = "1 source" if len(snapshot.evidence) == 1 else f"{len(snapshot.evidence)} sources"
    yield Look(name="evidence", state="ok", words=f"{count}, {short(decision.snapshot_digest)} as recorded")
    yield decided_again(snapshot, decision)
    yield evaluated_again(sight, snapshot, decision)


def _snapshot(sight: Sight, body: Intent, decision: Decision) -> Snapshot | Look:
    """Return the kept evidence, or why it is not to be had."""
    if body.snapshot is None:
        return Look(name="evidence", state="unknown", words="no snapshot was kept with the entry")
    content = content_of(sight, body.snapshot)
    if isinstance(content, Paper):
        state: Any = "unknown" if content.state == "unseen" else "bad"
        return Look(name="evidence", state=state, words=content.why)
    if body.snapshot.digest != decision.snapshot_digest:
        return Look(name="evidence", state="bad", words="it is not the evidence that the record names")
    try:
        return parse_snapshot(content, "the kept snapshot")
    except ConfigError as e:
        return Look(name="evidence", state="unknown", words=f"this aigate cannot read it: {e.message}")


def decided_again(snapshot: Snapshot, recorded: Decision) -> Look:
    """Decide again from the recorded outcomes, and say whether the verdict follows from them."""
    setting = Setting(
        policies_digest=recorded.policies_digest,
        isolation=recorded.isolation,
        versions=recorded.versions,
        actor=recorded.actor,
        previous=recorded.previous,
        waivers=recorded.waivers,
        waivers_digest=recorded.waivers_digest,
    )
    if wrong := unfounded(recorded):
        return Look(name="decision", state="bad", words=wrong)
    again = decide(snapshot, recorded.judgements, setting)
    for name in ("verdict", "reason", "exit_code", "question", "alias", "subject", "holder", "counts"):
        if getattr(again, name) != getattr(recorded, name):
            words = f"decided again from its own outcomes, {name} differs"
            if name == "verdict":
                words = f"its own outcomes give {again.verdict}, and it says {recorded.verdict}"
            return Look(name="decision", state="bad", words=words)
    return Look(
        name="decision",
        state="ok",
        words=f"decided again from its own outcomes: {again.verdict}, as recorded",
    )


_THEN = "; the recorded outcomes were decided again, and no policy was run"


def evaluated_again(sight: Sight, snapshot: Snapshot, recorded: Decision) -> Look:
    """Evaluate the kept evidence again, where manifest and policies are the ones of then."""
    loaded = sight.loaded

    def note(words: str) -> Look:
        return Look(name="policies", state="note", words=words + _THEN)

    if loaded is None:
        return note("no manifest is at hand")
    if loaded.digest != recorded.manifest_digest:
        return note(f"{loaded.shown} is another manifest now")
    try:
        if policies_digest(policies_in_force(loaded)) != recorded.policies_digest:
            return note("the policies are others now")
        again = evaluate_snapshot(loaded, snapshot, sight.actor, waivers=book_of(recorded)).decision
    except AigateError as e:
        return note(f"they could not be run again: {e.message}")
    told = compared(
        decision_id(recorded),
        recorded,
        once_more(recorded, again),
        whole=recorded.versions.aigate == again.versions.aigate,
    )
    at = None if told.first is None else told.first.at
    if at is None:
        return Look(
            name="policies",
            state="ok",
            words="evaluated again today with the same evidence: same verdict, byte for byte",
        )
    if again.verdict != recorded.verdict:
        words = f"evaluated again today with the same evidence: {again.verdict}, not {recorded.verdict}"
        return Look(name="policies", state="bad", words=f"{words}; the first difference is at {at}")
    return Look(
        name="policies",
        state="note",
        words=f"evaluated again today with the same evidence: same verdict, and {at} differs "
        f"(it was recorded by aigate {recorded.versions.aigate})",
    )


def version_look(then: Identity | None, version: str, registry: Evident[Registry]) -> Look:
    """Say whether the version in the registry is still the one that served, with the files it had."""
    seen = None if gap(registry) is not None else registry.version(version)
    if seen is None or then is None:
        return Look(name="version", state="unknown", words="what it is now is not known")
    if (lost := gap(seen.identity)) is not None:
        return Look(name="version", state="unknown", words=f"v{version} could not be read: {lost.missing}")
    if seen.identity is None:
        return Look(name="version", state="note", words=f"v{version} is no longer in the registry")
    if not then.same_version(seen.identity):
        words = f"v{version} is another one now: it was deleted and made anew"
        return Look(name="version", state="bad", words=words)
    for digest, when in ((then.artifact_digest, "then"), (seen.identity.artifact_digest, "now")):
        if (lost := gap(digest)) is not None:
            words = f"v{version} is the same; its files are not known {when}: {lost.missing}"
            return Look(name="version", state="note", words=words)
    if then.artifact_digest != seen.identity.artifact_digest:
        return Look(
            name="version", state="bad", words=f"the files of v{version} are not the ones that served"
        )
    return Look(name="version", state="ok", words=f"v{version} is the same, and so are its files")
