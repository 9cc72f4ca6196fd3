"""Hidden inputs: which of the ways to bring one in are found by reading the code, and which are not."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.lint import Hidden, lint
from aigate.lint_tables import FIXES, OWN, PLAIN, SAYS
from standard_pack import files

ROOT = Path(__file__).parent.parent

FOUND: dict[str, tuple[str, str]] = {
    # The clock.
    "time": ("import time\ndef f(s): return time.time()", "clock"),
    "time-as": ("import time as calendar\n", "clock"),
    "from-time": ("from time import monotonic as m\n", "clock"),
    "import-in-a-function": ("def f(s):\n    import time\n    return time.time()", "clock"),
    "datetime-now": ("from datetime import datetime, UTC\ndef f(s): return datetime.now(UTC)", "clock"),
    "datetime-as": ("import datetime as dt\ndef f(s): return dt.datetime.utcnow()", "clock"),
    "date-today": ("from datetime import date as d\ndef f(s): return d.today()", "clock"),
    "not-called": ("from datetime import datetime\nclock = datetime.now\ndef f(s): return clock()", "clock"),
    "through-a-name": ("from datetime import datetime\nD = datetime\ndef f(s): return D.now()", "clock"),
    "through-a-default": ("from datetime import datetime\ndef f(s, d=datetime): return d.now", "clock"),
    "through-a-walrus": ("from datetime import datetime\ndef f(s): return (d := datetime) and d.now()", "clock"),
    "through-a-tuple": ("from datetime import datetime\na, b = 1, datetime\ndef f(s): return b.today()", "clock"),
    "through-a-loop": ("from datetime import datetime\ndef f(s): return [d.now for d in (datetime,)]", "clock"),
    "through-an-if": ("from datetime import datetime\ndef f(s): return (datetime if s else s).now", "clock"),
    "getattr": ("from datetime import datetime\ndef f(s): return getattr(datetime, 'now')()", "clock"),
    "the-type-of-a-time": ("def f(s): return type(s.now).now()", "clock"),
    "the-type-not-called": ("def f(s): return type(s.now).now", "clock"),
    "a-time's-own-method": ("def f(s): return s.now.now", "clock"),
    "a-stage's-time": ("def f(s):\n    t = s.stages[0].as_of\n    return t.now()", "clock"),
    "a-method-kept": ("def f(s, d):\n    clock = d.now\n    return clock()", "clock"),
    "match": ("from datetime import datetime\ndef f(s):\n    match datetime:\n        case type(now=n): return n()", "clock"),
    "another-module's-datetime": ("from aigate.snapshot import datetime\nclock = datetime.now", "clock"),
    "another-module": ("import aigate.snapshot as x\ndef f(s): return map(x.datetime.now, ())", "clock"),
    "a-subclass": ("from datetime import datetime\nclass D(datetime): pass\nclock = map(D.now, ())", "clock"),
    "default-factory": ("from dataclasses import field\nimport time\nx = field(default_factory=time.time)", "clock"),
    # Chance.
    "random": ("import random\n", "random"),
    "from-random": ("from random import choice\n", "random"),
    "secrets": ("import secrets\n", "random"),
    "uuid": ("from uuid import uuid4\n", "random"),
    "underscore-random": ("import _random\n", "random"),
    "numpy-random": ("from numpy import random\n", "import"),
    "through-statistics": ("import statistics\ndef f(s): return statistics.random.random()", "random"),
    "from-statistics": ("from statistics import random\n", "random"),
    "samples": ("from statistics import NormalDist\ndef f(s): return NormalDist().samples(3)", "random"),
    "id": ("def f(s): return id(s) % 2", "random"),
    "hash": ("def f(s): return hash(s.system) % 2", "random"),
    "hash-as-a-key": ("def f(s): return sorted(s.stages, key=hash)", "random"),
    "hash-by-its-method": ("def f(s): return s.system.__hash__()", "random"),
    "a-set's-order": ("def f(s):\n    for x in {a.owner for a in s.stages}: yield x", "random"),
    "a-set-by-its-name": ("def f(s):\n    names = set(s.names)\n    return [n for n in names]", "random"),
    "a-set-that-is-filled": ("def f(s):\n    n = set()\n    n.add(s.x)\n    return [x for x in n]", "random"),
    "a-set-of-the-module": ("N = frozenset({'a', 'b'})\ndef f(s): yield from N", "random"),
    "a-set-listed": ("def f(s): return list(set(s.names))[0]", "random"),
    "a-set-popped": ("def f(s): return set(s.names).pop()", "random"),
    "a-set's-first": ("def f(s): return next(iter({'a', s.x}))", "random"),
    "a-set-joined": ("def f(s): return ', '.join(set(s.a) - set(s.b))", "random"),
    "a-set-said": ("def f(s): return f'{set(s.names)}'", "random"),
    "a-set-unpacked": ("def f(s): return [*set(s.names)]", "random"),
    "keys-that-are-too-many": ("def f(s):\n    for x in s.a.keys() - s.b.keys(): yield x", "random"),
    "an-exempted-module's-dice": (
        "import numpy as np  # aigate: allow[import] because only its linear algebra is used\n"
        "def f(s): return np.random.rand()",
        "random",
    ),
    "an-exempted-module's-clock": (
        "import pandas  # aigate: allow[import] because only its tables are used\ndef f(s): return pandas.Timestamp.now()",
        "clock",
    ),
    "dice-behind-an-exemption": (
        "from numpy import random  # aigate: allow[import] because only its tables are used",
        "random",
    ),
    # The environment.
    "environ": ("import os\ndef f(s): return os.environ['X']", "environment"),
    "from-os": ("from os import environ as e, getenv\n", "environment"),
    "posix": ("from posix import environ\n", "environment"),
    "sys": ("import sys\ndef f(s): return sys.argv", "environment"),
    "platform": ("import platform\n", "environment"),
    "through-contextlib": ("import contextlib\ndef f(s): return contextlib.os.environ", "environment"),
    "through-dataclasses": ("from dataclasses import sys\n", "environment"),
    "through-aigate": ("import aigate\ndef f(s): return aigate.isolate.child.os.environ", "environment"),
    "the-zone": ("def f(s): return s.now.astimezone().hour", "environment"),
    "fromtimestamp": ("from datetime import datetime\ndef f(s): return datetime.fromtimestamp(0).hour", "environment"),
    "timestamp-of-no-zone": ("def f(s): return s.now.replace(tzinfo=None).timestamp()", "environment"),
    "timestamp-of-a-date": ("from datetime import datetime\nx = datetime(2026, 1, 1).timestamp()", "environment"),
    "zoneinfo": ("from zoneinfo import ZoneInfo\n", "environment"),
    # The network, files, processes.
    "socket": ("import socket\n", "network"),
    "urllib": ("import urllib.request\n", "network"),
    "urllib-beside-parse": ("import urllib.parse\ndef f(s): return urllib.request.urlopen(s.url)", "network"),
    "from-urllib": ("from urllib import request, parse\n", "network"),
    "http": ("from http.client import HTTPSConnection\n", "network"),
    "requests": ("import requests\n", "network"),
    "mlflow": ("import mlflow\n", "network"),
    "asyncio": ("import asyncio\n", "network"),
    "open": ("def f(s): return open('/etc/hostname').read()", "files"),
    "open-as-a-default": ("def f(s, open=open): return open('x')", "files"),
    "open-bound-never": ("if False:\n    open = None\ndef f(s): return open('x')", "files"),
    "open-in-a-comprehension": ("def f(s):\n    [open for open in ()]\n    return open('x')", "files"),
    "open-before-it-is-bound": ("def f(s): return [open for open in open('x')]", "files"),
    "open-made-global": ("def f(s):\n    global open\n    x = open('x')\n    open = x", "files"),
    "open-in-a-class": ("class C:\n    open = 1\n    def f(self, s): return open('x')", "files"),
    "open-mapped": ("def f(s): return list(map(open, ['x']))", "files"),
    "pathlib": ("from pathlib import Path\n", "files"),
    "io": ("import io\n", "files"),
    "through-json": ("import json\ndef f(s): return json.codecs.open('x')", "files"),
    "sqlite": ("import sqlite3\n", "files"),
    "input": ("def f(s): return input()", "files"),
    "subprocess": ("from subprocess import run\n", "process"),
    "posixsubprocess": ("import _posixsubprocess\n", "process"),
    "a-lock": ("from functools import RLock\n", "process"),
    "threads": ("import threading\n", "process"),
    "underscore-thread": ("import _thread\n", "process"),
    # Code that cannot be read.
    "eval": ("def f(s): return eval('__imp' + 'ort__(\"time\")')", "code"),
    "exec-by-another-name": ("e = exec\ndef f(s): e('import time')", "code"),
    "exec-as-a-decorator": ("@exec\nclass C: pass", "code"),
    "dunder-import": ("def f(s): return __import__('time').time()", "code"),
    "importlib": ("from importlib import import_module\n", "code"),
    "import-star": ("from datetime import *\n", "code"),
    "builtins": ("def f(s): return __builtins__['op' + 'en']", "code"),
    "import-builtins": ("import builtins\n", "code"),
    "globals": ("def f(s): return globals()['__builtins__']", "code"),
    "function-globals": ("def f(s): return f.__globals__", "code"),
    "subclasses": ("def f(s): return ().__class__.__base__.__subclasses__()", "code"),
    "frames": ("def f(s):\n    g = (x for x in ())\n    return g.gi_frame.f_builtins", "code"),
    "getattr-of-anything": ("from datetime import datetime\ndef f(s): return getattr(datetime, 'n' + 'ow')()", "code"),
    "getattr-handed-on": ("g = getattr\n", "code"),
    "vars": ("from datetime import datetime\ndef f(s): return vars(datetime)['now']", "code"),
    "attrgetter": ("from operator import attrgetter as a\nimport datetime\nx = a('now')(datetime.datetime)()", "code"),
    "methodcaller": ("import operator\nx = operator.methodcaller('now')", "code"),
    "format": ("def f(s): return '{0.__globals__[os]}'.format(f)", "code"),
    "annotation": ("def f(s, *, x: \"__import__('os').getpid()\" = 1): pass", "code"),
    "annotation-of-a-name": ("x: \"eval('1')\" = 1", "code"),
    "get-type-hints": ("from typing import get_type_hints\n", "code"),
    "function-type": ("import types\nx = types.FunctionType", "code"),
    "another-function-type": ("from aigate.policy import FunctionType\n", "code"),
    "enum's-builtins": ("import enum\ndef f(s): return enum.bltns.open('x')", "code"),
    "formatter": ("import string, datetime\nx = string.Formatter().get_field('0.now', (datetime.datetime,), {})", "code"),
    "metaclass": ("class M(type):\n    def __instancecheck__(cls, x): return True", "code"),
    "match-args": ("class M:\n    __match_args__ = ('now',)", "code"),
    "inspect": ("from aigate.policy import inspect\n", "code"),
    "pickle": ("import pickle\n", "code"),
    "ctypes": ("import ctypes\n", "code"),
    "gc": ("import gc\n", "code"),
    "type-checking-rebound": ("from typing import TYPE_CHECKING\nTYPE_CHECKING = True\nif TYPE_CHECKING:\n    import gc", "code"),
    # What outlives the run.
    "global": ("N = 0\ndef f(s):\n    global N\n    N += 1", "state"),
    "a-list-of-the-module": ("SEEN = []\ndef f(s): SEEN.append(s)", "state"),
    "a-dict-of-the-module": ("SEEN = {}\ndef f(s): SEEN['x'] = s", "state"),
    "a-set-of-a-class": ("class C:\n    seen = set()\ndef f(s): C.seen.add(s)", "state"),
    "a-default": ("def f(s, seen=[]): seen.append(s)", "state"),
    "a-function's-attribute": ("def f(s): f.calls = 1", "state"),
    "a-counter": ("from itertools import count\nN = count()\ndef f(s): return next(N)", "state"),
    "a-cycle": ("from itertools import cycle\nC = cycle('ab')\ndef f(s):\n    for x in C: return x", "state"),
    "a-generator-of-the-module": ("G = (x for x in range(9))\ndef f(s): return 3 in G", "state"),
    "an-iterator-of-the-module": ("G = iter(range(9))\ndef f(s): return list(zip(G, [1]))", "state"),
    "by-another-name": ("S = []\ndef f(s):\n    x = S\n    x.append(1)\n    return len(S)", "state"),
    "by-a-default": ("S = []\ndef f(s, x=S):\n    x.append(1)\n    return len(S)", "state"),
    "by-the-type's-method": ("S = []\ndef f(s): list.append(S, s)", "state"),
    "by-a-heap": ("import heapq\nH = []\ndef f(s): heapq.heappush(H, 1)", "state"),
    "by-an-insertion": ("from bisect import insort as i\nH = []\ndef f(s): i(H, 1)", "state"),
    "by-an-operator": ("import operator\nH = {}\ndef f(s): operator.setitem(H, 1, 2)", "state"),
    "by-an-object's-class": ("class C:\n    n = 0\n    def f(self): type(self).n += 1", "state"),
    "a-calendar": ("import calendar\ndef f(s): calendar.setfirstweekday(3)", "state"),
    "a-deleted-item": ("SEEN = {}\ndef f(s):\n    del SEEN['x']", "state"),
    "a-patch": ("import aigate\naigate.deny = None", "state"),
    "a-patched-class": ("from aigate import Snapshot\nSnapshot.now = None", "state"),
    "setattr": ("def f(s): setattr(s, 'x', 1)", "state"),
    "decimal-context": ("import decimal\ndef f(s): decimal.getcontext().prec = 2", "state"),
    # Exceptions that are answers.
    "bare-except": ("def f(s):\n    try: return s.owner\n    except: return None", "swallow"),
    "except-exception": ("def f(s):\n    try: return s.owner\n    except Exception: return None", "swallow"),
    "except-among-others": ("def f(s):\n    try: return s.x\n    except (KeyError, BaseException) as e: return e", "swallow"),
    "except-by-another-name": ("E = Exception\ndef f(s):\n    try: return s.x\n    except E: return 1", "swallow"),
    "except-star": ("def f(s):\n    try: s.x\n    except* Exception: pass", "swallow"),
    "suppress": ("from contextlib import suppress\ndef f(s):\n    with suppress(Exception): s.owner", "swallow"),
    "suppress-as": ("import contextlib as c\ndef f(s):\n    with c.suppress(KeyError, BaseException): s.x", "swallow"),
    "finally-return": ("def f(s):\n    try: s.owner\n    finally: return 1", "swallow"),
    "finally-continue": ("def f(s):\n    for x in s:\n        try: x.y\n        finally: continue", "swallow"),
    "exit": ("class C:\n    def __exit__(self, *a): return True", "swallow"),
    # What nobody has looked into.
    "numpy": ("import numpy as np\n", "import"),
    "pandas": ("from pandas import DataFrame\n", "import"),
    "another-module-of-aigate": ("from aigate.collect.fetch import fetch\n", "import"),
    "testing": ("from aigate import testing\n", "import"),
    "relative": ("from . import helpers\n", "import"),
    "one's-own-helpers": ("import acme_rules.helpers\n", "import"),
}  # fmt: skip

NOT_FOUND: dict[str, str] = {
    "handed to a function": "from datetime import datetime\ndef g(d): return d.now\ndef f(s): return list(map(g(datetime), [s.zone]))",
    "out of a container": "from datetime import datetime\ndef f(s): return [k.now for k in s.pick(datetime)][0](s.zone)",
    "an address in a text": "def f(s): return str(object())[-3]",
    "how long it takes": "def f(s): return sum(1 for _ in range(10**9))",
    "memory that runs out": "def f(s):\n    try: return 'x' * 10**10\n    except MemoryError: return ''",
    "how deep it may call": "def f(s):\n    try: return f(s)\n    except RecursionError: return 1",
    "an exit stack": "from contextlib import ExitStack\ndef f(s):\n    with ExitStack() as e: e.push(lambda *a: True); s.x",
    "a version of Python": "import re\ndef f(s): return re.compile('(?s:x)').flags",
    "a raise that never comes": "def f(s):\n    try: return s.x\n    except Exception:\n        if s: raise\n        return 1",
    "a cache": "from functools import cache\n@cache\ndef g(x): return [x]\ndef f(s): return g(1).append",
    "a closure that counts": "def g():\n    n = 0\n    def f(s):\n        nonlocal n\n        n += 1\n        return n\n    return f\nf = g()",
    "an object that counts": "class C:\n    def __init__(self): self.n = 0\n    def f(self, s): self.n += 1\nf = C().f",
    "changed where it is handed": "S = []\ndef g(x): x.append(1)\ndef f(s): return g(S)",
    "a set that is handed on": "def g(x): return [y for y in x]\ndef f(s): return g(set(s.names))",
    "evidence that is a clock": "def f(s): return s.challenger.tag('built_at')",
}  # fmt: skip
"""What reading the code cannot tell, kept here so that nobody believes otherwise. A child without
environment, the digest and a second run (`aigate replay`) stand behind it."""


@pytest.mark.parametrize("way", FOUND)
def test_a_hidden_input_is_found(way: str) -> None:
    source, kind = FOUND[way]
    compile(source, way, "exec", dont_inherit=True)
    found = lint(source.encode())
    assert kind in {item.kind for item in found}, found
    lines = source.splitlines()
    assert all(
        1 <= item.line <= len(lines) and 1 <= item.column <= len(lines[item.line - 1]) for item in found
    )


@pytest.mark.parametrize("way", NOT_FOUND)
def test_what_reading_cannot_find_is_known(way: str) -> None:
    compile(NOT_FOUND[way], way, "exec", dont_inherit=True)
    assert lint(NOT_FOUND[way].encode()) == ()


SOUND = {
    "s.now": "def f(s):\n    now = s.now\n    return now - s.stages[0].age, s.now.date(), self.s.now",
    "datetime.time": "from datetime import time, datetime\nNOON = time(12)\ndef f(s): return datetime.combine(s.x, NOON).time()",
    "urllib.parse": "import urllib.parse\nfrom urllib.parse import quote\nfrom urllib import parse\nx = urllib.parse.quote('x')",
    "fromtimestamp-in-utc": "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(0, tz=UTC)",
    "astimezone-utc": "from datetime import UTC\ndef f(s): return s.now.astimezone(UTC)",
    "getattr-written-out": "def f(s): return getattr(s, 'owner'), hasattr(s, 'owner')",
    "names-of-built-ins": "def f(s, id, input):\n    open = id\n    return [vars for vars in open], lambda eval: eval(input)",
    "view.now": "from datetime import timedelta\ndef f(view):\n    return view.now - timedelta(days=1) > view.judged.subject.created_at",
    "a-dict-called-time": "def f(s):\n    time = {'now': s.now}\n    return time['now'], time.get('now')",
    "a-hash-of-its-own": "class C:\n    def __hash__(self): return hash((self.a, self.b))\ndef f(s, hash): return hash(s)",
    "sets-without-an-order": "A = {'a', 'b'}\ndef f(s):\n    b = set(s.names)\n    if b - A and 'a' in b and len(A) < 3 and A == b:\n"
    "        return sorted(b - A), sorted(map(str, b)), any(x for x in A), max(x.y for x in b), {x for x in b}, {x: 1 for x in A}",
    "a-name-that-is-a-set-elsewhere": "def f(s):\n    x = set(s.a)\n    return len(x)\ndef g(s):\n    x = list(s.a)\n    return [y for y in x]",
    "another-numpy": "import numpy as np  # aigate: allow[import] because only its linear algebra is used\ndef f(s): return np.select(s.x)",
    "a-limit-by-another-name": "LIMITS = {'a': 1}\ndef f(s):\n    known = LIMITS\n    least = LIMITS['a']\n    seen = []\n"
    "    seen.append(least)\n    return known.get('b', 0) + least",
    "a-time-with-its-zone": "from datetime import UTC, datetime\nx = datetime(2026, 1, 1, tzinfo=UTC).timestamp()\ndef f(s): return s.now.timestamp()",
    "a-table": "T = {}\nfor n in range(3):\n    T[n] = n\nT.update(x=1)\ndef f(s): return T.get(s.x)",
    "a-list-of-its-own": "def f(s):\n    seen = []\n    seen.append(s)\n    d = {}\n    d['x'] = 1\n    def g(): seen.append(1)\n",
    "suppress-unknown": "from contextlib import suppress\nfrom aigate import Unknown\ndef f(s):\n    with suppress(Unknown): s.x",
    "except-and-raise": "def f(s):\n    try: s.x\n    except Exception as e:\n        raise ValueError('x') from e",
    "except-what-is-meant": "def f(s):\n    try: s.x\n    except (KeyError, ValueError): pass\n    finally: x = 1",
    "a-counter": "from collections import Counter\nC = Counter('ab')\nC['x'] = 1\ndef f(s):\n    c = Counter()\n    c.update('x')",
    "types-only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pathlib import Path\ndef f(s): pass",
    "aigate": "import aigate\nfrom aigate import Findings, Skip, Snapshot, Unknown, deny, note, policy\nfrom aigate.values import show_number",
    "names": "class C:\n    __slots__ = ()\n    def __init__(self): super().__init__()\nx = C.__name__",
    "text": "x = '{0.name} {braces} __init__'.format(1)\n",
    "regular-expressions": "import re\nX = re.compile('x')\ndef f(s): return X.sub('', s.x), re.compile('y')",
    "an-old-annotation": "from __future__ import annotations\ndef f(s: 'Snapshot', *, least: 'int' = 1) -> 'Findings': pass",
    "not-python": "def f(:",
    "empty": "",
}  # fmt: skip


@pytest.mark.parametrize("way", SOUND)
def test_what_hides_nothing_is_left_alone(way: str) -> None:
    assert [item for item in lint(SOUND[way].encode()) if not item.allowed] == []


@pytest.mark.parametrize("file", files(), ids=lambda file: file.shown)
def test_the_standard_pack_hides_nothing(file: object) -> None:
    assert lint(file.source) == ()  # type: ignore[attr-defined]


def test_the_policy_that_init_writes_hides_nothing() -> None:
    from aigate.scaffold import _POLICY

    assert lint(_POLICY.encode()) == ()


def test_each_line_says_what_and_what_to_do() -> None:
    (found,) = lint(b"from datetime import datetime, UTC\n\ndef f(s):\n    return 1, datetime.now(UTC)\n")
    assert found == Hidden(4, 15, "clock", "datetime.datetime.now")
    assert (
        found.message == "datetime.datetime.now reads the clock, and a replay would read another time (clock)"
    )
    assert found.fix.startswith("use s.now")
    assert set(SAYS) == set(FIXES)


def test_what_is_imported_is_said_once() -> None:
    """One line to mend, or to exempt: not each use of it."""
    found = lint(b"import numpy\nimport os\ndef f(s): return numpy.mean(s.x), numpy.std(s.x), os.environ\n")
    assert [(item.line, item.kind) for item in found] == [(1, "import"), (2, "environment")]


@pytest.mark.parametrize("name", sorted(PLAIN - {"aigate"}) + [f"aigate.{name}" for name in sorted(OWN)])
def test_no_plain_module_hands_out_another_unseen(name: str) -> None:
    """`statistics.random` is `random`: what a module that may be imported has imported itself must be found, too."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        return  # a name of aigate's own, or a module that this Python does not have
    for attribute, value in vars(module).items():
        if not isinstance(value, ModuleType) or attribute.startswith("__"):
            continue
        inside = value.__name__.partition(".")[0]
        plain = {inside, value.__name__, inside.lstrip("_")} & (
            PLAIN | {"pydantic", "pydantic_core", "rfc8785"}
        )
        harmless = value.__name__ in ("_collections_abc", "_hashlib", "_string")
        found = lint(f"import {name}\nx = {name}.{attribute}.y\n".encode())
        assert found or plain or harmless, f"{name}.{attribute} is {value.__name__}"


