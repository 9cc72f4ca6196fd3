"""Policy files that do what no policy should, by name. What they are held against is in `test_isolate`."""

HEAD = """\
import os, signal, sys, time
from aigate import Findings, Skip, Snapshot, deny, policy
"""


def source(id: str, body: str, top: str = "") -> bytes:
    """A file with one policy that reads evidence and then does something."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    return f'''{HEAD}{top}

@policy("{id}")
def it(s):
    """It does something."""
    s.owner
{lines}
    if False:
        yield
'''.encode()


_FRAME = """
import json
frame = sys._getframe()
while "header" not in frame.f_locals:
    frame = frame.f_back
header = frame.f_locals["header"]
def answer(id, nonce):
    file = next(f for g in header["groups"] for f in g["files"] if f'"{id}"' in f["source"])
    info = {"id": id, "title": "x", "severity": "low", "blames": "data",
            "file": file["shown"], "file_digest": file["digest"]}
    result = {"policy": id, "outcome": "pass", "reads": ["/owner"]}
    said = {"nonce": nonce, "status": "answered", "infos": [info], "results": [result]}
    return json.dumps(said).encode() + b"\\n"
def write(fds, line):
    for fd in fds:
        try:
            os.write(fd, line)
        except OSError:
            pass
"""

# A complete answer of its own, without the one word that it would have had to look for.
FORGED = (
    _FRAME
    + """
mine = next(f["source"] for g in header["groups"] for f in g["files"] if "while forging" in f["source"])  # while forging
write(range(2048), answer(mine.split('@policy("')[1].split('"')[0], "0" * 32))
"""
)

# The word is in the frames below; what it buys must be worth nothing to another file.
STOLEN = (
    _FRAME
    + """
write(range(2048), answer("honest.fails", header["nonce"]))
os._exit(0)
"""
)

ANSWERS = (
    _FRAME
    + """
mine = next(f["source"] for g in header["groups"] for f in g["files"] if "while answering" in f["source"])  # while answering
write(range(2048), answer(mine.split('@policy("')[1].split('"')[0], header["nonce"]))
"""
)

PATCHES = """
import builtins, json, os, sys
import aigate, aigate.decision, aigate.policy, aigate.isolate, aigate.isolate.child, aigate.snapshot
from aigate.decision import Finding, PolicyResult
def yes(policy, snapshot, params):
    return PolicyResult(policy=policy.id, outcome="pass", reads=("/owner",))
