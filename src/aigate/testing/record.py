"""What tests asked policies, written down, so that the gate can be asked the same.

`aigate test` has the pytest plugin write it and reads it again. Nothing in it is
believed: every run is repeated as the gate would make it.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigate.decision import Decision, Outcome, PolicyResult
from aigate.digest import canonical, digest_bytes
from aigate.isolate.many import plain
from aigate.policy import Policy
from aigate.snapshot import Snapshot
from aigate.testing.runner import Gate

_SUMMARY = "summary.json"
_MOST = 64 * 1024 * 1024
"""Bytes of one file that are read again."""


@dataclass(frozen=True)
class Recorded:
    """One run of a policy in a test."""

    policy: str
    digest: str | None
    """Of the policy's file as the test ran it; None where the gate ran it."""
    params: Mapping[str, Any] | None
    """All of its parameters, as JSON; None for those in force."""
    snapshot: str
    """The snapshot as JSON."""
    outcome: Outcome
    test: str


class Recorder:
    """Writes down every run of a policy in this process while it is started."""

    def __init__(self, folder: Path) -> None:
        self.test = ""
        """The test that is running."""
        self._folder = folder
        self._lines = folder / f"{os.getpid()}.jsonl"
        self._digests: dict[str, str] = {}
        self._written: set[str] = set()
        self._undo = contextlib.ExitStack()

    def start(self) -> None:
        """Begin; runs of policies go through here until `stop`."""
        run, by_gate, decide = Policy.run, Gate.run, Gate.decide

        def run_(policy: Policy, snapshot: Snapshot, **params: object) -> PolicyResult:
            result = run(policy, snapshot, **params)
            self._note(result, snapshot, self._digest(policy), plain(policy.bind(params)))
            return result

        def by_gate_(gate: Gate, policy: str | Policy, snapshot: Snapshot, **params: object) -> PolicyResult:
            result = by_gate(gate, policy, snapshot, **params)
            self._note(result, snapshot, None, plain(gate.params(result.policy, params)) if params else None)
            return result

        def decide_(gate: Gate, snapshot: Snapshot) -> Decision:
            decision = decide(gate, snapshot)
            for judgement in decision.judgements:
                self._note(judgement.result, snapshot, None, None)
            return decision

        for kind, name, old, new in (
            (Policy, "run", run, run_),
            (Gate, "run", by_gate, by_gate_),
            (Gate, "decide", decide, decide_),
        ):
            setattr(kind, name, new)
            self._undo.callback(setattr, kind, name, old)

    def stop(self) -> None:
        """Leave everything as it was."""
        self._undo.close()

    def finish(self, passed: int, failed: int, left: int) -> None:
        """Write down how the session ended, and how many tests were left out by an early end."""
        text = json.dumps({"passed": passed, "failed": failed, "left": left})
        (self._folder / _SUMMARY).write_text(text, encoding="utf-8")

    def _digest(self, policy: Policy) -> str:
        name = policy.function.__code__.co_filename
        if name not in self._digests:
            try:
                self._digests[name] = digest_bytes(Path(name).read_bytes())
            except OSError:  # the standard pack is shown under no path of this folder
                self._digests[name] = ""
        return self._digests[name]

    def _note(
        self,
        result: PolicyResult,
        snapshot: Snapshot,
        digest: str | None,
        params: Mapping[str, object] | None,
    ) -> None:
        text = canonical(snapshot)
        name = digest_bytes(text).removeprefix("sha256:")
        if name not in self._written:
            self._written.add(name)
            (self._folder / f"{name}.json").write_bytes(text)
        line = {
            "policy": result.policy,
            "digest": digest,
            "params": params,
            "snapshot": name,
            "outcome": result.outcome,
            "test": self.test,
        }
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_records(folder: Path) -> tuple[Recorded, ...]:
    """Return what was written down, each run once; what cannot be read is left out, and so proves nothing."""
    snapshots: dict[str, str] = {}
    found: dict[tuple[str, ...], Recorded] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in _lines(path):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                data = json.loads(line)
                name = str(data["snapshot"])
                if name not in snapshots:
                    snapshots[name] = (folder / f"{Path(name).name}.json").read_text(encoding="utf-8")
                key = (str(data["policy"]), name, json.dumps(data["params"]), str(data["digest"]))
                run = Recorded(
                    data["policy"],
                    data["digest"],
                    data["params"],
                    snapshots[name],
                    data["outcome"],
                    data["test"],
                )
                found.setdefault(key, run)
    return tuple(found.values())


def _lines(path: Path) -> Iterator[str]:
    if path.stat().st_size <= _MOST:
        yield from path.read_text(encoding="utf-8", errors="replace").splitlines()


@dataclass(frozen=True)
class Summary:
    """How a session of tests ended."""

    passed: int
    failed: int
    left: int
    """Tests that were collected and did not come to their end."""


def read_summary(folder: Path) -> Summary | None:
    """Return how the session ended; None where it did not."""
    try:
        data = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        return Summary(int(data["passed"]), int(data["failed"]), int(data["left"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
