"""The shipped workflows, run by a real runner, against a real MLflow server."""

import json

import pytest

from action.conftest import Repository, record_of
from fakes import Asked, Reply

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_what_the_gate_allows_the_promote_job_moves(repository: Repository) -> None:
    repository.example("promote.yml")
    ran = repository.run("promote.yml", "workflow_dispatch")
    gate, promote = ran["gate"], ran["promote"]
    assert (gate.result, promote.result, ran.code) == ("success", "success", 0), ran.raw[-6000:]
    assert gate.outputs["verdict"] == "allow"
    assert (gate.outputs["exit-code"], gate.outputs["evaluated-version"]) == ("0", "2")
    record = record_of(repository.workspace, "aigate-gate")
    assert gate.outputs["decision-id"] == record["id"]
    assert json.loads(gate.outputs["failed-policies"]) == []
    assert (promote.outputs["verdict"], promote.outputs["evaluated-version"]) == ("allow", "2")
    assert repository.holder == "2"
    assert gate.summary.startswith("## ✅ ALLOW")
    assert "promote done" in promote.summary
    assert repository.github.written == [], "there is no pull request to comment on"


def test_a_denial_stops_before_the_promote_job(repository: Repository) -> None:
    repository.example("promote.yml")
    repository.point("challenger", "3")
    ran = repository.run("promote.yml", "workflow_dispatch")
    gate = ran["gate"]
    assert (gate.result, ran.code) == ("failure", 1)
    assert (gate.outputs["verdict"], gate.outputs["exit-code"], gate.outputs["yes"]) == ("deny", "1", "")
    assert set(json.loads(gate.outputs["failed-policies"])) >= {"evaluation.floor", "evaluation.regression"}
    assert "promote" not in ran.jobs or ran["promote"].steps == {}
    assert repository.holder == "1"
    floor = next(a for a in gate.annotations if a["title"].startswith("evaluation.floor"))
    lines = (repository.workspace.folder / "aigate.yaml").read_text().splitlines()
    assert (floor["kind"], floor["file"]) == ("error", "aigate.yaml")
    assert "accuracy:" in lines[int(floor["line"]) - 1], "the line that names the metric"
    assert record_of(repository.workspace, "aigate-gate")["verdict"] == "deny"


def test_a_registry_that_is_gone_is_a_hold(repository: Repository) -> None:
    repository.example("promote.yml")
    repository.workspace.variables["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    gate = repository.run("promote.yml", "workflow_dispatch")["gate"]
    assert (gate.result, gate.outputs["verdict"], gate.outputs["exit-code"]) == ("failure", "hold", "3")
    assert gate.outputs["evaluated-version"] == ""


@pytest.mark.parametrize(
    ("between", "code", "words"),
    [
        ("alias", "1", "Somebody moved it past the gate"),
        ("record", "2", "the record is decision"),
        ("data", "1", "promised 2h"),
    ],
)
def test_what_changes_between_the_jobs_moves_nothing(
    repository: Repository, between: str, code: str, words: str
) -> None:
    """The alias moved, the artifact exchanged, the data gone bad: the promote job names it."""
    repository.example("promote.yml")
    uri = repository.workspace.variables["MLFLOW_TRACKING_URI"]
    body = json.dumps({"name": repository.name, "alias": "champion", "version": "3"})
    changes = {
        "alias": f"curl -sf -X POST -H 'Content-Type: application/json' -d '{body}' {uri}/api/2.0/mlflow/registered-models/alias",
        "record": """sed -i 's/"verdict":"allow"/"verdict":"allow" /' gate/record.json; cp "$TEST_RECORD" gate/record.json""",
        "data": f"curl -sf {repository.web.url('/spoil')}",
    }
    if between == "record":  # a record of another decision, whole and in order
        first = repository.run("promote.yml", "workflow_dispatch", {"inputs": {"version": "1"}})
        assert first["gate"].outputs["verdict"] != ""
        kept = repository.workspace.folder.parent / "other.json"
        kept.write_bytes((repository.workspace.artifacts / "aigate-gate/record.json").read_bytes())
        repository.workspace.environ["TEST_RECORD"] = str(kept)
    if between == "data":

        def spoil(asked: Asked) -> Reply:
            repository.fresh(12)
            return Reply()

        repository.web.routes["/spoil"] = spoil
    repository.workspace.environ["TEST_BETWEEN"] = changes[between]
    ran = repository.run("promote.yml", "workflow_dispatch")
    promote = ran["promote"]
    assert ran["gate"].outputs["verdict"] == "allow"
    assert promote.result == "failure"
    assert repository.holder == ("3" if between == "alias" else "1")
    said = promote.text + promote.summary
    assert (promote.outputs["exit-code"], words in said) == (code, True), said[-3000:]
    assert promote.outputs["yes"] == ""


def test_a_bad_champion_is_rolled_back_by_the_job_that_may_write(repository: Repository) -> None:
    """v3 at 0.71 was let in by break-glass; the watch sees it, and the second job returns to v1."""
    repository.example("watch.yml")
    repository.serve("3")
    ran = repository.run("watch.yml", "schedule", {"schedule": "7,22,37,52 * * * *"})
    look, act = ran["look"], ran["act"]
    assert (look.outputs["verdict"], look.outputs["rollback"]) == ("rollback", "true"), ran.raw[-5000:]
    assert (look.result, act.result) == ("failure", "failure"), "somebody should know"
    assert (act.outputs["verdict"], act.outputs["rollback"]) == ("rollback", "false")
    assert repository.holder == "1"
    assert "rollback done" in act.summary
    assert "nothing is done" in look.text


def test_late_data_halt_promotions_and_move_nothing(repository: Repository) -> None:
    repository.example("watch.yml")
    repository.example("promote.yml")
    repository.fresh(12)
    ran = repository.run("watch.yml", "schedule")
    assert (ran["look"].outputs["verdict"], ran["look"].outputs["rollback"]) == ("halt", "false")
    assert ran["act"].outputs["verdict"] == "halt"
    assert repository.holder == "1"
    repository.fresh()
    promote = repository.run("promote.yml", "workflow_dispatch")["promote"]
    assert (promote.result, promote.outputs["exit-code"]) == ("failure", "1")
    assert "halted" in promote.summary
    assert "aigate resume" in promote.summary
    assert repository.holder == "1"


def test_a_champion_that_does_well_is_kept_and_the_heartbeat_written(repository: Repository) -> None:
    repository.example("watch.yml")
    ran = repository.run("watch.yml", "schedule")
    assert (ran["look"].result, ran["act"].result, ran.code) == ("success", "success", 0), ran.raw[-5000:]
    assert ran["act"].outputs["verdict"] == "keep"
    assert "aigate.watch" in repository.client.get_registered_model(repository.name).tags


def test_a_rollback_by_hand(repository: Repository) -> None:
    repository.example("rollback.yml")
    repository.serve("2")
    inputs = {"reason": "INC-2291: `$(touch pwned)`", "version": "", "dry-run": "true"}
    shown = repository.run("rollback.yml", "workflow_dispatch", {"inputs": inputs})["rollback"]
    assert (shown.result, repository.holder) == ("success", "2"), shown.text
    done = repository.run("rollback.yml", "workflow_dispatch", {"inputs": {**inputs, "dry-run": "false"}})[
        "rollback"
    ]
    assert (done.result, done.outputs["verdict"], repository.holder) == ("success", "rollback", "1")
    assert "rollback done" in done.summary
