"""Whether a registry's server asks for tickets, by its own answer to a move that cannot happen. Pure.

MLflow makes versions from 1 on, so version 0 never exists: a server without
a guard finds nothing to point the alias to, and one with a guard refuses
before it looks. Who asks is `enforce.probe`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from aigate.ticket import GUARD_HEADER, SKEW, GuardSays
from aigate.values import show_duration

NO_VERSION = "0"
"""The version that is asked for. MLflow makes none of this number."""

MARK = "aigate: "
"""Begins the message of every refusal of a guard."""

_NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
_MOST = 200

State = Literal["ok", "warn", "bad", "unknown"]
"""`unknown`: it cannot be told; never a yes."""


@dataclass(frozen=True)
class Heard:
    """A server's answer to such a move."""

    status: int
    code: str
    """MLflow's error code; empty where there is none."""
    message: str
    says: GuardSays | None
    """What its guard says of itself; None where nothing is said, or nothing that a guard writes."""
    date: datetime | None = None
    """The server's clock."""


@dataclass(frozen=True)
class Told:
    """What an answer comes to."""

    state: State
    what: str
    fix: str = ""


def told(heard: Heard, model: str, alias: str, key: str | None) -> Told:
    """Say what a server's answer comes to for whoever signs with `key` (its id; None where there is none)."""
    name = f"@{alias} of {model}"
    says = heard.says
    if heard.status == 200:
        return Told(
            "bad",
            f"the server said that it moved {name} to version {NO_VERSION}, which no registry has: it says yes to anything",
            "look at the alias in MLflow now, and at what stands between here and the server",
        )
    if says is not None and says.mode == "broken":
        return Told(
            "bad",
            f"the server's guard is broken and refuses everything it knows of: {heard.message[:_MOST]}",
            "mend what the server's log says of AIGATE_GUARD, and start it again",
        )
    if says is not None and says.mode == "observe":
        return Told(
            "warn",
            f"the server's guard observes: a move of {name} without a ticket is told of in its log, and done"
            + ("" if key is None or key in says.keys else f"; it does not trust your signing key {key}"),
            "set  mode: enforce  in its guard file once its log tells of no move that should have been gated",
        )
    if heard.status == 403 and heard.message.startswith(MARK):
        return _refused(says, name, key)
    if says is not None:
        return Told("unknown", f"the server says that it guards {name}, and answers {_answer(heard)}", _LOG)
    if heard.status in (401, 403):
        return Told(
            "unknown",
            f"this account may not move {name}, so whether the server guards it cannot be told",
            "ask with the credentials that promote",
        )
    if heard.code == _NOT_THERE:
        return _open(name, key)
    return Told(
        "unknown", f"whether the server guards {name} cannot be told: it answers {_answer(heard)}", _LOG
    )


_LOG = "look at the server's log"


def _answer(heard: Heard) -> str:
    words = f": {heard.message[:_MOST]}" if heard.message else ""
    return f"with status {heard.status}{words}"


def _refused(says: GuardSays | None, name: str, key: str | None) -> Told:
    what = f"guarded: the server refuses {name} without a ticket"
    if says is None:
        return Told(
            "unknown" if key is not None else "ok",
            f"{what}; in which mode, and whose keys it trusts, does not arrive here",
            f"let the answer's header {GUARD_HEADER} through, whatever stands before the server",
        )
    what = f"{what} (mode {says.mode})"
    if key is None:
        return Told("ok", f"{what}; no signing key is set here, so nothing here can move it")
    if key not in says.keys:
        trusts = ", ".join(says.keys) or "none"
        return Told(
            "bad",
            f"{what}, and does not trust your signing key {key} (it trusts {trusts})",
            "name the key's public half in the server's guard file, or sign with a key that it trusts",
        )
    return Told("ok", f"{what}; your signing key {key} is one it trusts")


def _open(name: str, key: str | None) -> Told:
    if key is not None:
        return Told(
            "bad",
            f"your signing key {key} is set, and the server does not guard {name}: it would move it without a ticket",
            "start it with the guard (README, 'On the server'), and name this model in its guard file",
        )
    return Told(
        "warn",
        f"the server does not guard {name}: anyone who may edit the model can move it",
        "see README, 'On the server'",
    )


def unheard(why: str) -> Told:
    """Say that no answer came."""
    return Told("unknown", f"whether the server guards the alias cannot be told: {why}")


def no_server(shown: str, key: str | None) -> Told:
    """Say that the registry is opened directly, past any server."""
    return Told(
        "ok" if key is None else "warn",
        f"{shown} is opened directly: there is no server to ask whether it guards the alias",
        "" if key is None else "a signing key counts with a server only: give its http(s) address",
    )


def clock(there: datetime | None, here: datetime, life: timedelta) -> Told | None:
    """Say what is wrong between the clocks of server and signer, whose tickets are good for `life`; None for nothing.

    A server takes tickets from at most `SKEW` in its future, and none that
    has expired.
    """
    if there is None or -SKEW <= there - here < life:
        return None
    way = "ahead of" if there > here else "behind"
    why = "expired" if there > here else "not yet made"
    return Told(
        "bad",
        f"the server's clock is {show_duration(abs(there - here))} {way} this machine's: to it, a ticket of now is {why}",
        "set both clocks by NTP",
    )
