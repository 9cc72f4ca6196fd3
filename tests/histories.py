"""Ledgers for tests: versions, entries and whole histories, linked as the ledger links them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from aigate.decision import Actor
from aigate.digest import digest_bytes
from aigate.ledger import (
    Action,
    Adopt,
    Body,
    BreakGlass,
    Chain,
    Clear,
    Drill,
    Entry,
    Halt,
    Head,
    Identity,
    Intent,
    Kept,
    Outcome,
    Result,
    Resume,
    Review,
    next_entry,
    read_chain,
    written,
)
from aigate.standing import Standing, standing
from aigate.values import missing

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MODEL = "churn"
KAI = Actor(name="user:kai", run="https://ci.example/runs/7")
ROBIN = Actor(name="github:robin")
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
_BEGINNING = NOW - timedelta(days=60)


def digest_of(letter: str) -> str:
    """A digest that is easily told from others."""
    return f"sha256:{letter * 64}"


def identity(number: int | str = 1, **changes: Any) -> Identity:
    """Version `number` of the model, with files of its own."""
    number = str(number)
    fields: dict[str, Any] = {
        "version": number,
        "created_at": _BEGINNING + timedelta(hours=int(number)),
        "run_id": f"{number}7ac40d2be9f4c11",
        "source": f"models:/m-{number * 8}",
        "model_id": f"m-{number * 8}",
        "artifact_digest": digest_of(number[-1]),
    }
    return Identity.model_validate(fields | changes)


def intent(to: Identity, from_: Identity | None = None, action: Action = "promote", **more: Any) -> Intent:
    """An intent to move the alias."""
    fields: dict[str, Any] = {
        "action": action,
        "alias": "champion",
        "from_": from_,
        "to": to,
        "environment": "production",
        "reason": f"{action} v{to.version}",
        "expires": NOW + HOUR,
    }
    return Intent.model_validate(fields | more)


def outcome(of: int, result: Result = "applied", **more: Any) -> Outcome:
    """What became of an intent."""
    return Outcome(of=of, result=result, **more)


class History:
    """A model's ledger while it is written; a minute passes between entries unless it is said when."""

    def __init__(self, model: str = MODEL, begin: datetime = _BEGINNING) -> None:
        self.model = model
        self.at = begin
        self.entries: list[Entry] = []
        self.lines: list[bytes] = []

    def add(self, body: Body, *, at: datetime | None = None, actor: Actor = KAI) -> int:
        """Write an entry and return its number."""
        self.at = at or self.at + timedelta(minutes=1)
        nonce = f"{len(self.lines) + 1:016x}"
        entry = next_entry(self.head, self.model, body, at=self.at, actor=actor, nonce=nonce)
        self.entries.append(entry)
        self.lines.append(written(entry))
        return entry.seq

    def move(
        self,
        to: Identity,
        from_: Identity | None = None,
        action: Action = "promote",
        *,
        result: Result = "applied",
        at: datetime | None = None,
        actor: Actor = KAI,
        **more: Any,
    ) -> int:
        """Write an intent and its outcome, the outcome at `at`; return the intent's number."""
        seq = self.add(intent(to, from_, action, **more), at=at, actor=actor)
        self.add(outcome(seq, result), at=at, actor=actor)
        return seq

    def adopt(
        self, to: Identity | None, from_: Identity | None = None, *, at: datetime | None = None, **more: Any
    ) -> int:
        """Write that somebody accepts what holds the alias."""
        fields = {"alias": "champion", "from_": from_, "to": to, "reason": "it was so", "role": "approver"}
        return self.add(Adopt.model_validate(fields | more), at=at)

    @property
    def head(self) -> Head | None:
        """Number and digest of the last entry."""
        return Head(seq=len(self.lines), digest=digest_bytes(self.lines[-1])) if self.lines else None

    @property
    def chain(self) -> Chain:
        """The chain as it is read back."""
        return read_chain(self.model, self.lines)

    @property
    def standing(self) -> Standing:
        """What it comes to."""
        chain = self.chain
        assert chain.faults == ()
        return standing(chain)


