"""Manifests as people write them, for the tests of everything that reads one."""

from typing import Any

import pytest
from pydantic import ValidationError

DESIGN = """\
version: 1
system: churn
owner: {team: retention-platform, contact: "#churn-oncall", escalation: https://pager.example/churn}
model: {name: churn, champion: champion, challenger: challenger}
metrics:
  accuracy: {range: [0, 1], floor: {value: 0.92, provenance: {set_by: m.ito, set_on: 2026-08-02, environment: production, run: 1f0c2ab4, review_by: 2027-02-02}}, max_drop: 0.02}
stages:
  - {name: transactions, owner: data-eng, freshness: {url: https://data.example/freshness.json, time: loaded_at, max_age: 2h}}
  - {name: features, owner: data-eng, reads: [transactions], freshness: {dbt: target/sources.json, source: raw.features, max_age: 6h}}
  - {name: embeddings, owner: ml, reads: [features], freshness: {prometheus: https://prom.example, query: embeddings_built_timestamp_seconds, max_age: 12h}}
  - {name: scoring, owner: platform, reads: [embeddings]}
objectives: {end_to_end_age: 18h}
thresholds:
  retrieval_confidence: {value: 0.72, applied: {param: retrieval_confidence}, provenance: {set_by: m.ito, set_on: 2026-08-02}}
runbooks: {default: runbooks/churn.md, data: runbooks/late-data.md}
environments: {production: {levels: {ownership: require}}, staging: {levels: {"*": advise}}}
"""
"""The manifest of the design, with values where it leaves some out."""

SMALL = "version: 1\nsystem: churn\nmodel: {name: churn}\n"
"""The least that is a manifest."""

FULL = """\
version: 1
system: churn
owner: retention
model: {name: churn}
metrics:
  accuracy:
    range: [0, 1]
    floor: 0.92
    max_drop: {value: 0.02, provenance: {set_by: b.lind}}
    confidence: 0.95
    kind: proportion
    rows: 5000
    anchor: {value: 0.94, max_creep: {value: 0.03, provenance: {set_by: b.lind}}}
    slices:
      new: {metric: accuracy_new, floor: 0.8, max_drop: {value: 0.05, provenance: {set_by: b.lind}}}
    judge: correctness
    min_coverage: 0.9
    provenance: {set_by: m.ito}
  latency: {ceiling: 250, max_rise: 10, slices: {new: {metric: latency_new, ceiling: 300, max_rise: 20}}}
stages:
  - {name: raw, freshness: {headers: https://data.example/raw, max_age: 2h, max_evidence_age: 5m, provenance: {set_by: o.diaz}}}
  - {name: features, reads: [raw], freshness: {file: fresh.json, time: at, max_age: {value: 6h, provenance: {set_by: o.diaz}}}}
  - {name: scoring, reads: [features]}
objectives: {end_to_end_age: {value: 18h, provenance: {set_by: m.ito}}}
thresholds:
  confidence: 0.72
  cut: {value: 3, applied: {run_tag: cut}, provenance: {set_by: m.ito}}
"""
"""A limit at every place where one can stand."""

BASE: dict[str, Any] = {"version": 1, "system": "churn", "model": {"name": "churn"}}
STAGE: dict[str, Any] = {"name": "raw"}
JSON_SOURCE: dict[str, Any] = {"url": "https://data.example/f.json", "time": "at", "max_age": "2h"}


def refused(model: Any, data: object, words: str) -> None:
    """Hold that a model refuses data, in these words."""
    with pytest.raises(ValidationError, match=words):
        model.model_validate(data)
