"""A snapshot on which everything is well, and the manifest it belongs to."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aigate.assemble import Asked, Collected, assemble
from aigate.digest import digest
from aigate.manifest import Manifest
from aigate.register import register
from aigate.snapshot import (
    Alias,
    Dataset,
    FreshnessEvidence,
    InputRead,
    Judge,
    Measurement,
    PairedRows,
    Question,
    RegisteredModel,
    RowComparison,
    Run,
    Snapshot,
    Source,
    Subject,
    Tag,
    Version,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
"""The instant at which the passing snapshot is judged."""

_REGISTRY = "https://mlflow.example"
_EVALUATION = Dataset(name="churn_eval", digest="9b21f0aa", context="evaluation", rows=5000)
_TRAINING = Dataset(name="churn_train", digest="5d0c77e1", context="training", rows=80_000)


def passing_manifest() -> Manifest:
    """Return the manifest of the passing snapshot: a churn model with everything declared."""
    return Manifest.model_validate_json(json.dumps(_MANIFEST))


def passing_snapshot(question: Question = "promote") -> Snapshot:
    """Return the snapshot of a system that is well: every standard policy passes on it, or is skipped.

    Version 2 of `churn` asks for the alias that version 1 holds. Both were
    measured on the same data, the four stages are fresh, and every threshold
    says where it comes from. With `retain` the question is whether version 1
    may stay.
    """
    manifest = passing_manifest()
    champion = _version("1", _CHAMPION)
    asked = Asked(
        question=question,
        environment="production",
        alias="champion",
        now=NOW,
        manifest_digest=digest(manifest),
    )
    found = Collected(
        model=RegisteredModel(
            name="churn",
            created_at=NOW - timedelta(days=400),
            tags=(Tag(key="owner", value="retention-platform"),),
            aliases=(Alias(name="challenger", version="2"), Alias(name="champion", version="1")),
        ),
        challenger=_version("2", _CHALLENGER) if question == "promote" else None,
        champion=champion,
        comparisons=_comparisons() if question == "promote" else (),
        runs={"1f0c55aa90d14f6e": _tuning_run()},
        freshness=_freshness(),
        runbooks={"runbooks/churn.md": True, "runbooks/late-data.md": True},
        edited={name: datetime(2026, 8, 3, 9, 30, tzinfo=UTC) for name in _thresholds(manifest)},
        sources=_sources(),
    )
    return assemble(manifest, asked, found)


def _thresholds(manifest: Manifest) -> list[str]:
    return [item.name for item in register(manifest)]


_ORIGIN = {
    "method": "measured",
    "set_by": "m.ito",
    "set_on": "2026-08-02",
    "environment": "production",
    "run": "1f0c55aa90d14f6e",
    "dataset": {"name": "churn_eval", "digest": "9b21f0aa", "rows": 5000},
    "reviewed_by": "r.okoye",
    "reviewed_on": "2026-08-03",
    "review_by": "2027-02-02",
}
_AGREED = {
    "method": "expert",
    "set_by": "d.silva",
    "set_on": "2026-08-02",
    "environment": "production",
    "rationale": "agreed with the campaign team: offers go out daily at 18:00",
    "review_by": "2027-02-02",
}


def _limit(value: str, origin: dict[str, Any] = _ORIGIN) -> dict[str, Any]:
    return {"value": value, "provenance": origin}


def _stage(name: str, owner: str, reads: list[str], age: str | None) -> dict[str, Any]:
    stage: dict[str, Any] = {"name": name, "owner": owner, "contact": f"#{owner}", "reads": reads}
    if age is not None:
        url = f"https://data.example/{name}.json"
        stage["freshness"] = {"url": url, "time": "loaded_at", "max_age": _limit(age, _AGREED)}
    return stage


_MANIFEST: dict[str, Any] = {
    "version": 1,
    "system": "churn",
    "owner": {
        "team": "retention-platform",
        "contact": "#churn-oncall",
        "escalation": "https://pager.example/churn",
    },
    "model": {"name": "churn"},
    "metrics": {
        "accuracy": {
            "range": ["0", "1"],
            "floor": _limit("0.92"),
            "max_drop": _limit("0.02"),
            "confidence": "0.95",
            "kind": "proportion",
            "anchor": {"value": _limit("0.945"), "max_creep": _limit("0.03")},
            "slices": {
                "new": {"metric": "accuracy_new", "floor": _limit("0.88"), "max_drop": _limit("0.04")},
                "long": {"metric": "accuracy_long", "floor": _limit("0.90"), "max_drop": _limit("0.04")},
            },
        },
        "latency_p95_ms": {"range": ["0", "10000"], "ceiling": _limit("250"), "max_rise": _limit("20")},
        "correctness/mean": {
            "range": ["0", "1"],
            "floor": _limit("0.85"),
            "judge": "correctness",
            "min_coverage": _limit("0.98"),
        },
    },
    "stages": [
        _stage("transactions", "data-eng", [], "2h"),
        _stage("features", "data-eng", ["transactions"], "6h"),
        _stage("embeddings", "ml", ["features"], "8h") | {"allowance": "4h"},
        _stage("scoring", "platform", ["embeddings"], None),
    ],
    "objectives": {"end_to_end_age": _limit("18h", _AGREED)},
    "thresholds": {
        "retrieval_confidence": {
            "value": "0.72",
            "applied": {"param": "retrieval_confidence"},
            "provenance": {**_ORIGIN, "model": "2", "measured_with": {"embedding_model": "e5-small-v2"}},
        }
    },
    "runbooks": {"default": "runbooks/churn.md", "data": "runbooks/late-data.md"},
    "environments": {
        "production": {"levels": {"ownership": "require"}},
        "staging": {"levels": {"*": "advise"}},
    },
}

_CHAMPION = {
    "accuracy": "0.940",
    "accuracy_new": "0.905",
    "accuracy_long": "0.950",
    "latency_p95_ms": "180",
    "correctness/mean": "0.90",
}
_CHALLENGER = {
    "accuracy": "0.943",
    "accuracy_new": "0.910",
    "accuracy_long": "0.951",
    "latency_p95_ms": "185",
    "correctness/mean": "0.91",
}
_ROWS = {"accuracy_new": 1200, "accuracy_long": 3800}


def _version(number: str, values: Mapping[str, str]) -> Version:
    run_id = f"{number}7ac40d2be9f4c11"
    artifact = f"sha256:{number * 64}"
    measured = NOW - timedelta(days=40 if number == "1" else 1)
    return Version(
        subject=Subject(
            registry=_REGISTRY,
            name="churn",
            version=number,
            created_at=measured + timedelta(hours=1),
            run_id=run_id,
            source=f"models:/m-{number * 32}",
            model_id=f"m-{number * 32}",
            artifact_digest=artifact,
        ),
        status="READY",
        stage=None,
        aliases=("champion",) if number == "1" else ("challenger",),
        tags=(Tag(key="aigate.artifact_digest", value=artifact),),
        run=_run(run_id, measured),
        measurements=tuple(
            Measurement(
                name=name,
                value=Decimal(value),
                dataset=_EVALUATION,
                run_id=run_id,
                recorded_at=measured,
                rows=_ROWS.get(name, 5000),
            )
            for name, value in values.items()
        ),
        judges=(Judge(name="correctness", rows=5000, judged=4980, failed=20, digest="4be12c0d"),),
    )


def _run(run_id: str, measured: datetime) -> Run:
    return Run(
        run_id=run_id,
        status="FINISHED",
        user="ci",
        started_at=measured - timedelta(hours=2),
        ended_at=measured + timedelta(minutes=5),
        deleted=False,
        params=(
            Tag(key="embedding_model", value="e5-small-v2"),
            Tag(key="retrieval_confidence", value="0.72"),
        ),
        datasets=(_TRAINING, _EVALUATION),
    )


def _tuning_run() -> Run:
    return Run(
        run_id="1f0c55aa90d14f6e",
        status="FINISHED",
        user="m.ito",
        started_at=datetime(2026, 8, 2, 8, 0, tzinfo=UTC),
        ended_at=datetime(2026, 8, 2, 9, 0, tzinfo=UTC),
        deleted=False,
        params=(Tag(key="retrieval_confidence", value="0.72"),),
        datasets=(_EVALUATION,),
    )


def _comparisons() -> tuple[RowComparison, ...]:
    rows = {"accuracy": (5000, 160, 145), "accuracy_new": (1200, 42, 36), "accuracy_long": (3800, 118, 114)}
    return tuple(
        RowComparison(
            metric=metric,
            rows=PairedRows(
                dataset=_EVALUATION.digest,
                rows=n,
                overlap=Decimal(1),
                binary=True,
                gained=gained,
                lost=lost,
                mean=Decimal(gained - lost) / n,
                deviation=(Decimal(gained + lost) / n).sqrt(),
            ),
        )
        for metric, (n, gained, lost) in rows.items()
    )


def _freshness() -> dict[str, FreshnessEvidence]:
    def evidence(
        hours: float, *, kind: Any = "built", read: float | None = None, **more: Any
    ) -> FreshnessEvidence:
        return FreshnessEvidence(
            kind=kind,
            as_of=NOW - timedelta(hours=hours),
            observed_at=NOW - timedelta(seconds=20),
            read_at=None if read is None else NOW - timedelta(hours=read),
            **more,
        )

    return {
        "transactions": evidence(1.75, kind="loaded", version="t-118"),
        "features": evidence(
            1.25, read=1.5, version="f-41", inputs=(InputRead(stage="transactions", version="t-118"),)
        ),
        "embeddings": evidence(
            0.75, read=1, version="e-9", inputs=(InputRead(stage="features", version="f-41"),), claimed="pass"
        ),
    }


def _sources() -> tuple[Source, ...]:
    names = ("transactions", "features", "embeddings")
    fetched = NOW - timedelta(seconds=5)
    registry = [
        Source(name=name, adapter="mlflow", shown=_REGISTRY, status="ok", fetched_at=fetched)
        for name in ("mlflow:model", "mlflow:version:champion", "mlflow:version:challenger")
    ]
    stages = [
        Source(
            name=f"freshness:{name}",
            adapter="json",
            shown=f"https://data.example/{name}.json",
            status="ok",
            fetched_at=fetched,
            observed_at=NOW - timedelta(seconds=20),
        )
        for name in names
    ]
    return (*registry, *stages)
