"""Promotion: a decision becomes a move of the alias, once, and only while everything it rests on still holds."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from aigate.act.desk import LEASE, Acting, Desk, elapsed, open_desk
from aigate.bound import differing, parts, whole
from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.waiver_file import NAME as WAIVERS
from aigate.collect.waiver_file import read_waivers
from aigate.decision import Decision
from aigate.digest import canonical, digest_bytes
from aigate.enforce.ledger import LostTicketError
from aigate.enforce.move import MoveDone, carry_out, is_version, reconcile
from aigate.enforce.receipts import RECEIPT, head_in, receipt
from aigate.errors import AigateError
from aigate.gate import Answer, Judges, Request, check_alias, evaluate, judges, look
from aigate.ledger import Head, Identity, Intent, Kept
from aigate.manifest import PRODUCTION
from aigate.plan import Act, Blocker, move_effects, standing_in_the_way
from aigate.report.json import decision_id, read_record, record
from aigate.rules import environment_of
from aigate.snapshot import Snapshot
from aigate.standing import Glass
from aigate.values import gap, show_duration
from aigate.wording import at, command, shown

_TRIES = 3


@dataclass(frozen=True)
class PromoteRequest:
    """Which version is to take which alias."""

    request: Request
    decision: bytes | None = None
    """The record of an earlier decision that must still hold."""
    dry_run: bool = False
    reason: str = ""
    words: tuple[str, ...] = ()
    """Further words of the command line that asks again, such as the manifest's option."""


@dataclass(frozen=True)
class Promoted:
    """What came of it, and the decision it rests on; None where none was needed."""

    act: Act
    answer: Answer | None


def promote(loaded: LoadedManifest, asked: PromoteRequest, acting: Acting) -> Promoted:
    """Decide whether a version may take the alias, and if so move it.

    Changes nothing unless the decision is `allow` (or break-glass stands in
    for it), nothing in the model's state forbids it, the intent is in the
    ledger, and a second look shows the same as the first. Raises AigateError
    for what keeps it from finding out; UncertainError where the end is open.
    """
    environment = asked.request.environment
    environment_of(loaded, environment)
    check_alias(loaded, environment, asked.request.to or loaded.manifest.alias_of(environment))
    given = None if asked.decision is None else read_record(asked.decision)
    with open_desk(acting, loaded.manifest.model.name) as desk:
        return _Promotion(loaded, asked, desk, given).run()


