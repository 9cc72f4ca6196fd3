"""What a policy is: a typed generator over a snapshot, and the view through which it reads.

The view notes every reading and stops at what is missing, so that each answer
says what it rests on and none can rest on ignorance. A policy that yields
nothing passes only if it has read something.
"""

import inspect
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import FunctionType
from typing import Any, TypeAlias, cast

from aigate.decision import Blames, Finding, Outcome, PolicyResult, Severity
from aigate.errors import PolicyCodeError
from aigate.snapshot import Snapshot, Tag
from aigate.values import Missing, Model, parse_duration, parse_number, show_duration, show_number

Findings = Iterator[Finding]
"""What a policy returns: write it as a generator and `yield deny(...)`."""

PolicyFunction = Callable[..., Findings]

CONTEXT = frozenset(
    {"/now", "/question", "/environment", "/system", "/alias", "/schema_", "/manifest_digest"}
)
"""Readings that say what was asked, not what was found; a pass cannot rest on them alone."""

MOST_FINDINGS = 1000
"""What one policy may report; one that goes on is broken, not thorough."""


@dataclass(frozen=True)
class PolicyFile:
    """One file of policies: exactly these bytes are hashed, and exactly these bytes run."""

    shown: str
    """The path as people see it."""
    source: bytes
    digest: str
    policies: tuple[str, ...]
    """The ids it declares, in order."""
    standard: bool = False
    """Whether it belongs to the standard pack."""


class Skip(Exception):  # noqa: N818 - it is a signal that authors raise, not an error
    """Raised by a policy that does not apply; the reason is required and shown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unknown(Exception):  # noqa: N818 - it is a signal that authors raise, not an error
    """Raised by a policy that cannot tell: its evidence is too little, or cannot be compared.

    It ends the policy as `unknown`, caught or not; with findings already
    yielded the policy fails all the same. The reason is required and shown.
    To look at the rest before ending, catch it around each part:
    `with suppress(Unknown): yield from part(...)`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        if _run is not None:
            _run.unclear.append(reason)


class MissingEvidence(Unknown, LookupError):  # noqa: N818 - a signal for authors, not an error of theirs
    """Raised by the view where evidence is missing. It ends the policy as `unknown`, caught or not."""

    def __init__(self, path: str, gap: Missing) -> None:
        super().__init__(f"{gap.missing} ({gap.source})")
        self.path = path
        self.gap = gap


class _Run:
    """What happened during one run of one policy."""

    __slots__ = ("made", "misses", "notes", "reads", "there", "unclear")

    def __init__(self) -> None:
        self.reads: dict[str, None] = {}
        self.there: dict[str, None] = {}
        """Parts that were handed out and not looked into: that they are there is a reading too."""
        self.misses: dict[str, Missing] = {}
        self.made: list[Finding] = []
        self.unclear: list[str] = []
        """Why it cannot tell, each `Unknown` in order, caught or not."""
        self.notes: list[str] = []
        """What a pass or a failure leaves open."""

    def take(self, value: Any, path: str) -> Any:
        """Hand a value out: note it, wrap it, or stop at it."""
        kind = type(value)
        if kind in _PLAIN:
            self.reads[path] = None
            return value
        if kind is tuple:
            self.reads[path] = None
            return tuple([self.part(item, f"{path}/{_key(item, i)}") for i, item in enumerate(value)])
        if kind is Missing:
            self.misses[path] = value
            raise MissingEvidence(path, value)
        if issubclass(kind, Model):
            self.there[path] = None
            return _view(value, path, self)
        if issubclass(kind, View):
            return value
        self.reads[path] = None
        if kind is dict:
            return {key: self.part(item, f"{path}/{_pointer(key)}") for key, item in value.items()}
        return value

    def part(self, item: Any, path: str) -> Any:
        """Hand out what a list holds: that it is there was read with the list."""
        kind = type(item)
        whole = kind is not Missing and issubclass(kind, Model)
        return _view(item, path, self) if whole else self.take(item, path)


_PLAIN = frozenset({str, int, bool, type(None), Decimal, datetime, date, timedelta})
"""Facts that have no inside."""