# --- exemptions ----------------------------------------------------------------------------------------------------------


def kinds(source: str) -> list[tuple[str, str]]:
    return [(item.kind, item.allowed) for item in lint(source.encode())]


def test_an_exemption_holds_for_its_line_and_its_kind_and_is_told() -> None:
    why = "only its linear algebra is used"
    assert kinds(f"import numpy  # aigate: allow[import] because {why}\n") == [("import", why)]
    assert kinds(f"import numpy  # aigate: allow[import]: {why}\n") == [("import", why)]
    both = f"import os, uuid  # aigate: allow[environment, random] because {why}\n"
    assert kinds(both) == [("environment", why), ("random", why)]
    assert kinds(f"import numpy  # aigate: allow[import] because {why}\nimport pandas\n")[1] == ("import", "")


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("# aigate: allow[import]", ["exemption", "import"]),
        ("# aigate: allow[import] because", ["exemption", "import"]),
        ("# aigate: allow[import] why not", ["exemption", "import"]),
        ("# aigate: allow", ["exemption", "import"]),
        ("# aigate: allow[*] because everything is well", ["exemption", "import"]),
        ("# aigate: allow[] because everything is well", ["exemption", "import"]),
        ("# aigate: ignore", ["exemption", "import"]),
        ("# aigate: allow[clock] because of something else", ["exemption", "import"]),
        ("# aigate: allow[exemption] because I say so myself", ["exemption", "import"]),
        ("# noqa", ["import"]),
        ("# see aigate: allow[import] because I mention it", ["import"]),
        ('; x = "# aigate: allow[import] because it is a text"', ["import"]),
    ],
)
def test_what_is_no_exemption_allows_nothing(comment: str, left: list[str]) -> None:
    found = lint(f"import numpy  {comment}\n".encode())
    assert sorted(item.kind for item in found) == left
    assert not any(item.allowed for item in found)


