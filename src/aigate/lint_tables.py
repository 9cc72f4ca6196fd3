"""What brings inputs into Python code that no snapshot holds: modules, built-ins and attributes. Pure data.

A policy that reads any of these says another thing tomorrow, and nobody can
replay what it said today. `aigate.lint` looks for them.
"""

from collections.abc import Mapping
from typing import Literal

Kind = Literal[
    "clock",
    "random",
    "environment",
    "network",
    "files",
    "process",
    "code",
    "state",
    "swallow",
    "import",
    "exemption",
]
"""What a hidden input is. `exemption` is an exemption that is none: without a reason, or for nothing."""

SAYS: Mapping[Kind, str] = {
    "clock": "reads the clock, and a replay would read another time",
    "random": "differs from run to run, and a replay would decide otherwise",
    "environment": "reads this machine's settings, which no record holds",
    "network": "reaches the network, and what it answers is in no snapshot",
    "files": "reads files, and what stands in them is in no snapshot",
    "process": "starts or waits for something outside of the policy",
    "code": "reaches code or names that cannot be read here, so nobody can tell what runs",
    "state": "outlives the run, so that one snapshot changes what is said of the next",
    "swallow": "takes every exception for an answer, a misspelt field and a crash too",
    "import": "is not known to be free of hidden inputs",
    "exemption": "is no exemption",
}