_run: _Run | None = None
"""The run in progress. Policies run one at a time, in a process of their own."""


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _key(item: Any, index: int) -> str:
    name = getattr(item, "name", None) or getattr(item, "key", None)
    if type(name) is not str:
        return str(index)
    return _pointer(name) if "/" in name or "~" in name else name


def _gap(value: Any) -> Missing | None:
    """Return the first gap anywhere inside a value."""
    if isinstance(value, Missing):
        return value
    inner: Any = ()
    if isinstance(value, Model):
        inner = value.__dict__.values()  # its fields, and nothing else
    elif isinstance(value, tuple):
        inner = value
    elif isinstance(value, dict):
        inner = value.values()
    for item in inner:
        if type(item) not in _PLAIN and (gap := _gap(item)) is not None:
            return gap
    return None


def _hash(value: Any) -> int:
    """Hash a value by all that is inside it, dictionaries included."""
    if isinstance(value, Model):
        return hash((type(value), tuple(map(_hash, value.__dict__.values()))))
    if isinstance(value, tuple):
        return hash(tuple(map(_hash, value)))
    if isinstance(value, dict):
        return hash(frozenset((key, _hash(item)) for key, item in value.items()))
    return hash(value)


class _Field:
    """A field of a model as its view shows it.

    What has been read once is kept in the view's `__dict__`, where Python looks
    first, so that reading it again costs nothing. Gaps are not kept. Reading it
    first costs half of what it does through `__getattr__`.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, view: "View", owner: type) -> Any:
        name = self.name
        of, path, run = view._at
        if path in run.there:
            del run.there[path]
        value = of.__dict__[name]  # not getattr: a model keeps its fields, and nothing else, there
        kind = type(value)
        at = f"{path}/{name}"
        if kind in _PLAIN:
            run.reads[at] = None
        elif kind in _VIEWS:
            run.there[at] = None
            value = _VIEWS[kind](value, at, run)
        else:
            value = run.take(value, at)
            if type(value) is dict:  # its reader could change it
                return value
        view.__dict__[name] = value
        return value


class _Property:
    """A property of a model as its view shows it: computed through the view, so that its readings are noted."""

    __slots__ = ("get", "name")

    def __init__(self, name: str, get: Callable[[Any], Any]) -> None:
        self.name = name
        self.get = get

    def __get__(self, view: "View", owner: type) -> Any:
        _, path, run = view._at
        run.there.pop(path, None)
        return view._keep(self.name, run.take(self.get(view), f"{path}/{self.name}"))


class _Method:
    """A method of a model as its view shows it: it runs on the view, and its answer is a reading too."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call

    def __get__(self, view: "View", owner: type) -> Callable[..., Any]:
        _, path, run = view._at
        run.there.pop(path, None)
        return lambda *args, **named: run.take(
            self.call(view, *args, **named),
            "/".join([path, self.name, *(_pointer(str(arg)) for arg in (*args, *named.values()))]),
        )


class View:
    """A snapshot, or a part of one, as a policy sees it: read-only, noting, refusing gaps.

    Each kind of model has a view of its own, with its fields (`_view`).
    """

    __slots__ = ("__dict__", "_at")
    _at: tuple[Model, str, _Run]
    """What is shown, its path, and the run that notes it."""

    def __init__(self, of: Model, path: str, run: _Run) -> None:
        _place(self, (of, path, run))

    @property
    def __class__(self) -> type:
        return type(self._at[0])

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("a snapshot is read-only")

    def __getattr__(self, name: str) -> Any:
        of, path, run = self._at
        run.there.pop(path, None)
        raise AttributeError(f"{type(of).__name__} has no {name!r}")

    def _keep(self, name: str, value: Any) -> Any:
        if type(value) is not dict:  # its reader could change it
            self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("a snapshot is read-only")

    def __delattr__(self, name: str) -> None:
        raise TypeError("a snapshot is read-only")

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.__whole(), other
        if issubclass(type(other), View):
            theirs = cast(View, other).__whole()
        return mine == theirs

    def __whole(self) -> Model:
        """Return what stands behind the view, for a comparison; a gap inside ends it."""
        of, path, run = self._at
        if (gap := _gap(of)) is not None:
            run.misses[path] = gap
            raise MissingEvidence(path, gap)
        run.reads[path] = None
        return of

    def __hash__(self) -> int:
        return _hash(self.__whole())  # equal parts of a snapshot are one in a set

    def __repr__(self) -> str:
        return f"<{type(self._at[0]).__name__} {self._at[1]}>"


