"""10,000 recorded snapshots × 6 policies by the command itself: read, checked, judged in processes of their own."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import engines
from measure import ROOT, in_turn, middle

from aigate.digest import canonical
from aigate.snapshot import Snapshot

MANIFEST = "version: 1\nsystem: churn\nmodel: {name: churn}\npolicies: {standard: false}\n"


def rows(folder: Path, command: list[str], env: Mapping[str, str], rounds: int) -> list[tuple[str, str, str]]:
    """Measure a replay from start to end and return the table's row.

    There are no decisions beside the snapshots, so the command ends with 3
    once it has judged them all: a record each would be measured with them.
    """
    (folder / "policies").mkdir()
    (folder / "aigate.yaml").write_text(MANIFEST)
    shutil.copy(ROOT / "bench" / "six_policies.py", folder / "policies")
    with (folder / "all.jsonl").open("wb") as file:
        for fact in engines.facts(engines.COUNT):
            file.write(canonical(Snapshot.model_validate_json(engines.snapshot(fact))) + b"\n")
    replay = [*command, "replay", "-m", str(folder / "aigate.yaml"), "--source", str(folder / "all.jsonl")]
    runs = in_turn({"replay": replay}, env, rounds=rounds, expect={"replay": 3})["replay"]
    return [
        (
            "`aigate replay`, 10,000 recorded snapshots × 6 policies, whole process",
            f"{middle(runs, lambda r: r.wall):.2f} s wall, {middle(runs, lambda r: r.cpu):.2f} s CPU, "
            f"{middle(runs, lambda r: r.peak):.0f} MiB",
            f"on {len(os.sched_getaffinity(0))} cores",
        )
    ]
