"""One look for moves past the gate: say what was found, put it back where that is wanted, and audit.

Runs before each look at the champion, whatever woke that: it is level-triggered,
so that a delivery that was lost costs time and nothing else.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from aigate.act.desk import Acting
from aigate.act.revert import Place, Reverted, RevertRequest, revert, whereabouts
from aigate.audit import Audit
from aigate.collect.manifest_file import LoadedManifest
from aigate.errors import AigateError
from aigate.history import audited, open_sight
from aigate.manifest import PRODUCTION
from aigate.plan import Act
from aigate.remarks import say
from aigate.rules import environment_of
from aigate.values import Instant, Model, Name, Text, VersionNumber
from aigate.watch.tell import Mode, Tick
from aigate.wording import at as alias_option
from aigate.wording import command

OnUngated = Literal["tell", "revert"]

State = Literal["covered", "ungated", "unknown_holder", "under_way", "unknown"]
"""As `Place` has it; `unknown` where registry or ledger could not say."""

Done = Literal["nothing", "told", "proposed", "reverted", "refused", "failed", "changed", "unconfirmed"]
"""What was done: `told` of, with commands; `proposed` where a revert was wanted and the environment's
`rollback.mode` leaves it to people; `reverted`; `refused` by a bound or by what is known against the version to
return to; `failed` before anything moved; `changed` because somebody moved it again meanwhile; `unconfirmed`
where nobody can say."""

_MOST_REMARKS = 20

_DONE: dict[str, Done] = {
    "done": "reverted",
    "already": "nothing",
    "changed": "changed",
    "unconfirmed": "unconfirmed",
}


class Ungated(Model):
    """What a look for moves past the gate came to."""

    schema_: Annotated[Literal["aigate.ungated/v1"], Field(alias="schema")] = "aigate.ungated/v1"
    at: Instant
    model: Name
    alias: Name
    environment: Name
    woken: bool
    """Whether a delivery brought the look about; else the clock did."""
    state: State
    live: VersionNumber | None = None
    """The version that held the alias."""
    expected: VersionNumber | None = None
    """The version that the ledger has for it."""
    since: Instant | None = None
    by: Text = ""
    """Who put the expected one there, by the ledger."""
    message: Text = ""
    mode: Mode
    done: Done = "nothing"
    act: Act | None = None
    next: tuple[Text, ...] = ()
    """Commands for whoever is called."""
    exit_code: int = 0
    """0 where the alias is where the ledger has it, by now; 1 where it is not; 3 where nobody can say; 4 unconfirmed."""


@dataclass(frozen=True)
class Asked:
    """What is looked after, and how."""

    environment: str = PRODUCTION
    on_ungated: OnUngated = "tell"
    woken: bool = False
    distrusted: str = ""
    """Why the version that the ledger has is not to be put back by itself; empty where nothing is known."""


class Judged:
    """What the watcher last thought of the versions that the ledger put in service, as far as it is bad."""

    def __init__(self) -> None:
        self._bad: tuple[str, str] | None = None

    def take(self, tick: Tick) -> None:
        """Take note of a tick."""
        if tick.champion is None or tick.drift or tick.verdict == "hold":
            return
        self._bad = (tick.champion, tick.reason) if tick.verdict == "rollback" else None

    def against(self, version: str | None) -> str:
        """Return what speaks against putting a version back by itself; empty where nothing does."""
        if self._bad is None or self._bad[0] != version:
            return ""
        return (
            f"v{version} was found bad when it was last judged ({self._bad[1]}), "
            "so a person decides between it and what holds the alias now"
        )


def check(loaded: LoadedManifest, asked: Asked, acting: Acting, judged: Judged) -> Ungated:
    """Look whether the alias is where the ledger has it, and do what is asked where it is not.

    What keeps a look from its end is its result. Raises ConfigError for an
    environment that the manifest does not have.
    """
    model = loaded.manifest.model.name
    alias = loaded.manifest.alias_of(asked.environment)
    mode = environment_of(loaded, asked.environment).rollback.mode
    found = _Found(model, alias, asked, mode, acting.clock())
    try:
        place = whereabouts(acting, model, alias)
    except AigateError as e:
        words = f"whether @{alias} was moved past the gate is not known: {e.message}"
        return found.told(state="unknown", message=words, next=_next(e.fix), exit_code=3)
    wanted = asked.on_ungated == "revert" and place.state != "unknown_holder"
    if place.state == "covered" and not (place.unfinished and wanted and mode == "auto"):
        return found.at(place)
    by_hand = _by_hand(loaded, model, alias, asked.environment, place)
    if not wanted or mode != "auto":
        if place.state == "under_way":
            return found.at(place, exit_code=3)
        return found.at(place, done="proposed" if wanted else "told", next=by_hand, exit_code=1)
    expected = None if place.expected is None else place.expected.version
    request = RevertRequest(model, alias, asked.environment, judged.against(expected))
    try:
        back = revert(loaded, request, acting)
    except AigateError as e:
        if place.state == "covered":  # what an earlier run left open waits for the next look
            return found.at(place)
        done: Done = "unconfirmed" if e.exit_code == 4 else "failed"
        message = f"{place.message}; it was not put back: {e.message}"
        return found.at(
            place, message=message, done=done, next=(*_next(e.fix), *by_hand), exit_code=e.exit_code
        )
    return _after(found, place, back, by_hand)


def _after(found: "_Found", place: Place, back: Reverted, by_hand: tuple[str, ...]) -> Ungated:
    """Tell of a revert; what became of the alias between the two readings is part of that."""
    act = back.act
    if act is None:
        done: Done = "changed" if place.state == "ungated" else "nothing"
        return found.at(back.place, done=done, exit_code=0 if back.place.state == "covered" else 3)
    done = _DONE.get(act.result, "refused")
    following = () if done == "reverted" else by_hand
    return found.at(back.place, done=done, act=act, next=following, exit_code=act.exit_code)


class Audits:
    """Audits once for each move past the gate that is found: whoever moved an alias may have done more."""

    def __init__(self) -> None:
        self._audited: tuple[object, ...] | None = None

    def after(self, found: Ungated, loaded: LoadedManifest, acting: Acting) -> Audit | AigateError | None:
        """Hold ledger, registry and records against each other; None where nothing new was found.

        Of the remarks it returns what is broken or could not be looked at. It
        raises nothing of aigate's: that it came to nothing is a result.
        """
        this = (found.alias, found.state, found.live, found.expected, found.since)
        if found.state not in ("ungated", "unknown_holder") or this == self._audited:
            return None
        self._audited = this
        try:
            with open_sight(acting, found.model, loaded) as sight:
                audit = audited(sight, found.alias, found.environment).audit
        except AigateError as e:
            return e
        grave = tuple(remark for remark in audit.remarks if remark.gravity in ("broken", "unseen"))
        if len(grave) > _MOST_REMARKS:
            more = say("note", "audit", "the audit", f"{len(grave) - _MOST_REMARKS} more")
            grave = (*grave[:_MOST_REMARKS], more)
        return audit.model_copy(update={"remarks": grave})


@dataclass(frozen=True)
class _Found:
    """What is known of a look before it."""

    model: str
    alias: str
    asked: Asked
    mode: Mode
    now: datetime

    def told(self, **fields: object) -> Ungated:
        return Ungated.model_validate(
            {
                "at": self.now,
                "model": self.model,
                "alias": self.alias,
                "environment": self.asked.environment,
                "woken": self.asked.woken,
                "mode": self.mode,
                **fields,
            }
        )

    def at(self, place: Place, **fields: object) -> Ungated:
        return self.told(
            **{
                "state": place.state,
                "live": None if place.live is None else place.live.version,
                "expected": None if place.expected is None else place.expected.version,
                "since": place.since,
                "by": place.by,
                "message": place.message,
                **fields,
            }
        )


def _next(fix: str) -> tuple[str, ...]:
    return (fix,) if fix else ()


def _by_hand(
    loaded: LoadedManifest, model: str, alias: str, environment: str, place: Place
) -> tuple[str, ...]:
    """Return the commands that end a drift: the way back first, as everywhere."""
    manifest = () if loaded.shown == "aigate.yaml" else ("--manifest", loaded.shown)
    here = () if environment == PRODUCTION else ("--environment", environment)
    words = (*alias_option(alias), "--reason", "…")
    back = (command("rollback", model, *manifest, *here, *words),) if place.state == "ungated" else ()
    return (*back, command("adopt", model, *manifest, *words), command("audit", model, *manifest, *here))