_place = vars(View)["_at"].__set__
"""Sets what a view shows; a view's own attributes cannot be set."""

_VIEWS: dict[type[Model], type[View]] = {}


def _view(of: Model, path: str, run: _Run) -> View:
    """Return the view of a model, of the kind that shows its fields."""
    kind = type(of)
    shows = _VIEWS.get(kind)
    if shows is None:
        shows = _VIEWS[kind] = type("View", (View,), {"__slots__": (), **_shown(kind)})
    return shows(of, path, run)


def _shown(kind: type[Model]) -> dict[str, object]:
    """Return what a view of a kind of model shows: its fields, its properties and its methods."""
    shown: dict[str, object] = {}
    for base in reversed(kind.__mro__[: kind.__mro__.index(Model)]):
        for name, found in vars(base).items():
            if name.startswith(("_", "model_")):
                continue
            if isinstance(found, property) and found.fget is not None:
                shown[name] = _Property(name, found.fget)
            elif isinstance(found, FunctionType):
                shown[name] = _Method(name, found)
    return shown | {name: _Field(name) for name in kind.__pydantic_fields__}


def deny(
    message: str,
    *,
    key: str = "",
    fix: str = "",
    owner: str | None = "",
    value: object = "",
    limit: object = "",
    origin: str = "",
) -> Finding:
    """Make a finding; it counts only once it is yielded, and one that is not is an error.

    `value` and `limit` may be numbers, spans of time or text. `origin` says
    where the limit comes from, `fix` what to do next.
    """
    finding = Finding(
        message=message,
        key=key,
        fix=fix,
        owner=owner or "",
        value=_words(value),
        limit=_words(limit),
        origin=origin,
    )
    if _run is not None:
        _run.made.append(finding)
    return finding


def note(text: str) -> None:
    """Say what a pass or a failure leaves open, such as that only point estimates were compared.

    It is shown and recorded beside the outcome and never changes it.
    """
    if _run is not None:
        _run.notes.append(text)


def _words(value: object) -> str:
    match value:
        case Decimal():
            return show_number(value)
        case timedelta():
            return show_duration(value)
        case _:
            return str(value)


class Policy:
    """A policy as loaded: its identity, its parameters, its function."""

    def __init__(
        self, function: PolicyFunction, id: str, severity: Severity, blames: Blames, url: str
    ) -> None:
        for word, value, known in (("severity", severity, Severity), ("blames", blames, Blames)):
            if value not in typing.get_args(known):
                words = ", ".join(typing.get_args(known))
                raise PolicyCodeError(f"policy {id}: {word} {value!r} is not one of {words}")
        self.function = function
        self.id = id
        self.severity = severity
        self.blames = blames
        self.url = url
        doc = inspect.cleandoc(function.__doc__ or "").strip()
        self.title, _, rest = doc.partition("\n")
        self.detail = rest.strip()
        self.broken = _why_broken(function, self.title)
        self.kinds, defaults = ({}, {}) if self.broken else _parameters(function, id)
        self.defaults: dict[str, object] = {}
        self.defaults = self.bind(defaults)

    def bind(self, given: dict[str, object]) -> dict[str, object]:
        """Return all parameters: the defaults, with `given` over them, each brought to its type.

        Raises PolicyCodeError for one that the policy does not have, or that
        does not fit its type.
        """
        bound = dict(self.defaults)
        for name, value in given.items():
            if name not in self.kinds:
                known = ", ".join(self.kinds) or "none"
                raise PolicyCodeError(
                    f"policy {self.id} has no parameter {name!r}", fix=f"its parameters: {known}"
                )
            try:
                bound[name] = _coerce(self.kinds[name], value)
            except ValueError as e:
                raise PolicyCodeError(f"policy {self.id}, parameter {name}: {e}") from e
        return bound

    def run(self, snapshot: Snapshot, **params: object) -> PolicyResult:
        """Run it on one snapshot and say how it ended; never raises for what the policy did."""
        return run(self, snapshot, self.bind(params))


