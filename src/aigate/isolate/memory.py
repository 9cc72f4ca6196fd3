"""Whether policies kept something between two snapshots. Runs in a policy's own process.

What a policy says of a snapshot must follow from that snapshot. One that keeps
what it saw (a global, a cache, an attribute, a default that is changed) may
answer each of many by another one, and asking it twice need not show it. So
everything that a policy file can reach by its own names is written down before
and after; where it differs, each snapshot is judged in a process of its own.
It sees no files, and it does not judge: a harmless cache costs time, not truth.
"""

import contextlib
import decimal
import functools
import os
import sys
import types
from collections.abc import Iterable
from datetime import date, time, timedelta
from operator import is_
from typing import Any

MOST = 100_000
"""Values that are looked at; whoever keeps more is taken to have changed."""

_PLAIN = (str, bytes, int, float, complex, bool, type(None), decimal.Decimal, date, time, timedelta, range)


class Kept:
    """What there is to be kept in, as it stands at one moment."""

    def __init__(self, modules: Iterable[types.ModuleType]) -> None:
        """Write down what these modules hold; of all others, and of the process, what their names stand for."""
        own = list(modules)
        self.own: object = _Walk(own).all()
        self.others = {
            name: dict(getattr(module, "__dict__", ()))  # a name that was set to None is no module
            for name, module in list(sys.modules.items())
            if module not in own
        }
        self.process = _process()

    def same_as(self, later: "Kept") -> bool:
        """Whether nothing changed until then."""
        return (
            self.process == later.process
            and self.own is not None
            and self.own == later.own
            and all(_same(names, later.others.get(module)) for module, names in self.others.items())
        )


def _same(before: dict[str, Any], after: dict[str, Any] | None) -> bool:
    """Whether names stand for the very same; a module that was loaded meanwhile, and is new in its package, is none."""
    if after is None:
        return False
    if len(before) == len(after):
        return all(map(is_, before.values(), after.values()))
    return (
        all(
            before.get(name) is value or (name not in before and isinstance(value, types.ModuleType))
            for name, value in after.items()
        )
        and before.keys() <= after.keys()
    )


def _process() -> tuple[object, ...]:
    context = decimal.getcontext()
    dice = sys.modules.get("random")
    return (
        dict(os.environ),  # noqa: TID251 - it was emptied; what is in it now is a policy's
        os.getcwd(),  # noqa: PTH109
        (context.prec, context.rounding, context.Emin, context.Emax, context.capitals, context.clamp),
        None if dice is None else dice.getstate(),
    )


class _Walk:
    """A walk over everything that can be reached from modules by their names."""

    def __init__(self, own: list[types.ModuleType]) -> None:
        self._own = own
        self._names = {module.__name__ for module in own}
        self._seen: dict[int, int] = {}
        self._held: list[object] = []
        """What was seen, held so that no two of them have one id."""

    def all(self) -> object:
        """Return what was found, to be compared; None where it is too much, or cannot be looked at."""
        try:
            return [self._of(vars(module)) for module in self._own]
        except Exception:  # noqa: BLE001 - objects of policies may raise whatever they like
            return None

    def _of(self, value: Any) -> object:
        kind = type(value)
        if kind in _PLAIN:
            return kind, value
        if id(value) in self._seen:
            return "again", self._seen[id(value)]
        if len(self._held) == MOST:
            raise OverflowError
        self._seen[id(value)] = len(self._held)
        self._held.append(value)
        return kind.__name__, *self._inside(value)

    def _each(self, values: Iterable[Any]) -> list[object]:
        return [self._of(value) for value in values]

    def _inside(self, value: Any) -> Iterable[object]:
        match value:
            case types.ModuleType():
                return (id(value),)
            case types.FunctionType():
                if value.__module__ not in self._names:
                    return (id(value),)
                held = (value.__defaults__, value.__kwdefaults__, vars(value), value.__code__.co_code)
                return self._each((*held, *(value.__closure__ or ())))
            case types.CellType():
                with contextlib.suppress(ValueError):  # it is empty
                    return (self._of(value.cell_contents),)
                return ()
            case functools._lru_cache_wrapper():
                return value.cache_info(), self._of(value.__wrapped__)
            case types.GeneratorType():
                frame = value.gi_frame
                return (None,) if frame is None else (frame.f_lasti, self._of(frame.f_locals))
            case type():
                return self._each(vars(value).items()) if value.__module__ in self._names else (id(value),)
            case types.MethodType():
                return self._each((value.__func__, value.__self__))
            case dict():
                return (*self._each(value.items()), *self._rest(value, dict))
            case list() | tuple() | set() | frozenset():
                return (*self._each(value), *self._rest(value, list, tuple, set, frozenset))
            case _:
                return self._rest(value)

    def _rest(self, value: Any, *plain: type) -> Iterable[object]:
        """Look at what an object keeps: its attributes, or what it would take to make it once more."""
        if type(value) in plain:
            return ()
        fields = getattr(value, "__dict__", None)
        if isinstance(fields, dict):
            return (self._of(fields),)
        if plain:
            return ()
        try:
            made = value.__reduce_ex__(2)
        except TypeError:  # a lock, a file, a part of C: it has no inside to look at
            return (id(value),)
        if not isinstance(made, tuple):
            return id(value), made
        parts = [list(part or ()) for part in made[3:5]]  # what a list or a dictionary of its own kind holds
        return self._each((*made[1:3], *parts))
