"""A pull request is judged by the base's rules, whoever opened it and whatever it changes."""

import pytest

from action.conftest import Repository
from fake_github import JOB_TOKEN

pytestmark = [pytest.mark.server, pytest.mark.slow]

ALLOW_ALL = '''
from aigate import Findings, Snapshot, policy

open("/tmp/aigate-was-run", "w").write("x")


@policy("evaluation.floor")
def floor(s: Snapshot) -> Findings:
    """Everything passes."""
    if s.system == "":
        yield
'''


def lenient(repository: Repository) -> str:
    """Return the manifest with a floor that lets the bad version through."""
    text = (repository.workspace.folder / "aigate.yaml").read_text()
    return text.replace("floor: 0.92", "floor: 0.5").replace("max_drop: 0.02", "max_drop: 0.5")


def test_the_bases_rules_decide_and_the_changes_are_advice(repository: Repository) -> None:
    repository.example("promote.yml")
    repository.point("challenger", "3")
    payload = repository.propose({"aigate.yaml": lenient(repository)})
    ran = repository.run("promote.yml", "pull_request", payload)
    gate = ran["gate"]
    assert (gate.result, gate.outputs["verdict"]) == ("failure", "deny"), ran.raw[-5000:]
    assert "those of the base" in gate.text
    assert "### With your change" in gate.summary
    assert "| `evaluation.floor` | fail | pass |" in gate.summary
    (comment,) = repository.github.bodies(7)
    assert comment.startswith("<!-- aigate:production -->")
    assert "⛔ DENY" in comment
    assert "With your change" in comment
    assert "promote" not in ran.jobs or ran["promote"].steps == {}
    # The same again: the comment is kept up to date, and there is still one.
    repository.point("challenger", "2")
    again = repository.run("promote.yml", "pull_request", payload)["gate"]
    assert (again.result, again.outputs["verdict"]) == ("success", "allow")
    (comment,) = repository.github.bodies(7)
    assert "✅ ALLOW" in comment


def test_a_forks_token_cannot_comment_and_that_fails_nothing(repository: Repository) -> None:
    repository.example("promote.yml")
    repository.github.read_only.add(JOB_TOKEN)
    payload = repository.propose({"README.md": "a word\n"}, fork=True)
    repository.workspace.secrets = {}  # a fork's run has none
    gate = repository.run("promote.yml", "pull_request", payload)["gate"]
    assert (gate.result, gate.outputs["verdict"]) == ("success", "allow"), gate.text
    assert repository.github.bodies(7) == []
    warning = next(a for a in gate.annotations if a["kind"] == "warning")
    assert "comment could not be written" in warning["message"]
    assert "With your change" not in gate.summary, "it changes no rule"


def test_policies_of_a_change_are_neither_in_force_nor_run(repository: Repository) -> None:
    repository.example("promote.yml")
    repository.point("challenger", "3")
    payload = repository.propose({"policies/mine.py": ALLOW_ALL, "aigate.yaml": lenient(repository)})
    gate = repository.run("promote.yml", "pull_request", payload)["gate"]
    assert gate.outputs["verdict"] == "deny"
    assert "The change touches `policies/` as well" in gate.summary
    from pathlib import Path

    assert not Path("/tmp/aigate-was-run").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"aigate.yaml": "version: 1\nsystem: [\n"}, "cannot be used"),
        (
            {
                "aigate.yaml": "version: 1\nsystem: other\nowner: {team: x, contact: y}\nmodel: {name: other}\n"
            },
            "about model",
        ),
    ],
    ids=["broken", "another-model"],
)
def test_a_manifest_that_cannot_be_used_is_said_to_its_author(
    repository: Repository, files: dict[str, str], words: str
) -> None:
    repository.example("promote.yml")
    gate = repository.run("promote.yml", "pull_request", repository.propose(files))["gate"]
    assert (gate.result, gate.outputs["verdict"]) == ("success", "allow"), gate.text
    assert "cannot be used" in gate.summary
    assert words in gate.summary, gate.summary[-1500:]


def test_a_base_that_is_not_in_the_clone_is_no_decision(repository: Repository) -> None:
    repository.example("promote.yml")
    payload = repository.propose({"aigate.yaml": lenient(repository)})
    head = payload["pull_request"]["head"]["sha"]
    repository.workspace.git("checkout", "--quiet", "--detach", head)  # not the merge that GitHub makes
    payload["pull_request"]["base"]["sha"] = "0" * 40
    gate = repository.run("promote.yml", "pull_request", payload)["gate"]
    assert (gate.result, gate.outputs["exit-code"]) == ("failure", "2")
    assert gate.outputs.get("verdict", "") == ""
    assert "No decision was reached" in gate.summary
    assert "fetch-depth: 0" in gate.summary


def test_pull_request_target_with_a_head_checkout_is_refused(repository: Repository) -> None:
    workflow = repository.workspace.folder / ".github/workflows/target.yml"
    repository.example("promote.yml")
    text = (repository.workspace.folder / ".github/workflows/promote.yml").read_text()
    repository.workspace.commit({workflow.name: ""})
    repository.workspace.commit(
        {".github/workflows/target.yml": text.replace("pull_request:", "pull_request_target:")}
    )
    payload = repository.propose({"aigate.yaml": lenient(repository)})
    base = payload["pull_request"]["base"]["sha"]
    repository.workspace.environ["GITHUB_SHA"] = base  # as GitHub says it for this event
    refused = repository.run("target.yml", "pull_request_target", payload)["gate"]
    assert (refused.result, refused.outputs["exit-code"]) == ("failure", "2"), refused.text
    assert "what is checked out is not the base" in refused.summary
    repository.workspace.git("checkout", "--quiet", base)
    trusted = repository.run("target.yml", "pull_request_target", payload)["gate"]
    assert trusted.outputs["verdict"] == "allow", trusted.text
