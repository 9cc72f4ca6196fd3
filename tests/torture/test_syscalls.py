"""System calls that fail, or never return: into the ledger's file, and on the line to MLflow, injected by strace."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from torture.conftest import AMOUNT, FULL
from torture.rig import LATER, TALLY, Rig, Said

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.sampled(16)]

FILE = ("pwrite64", "fsync", "fdatasync", "ftruncate", "unlink")
LINE = ("sendto", "recvfrom")
KINDS = {"sqlite": ("error=EIO", "error=ENOSPC", "signal=KILL"), "mlflow": ("error=EIO", "signal=KILL")}
WITHIN = 8
"""Seconds an act is given: after a request that never left, an answer is waited for until the time is up."""
SOME = 2 if AMOUNT else 1
"""Positions that are tried of each call and fault."""

Make = Callable[[str], Rig]


@dataclass(frozen=True)
class Fault:
    """The `when`-th call of a process, and what becomes of it."""

    act: str
    call: str
    kind: str
    when: int


@pytest.mark.parametrize(("ledger", "calls"), [("sqlite", FILE), ("mlflow", LINE)], ids=["file", "line"])
def test_a_fault_in_any_system_call_is_survived(
    rig: Make, tmp_path: Path, ledger: str, calls: Sequence[str]
) -> None:
    made = rig(ledger)
    made.later = LATER
    paths = []
    if ledger == "sqlite":
        file = made.ledger.removeprefix("sqlite:///")
        paths = [word for name in (file, f"{file}-journal") for word in ("-P", name)]

    def strace(fault: Fault | None, act: str, to: str) -> tuple[Said, str]:
        trace = tmp_path / "trace"
        words = [*paths, "-e", f"trace={','.join(calls)}"]
        if fault is not None:
            words += ["-e", f"inject={fault.call}:{fault.kind}:when={fault.when}"]
        said = made.driver.run(made.job(act, to, strace=words, trace=str(trace), within=WITHIN, deadline=5))
        return said, trace.read_text()

    counts = {}
    for act in ("promote", "rollback"):
        said, text = strace(None, act, made.other())
        assert said["done"], said
        assert said["done"]["code"] == 0, said["done"]
        counts[act] = _counted(text)
        made.clear()
    assert sum(map(len, counts.values())) >= len(calls), counts
    for fault in _chosen(counts, KINDS[ledger]):
        to = made.other()
        said, text = strace(fault, fault.act, to)
        if "(INJECTED)" not in text and "killed by SIGKILL" not in text:
            TALLY["faults in system calls that did not fire"] += 1
            made.clear()
            continue
        TALLY[f"faults in system calls: {ledger}, {fault.kind.partition('=')[2]}"] += 1
        assert said["how"] != "hung", (fault, said["steps"], said["writes"])
        assert (said["how"] == "killed") == (fault.kind == "signal=KILL"), (fault, said)
        if said["done"]:
            assert said["done"]["code"] in (0, 3, 4), (fault, said)
        if said["done"] and said["done"]["code"] == 0:
            assert made.model.holder() == to, (fault, said)
            made.sound()
        made.finish(fault.act, to, (fault, said))
        made.sound()
        made.clear()


def _counted(trace: str) -> Counter[str]:
    """Return how often the process itself, not one of its threads, made each call."""
    lines = [re.match(r"(\d+) +(\w+)\(", line) for line in trace.splitlines()]
    found = [match for match in lines if match]
    main = min(int(match[1]) for match in found)
    return Counter(match[2] for match in found if int(match[1]) == main)


def _chosen(counts: dict[str, Counter[str]], kinds: Sequence[str]) -> Iterator[Fault]:
    """Return every fault, or some of each kind: the first, the last and those between by chance, always the same."""
    chance = random.Random(20261121)
    acts = cycle(counts)
    for call in sorted({call for found in counts.values() for call in found}):
        for kind in kinds:
            if FULL:
                for act, found in counts.items():
                    yield from (Fault(act, call, kind, when) for when in range(1, found[call] + 1))
                continue
            act = next(acts)
            number = counts[act][call]
            yield from (
                Fault(act, call, kind, when)
                for when in sorted(chance.sample(range(1, number + 1), min(SOME, number)))
            )
