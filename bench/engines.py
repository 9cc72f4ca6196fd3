"""10,000 snapshots × 6 policies: aigate beside plain functions, Cedar and Rego, on the same facts.

Every engine states the same six rules and must deny the same snapshots, or the
bench stops: a fast wrong answer is no figure.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

import cedarpy
import six_policies
from regopy import Interpreter

from aigate.limits import AgeLimit, Limit, Provenance
from aigate.manifest import Manifest, Metric, Owner
from aigate.policy import Policy, run
from aigate.snapshot import (
    Dataset,
    DeclaredMetric,
    FreshnessEvidence,
    Measurement,
    Snapshot,
    Stage,
    Subject,
    Threshold,
    Version,
)

COUNT = 10_000
SLOW_COUNT = 500
"""Snapshots put to an engine that is too slow for all of them; its figure is scaled."""
REPEATS = 3
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICIES = [value for value in vars(six_policies).values() if isinstance(value, Policy)]
MANIFEST = Manifest.model_validate({"version": 1, "system": "churn", "model": {"name": "churn"}})

CEDAR = """
permit(principal, action, resource);
forbid(principal, action, resource) when { !(context has owner) };
forbid(principal, action, resource) when { context.accuracy < 9200 };
forbid(principal, action, resource) when { context.dataset != context.old_dataset || context.old_accuracy - context.accuracy > 200 };
forbid(principal, action, resource) when { context.lateness > 0 };
forbid(principal, action, resource) when { context.unrecorded > 0 };
forbid(principal, action, resource) when { context.elsewhere > 0 };
"""
REGO = """
package gate
deny contains "owner" if { not input.owner }
deny contains "floor" if { input.accuracy < 9200 }
deny contains "data" if { input.dataset != input.old_dataset }
deny contains "drop" if { input.old_accuracy - input.accuracy > 200 }
deny contains "fresh" if { some s in input.stages; s.age > s.limit }
deny contains "origin" if { some t in input.thresholds; not t.run }
deny contains "where" if { some t in input.thresholds; t.environment != "production" }
"""


def facts(count: int) -> list[dict[str, Any]]:
    """Return the same facts every time; about half of them break a rule. Scores are in ten-thousandths."""
    chance = random.Random(7)
    made = []
    for _ in range(count):
        stages = [
            {
                "name": f"s{n}",
                "age": chance.choice([600, 3000]) if chance.random() < 0.95 else 9000,
                "limit": 7200,
            }
            for n in range(3)
        ]
        thresholds = [
            {
                "name": f"t{n}",
                **({"run": "r1"} if chance.random() < 0.95 else {}),
                "environment": "production" if chance.random() < 0.95 else "dev",
            }
            for n in range(2)
        ]
        made.append(
            {
                **({"owner": "retention"} if chance.random() < 0.95 else {}),
                "accuracy": chance.randint(9180, 9600),
                "old_accuracy": chance.randint(9300, 9450),
                "dataset": "d1",
                "old_dataset": "d1" if chance.random() < 0.95 else "d2",
                "stages": stages,
                "thresholds": thresholds,
            }
        )
    return made


def snapshot(fact: dict[str, Any]) -> bytes:
    """Return the facts as a recorded snapshot."""
    stages = tuple(
        Stage(
            name=stage["name"],
            owner="data-eng",
            promise=AgeLimit(value=timedelta(seconds=stage["limit"])),
            freshness=FreshnessEvidence(
                kind="loaded", as_of=NOW - timedelta(seconds=stage["age"]), observed_at=NOW
            ),
            age=timedelta(seconds=stage["age"]),
            evidence_age=timedelta(0),
        )
        for stage in fact["stages"]
    )
    thresholds = tuple(
        Threshold(
            name=item["name"],
            value="0.92",
            kind="limit",
            provenance=Provenance(set_by="ito", run=item.get("run"), environment=item["environment"]),
        )
        for item in fact["thresholds"]
    )
    made = Snapshot(
        now=NOW,
        question="promote",
        environment="production",
        system="churn",
        alias="champion",
        manifest_digest="sha256:" + "0" * 64,
        owner=Owner(team=fact["owner"]) if "owner" in fact else None,
        model=_model(),
        challenger=_version("2", fact["accuracy"], fact["dataset"]),
        champion=_version("1", fact["old_accuracy"], fact["old_dataset"]),
        metrics=(DeclaredMetric(name="accuracy", rule=Metric(floor=Limit(value=Decimal("0.92")))),),
        stages=stages,
        thresholds=thresholds,
    )
    return made.model_dump_json(by_alias=True).encode()


def _model() -> Any:
    from aigate.snapshot import RegisteredModel

    return RegisteredModel(name="churn", created_at=NOW)


def _version(number: str, score: int, dataset: str) -> Version:
    subject = Subject(
        registry="http://mlflow.example",
        name="churn",
        version=number,
        created_at=NOW,
        run_id="r" + number,
        source="models:/m-1",
        model_id="m-1",
        artifact_digest="sha256:" + number * 64,
    )
    measured = Measurement(
        name="accuracy",
        value=Decimal(score) / 10_000,
        dataset=Dataset(name="eval", digest=dataset),
        run_id="r" + number,
        recorded_at=NOW,
    )
    return Version(
        subject=subject, status="READY", stage=None, aliases=(), tags=(), run=None, measurements=(measured,)
    )


def by_aigate(data: list[bytes]) -> list[bool]:
    """Parse each recorded snapshot and run the six policies on it, reads noted."""
    denied = []
    for text in data:
        read = Snapshot.model_validate_json(text)
        denied.append(any(run(policy, read, {}).outcome != "pass" for policy in POLICIES))
    return denied


def by_functions(data: list[bytes]) -> list[bool]:
    """Plain functions over dicts: what a script does. Nothing is noted, nothing missing is noticed."""
    denied = []
    for text in data:
        fact = json.loads(text)
        denied.append(
            not fact.get("owner")
            or fact["accuracy"] < 9200
            or fact["dataset"] != fact["old_dataset"]
            or fact["old_accuracy"] - fact["accuracy"] > 200
            or any(stage["age"] > stage["limit"] for stage in fact["stages"])
            or any("run" not in item for item in fact["thresholds"])
            or any(item["environment"] != "production" for item in fact["thresholds"])
        )
    return denied


def by_cedar(data: list[bytes]) -> list[bool]:
    """Cedar, in one batch."""
    requests = [
        {
            "principal": 'User::"ci"',
            "action": 'Action::"promote"',
            "resource": 'Model::"m"',
            "context": _context(json.loads(text)),
        }
        for text in data
    ]
    results = cedarpy.is_authorized_batch(requests, CEDAR, [])
    return [not result.allowed for result in results]


def _context(fact: dict[str, Any]) -> dict[str, Any]:
    """Cedar has no loop over records: what would need one is counted beforehand."""
    return {
        **{
            key: fact[key]
            for key in ("owner", "accuracy", "old_accuracy", "dataset", "old_dataset")
            if key in fact
        },
        "lateness": sum(stage["age"] > stage["limit"] for stage in fact["stages"]),
        "unrecorded": sum("run" not in item for item in fact["thresholds"]),
        "elsewhere": sum(item["environment"] != "production" for item in fact["thresholds"]),
    }


def by_rego(data: list[bytes]) -> list[bool]:
    """Rego, by rego-cpp."""
    engine = Interpreter()
    engine.add_module("gate", REGO)
    denied = []
    for text in data:
        engine.set_input(json.loads(text))
        denied.append(_some(engine.query("x = data.gate.deny")))
    return denied


def _some(output: Any) -> bool:
    found = json.loads(str(output))
    return bool(found["bindings"]["x"])


def rows() -> list[tuple[str, str, str]]:
    """Measure every engine and return the table's rows."""
    made = facts(COUNT)
    plain = [json.dumps(fact).encode() for fact in made]
    recorded = [snapshot(fact) for fact in made]
    engines: list[tuple[str, Callable[[list[bytes]], list[bool]], list[bytes]]] = [
        ("aigate: typed, reads noted, gaps found", by_aigate, recorded),
        ("plain functions over dicts", by_functions, plain),
        ("Cedar (cedarpy), one batch", by_cedar, plain),
        ("Rego (regopy)", by_rego, plain[:SLOW_COUNT]),
    ]
    expected = by_functions(plain)
    table = []
    for name, engine, data in engines:
        seconds = []
        for _ in range(REPEATS):
            gc.collect()
            gc.disable()  # for all alike: nothing here makes cycles
            started = time.process_time()
            denied = engine(data)
            seconds.append(time.process_time() - started)
            gc.enable()
            if denied != expected[: len(data)]:
                sys.exit(f"bench: {name} decides otherwise than the plain functions")
        each = median(seconds) / len(data)
        table.append(
            (
                f"10,000 snapshots × 6 policies, {name}",
                f"{each * COUNT:.2f} s",
                f"{1 / each:,.0f} snapshots/s",
            )
        )
    return table


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
