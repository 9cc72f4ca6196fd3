"""The shipped workflows, run by a real runner, against a real MLflow server."""

import json

import pytest

from action.conftest import Repository, record_of

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_what_the_gate_allows_the_promote_job_moves(repository: Repository) -> None:
    repository.example("promote.yml")
    ran = repository.run("promote.yml", "workflow_dispatch")
    gate, promote = ran["gate"], ran["promote"]
    assert (gate.result, promote.result, ran.code) == ("success", "success", 0), ran.raw[-6000:]
    assert gate.outputs["verdict"] == "allow"
    assert (gate.outputs["exit-code"], gate.outputs["evaluated-version"]) == ("0", "2")
    record = record_of(ran, repository.workspace, "aigate-gate")
    assert gate.outputs["decision-id"] == record["id"]
    assert json.loads(gate.outputs["failed-policies"]) == []
    assert (promote.outputs["verdict"], promote.outputs["evaluated-version"]) == ("allow", "2")
    assert repository.holder == "2"
    assert gate.summary.startswith("## ✅ ALLOW")
    assert "promote done" in promote.summary
    assert repository.github.written == [], "there is no pull request to comment on"