def busy() -> History:
    """A short history with something of everything that is easily tampered with."""
    history = History()
    history.adopt(identity(1))
    first = history.add(intent(identity(2), identity(1), decision=digest_of("d"), reason="prüfen 🜲 →"))
    history.add(outcome(first, "applied", found="2"))
    history.add(Halt(reason="late data", role="owner of stage features, data-eng", until=NOW + HOUR))
    history.add(Resume(reason="data came", role="approver"), actor=ROBIN)
    second = history.add(intent(identity(1), identity(2), "rollback", automatic=True))
    history.add(outcome(second, "recovered", found="1"))
    history.add(Drill(alias="champion", from_=identity(1), to=None, ready=False, seconds=Decimal("0.40")))
    return history


# --- any entry at all --------------------------------------------------------------------------------------------

INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as hypothesis asks for it
_LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
NAMES = st.text(_LETTERS, min_size=1, max_size=12)
_SAID = st.text(max_size=20).map(lambda text: f"x{text}")
_DIGESTS = st.sampled_from("0123456789abcdef").map(digest_of)
_NUMBERS = st.integers(1, 9_999_999_999).map(str)
_SEQS = st.integers(1, 10_000_000)
_KEPT = st.builds(Kept, digest=_DIGESTS, place=NAMES)
IDENTITIES = st.builds(
    Identity,
    version=_NUMBERS,
    created_at=INSTANTS,
    run_id=st.none() | NAMES,
    source=st.text(max_size=20),
    model_id=st.none() | NAMES,
    artifact_digest=_DIGESTS | st.builds(missing, st.text(max_size=9), st.text(max_size=9)),
)
_MAYBE = st.none() | IDENTITIES
_RESULTS = st.sampled_from(
    ("applied", "recovered", "not_applied", "changed", "abandoned", "refused", "conflict")
)
BODIES: dict[str, st.SearchStrategy[Body]] = {
    "intent": st.builds(
        Intent,
        action=st.sampled_from(("promote", "rollback")),
        alias=NAMES,
        from_=_MAYBE,
        to=IDENTITIES,
        environment=NAMES,
        reason=_SAID,
        automatic=st.booleans(),
        expires=INSTANTS,
        decision=st.none() | _DIGESTS,
        gate=st.none() | _DIGESTS,
        record=st.none() | _KEPT,
        snapshot=st.none() | _KEPT,
        bound=st.none() | _DIGESTS,
        manifest=st.none() | _DIGESTS,
        policies=st.none() | _DIGESTS,
        glass=st.none() | _SEQS,
    ),
    "outcome": st.builds(
        Outcome, of=_SEQS, result=_RESULTS, detail=st.text(max_size=20), found=st.none() | _NUMBERS
    ),
    "halt": st.builds(
        Halt,
        reason=_SAID,
        role=NAMES,
        until=st.none() | INSTANTS,
        automatic=st.booleans(),
        decision=st.none() | _DIGESTS,
    ),
    "resume": st.builds(Resume, reason=_SAID, role=NAMES),
    "adopt": st.builds(
        Adopt, alias=NAMES, from_=_MAYBE, to=_MAYBE, reason=_SAID, role=NAMES, lost=st.text(max_size=20)
    ),
    "clear": st.builds(Clear, version=IDENTITIES, reason=_SAID, role=NAMES),
    "break_glass": st.builds(
        BreakGlass, alias=NAMES, to=IDENTITIES, reason=_SAID, role=NAMES, expires=INSTANTS
    ),
    "review": st.builds(Review, of=_SEQS, reason=_SAID, role=NAMES),
    "drill": st.builds(
        Drill,
        alias=NAMES,
        from_=_MAYBE,
        to=_MAYBE,
        ready=st.booleans(),
        detail=st.text(max_size=20),
        seconds=st.decimals(0, 10_000, places=3),
    ),
}
"""Any body, by its kind."""
