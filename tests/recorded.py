"""Recorded evidence for tests of replays: a project, its snapshots, and the decisions that were made from them."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.decision import Actor
from aigate.digest import canonical
from aigate.gate import evaluate_snapshot
from aigate.report.json import record
from aigate.snapshot import Snapshot
from aigate.testing import change, passing_snapshot

MANIFEST = """\
version: 1
system: churn
model: {name: churn}
policies: {standard: false}
"""

FLOOR = '''\
from decimal import Decimal

from aigate import Findings, Snapshot, deny, policy


@policy("mine.floor", blames="model")
def floor(s: Snapshot, *, least: Decimal = Decimal("%s")) -> Findings:
    """It is good enough."""
    value = s.judged.metric("accuracy").value
    if value < least:
        yield deny(f"accuracy is {value}", key="accuracy", value=value, limit=least)
'''


WAIVERS = """\
version: 1
waivers:
  - policy: mine.floor
    key: accuracy
    registry: https://mlflow.example
    model: churn
    version: 2
    reason: retraining is due
    approver: ana
    approved_on: 2026-11-21
    expires: 2026-12-01
"""
"""Leave for v2 to be below the floor."""


class Project:
    """A folder with a manifest, one policy of its own, and room for what is recorded."""

    def __init__(self, folder: Path, floor: str = "0.92", manifest: str = MANIFEST) -> None:
        self.folder = folder
        (folder / "aigate.yaml").write_text(manifest)
        self.policies("policies", floor)
        self.kept = folder / "kept"
        self.kept.mkdir()

    def policies(self, name: str, floor: str, text: str = FLOOR) -> Path:
        """Write a folder of policies with another floor."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        (path / "mine.py").write_text(text % floor)
        return path

    @property
    def loaded(self) -> LoadedManifest:
        return load_manifest(self.folder / "aigate.yaml")

    def snapshot(self, version: int = 2, accuracy: str = "0.943", **more: object) -> Snapshot:
        """Evidence about a version, taken under this project's manifest, a day later for each version."""
        made = passing_snapshot()
        changes: Mapping[str, object] = {
            "/manifest_digest": self.loaded.digest,
            "/now": made.now + timedelta(days=version),
            "/challenger/subject/version": str(version),
            "/challenger/measurements/accuracy/value": Decimal(accuracy),
            **{f"/{key}": value for key, value in more.items()},
        }
        for pointer, value in changes.items():
            made = change(made, pointer, value)
        return made

    def decided(self, snapshot: Snapshot, name: str) -> Path:
        """Keep a snapshot and the record of its decision; return the record's file."""
        answer = evaluate_snapshot(self.loaded, snapshot, Actor(name="user:kai"))
        (self.kept / f"{name}.snapshot.json").write_bytes(canonical(answer.snapshot) + b"\n")
        path = self.kept / f"{name}.json"
        path.write_bytes(record(answer.decision) + b"\n")
        return path
