"""Hidden inputs in policies, found by reading the code and never by running it. Pure.

A decision can be replayed only where a policy says the same of the same
snapshot, always and everywhere. What this finds is what an honest author
writes by mistake, and most of what one writes to be clever. It is no proof:
Python can hide more than reading it can find, and `tests/test_lint.py` lists
what.

An exemption is a comment on the line that it is for, and is always shown::

    import numpy  # aigate: allow[import] because only its linear algebra is used
"""

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from aigate.lint_reader import Reader
from aigate.lint_tables import FIXES, SAYS, Kind

_EXEMPTION = re.compile(r"#\s*aigate:\s*(?P<rest>.*)")
_ALLOW = re.compile(r"allow\[(?P<kinds>[a-z]+(?:\s*,\s*[a-z]+)*)\]\s*(?:because\b|[:,-])?\s*(?P<why>.*)")
_LEAST_WHY = 8
"""Characters that a reason has at least: `because` alone is none."""


@dataclass(frozen=True, order=True)
class Hidden:
    """One place where something comes in that no snapshot holds."""

    line: int
    column: int
    kind: Kind
    what: str
    """What stands there, such as `datetime.datetime.now`."""
    allowed: str = ""
    """Why it is allowed; empty where it is not."""

    @property
    def message(self) -> str:
        """What is wrong, for people."""
        return f"{self.what} {SAYS[self.kind]} ({self.kind})"

    @property
    def fix(self) -> str:
        """The next step."""
        return FIXES[self.kind]


@dataclass(frozen=True)
class _Exemption:
    line: int
    column: int
    kinds: tuple[str, ...]
    """Empty where the comment cannot be read."""
    why: str


def lint(source: bytes) -> tuple[Hidden, ...]:
    """Return every hidden input of a policy file, in the order of the lines.

    A file that is not Python has none: whoever loads it says so.
    """
    try:
        tree = ast.parse(source)
        reader = Reader(tree)
        reader.visit(tree)
        exemptions = tuple(_exemptions(source))
    except RecursionError:
        return (Hidden(1, 1, "code", "code nested this deep"),)
    except (SyntaxError, ValueError, MemoryError, tokenize.TokenError):
        return ()
    found = {Hidden(*found) for found in reader.found}
    return tuple(sorted((*_exempted(found, exemptions), *_idle(found, exemptions))))


def _exemptions(source: bytes) -> Iterator[_Exemption]:
    """Yield every comment that begins with `aigate:`."""
    for token in tokenize.tokenize(iter(source.splitlines(keepends=True)).__next__):
        if token.type == tokenize.COMMENT and (said := _EXEMPTION.match(token.string)):
            read = _ALLOW.fullmatch(said["rest"].strip())
            kinds = tuple(kind.strip() for kind in read["kinds"].split(",")) if read else ()
            why = read["why"].strip() if read else ""
            yield _Exemption(token.start[0], token.start[1] + 1, kinds, why)


def _exempted(found: Iterable[Hidden], exemptions: Iterable[_Exemption]) -> Iterator[Hidden]:
    """Yield what was found, with the reason where it is allowed."""
    reasons = {
        (exemption.line, kind): exemption.why
        for exemption in exemptions
        if len(exemption.why) >= _LEAST_WHY
        for kind in exemption.kinds
    }
    for item in found:
        yield replace(item, allowed=reasons.get((item.line, item.kind), ""))


def _idle(found: Iterable[Hidden], exemptions: Iterable[_Exemption]) -> Iterator[Hidden]:
    """Yield every exemption that is none: unreadable, without a reason, or for nothing."""
    there = {(item.line, item.kind) for item in found}
    for exemption in exemptions:
        if not exemption.kinds:
            what = ["a comment for aigate that names nothing to allow"]
        elif len(exemption.why) < _LEAST_WHY:
            what = [f"allow[{', '.join(exemption.kinds)}] without a reason"]
        else:
            idle = [kind for kind in exemption.kinds if (exemption.line, kind) not in there]
            what = [f"allow[{kind}], where nothing of the kind stands," for kind in idle]
        for words in what:
            yield Hidden(exemption.line, exemption.column, "exemption", words)
