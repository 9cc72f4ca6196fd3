"""Rollback: back to the last known good version, in one command, without asking anybody's freshness."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from aigate.act.desk import (
    LEASE,
    Accept,
    Acting,
    Desk,
    RegistryTroubleError,
    elapsed,
    folder_of,
    manifest_of,
    open_desk,
    settings,
)
from aigate.authority import NotAllowedError, role_of
from aigate.collect.identity import Found
from aigate.collect.manifest_file import LoadedManifest
from aigate.digest import digest_bytes
from aigate.enforce.ledger import LostTicketError
from aigate.enforce.move import MoveDone, carry_out, reconcile
from aigate.errors import UsageError
from aigate.ledger import LONGEST_REASON, Drill, Halt, Identity, Intent, Kept
from aigate.manifest import PRODUCTION, folded
from aigate.plan import Act, Blocker, bounds, drift, halts, move_effects
from aigate.target import Candidate, Check, Facts, acceptable, candidates, soaked, weigh
from aigate.values import Digest, Evident, gap, missing, show_duration
from aigate.wording import at, command, shown

PATIENCE = 1.5
"""Seconds for which a rollback waits for another run that is moving the alias."""

_SECONDS = 60.0
_TRIES = 3
_NOT_COVERED = "not covered: servers that keep the model in memory; reload them (see the runbook)"


@dataclass(frozen=True)
class RollbackRequest:
    """Which alias is to go back, and why."""

    model: str
    alias: str
    reason: str
    to: str | None = None
    """A version's number; None takes the last known good."""
    environment: str = PRODUCTION
    dry_run: bool = False
    drill: bool = False
    """Do all but the move, and record how long it took."""
    automatic: bool = False
    """Whether the watcher asks and no person: then the bounds hold, and everything must be known."""
    as_team: str | None = None
    """The team that somebody says he acts for; needed to name a version that never served."""
    leaving: Identity | None = None
    """The version that was judged; where another one is in service by now, nothing moves."""
    decision: Digest | None = None
    record: bytes | None = None
    snapshot: bytes | None = None


def rollback(loaded: LoadedManifest | None, asked: RollbackRequest, acting: Acting) -> Act:
    """Move an alias back. Needs the registry and the ledger, and neither policies nor endpoints nor a manifest.

    Raises AigateError where the registry or the ledger does not answer,
    UncertainError where the end is open.
    """
    if not asked.reason.strip():
        raise UsageError("a rollback needs a reason", fix='--reason "INC-2291 accuracy 0.71"')
    with open_desk(acting, asked.model, seconds=_SECONDS) as desk:
        return _Rollback(loaded, asked, desk).run()


@dataclass(frozen=True)
class _Choice:
    """A version that a rollback may return to, with what was looked at."""

    identity: Identity
    checks: tuple[Check, ...]
    served: bool = True