FIXES: Mapping[Kind, str] = {
    "clock": "use s.now: the one time of the decision, recorded with it",
    "random": "derive it from the evidence, or leave it out; sort what has no order: sorted(...)",
    "environment": "make it a keyword-only parameter, which the manifest sets for each environment",
    "network": "declare the source in the manifest: a collector brings it, and the policy reads the snapshot",
    "files": "make it a parameter, or declare it in the manifest: a policy reads the snapshot only",
    "process": "leave it out: a policy has nothing to start and nothing to wait for",
    "code": "write out what is meant",
    "state": "keep it inside the policy, or make it a tuple, a frozenset or a MappingProxyType",
    "swallow": "catch the exception that is meant; around one part of the evidence: with suppress(Unknown)",
    "import": "leave it out; if it only computes, end the line with  # aigate: allow[import] because <why>",
    "exemption": "write  # aigate: allow[<kind>] because <why>  on the line that it is for, or take it away",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _table(**kinds: str) -> Mapping[str, Kind]:
    found: dict[str, Kind] = {}
    for kind in SAYS:
        found |= dict.fromkeys(kinds.get(kind, "").split(), kind)
    return found


MODULES: Mapping[str, Kind] = _table(
    clock="time timeit sched arrow pendulum whenever",
    random="random secrets uuid",
    environment="os posix nt sys sysconfig platform site locale gettext getpass pwd grp getopt argparse optparse "
    "resource zoneinfo tzlocal dotenv",
    network="socket ssl socketserver select selectors asyncio urllib http requests httpx httpcore aiohttp urllib3 "
    "websockets ftplib smtplib poplib imaplib nntplib telnetlib xmlrpc webbrowser wsgiref grpc boto3 botocore "
    "mlflow google azure redis psycopg psycopg2 pymongo pymysql sqlalchemy kafka paramiko",
    files="io pathlib posixpath ntpath genericpath shutil tempfile glob fileinput linecache sqlite3 dbm shelve zipfile "
    "tarfile gzip bz2 lzma mmap netrc fcntl codecs tokenize mailbox filecmp logging",
    process="subprocess posixsubprocess multiprocessing threading thread concurrent queue signal pty tty termios "
    "readline atexit faulthandler pdb bdb",
    code="importlib imp runpy pkgutil zipimport builtins ctypes cffi gc inspect marshal pickle copyreg codeop "
    "dis symtable traceback tracemalloc weakref warnings",
)
"""Modules that no policy needs, a leading underscore left out (`_socket`): by what they bring in."""

PLAIN = _words(
    "__future__ abc aigate base64 binascii bisect calendar cmath collections contextlib copy csv dataclasses datetime "
    "decimal difflib enum fnmatch fractions functools graphlib hashlib heapq hmac html ipaddress itertools json "
    "keyword math numbers operator re reprlib statistics string struct textwrap types typing typing_extensions "
    "unicodedata zlib urllib.parse"
)
"""Modules that only compute. Everything else needs an exemption."""

OWN = _words(
    "Finding Findings MissingEvidence Skip Snapshot Unknown deny note policy "
    "compare decision lag limits manifest register snapshot sources stats trace values window"
)
"""What policies import from aigate: names of its own, and modules that only compute."""

NOT_MODULES = frozenset({"datetime.time", "datetime.datetime.time", "urllib.parse"})
"""Names that only look like a module of `MODULES`: a class, a method, a module that computes."""

MEMBERS: Mapping[str, Kind] = {
    "datetime.datetime.now": "clock",
    "datetime.datetime.utcnow": "clock",
    "datetime.datetime.today": "clock",
    "datetime.date.today": "clock",
    "operator.attrgetter": "code",
    "operator.methodcaller": "code",
    "enum.bltns": "code",
    "string.Formatter": "code",
    "typing.get_type_hints": "code",
    "typing.ForwardRef": "code",
    "dataclasses.make_dataclass": "code",
    "decimal.getcontext": "state",
    "decimal.setcontext": "state",
    "decimal.DefaultContext": "state",
    "statistics.NormalDist.samples": "random",
    "contextlib.chdir": "files",
    "calendar.setfirstweekday": "state",
    "csv.field_size_limit": "state",
    "csv.register_dialect": "state",
    "functools.RLock": "process",
    "reprlib.get_ident": "process",
}
"""What modules that only compute have besides."""

MAKERS = frozenset({"FunctionType", "LambdaType", "CodeType", "ModuleType"})
"""What makes code or modules, by whatever module it is handed out."""

BUILTINS: Mapping[str, Kind] = _table(
    files="open input",
    code="eval exec compile __import__ globals locals vars __builtins__ __loader__ __spec__ getattr",
    state="setattr delattr",
    process="breakpoint help",
    random="id hash",
)
"""Built-ins; `getattr` only where what it reads is not written out, `hash` not where a hash is made."""

CHANCE = frozenset({"random", "clock"})
"""Kinds that are looked for in modules that are not known, too: an exemption of the module is none for these."""

HANDED = {
    "heapq": _words("heappush heappop heapify heapreplace heappushpop"),
    "bisect": _words("insort insort_left insort_right"),
    "operator": _words("setitem delitem iadd iand iconcat ior isub ixor"),
}
"""Functions that change their first argument, by their module."""

ONCE = _words("iter map filter zip enumerate reversed")
"""Built-ins that make what can be read once."""

SETS = _words("set frozenset")

SET_METHODS = _words("union intersection difference symmetric_difference")
"""Methods of a set that make another one."""

IN_ORDER = _words("list tuple iter enumerate zip map filter str repr")
"""Built-ins in whose answer the order of what they are given stays."""

ANY_ORDER = _words("sorted min max sum any all set frozenset len")
"""Built-ins to which the order is all the same."""

CLOCKS = frozenset({"now", "utcnow", "today"})
"""Methods that read the clock; `s.now` is read and never called."""

FRAMES = _words(
    "gi_frame gi_code cr_frame cr_code ag_frame ag_code tb_frame tb_next f_globals f_builtins f_locals f_back f_code "
    "func_globals mro"
)
"""Attributes that lead out of a function into everything that is loaded."""

DUNDERS = _words(
    "__name__ __qualname__ __doc__ __init__ __post_init__ __len__ __iter__ __next__ __contains__ __eq__ __ne__ __lt__ "
    "__le__ __gt__ __ge__ __hash__ __str__ __repr__ __bool__ __call__ __add__ __sub__ __mul__ __and__ __or__ "
    "__enter__ __exit__ __getitem__ __slots__ __all__ __version__ __annotations__"
)
"""Names with two underscores that lead nowhere."""

MUTATORS = _words(
    "append extend insert remove pop popitem clear update setdefault add discard appendleft extendleft popleft sort "
    "reverse rotate subtract intersection_update difference_update symmetric_difference_update __setitem__ "
    "__next__ send"
)
"""Methods that change what they are called on."""