def policy(
    id: str, *, severity: Severity = "high", blames: Blames = "process", url: str = ""
) -> Callable[[PolicyFunction], Policy]:
    """Make a generator function a policy.

    `id` is `theme.name`, written as a literal. `blames` steers what happens to
    a champion that fails: only a failing `model` is rolled back. Keyword-only
    arguments are the parameters and need a type and a default. The docstring's
    first line is the title and is required.
    """
    return lambda function: Policy(function, id, severity, blames, url)


def _why_broken(function: PolicyFunction, title: str) -> str:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is async: a policy has nothing to wait for, its evidence is all there"
    if not inspect.isgeneratorfunction(function):
        return "is not a generator: report with `yield deny(...)`"
    if not title:
        return "has no docstring: its first line is the title"
    return ""


_KINDS: tuple[Any, ...] = (timedelta, Decimal, int, bool, str, tuple[str, ...])


def _parameters(function: PolicyFunction, id: str) -> tuple[dict[str, Any], dict[str, object]]:
    try:
        hints = typing.get_type_hints(function)
    except Exception as e:
        raise PolicyCodeError(f"policy {id}: its annotations cannot be read: {e}") from e
    kinds: dict[str, Any] = {}
    defaults: dict[str, object] = {}
    positional = 0
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            positional += 1
            continue
        if hints.get(name) not in _KINDS or parameter.default is parameter.empty:
            raise PolicyCodeError(
                f"policy {id}: parameter {name!r} needs a default and one of the types "
                "timedelta, Decimal, int, bool, str, tuple[str, ...]"
            )
        kinds[name], defaults[name] = hints[name], parameter.default
    if positional != 1:
        raise PolicyCodeError(f"policy {id} must take one snapshot, and its parameters after `*`")
    return kinds, defaults


def _coerce(kind: Any, value: object) -> object:
    if kind is timedelta:
        return parse_duration(value)
    if kind is Decimal:
        return parse_number(value)
    if kind == tuple[str, ...]:
        if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif type(value) is kind:
        return value
    elif kind is int and isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    raise ValueError(f"{value!r} is not {'a list of texts' if kind == tuple[str, ...] else kind.__name__}")


def show_params(params: dict[str, object]) -> tuple[Tag, ...]:
    """Return parameters as text, sorted by name: the form of the record."""
    return tuple(
        Tag(key=name, value=", ".join(value) if isinstance(value, tuple) else _words(value))
        for name, value in sorted(params.items())
    )


def run(policy: Policy, snapshot: Snapshot, params: dict[str, object]) -> PolicyResult:
    """Run a policy with bound parameters. Whatever it does is an outcome, never an exception.

    Exceptions that are not meant for programs (KeyboardInterrupt, SystemExit)
    are outcomes too: a policy that calls `sys.exit(0)` has not passed.
    """
    this = _Run()
    outcome, reason, findings, partial = _ended(policy, snapshot, params, this)
    return PolicyResult(
        policy=policy.id,
        outcome=outcome,
        reason=reason,
        findings=findings,
        reads=tuple(sorted({*this.reads, *this.there, *this.misses})),
        partial=partial,
    )


Brief: TypeAlias = tuple[Outcome, str, tuple[Finding, ...], bool]
"""How a policy ended: outcome, reason, findings, and whether it failed and could not assess the rest."""


def run_briefly(policy: Policy, snapshot: Snapshot, params: dict[str, object]) -> Brief:
    """Run a policy just as `run` does and say how it ended, without the list of what it read.

    What it reads is noted all the same, for on that the outcome rests. Writing
    the list out would be most of the time of a replay over many snapshots.
    """
    return _ended(policy, snapshot, params, _Run())


