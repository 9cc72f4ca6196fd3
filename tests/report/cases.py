"""Decisions for the report tests, made by the real `decide` from hand-made snapshots and answers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aigate.collect.manifest_file import LoadedManifest, parse_manifest
from aigate.decision import (
    Actor,
    Blames,
    Decision,
    Finding,
    Judgement,
    Outcome,
    PolicyInfo,
    PolicyResult,
    Severity,
    Versions,
    Waivers,
    WaiverUse,
)
from aigate.evaluate import Setting, decide
from aigate.manifest import Level, Owner
from aigate.report import ReportContext
from aigate.snapshot import Question, Runbook, Snapshot, Source, Subject, Version
from aigate.values import missing

NOW = datetime(2026, 11, 21, 21, 18, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
AGAIN = "aigate evaluate --version 2"
OWNER = Owner(team="retention-platform", contact="#churn-oncall", escalation="https://pager.example/churn")
RUNBOOKS = (
    Runbook(blames="default", path="runbooks/churn.md", exists=True),
    Runbook(blames="data", path="runbooks/late-data.md", exists=True),
)

MANIFEST = b"""\
version: 1
system: churn
owner: {team: retention-platform, contact: "#churn-oncall", escalation: https://pager.example/churn}
model: {name: churn}
metrics:
  accuracy:
    range: [0, 1]
    floor: {value: 0.92, provenance: {set_by: m.ito, set_on: 2026-08-02}}
    max_drop: 0.02
    slices:
      segment 01: {metric: accuracy_01, floor: 0.85}
  val/f1.macro: {floor: 0.8}
stages:
  - name: transactions
    freshness: {url: https://data.example/freshness.json, time: loaded_at, max_age: 2h}
  - {name: features, reads: [transactions], freshness: {dbt: sources.json, source: raw.features, max_age: 6h}}
  - {name: scoring, reads: [features]}
objectives: {end_to_end_age: 18h}
thresholds:
  retrieval.confidence: {value: 0.72, applied: {param: retrieval_confidence}}
runbooks: {default: runbooks/churn.md, data: runbooks/late-data.md}
environments:
  production: {params: {pipeline.watched: {max_silence: 15m}}}
"""


def loaded(data: bytes = MANIFEST) -> LoadedManifest:
    manifest, document = parse_manifest(data, "aigate.yaml")
    return LoadedManifest(manifest, DIGEST, Path("aigate.yaml"), "aigate.yaml", document)


def places(keys: tuple[str | int, ...]) -> tuple[int, int]:
    return _LOADED.locate(*keys)


_LOADED = loaded()


def version(number: str, name: str = "churn") -> Version:
    return Version(
        subject=Subject(
            registry="https://mlflow.example",
            name=name,
            version=number,
            created_at=NOW - timedelta(hours=3),
            run_id="b9e6120",
            source=f"models:/m-{number}",
            model_id=None,
            artifact_digest="sha256:" + "cd" * 32,
        ),
        status="READY",
        stage=None,
        aliases=(),
        tags=(),
        run=None,
        measurements=(),
    )


def source(name: str, shown: str, reason: str = "", adapter: str = "json") -> Source:
    return Source(
        name=name,
        adapter=adapter,
        shown=shown,
        status="missing" if reason else "ok",
        reason=reason,
        fetched_at=NOW,
        digest=None if reason else DIGEST,
    )


EVIDENCE = (
    source("mlflow:model", "https://mlflow.example", adapter="mlflow"),
    source("mlflow:run:challenger", "https://mlflow.example", adapter="mlflow"),
    source("freshness:features", "target/sources.json", adapter="dbt"),
    source("freshness:embeddings", "https://prom.example", adapter="prometheus"),
)

TITLES = {
    "evaluation.floor": "Every metric clears its floor.",
    "evaluation.regression": "The challenger is no worse than the champion by more than its margin.",
    "evaluation.same_data": "Both versions were measured on the same data.",
    "evaluation.slices": "No slice falls behind.",
    "freshness.end_to_end": "The oldest input is younger than the objective.",
    "freshness.stage": "Every stage's data is as fresh as its owner promised.",
    "ownership.accountable": "One accountable owner answers for the whole path and can be reached.",
    "ownership.stages": "Every stage of the path has an owner.",
    "pipeline.runbook": "There is a runbook to read when it fails.",
    "provenance.applied": "The value in use is the value that was declared.",
    "provenance.declared": "Every limit says who set it, when and from which run.",
}
BLAMES: dict[str, Blames] = {"evaluation": "model", "freshness": "data"}


def judgement(
    id: str,
    outcome: Outcome = "pass",
    *findings: Finding,
    reason: str = "",
    level: Level = "block",
    severity: Severity = "high",
    **info: Any,
) -> Judgement:
    theme = id.partition(".")[0]
    return Judgement(
        info=PolicyInfo(
            **{
                "id": id,
                "title": TITLES.get(id, "A policy."),
                "severity": severity,
                "blames": BLAMES.get(theme, "process"),
                "file": f"standard/{theme}.py",
                "file_digest": "sha256:" + "ef" * 32,
                **info,
            }
        ),
        level=level,
        result=PolicyResult(
            policy=id, outcome=outcome, reason=reason, findings=findings, reads=("/challenger/measurements",)
        ),
    )


def decision(
    *judgements: Judgement,
    question: Question = "promote",
    evidence: tuple[Source, ...] = EVIDENCE,
    owner: Owner | None = OWNER,
    runbooks: tuple[Runbook, ...] = RUNBOOKS,
    waivers: Waivers | None = None,
    **fields: Any,
) -> Decision:
    promote = question == "promote"
    snapshot = Snapshot(
        **{
            "now": NOW,
            "question": question,
            "environment": "production",
            "system": "churn",
            "alias": "champion",
            "manifest_digest": "sha256:" + "12" * 32,
            "owner": owner,
            "model": missing("not asked", "the test"),
            "challenger": version("2") if promote else None,
            "champion": version("1") if promote else version("2"),
            "runbooks": runbooks,
            "evidence": evidence,
            **fields,
        }
    )
    setting = Setting(
        policies_digest="sha256:" + "34" * 32,
        isolation="process (time 10 s, memory 1024 MiB, no environment)",
        versions=Versions(aigate="0.1.0", python="3.11.9", pydantic="2.14.3"),
        actor=Actor(name="ci", run="https://ci.example/churn/4821"),
    )
    made = decide(snapshot, tuple(sorted(judgements, key=lambda j: j.info.id)), setting)
    # The digest changes with every field that a snapshot gains; the golden files need not.
    return made.model_copy(update={"snapshot_digest": DIGEST, "waivers": waivers or made.waivers})


def passes(*left_out: str) -> tuple[Judgement, ...]:
    """Every policy that is not named, passed; the slices are skipped, as nothing declares any."""
    return tuple(
        judgement(id, "skip", reason="no metric declares slices")
        if id == "evaluation.slices"
        else judgement(id)
        for id in TITLES
        if id not in left_out
    )


SET_BY = "set by m.ito 2026-08-02 in production from run 1f0c77ab, review by 2027-02-02"

FLOOR = Finding(
    message="accuracy 0.71 is below its floor 0.92",
    key="accuracy",
    fix="find out why accuracy fell: compare the training data of v1 and v2",
    value="0.71",
    limit="0.92",
    origin=SET_BY,
)
REGRESSION = Finding(
    message="accuracy fell from 0.94 (v1) to 0.71: −0.23, allowed −0.02, on the same data 9b21",
    key="accuracy",
    fix="find out why accuracy fell: compare the training data of v1 and v2",
    value="-0.23",
    limit="-0.02",
    origin=SET_BY,
)
LATE = Finding(
    message="features is 12h old, promised 6h",
    key="features",
    fix="rerun the job that builds features, or ask data-eng why it is late",
    owner="data-eng",
    value="12h",
    limit="6h",
    origin="promised by data-eng 2026-06-01",
)


def failing(*more: Judgement) -> tuple[Judgement, ...]:
    return (
        judgement("evaluation.floor", "fail", FLOOR, severity="critical"),
        judgement(
            "evaluation.regression",
            "fail",
            REGRESSION,
            reason="point estimates; declare `confidence` for a test",
        ),
        judgement("freshness.stage", "fail", LATE),
        *more,
    )


_FAILED = ("evaluation.floor", "evaluation.regression", "freshness.stage")
_DOWN = "timed out after 5s"
_UNKNOWN = judgement("freshness.end_to_end", "unknown", reason=f"embeddings: {_DOWN} (https://prom.example)")
_ERROR = judgement(
    "provenance.applied",
    "error",
    reason="it raised KeyError: 'retrieval_confidence'",
    file="policies/mine.py",
)
_SILENT = (*EVIDENCE[:3], source("freshness:embeddings", "https://prom.example", _DOWN))


def allow() -> Decision:
    return decision(*passes())


def deny() -> Decision:
    """The story that aigate exists for: accuracy from 0.94 to 0.71, and features half a day old."""
    return decision(*passes(*_FAILED), *failing())


def hold() -> Decision:
    return decision(*passes("freshness.end_to_end", "provenance.applied"), _UNKNOWN, _ERROR, evidence=_SILENT)


def deny_and_unknown() -> Decision:
    return decision(
        *passes(*_FAILED, "freshness.end_to_end", "provenance.applied"),
        *failing(_UNKNOWN, _ERROR),
        evidence=_SILENT,
    )


def no_version() -> Decision:
    lost = missing("401 Unauthorized: set MLFLOW_TRACKING_TOKEN", "https://mlflow.example")
    return decision(
        challenger=lost,
        champion=lost,
        evidence=(source("mlflow:model", "https://mlflow.example", lost.missing),),
    )


def advise() -> Decision:
    """Fails and gaps that count for nothing, beside one that was waived and a waiver that ran out."""
    waived = LATE.model_copy(update={"waived": "by s.kai until 2026-12-01: the backfill runs on Monday"})
    use = WaiverUse(
        policy="freshness.stage",
        key="features",
        who="s.kai",
        reason="the backfill runs on Monday",
        until=NOW + timedelta(days=9, hours=2, minutes=42),
    )
    old = WaiverUse(
        policy="evaluation.floor", key="", who="m.ito", reason="demo", until=NOW - timedelta(days=1)
    )
    return decision(
        *passes("freshness.stage", "ownership.stages", "freshness.end_to_end"),
        judgement("freshness.stage", "fail", waived),
        judgement(
            "ownership.stages",
            "fail",
            Finding(
                message="stage scoring has no owner",
                key="scoring",
                fix="add to the manifest: {name: scoring, owner: <team>, …}",
                owner="retention-platform",
            ),
            level="advise",
        ),
        judgement(
            "freshness.end_to_end", "unknown", reason=f"{_DOWN} (https://prom.example)", level="advise"
        ),
        waivers=Waivers(applied=(use,), expired=(old,)),
    )


def waived() -> Decision:
    """All that failed is let stand, and waivers of every kind that did nothing lie beside."""

    def use(policy: str, key: str, days: float, **fields: Any) -> WaiverUse:
        until = NOW + timedelta(days=days)
        given = {"who": "user:kai", "reason": "GOV-481", "until": until, **fields}
        return WaiverUse(policy=policy, key=key, **given)

    late = LATE.model_copy(update={"waived": "by user:kai until 2026-11-23T21:18:00Z: GOV-481"})
    lost = judgement("freshness.end_to_end", "unknown", reason=f"{_DOWN} (https://prom.example)")
    return decision(
        *passes("freshness.stage", "freshness.end_to_end"),
        judgement("freshness.stage", "fail", late),
        lost.model_copy(update={"waived": "by user:kai until 2026-12-11: GOV-482"}),
        waivers=Waivers(
            applied=(
                use("freshness.stage", "features", 2, soon=True, nth=1, line=3),
                use("freshness.end_to_end", "", 20, nth=2, line=15),
            ),
            expired=(
                use("evaluation.floor", "accuracy", -1, why="it ran out", nth=3, line=27),
                use(
                    "(unreadable)", "", 0, until=None, why="malformed: the key 'expires' is required", line=39
                ),
            ),
            unused=(
                use("freshness.stage", "features", 9, why="it is for v1, and v2 is asked about", line=44),
            ),
            refused=(use("pipeline.rollback", "model", 9, why="the policy is at level require", line=56),),
            elsewhere=(use("freshness.stage", "features", 9, why="it is for the model fraud", line=68),),
        ),
    )


def no_owner() -> Decision:
    finding = Finding(
        message="nobody answers for churn: the manifest names no owner",
        key="owner",
        fix='add to the manifest:\nowner: {team: <team>, contact: "#<channel>", escalation: https://<pager>}',
    )
    return decision(
        *passes("ownership.accountable"),
        judgement("ownership.accountable", "fail", finding, severity="critical", level="require"),
        owner=None,
        runbooks=(Runbook(blames="default", path="runbooks/churn.md", exists=False),),
    )


def forty() -> Decision:
    slices = tuple(
        Finding(
            message=f"accuracy of segment {n:02} is 0.{60 + n % 20}, its floor is 0.85",
            key=f"segment {n:02}",
            fix=f"look at segment {n:02}",
            value=f"0.{60 + n % 20}",
            limit="0.85",
            origin=SET_BY,
            owner="retention-platform",
        )
        for n in range(1, 38)
    )
    return decision(
        *passes(*_FAILED, "evaluation.slices"),
        *failing(judgement("evaluation.slices", "fail", *slices)),
    )


def keep() -> Decision:
    return decision(*passes(), question="retain")


def rollback() -> Decision:
    return decision(
        *passes("evaluation.floor"),
        judgement("evaluation.floor", "fail", FLOOR, severity="critical"),
        question="retain",
    )


def halt() -> Decision:
    return decision(*passes(*_FAILED), *failing(), question="retain")


def hold_champion() -> Decision:
    """The model fails and something is unclear: an unreachable source never rolls anything back."""
    return decision(
        *passes("evaluation.floor", "freshness.end_to_end"),
        judgement("evaluation.floor", "fail", FLOOR, severity="critical"),
        _UNKNOWN,
        question="retain",
        evidence=_SILENT,
    )


@dataclass(frozen=True)
class Case:
    """A decision, and how it is to be shown."""

    decision: Decision
    act: str = ""

    def context(self, **how: Any) -> ReportContext:
        return ReportContext(**{"again": AGAIN, "act": self.act, "places": places, **how})


CASES: dict[str, Case] = {
    "allow": Case(allow(), act="aigate promote --version 2"),
    "deny": Case(deny()),
    "hold": Case(hold()),
    "deny-and-unknown": Case(deny_and_unknown()),
    "no-version": Case(no_version()),
    "advise": Case(advise()),
    "waived": Case(waived(), act="aigate promote --version 2"),
    "no-owner": Case(no_owner()),
    "forty": Case(forty()),
    "keep": Case(keep()),
    "rollback": Case(rollback(), act="aigate rollback --reason 'accuracy 0.71'"),
    "halt": Case(halt(), act="aigate halt --reason 'features 12h late'"),
    "hold-champion": Case(hold_champion()),
}
"""Every case by the name of its golden files."""
