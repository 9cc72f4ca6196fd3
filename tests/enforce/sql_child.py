"""What the tests of SQL ledgers run in a process of its own, to be starved, robbed of rights or killed.

python sql_child.py append URI MODEL SEQ [LARGEST]    one entry; LARGEST is how many bytes a file may have
python sql_child.py read URI MODEL           prints how many entries there are
python sql_child.py kill URI MODEL ROUNDS [SECONDS]    kills writers at random moments; prints what it saw
"""

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from aigate.enforce.sql_store import SqlStore, open_sql_store
from aigate.errors import AigateError


def entry(seq: int) -> bytes:
    """Return entry number `seq`, two kilobytes long, so that files grow by it."""
    return json.dumps({"n": seq, "pad": "x" * 2000}).encode()


def main(what: str, uri: str, model: str, *rest: str) -> None:
    """Do one thing and print what came of it."""
    store = open_sql_store(uri)
    try:
        came = _DO[what](store, model, *rest)
    except AigateError as e:
        came = {"error": type(e).__name__, "message": e.message, "fix": e.fix}
    print(json.dumps(came))


def _append(store: SqlStore, model: str, seq: str, largest: str = "") -> Any:
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
        return store.append(model, int(seq), entry(int(seq)) * 10)  # more than any page has room for
    return store.append(model, int(seq), entry(int(seq)))


def _read(store: SqlStore, model: str) -> Any:
    return len(store.read(model))


def _kill(store: SqlStore, model: str, rounds: str, longest: str = "0.06") -> Any:
    """Kill a writer a few milliseconds after it began, again and again; nothing that it was promised may be lost."""
    dice = random.Random(20261121)
    promised, lost, killed, extra = 0, [], 0, 0
    for _ in range(int(rounds)):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _write_until_killed(store, model, writing)
        os.close(writing)
        time.sleep(dice.uniform(0.002, float(longest)))
        os.kill(child, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with os.fdopen(reading) as pipe:
            said = [int(line) for line in pipe.read().split()]
        promised = max([promised, *said])
        lines = store.read(model)
        store.close()  # a connection must not be shared with the next child
        extra += len(lines) > promised
        if len(lines) < promised or lines != tuple(entry(n) for n in range(1, len(lines) + 1)):
            lost.append([promised, len(lines)])
    return {"promised": promised, "lost": lost, "killed": killed, "unheard": extra}


def _write_until_killed(store: SqlStore, model: str, pipe: int) -> None:
    seq = len(store.read(model))
    while True:
        seq += 1
        if not store.append(model, seq, entry(seq)):
            os._exit(3)
        os.write(pipe, b"%d\n" % seq)


_DO: dict[str, Callable[..., Any]] = {"append": _append, "read": _read, "kill": _kill}

if __name__ == "__main__":
    main(*sys.argv[1:])