class _Promotion:
    """One promotion, from the first look to the receipt."""

    def __init__(
        self, loaded: LoadedManifest, asked: PromoteRequest, desk: Desk, given: Decision | None
    ) -> None:
        self.loaded = loaded
        self.asked = asked
        self.desk = desk
        self.given = given
        self.alias = asked.request.to or loaded.manifest.alias_of(asked.request.environment)
        self.started = 0.0
        self.before: int | None = None
        self.answer: Answer | None = None
        self.recorded: tuple[Kept, Kept] | None = None

    def run(self) -> Promoted:
        desk = self.desk
        desk.read_ledger()
        if not self.asked.dry_run:
            self._reconcile()
        if (already := self._already()) is not None:
            return already
        self.before = self._tenure_seq()
        desk.acting.step("evaluate")
        self.answer = evaluate(self.loaded, self.asked.request, desk.acting.world)
        self.started = desk.deadline.now()
        for _ in range(_TRIES):
            outcome = self._attempt()
            if outcome is not None:
                return Promoted(outcome, self.answer)
            desk.read_ledger()
            self._reconcile()
        raise LostTicketError(
            f"others write the ledger of {desk.model!r} all the time", fix="run the command again"
        )

    def _reconcile(self) -> None:
        for outcome in reconcile(self.desk.site, patience=self.desk.acting.world.deadline + LEASE):
            self.desk.warnings.append(
                f"an earlier run had not finished (entry {outcome.of}): {outcome.result}, {outcome.detail}"
            )

    def _already(self) -> Promoted | None:
        """Return what there is to say where the version holds the alias; twice is once."""
        held = self.desk.holder(self.alias)
        if held is None or self._wanted() != str(held["version"]):
            return None
        if self.given is not None and not _is_about(self.given, held):
            words = f"decision {_short(decision_id(self.given))} is not an allow of v{held['version']}"
            return Promoted(self._act("changed", 3, words, None, None), None)
        tenure = self.desk.ledger.standing.tenure(self.alias)
        identity = None if tenure is None else tenure.identity
        if tenure is None or not is_version(held, identity):
            live = self.desk.look_at(str(held["version"]), files=False).identity
            blockers = standing_in_the_way(self.desk.ledger.standing, self.alias, live, None, self.desk.now())
            return Promoted(self._refused(live, blockers), None)
        warnings = self._heal(held, tenure.seq, tenure.decision) if not self.asked.dry_run else ()
        if not self.asked.dry_run:
            self.desk.heal_anchor()
        act = self._act(
            "already",
            4 if warnings else 0,
            f"{shown(identity)} holds @{self.alias} since entry {tenure.seq} ({tenure.actor.name}): nothing to do",
            identity,
            identity,
            seq=tenure.seq,
            decision=tenure.decision,
            warnings=warnings,
        )
        return Promoted(act, None)

    def _wanted(self) -> str | None:
        """Return the number of the version that is to take the alias, as far as can be said without deciding."""
        if self.asked.request.version is not None:
            return self.asked.request.version
        candidate = self.asked.request.candidate or self.loaded.manifest.model.challenger
        held = self.desk.holder(candidate)
        return None if held is None else str(held["version"])

    def _heal(self, held: dict[str, object], seq: int, decision: str | None) -> tuple[str, ...]:
        """Set the receipt that a run could not set; return what went wrong."""
        found = self.desk.look_at(str(held["version"]), files=False)
        said = head_in(found.tags, RECEIPT)
        digest = self.desk.ledger.chain.digests[seq - 1]
        if isinstance(said, Head) and said == Head(seq=seq, digest=digest):
            return ()
        from aigate.collect.mlflow.reader import RegistryError

        try:
            self.desk.writer.set_version_tag(
                self.desk.model, found.identity.version, RECEIPT, receipt(seq, digest, decision)
            )
        except RegistryError as e:
            return (f"the receipt on v{found.identity.version} could not be set: {e.message}",)
        return ()

    def _attempt(self) -> Act | None:
        """Try once; None where somebody else wrote into the ledger first and all has to be looked at again."""
        assert self.answer is not None
        decision, desk = self.answer.decision, self.desk
        if gap(decision.subject) is not None or gap(decision.holder) is not None:
            return self._denied(None, None, (), None)
        self._check_receipt()
        to = Identity.of(decision.subject)
        live = None if decision.holder is None else Identity.of(decision.holder)
        moved = self._moved_meanwhile(live)
        if moved:
            return self._act("changed", 3, moved, live, to, next=(self._again(),))
        blockers = standing_in_the_way(desk.ledger.standing, self.alias, live, to, desk.now())
        glass = desk.ledger.standing.glass_for(self.alias, to, desk.now())
        if decision.verdict != "allow" and glass is None:
            return self._denied(live, to, blockers, None)
        if blockers:
            return self._refused(live, blockers, to)
        if self.given is not None and (broken := self._given_holds(self.given)):
            return self._act("changed", 3, broken, live, to, next=(self._again(),))
        if self.asked.dry_run:
            return self._planned(live, to, glass)
        desk.acting.step("record")
        asked = self.asked.request
        with judges(self.loaded, asked.environment, asked.limits) as ready:
            if ready.policies != decision.policies_digest:
                return self._act("changed", 3, "the policies changed since it was decided", live, to)
            if ready.waivers != decision.waivers_digest:
                return self._act("changed", 3, "the waivers changed since it was decided", live, to)
            intent = self._intent(live, to, glass)
            try:
                done = carry_out(desk.site, intent, self._recheck(ready))
            except LostTicketError:
                return None
        return self._finished(done, live, to, glass)

    def _check_receipt(self) -> None:
        """Hold the receipt of the version in service against the ledger. Raises LedgerError."""
        assert self.answer is not None
        champion = self.answer.snapshot.champion
        if gap(champion) is None and champion is not None:
            tags = {tag.key: tag.value for tag in champion.tags}
            self.desk.check_receipt(tags, champion.subject.version)

    def _tenure_seq(self) -> int | None:
        """Return the entry that brought the alias to where the ledger has it; None where it never did."""
        tenure = self.desk.ledger.standing.tenure(self.alias)
        return None if tenure is None else tenure.seq

    def _moved_meanwhile(self, live: Identity | None) -> str:
        """Say so where another run of aigate moved the alias while this one was deciding."""
        tenure = self.desk.ledger.standing.tenure(self.alias)
        if tenure is None or tenure.seq == self.before:
            return ""
        known = tenure.identity
        if known is not None and live is not None and known.same_version(live):
            return ""
        return (
            f"@{self.alias} was moved to {shown(known)} by {tenure.actor.name} while this was being decided "
            f"(entry {tenure.seq})"
        )

    def _given_holds(self, given: Decision) -> str:
        """Return why an earlier decision no longer holds; empty where it does."""
        assert self.answer is not None
        now, age = self.answer.decision, self.answer.decision.now - given.now
        valid = environment_of(self.loaded, self.asked.request.environment).decision_valid_for
        short = decision_id(given).removeprefix("sha256:")[:12]
        if given.verdict != "allow" or given.question != "promote":
            return f"decision {short} is {given.verdict} on {given.question}: it allows nothing"
        if age > valid or age < timedelta(0):
            return f"decision {short} is {show_duration(age)} old, it could be acted upon for {show_duration(valid)}"
        fields = {
            "environment": (given.environment, now.environment),
            "alias": (given.alias, now.alias),
            "manifest": (given.manifest_digest, now.manifest_digest),
            "policies": (given.policies_digest, now.policies_digest),
            "waivers": (given.waivers_digest, now.waivers_digest),
            "subject": (given.subject, now.subject),
            "champion": (given.holder, now.holder),
        }
        changed = [name for name, (before, after) in fields.items() if before != after]
        changed += differing(given.bound, now.bound)
        if not given.bound:
            return f"decision {short} does not say what it is bound to: decide anew"
        return f"changed since decision {short}: {', '.join(changed)}" if changed else ""

    def _intent(self, live: Identity | None, to: Identity, glass: Glass | None) -> Intent:
        assert self.answer is not None
        decision, desk = self.answer.decision, self.desk
        if self.recorded is None:
            self.recorded = self._keep_both(self.answer)
        reason = self.asked.reason or (glass.glass.reason if glass else decision.reason)
        return Intent(
            action="promote",
            alias=self.alias,
            from_=live,
            to=to,
            environment=decision.environment,
            reason=reason[:500],
            expires=desk.now() + timedelta(seconds=desk.acting.world.deadline + LEASE),
            decision=decision_id(decision),
            gate=None if self.given is None else decision_id(self.given),
            record=self.recorded[0],
            snapshot=self.recorded[1],
            bound=whole(decision.bound),
            manifest=decision.manifest_digest,
            policies=decision.policies_digest,
            glass=None if glass is None or decision.verdict == "allow" else glass.seq,
        )

    def _keep_both(self, answer: Answer) -> tuple[Kept, Kept]:
        """Keep the decision's record and its evidence."""
        decision = answer.decision
        return self.desk.keep_both(
            (f"aigate-decision-{_short(decision_id(decision))}.json", record(decision)),
            (f"aigate-snapshot-{_short(decision.snapshot_digest)}.json", canonical(answer.snapshot)),
            self.loaded.folder,
        )

    def _recheck(self, ready: Judges) -> Callable[[], str]:
        """Return the second look: everything that binds must be as it was, and the rest must still allow it.

        The policies wait in a process of their own from before the intent is
        written: where data have moved on they judge again, and time is short.
        """
        assert self.answer is not None
        first, decision = self.answer.snapshot, self.answer.decision

        def look_again() -> str:
            self.desk.acting.step("recheck")
            number = None if gap(decision.subject) is not None else decision.subject.version
            request = replace(self.asked.request, version=number)
            try:
                second = look(self.loaded, request, self.desk.acting.world)
            except AigateError as e:
                return f"what it rests on cannot be read again: {e.message}"
            if changed := differing(decision.bound, parts(second)):
                return f"changed since it was decided: {', '.join(changed)}"
            if lapsed := self._waivers_now(decision):
                return lapsed
            if _judged(first) == _judged(second) or decision.verdict != "allow":
                return ""
            again = ready.decide(second, decision.actor)
            return "" if again.verdict == "allow" else f"it would be {again.verdict} by now: {again.reason}"

        return look_again

    def _waivers_now(self, decision: Decision) -> str:
        """Return why the waivers of a decision no longer hold: edited, or run out while it was acted upon."""
        try:
            data = read_waivers(self.loaded.folder / WAIVERS)
        except AigateError as e:
            return f"the waivers cannot be read again: {e.message}"
        if (None if data is None else digest_bytes(data)) != decision.waivers_digest:
            return "changed since it was decided: waivers"
        now = self.desk.now()
        for use in decision.waivers.applied:
            if decision.verdict == "allow" and (use.until is None or use.until <= now):
                return f"the waiver of {use.policy} {use.key} ran out meanwhile".replace("  ", " ")
        return ""

    def _finished(self, done: MoveDone, live: Identity | None, to: Identity, glass: Glass | None) -> Act:
        desk = self.desk
        if done.moved:
            warnings = (*done.remarks, *done.warnings, *self._glass_words(glass))
            unconfirmed = bool(done.warnings)
            return self._act(
                "unconfirmed" if unconfirmed else "done",
                4 if unconfirmed else 0,
                f"{shown(live)} → {shown(to)}, read back",
                live,
                to,
                seq=done.seq,
                warnings=warnings,
                effects=True,
                next=(
                    f"if it goes wrong: {command('rollback', desk.model, *at(self.alias), '--reason', '…')}",
                    "not covered: servers that keep a model in memory; they load it anew at their next start or reload",
                ),
            )
        exit_code = 4 if done.result in ("not_applied", "refused", "conflict") else 3
        result = "changed" if exit_code == 3 else "unconfirmed"
        return self._act(
            result,
            exit_code,
            f"nothing moved: {done.detail}" if exit_code == 3 else done.detail,
            live,
            to,
            seq=done.seq,
            next=(self._again(),),
        )

    def _planned(self, live: Identity | None, to: Identity, glass: Glass | None) -> Act:
        words = f"{shown(live)} → {shown(to)} would be done; nothing was"
        return self._act("planned", 0, words, live, to, effects=True, warnings=self._glass_words(glass))

    def _denied(
        self, live: Identity | None, to: Identity | None, blockers: tuple[Blocker, ...], seq: int | None
    ) -> Act:
        assert self.answer is not None
        decision = self.answer.decision
        code = decision.exit_code or 3
        return self._act(
            "denied", code, f"{decision.verdict}: {decision.reason}", live, to, blockers=blockers
        )

    def _refused(
        self, live: Identity | None, blockers: tuple[Blocker, ...], to: Identity | None = None
    ) -> Act:
        count = "this stands" if len(blockers) == 1 else f"{len(blockers)} things stand"
        words = f"nothing moved: {count} in the way"
        return self._act("refused", 1, words, live, to, blockers=blockers)

    def _glass_words(self, glass: Glass | None) -> tuple[str, ...]:
        assert self.answer is not None
        if glass is None or self.answer.decision.verdict == "allow":
            return ()
        return (
            f"BREAK-GLASS: the decision is {self.answer.decision.verdict} ({self.answer.decision.reason}), and "
            f"{glass.actor.name} let it pass in entry {glass.seq}: {glass.glass.reason}. Until somebody looks at it: "
            f"{command('review', self.desk.model, str(glass.seq), '--reason', '…')}",
        )

    def _again(self) -> str:
        asked, words = self.asked.request, [self.desk.model]
        number = asked.version or (None if self.answer is None else _number(self.answer.decision))
        words = [f"{self.desk.model}@{number}"] if number else words
        words += ["--to", asked.to] if asked.to else []
        words += ["--environment", asked.environment] if asked.environment != PRODUCTION else []
        return f"decide anew: {command('promote', *words, *self.asked.words)}"

    def _act(
        self,
        result: str,
        exit_code: int,
        reason: str,
        live: Identity | None,
        to: Identity | None,
        *,
        effects: bool = False,
        warnings: tuple[str, ...] = (),
        **more: object,
    ) -> Act:
        desk = self.desk
        decision = None if self.answer is None else self.answer.decision
        fields: dict[str, object] = {
            "decision": None if decision is None else decision_id(decision),
            "verdict": None if decision is None else decision.verdict,
            "effects": move_effects("promote", desk.model, self.alias, live, to)
            if effects and to is not None
            else (),
            "seconds": elapsed(self.started, desk) if self.started else None,
            **more,
        }
        return Act.model_validate(
            {
                "act": "promote",
                "model": desk.model,
                "alias": self.alias,
                "result": result,
                "exit_code": exit_code,
                "reason": reason,
                "now": desk.now(),
                "from": live,
                "to": to,
                "given": self.asked.reason,
                "head": desk.ledger.chain.head,
                "warnings": (*desk.warnings, *warnings),
                "ledger": desk.promises,
                **fields,
            }
        )


def _is_about(given: Decision, held: dict[str, object]) -> bool:
    """Whether a decision allowed the version that the registry shows."""
    allowed = given.verdict == "allow" and given.question == "promote"
    return allowed and gap(given.subject) is None and is_version(held, Identity.of(given.subject))


def _number(decision: Decision) -> str | None:
    return None if gap(decision.subject) is not None else decision.subject.version


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _judged(snapshot: Snapshot) -> str:
    """Return what policies see of a snapshot, without how it was read."""
    data = snapshot.model_dump(mode="json", exclude={"evidence"})
    return json.dumps(data, sort_keys=True)