class _Rollback:
    def __init__(self, loaded: LoadedManifest | None, asked: RollbackRequest, desk: Desk) -> None:
        self.loaded = loaded
        self.asked = asked
        self.desk = desk
        self.rules = settings(loaded, asked.environment).rollback
        self.started = desk.deadline.now()
        self.refusals: list[str] = []
        self.role: str | None = None

    def run(self) -> Act:
        desk, asked = self.desk, self.asked
        accept: Accept = "nothing" if asked.automatic else "anchors"
        desk.read_ledger(accept=accept)
        self._check_alias()
        for _ in range(_TRIES):
            if not asked.dry_run:
                self._reconcile()
            found = self._attempt()
            if found is not None:
                return found
            desk.read_ledger(accept=accept)
        raise LostTicketError(
            f"others write the ledger of {desk.model!r} all the time", fix="run the command again"
        )

    def _check_alias(self) -> None:
        """Refuse an alias that nobody knows, or that is not the only one of its look. Raises UsageError."""
        alias, aliases = self.asked.alias, self.desk.aliases
        twins = [other for other in aliases if other != alias and folded(other) == folded(alias)]
        if twins:
            raise UsageError(
                f"there is @{twins[0]}, which looks like @{alias}: which one serving reads nobody knows",
                fix=f"name it as it is: --alias {twins[0]}; or delete one of the two in MLflow",
            )
        if alias not in aliases and not self.desk.ledger.standing.known(alias):
            there = ", ".join(sorted(aliases)) or "none"
            raise UsageError(
                f"nothing holds @{alias}, and the ledger does not know it",
                fix=f"{self.desk.model} has: {there}",
            )

    def _reconcile(self) -> None:
        for outcome in reconcile(self.desk.site, patience=PATIENCE):
            self.desk.warnings.append(
                f"an earlier run had not finished (entry {outcome.of}): {outcome.result}, {outcome.detail}"
            )

    def _attempt(self) -> Act | None:
        desk, asked = self.desk, self.asked
        live = desk.live(asked.alias)
        if (stop := self._not_now(live)) is not None:
            return stop
        desk.acting.step("choose")
        choice = self._choose(live)
        if choice is None:
            return self._nowhere(live)
        if not choice.served and (stop := self._unserved(live, choice)) is not None:
            return stop
        if asked.drill:
            return self._drilled(live, choice)
        if asked.dry_run:
            words = f"{shown(live)} → {shown(choice.identity)} would be done; nothing was"
            return self._act("planned", 0, words, live, choice, effects=True)
        intent = Intent(
            action="rollback",
            alias=asked.alias,
            from_=live,
            to=choice.identity,
            environment=asked.environment,
            reason=asked.reason[:LONGEST_REASON],
            automatic=asked.automatic,
            expires=desk.now() + timedelta(seconds=LEASE),
            decision=asked.decision,
            role=self.role,
            record=self._keep("decision", asked.record),
            snapshot=self._keep("snapshot", asked.snapshot),
        )
        try:
            done = carry_out(desk.site, intent, lambda: "")
        except LostTicketError:
            return None
        return self._finished(done, live, choice)

    def _keep(self, kind: str, content: bytes | None) -> Kept | None:
        if content is None:
            return None
        name = f"aigate-{kind}-{digest_bytes(content).removeprefix('sha256:')[:12]}.json"
        return self.desk.keep(content, name, folder_of(self.loaded))

    def _not_now(self, live: Identity | None) -> Act | None:
        """Return why nothing is to be moved: it was done already, somebody else did, or a bound forbids it."""
        desk, asked, standing = self.desk, self.asked, self.desk.ledger.standing
        if asked.leaving is not None and (live is None or not live.same_version(asked.leaving)):
            return self._act(
                "changed",
                3,
                f"{shown(asked.leaving)} was judged, and {shown(live)} is in service by now",
                live,
                None,
            )
        if asked.automatic:
            blockers = bounds(standing, asked.alias, self.rules, desk.now())
            if blockers:
                return self._act("refused", 1, blockers[0].message, live, None, blockers=blockers)
            return None
        tenure = standing.tenure(asked.alias)
        if asked.to is not None and live is not None and live.version == asked.to:
            if blockers := drift(standing, asked.alias, live):
                return self._act("refused", 1, blockers[0].message, live, None, blockers=blockers)
            return self._act("already", 0, f"@{asked.alias} is on {shown(live)} already", live, None)
        fresh = (
            tenure is not None
            and tenure.by == "rollback"
            and tenure.identity is not None
            and live is not None
            and tenure.identity.same_version(live)
            and desk.now() - tenure.since < self.rules.cooldown
        )
        if tenure is None or not fresh or asked.to is not None or asked.drill or asked.dry_run:
            return None
        past = desk.now() - tenure.since
        ago = (
            f"{show_duration(past)} ago" if past >= timedelta(0) else "in the future by this machine's clock"
        )
        words = (
            f"rolled back to {shown(live)} {ago} by {tenure.actor.name} ({tenure.reason}), entry {tenure.seq}"
        )
        further = f"to go further back, name the version: {command('rollback', desk.model, *at(asked.alias), '--to', 'N', '--reason', '…')}"
        if tenure.reason == asked.reason:
            desk.heal_anchor()
            return self._act("already", 0, words, live, None, seq=tenure.seq, next=(further,))
        blocker = Blocker(code="bound", message=words, fix=further)
        return self._act("refused", 1, words, live, None, blockers=(blocker,))

    def _choose(self, live: Identity | None) -> _Choice | None:
        """Return the version to go to: the one that was named, else the last known good."""
        leaving = self._signature(live)
        weighed = []
        for candidate in self._candidates(live):
            facts = self._facts(candidate.identity.version)
            checks = weigh(candidate, facts, leaving, self.desk.ledger.standing, self.rules)
            named = self.asked.to is not None
            if acceptable(checks, automatic=self.asked.automatic, named=named):
                identity = candidate.identity if gap(facts) is not None else facts.identity
                choice = _Choice(identity, checks, candidate.served)
                if soaked(checks) or named or self._was_in_service(candidate.identity):
                    return choice
                weighed.append(choice)
            else:
                reasons = [check.words for check in checks if check.state in ("bad", "unknown")]
                reasons += [c.words for c in checks if c.name == "soak" and c.state == "warn"]
                self.refusals.append(f"{shown(candidate.identity)}: {'; '.join(reasons)}")
        return weighed[0] if weighed else None

    def _unserved(self, live: Identity | None, choice: _Choice) -> Act | None:
        """Refuse a version that never served, unless somebody with the right to let one pass names it.

        It was never allowed and nobody vouches for it: going there is a
        promotion without a decision, and a halt forbids it as any other.
        """
        desk, asked = self.desk, self.asked
        blockers = tuple(b for b in halts(desk.ledger.standing, desk.now()))
        try:
            self.role = role_of(manifest_of(self.loaded), desk.acting.world.actor.name, "lift", asked.as_team)
        except NotAllowedError as e:
            words = f"{shown(choice.identity)} never served, so that is no rollback: {e.message}"
            blockers = (*blockers, Blocker(code="authority", message=words, fix=e.fix))
        if not blockers:
            return None
        return self._act("refused", 1, blockers[0].message, live, choice, blockers=blockers)

    def _was_in_service(self, identity: Identity) -> bool:
        """Whether the alias was taken from this version past the gate: a person wants it put back."""
        holder = self.desk.ledger.standing.holder(self.asked.alias)
        return not self.asked.automatic and holder is not None and holder.same_version(identity)

    def _candidates(self, live: Identity | None) -> Iterator[Candidate]:
        known = candidates(self.desk.ledger.standing, self.asked.alias, live, self.desk.now())
        if self.asked.to is None:
            yield from known
            return
        mine = [c for c in known if c.identity.version == self.asked.to]
        if mine:
            yield mine[0]
            return
        found = self.desk.look_at(self.asked.to)
        now = self.desk.now()
        yield Candidate(
            identity=found.identity,
            since=now,
            until=now,
            lived=timedelta(0),
            vouched=False,
            decision=None,
            served=False,
        )

    def _facts(self, version: str) -> Evident[Facts]:
        try:
            found: Found = self.desk.look_at(version, signature=True)
        except RegistryTroubleError as e:
            return missing(e.message, self.desk.reader.registry)
        return Facts(
            identity=found.identity,
            status=found.status,
            stage=found.stage,
            signature=found.signature,
            gone=found.gone,
        )

    def _signature(self, live: Identity | None) -> Evident[Digest | None]:
        if live is None:
            return missing("no version is in service", self.desk.reader.registry)
        try:
            return self.desk.look_at(live.version, files=False, signature=True).signature
        except RegistryTroubleError as e:
            return missing(e.message, self.desk.reader.registry)

    def _nowhere(self, live: Identity | None) -> Act:
        """There is no version to go back to: say why, and where no person asked, halt."""
        desk, asked = self.desk, self.asked
        words = "no version is known good" + (f": {'; '.join(self.refusals)}" if self.refusals else "")
        if not self.refusals and asked.to is None:
            words += f": the ledger knows no other version that held @{asked.alias}"
        halt = command("halt", desk.model, "--reason", "…")
        name = command("rollback", desk.model, *at(asked.alias), "--to", "N", "--reason", "…")
        if asked.automatic:
            return self._halted(live, words)
        if asked.drill:
            self._rehearse(live, None, words)
        fix = f"name one: {name}; or stop promotions: {halt}"
        if any(q.identity.version == asked.to for q in desk.ledger.standing.quarantined):
            fix = (
                f"lift its quarantine first: {command('clear', f'{desk.model}@{asked.to}', '--reason', '…')}"
            )
        blocker = Blocker(code="target", message=words, fix=fix)
        return self._act("refused", 1, words, live, None, blockers=(blocker,))

    def _halted(self, live: Identity | None, words: str) -> Act:
        desk, asked = self.desk, self.asked
        known = [h for h in desk.ledger.standing.halted(desk.now()) if h.halt.automatic]
        if known:
            return self._act(
                "already", 1, f"halted since entry {known[-1].seq}: {words}", live, None, act="halt"
            )
        entry = desk.ledger.append(
            Halt(
                reason=f"to be rolled back, and {words}: {asked.reason}"[:LONGEST_REASON],
                role="watch",
                automatic=True,
                decision=asked.decision,
                record=self._keep("decision", asked.record),
            )
        )
        resume = command("resume", desk.model, "--reason", "…")
        return self._act(
            "done",
            1,
            f"halted, not rolled back: {words}",
            live,
            None,
            act="halt",
            seq=entry.seq,
            next=(f"when it is mended: {resume}",),
        )

    def _drilled(self, live: Identity | None, choice: _Choice) -> Act:
        seq = self._rehearse(live, choice.identity, "")
        words = f"{shown(live)} → {shown(choice.identity)} would have been done; only the move was left out"
        return self._act("done", 0, words, live, choice, act="drill", seq=seq)

    def _rehearse(self, live: Identity | None, to: Identity | None, detail: str) -> int:
        desk = self.desk
        return desk.ledger.append(
            Drill(
                alias=self.asked.alias,
                from_=live,
                to=to,
                ready=to is not None,
                detail=detail[:LONGEST_REASON],
                seconds=elapsed(self.started, desk),
            )
        ).seq

    def _finished(self, done: MoveDone, live: Identity | None, choice: _Choice) -> Act:
        if done.moved:
            result, code = ("unconfirmed", 4) if done.warnings else ("done", 0)
            return self._act(
                result,
                code,
                f"{shown(live)} → {shown(choice.identity)}, read back",
                live,
                choice,
                seq=done.seq,
                warnings=(*done.remarks, *done.warnings),
                effects=True,
                next=(*self._left(live), _NOT_COVERED),
            )
        code = 4 if done.result in ("not_applied", "refused", "conflict") else 3
        words = f"nothing moved: {done.detail}" if code == 3 else done.detail
        return self._act(
            "changed" if code == 3 else "unconfirmed",
            code,
            words,
            live,
            choice,
            seq=done.seq,
            next=("run the same command again",),
        )

    def _left(self, live: Identity | None) -> tuple[str, ...]:
        if live is None:
            return ()
        clear = command("clear", f"{self.desk.model}@{live.version}", "--reason", "…")
        return (f"v{live.version} is quarantined until: {clear}",)

    def _act(
        self,
        result: str,
        exit_code: int,
        reason: str,
        live: Identity | None,
        choice: _Choice | None,
        *,
        act: str = "rollback",
        effects: bool = False,
        warnings: tuple[str, ...] = (),
        **more: object,
    ) -> Act:
        desk, asked = self.desk, self.asked
        to = None if choice is None else choice.identity
        return Act.model_validate(
            {
                "act": act,
                "model": desk.model,
                "alias": asked.alias,
                "result": result,
                "exit_code": exit_code,
                "reason": reason,
                "now": desk.now(),
                "from": live,
                "to": to,
                "given": asked.reason,
                "automatic": asked.automatic,
                "decision": asked.decision,
                "head": desk.ledger.chain.head,
                "checks": () if choice is None else choice.checks,
                "effects": move_effects("rollback", desk.model, asked.alias, live, to)
                if effects and to is not None
                else (),
                "warnings": (*desk.warnings, *warnings),
                "ledger": desk.promises,
                "seconds": elapsed(self.started, desk),
                **more,
            }
        )