aigate.policy.run = aigate.isolate.child.run = yes
aigate.policy.deny = aigate.deny = lambda *a, **k: None
builtins.any = builtins.all = lambda *a: True
builtins.sorted = lambda *a, **k: []
json.dumps = lambda *a, **k: "{}"
aigate.decision.EXIT_CODES.update(deny=0, hold=0)
aigate.policy.CONTEXT = frozenset()
aigate.snapshot.Snapshot.judged = None
os._exit = sys.exit = lambda *a: None
os.write = lambda *a: 0
"""

QUICK: dict[str, tuple[str, str, str]] = {
    # name: (body, top, words of the reason)
    "exits at once": ("os._exit(0)", "", "ended without an answer"),
    "exits at import": ("", "os._exit(0)", "ended without an answer"),
    "leaves by sys.exit": ("sys.exit(0)", "", "raised SystemExit in line 9"),
    "is interrupted": ("raise KeyboardInterrupt", "", "raised KeyboardInterrupt in line 9"),
    "breaks off itself": ("raise GeneratorExit", "", "raised GeneratorExit in line 9"),
    "stops iterating": ("raise StopIteration", "", "raised RuntimeError"),
    "recurses": ("def f(): f()\nf()", "", "raised RecursionError"),
    "wants 8 GiB": ("b = bytearray(8 << 30)", "", "raised MemoryError"),
    "grows": ("kept = []\nwhile True: kept.append(bytearray(1 << 24))", "", "raised MemoryError"),
    "reads nowhere": ("import ctypes\nctypes.string_at(0)", "", "ended without an answer"),
    "aborts": ("os.abort()", "", "ended without an answer"),
    "kills itself": ("os.kill(os.getpid(), signal.SIGKILL)", "", "ended without an answer"),
    "kills its group": ("os.killpg(0, signal.SIGKILL)", "", "ended without an answer"),
    "closes everything": ("os.closerange(0, 1024)", "", "ended without an answer"),
    "forges answers": (FORGED, "", "nonsense"),
    "forges answers and leaves": (
        FORGED.replace("while forging", "and leaving") + "os._exit(0)",
        "",
        "nonsense",
    ),
    "answers twice": (ANSWERS, "", "nonsense"),
    "forges another's answer": (STOLEN, "", "other policies than it declares"),
    "never ends reporting": ("while True: yield deny('more')", "", "more than 1000 findings"),
    "reports too much": (
        "for i in range(900): yield deny('x' * 20_000)",
        "",
        "larger than 8388608 bytes",
    ),
    "reports half a character": ("yield deny('x', key='\\ud800')", "", "cannot be written"),
    "writes a large file": (
        "open('{folder}/large', 'wb').write(bytes(100 << 20))",
        "",
        "raised OSError in line 9: .*File too large",
    ),
    "raises what cannot speak": (
        "class E(Exception):\n    def __str__(self): raise SystemExit(0)\nraise E",
        "",
        "raised E in line 11: .it cannot say why",
    ),
    "waives itself": (
        "from aigate import Finding\nyield Finding(message='x', waived='by me')",
        "",
        "waived its own finding",
    ),
    "is not declared by its id": (
        "",
        "p = policy('hidden.other')\n@p\ndef other(s):\n    'Hidden.'\n    s.owner\n    if False: yield\n",
        "hidden.other is there and not declared",
    ),
    "is made in a loop": (
        "",
        "def g(s):\n    'G.'\n    s.owner\n    if False: yield\n"
        "for n in 'ab': globals()[n] = policy('loop.' + n)(g)\n",
        "loop.a, loop.b is there and not declared",
    ),
}
"""Each ends as `error`, at once."""

HARMLESS: dict[str, tuple[str, str]] = {
    "registers an exit handler": ("", "import atexit; atexit.register(lambda: os._exit(7))"),
    "prints a lot": ("for f in (sys.stdout, sys.stderr): f.write('x' * 10_000_000)", ""),
    "writes to its output": ("os.write(1, b'x' * 100_000)\nos.write(2, b'x' * 100_000)", ""),
    "starts a thread": (
        "import threading\nthreading.Thread(target=time.sleep, args=(600,)).start()",
        "",
    ),
    "opens a socket": ("import socket\nsocket.socket().close()", ""),
    "leaves a daemon": (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        os.open(f'{folder}/pid-{os.getpid()}', os.O_CREAT)\n"
        "        os.closerange(0, 1024)\n"
        "        while True: time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "while not os.listdir('{folder}'): time.sleep(0.01)",
        "",
    ),
}
"""Each passes: what it does beside changes nothing."""

DEEP = "sys.setrecursionlimit(10**9)\ndef f(): return [f()]\nf()"
"""Ends with its time or with its memory, whichever its Python uses up first."""

SLOW: dict[str, tuple[str, str]] = {
    "sleeps": ("time.sleep(600)", ""),
    "sleeps at import": ("", "time.sleep(600)"),
    "spins": ("while True: pass", ""),
    "spins on a pattern": ("import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')", ""),
    "stops itself": ("os.kill(os.getpid(), signal.SIGSTOP)", ""),
    "ignores every signal": (
        "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "time.sleep(600)",
        "",
    ),
    "swallows what ends it": (
        "while True:\n    try: time.sleep(600)\n    except BaseException: pass",
        "",
    ),
    "leaves a process behind": (
        "if os.fork() == 0:\n    os.open(f'{folder}/pid-{os.getpid()}', os.O_CREAT)\n    time.sleep(600)",
        "",
    ),
    "forks and forks": (
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        os.open(f'{folder}/pid-{os.getpid()}', os.O_CREAT)\n"
        "        if os.getpid() % 2: os.setsid()\n"
        "        while True: time.sleep(600)",
        "",
    ),
}
"""Each is ended when its time is over."""