def _ended(policy: Policy, snapshot: Snapshot, params: dict[str, object], this: _Run) -> Brief:
    """Run a policy, noting in `this`, and settle how it ended."""
    global _run  # one run at a time; `deny` has no other way to know of it
    if policy.broken:
        return "error", f"it {policy.broken}", (), False
    yielded: list[Finding] = []
    outcome: Outcome = "pass"
    reason = ""
    previous, _run = _run, this
    try:
        for item in policy.function(cast(Snapshot, _view(snapshot, "", this)), **params):
            if type(item) is not Finding:
                outcome, reason = "error", f"it yielded {type(item).__name__}, not what deny() makes"
                break
            if item.waived:
                outcome, reason = "error", "it waived its own finding: only the gate does that"
                break
            if len(yielded) == MOST_FINDINGS:
                outcome, reason = "error", f"it reports more than {MOST_FINDINGS} findings"
                break
            yielded.append(item)
    except Unknown as e:
        outcome, reason = "unknown", _reason(e)
    except Skip as e:
        outcome, reason = "skip", _reason(e)
    except BaseException as e:  # noqa: BLE001 - whatever ends a policy is an outcome, SystemExit too
        outcome, reason = "error", f"it raised {type(e).__name__}{_line(e, policy)}: {say(e)}"
    finally:
        _run = previous
    return _conclude(this, yielded, outcome, reason)


def say(error: BaseException) -> str:
    """Return an exception's words, cut, as text that can be written anywhere."""
    try:
        return _clean(str(error))[:500]
    except BaseException:  # noqa: BLE001 - a policy's own exception may fail even at this
        return "(it cannot say why)"


def _clean(text: str) -> str:
    """Return text that can be written anywhere and leaves room for the rest of the answer."""
    return text[:_LONGEST].encode("utf-8", "backslashreplace").decode()


def _reason(signal: Skip | Unknown) -> str:
    """Return the reason that a signal carries; nothing where it carries no text."""
    reason: object = signal.reason  # whatever an author put there
    return reason if isinstance(reason, str) else ""


def _line(error: BaseException, policy: Policy) -> str:
    """Say in which line of the policy's file it went wrong."""
    code = getattr(policy.function, "__code__", None)
    # A StopIteration becomes a RuntimeError outside of the generator; where it was raised is in its cause.
    cause = error.__cause__ if isinstance(error.__cause__, StopIteration) else error
    trace, line = cause.__traceback__, 0
    while trace is not None and code is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == code.co_filename else line
        trace = trace.tb_next
    return f" in line {line}" if line else ""


def _several(reasons: Sequence[object]) -> str:
    """Join reasons for people: each once, the first few in full."""
    texts = list(dict.fromkeys(_clean(reason) for reason in reasons if isinstance(reason, str)))
    more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return "; ".join(texts[:_SHOWN] + more)


_SHOWN = 4
"""Reasons of one policy that are shown in full."""

_LONGEST = 2000
"""Characters of one reason that are kept."""


def _conclude(this: _Run, yielded: list[Finding], outcome: Outcome, reason: str) -> Brief:
    """Settle the outcome from what happened: the strictest reading of it."""
    rests_on = this.there or not CONTEXT.issuperset(this.reads)
    if outcome == "pass" and rests_on and not (this.made or yielded or this.unclear or this.misses):
        return "pass", _several(this.notes) if this.notes else "", (), False
    kept = {id(finding) for finding in yielded}
    lost = [finding for finding in this.made if id(finding) not in kept]
    gaps = [f"{gap.missing} ({gap.source})" for gap in this.misses.values()]
    unclear = this.unclear or gaps
    if outcome == "error":
        pass
    elif lost:
        outcome, reason = "error", f"it made a finding and did not yield it: {lost[0].message}"
    elif yielded:
        outcome, reason = "fail", _several(unclear + this.notes)
    elif unclear or outcome == "unknown":
        outcome, reason = "unknown", _several(unclear or [reason])
    elif outcome == "pass":
        reason = _several(this.notes)
    if outcome in ("unknown", "skip") and not reason.strip():
        outcome, reason = "error", f"it ended as {outcome} without a reason"
    elif outcome in ("pass", "skip") and not rests_on:
        outcome, reason = "error", "it read no evidence, so it cannot know"
    return outcome, _clean(reason), tuple(yielded), outcome == "fail" and bool(unclear)