def test_an_exemption_for_nothing_is_a_mistake_itself() -> None:
    """Else the next hidden input on that line would be let in by a comment about another."""
    assert kinds("import math  # aigate: allow[import] because it only computes\n") == [("exemption", "")]


# --- whatever comes -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    for item in lint(data):
        assert item.line >= 1
        assert item.column >= 1


@pytest.mark.parametrize(
    "source",
    [
        b"x = " + b"(" * 150 + b")" * 150,
        b"x = " + b"-" * 20_000 + b"1",
        b"a" + b".b" * 5_000,
        b"x = '" + b"{" * 50_000 + b"'",
    ],
    ids=["brackets", "signs", "attributes", "braces"],
)
def test_code_that_is_built_to_break_the_reader_is_refused_or_not_python(source: bytes) -> None:
    assert all(item.kind == "code" for item in lint(source))


@pytest.mark.parametrize("coding", ["latin-1", "utf-16", "utf-7", "rot13", "nonsense"])
def test_an_encoding_hides_nothing(coding: str) -> None:
    """What runs is read with the same encoding as here; what is read with none does not run."""
    source = f"# -*- coding: {coding} -*-\nimport time\n".encode()
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        assert lint(source) == ()
    else:
        assert [item.kind for item in lint(source)] == ["clock"]


def test_the_examples_hide_nothing() -> None:
    for path in (ROOT / "examples").glob("**/policies/*.py"):
        assert lint(path.read_bytes()) == (), path
