"""The fake GitHub refuses what GitHub's own description refuses: a check that can fail."""

import http.client
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fake_github
from fake_github import JOB_TOKEN, MEMBERS_TOKEN, FakeGitHub
from github_description import DESCRIPTION, description, operation_of

SCRIPT = Path(__file__).parent.parent / "scripts/refresh_github_openapi.py"
SHA = "4b6472266afd7b471e86085a6659e8c7f2b119da"
HEADERS = {
    "Authorization": f"Bearer {JOB_TOKEN}",
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "test",
    "Content-Type": "application/json",
}
REPO = "/repos/acme/churn"
COMMENTS = f"{REPO}/issues/7/comments"


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        yield fake


def ask(
    github: FakeGitHub, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    sent = HEADERS if headers is None else headers
    connection = http.client.HTTPConnection(github.url.removeprefix("http://"), timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    content = b"" if body is None else json.dumps(body).encode()
    for name, value in sent.items():
        if content or name != "Content-Type":
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content)
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, json.loads(raw) if raw else None, answer.headers


def output(**more: object) -> dict[str, object]:
    return {"name": "gate", "head_sha": SHA, "output": {"title": "t", "summary": "s"} | more}


SARIF = {"commit_sha": SHA, "ref": "refs/heads/main", "sarif": "H4sI"}
NOTE = {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}

REFUSED = [
    pytest.param("POST", f"{REPO}/statuses/{SHA}", {"state": "denied"}, id="status: state denied"),
    pytest.param("POST", f"{REPO}/statuses/{SHA}", {"context": "aigate"}, id="status: no state"),
    pytest.param(
        "POST",
        f"{REPO}/statuses/{SHA}",
        {"state": "success", "description": "x" * 141},
        id="status: description over 140",
    ),
    pytest.param(
        "POST", f"{REPO}/statuses/{SHA}", {"state": "success", "description": 1}, id="status: description 1"
    ),
    pytest.param("POST", f"{REPO}/statuses/main", {"state": "success"}, id="status: of a branch"),
    pytest.param(
        "POST",
        f"{REPO}/statuses/{SHA}",
        {"state": "success", "target_url": "javascript:0"},
        id="status: target",
    ),
    pytest.param("POST", COMMENTS, {"text": "hi"}, id="comment: no body"),
    pytest.param("POST", COMMENTS, {"body": None}, id="comment: null body"),
    pytest.param("POST", COMMENTS, {"body": ""}, id="comment: empty body"),
    pytest.param("POST", COMMENTS, {"body": "x" * 65_537}, id="comment: body over 65536"),
    pytest.param("POST", COMMENTS, ["hi"], id="comment: a list"),
    pytest.param("POST", COMMENTS, None, id="comment: nothing"),
    pytest.param("POST", f"{REPO}/issues/seven/comments", {"body": "hi"}, id="comment: number in words"),
    pytest.param("PATCH", f"{REPO}/issues/comments/x1", {"body": "hi"}, id="comment: id in words"),
    pytest.param("DELETE", COMMENTS, {"body": "hi"}, id="no such method"),
    pytest.param("POST", f"{REPO}/issue/7/comments", {"body": "hi"}, id="no such path"),
    pytest.param("GET", f"{COMMENTS}?per_page=101", None, id="per_page over 100"),
    pytest.param("GET", f"{COMMENTS}?per_page=all", None, id="per_page in words"),
    pytest.param("GET", f"{COMMENTS}?perpage=50", None, id="misspelt parameter"),
    pytest.param("GET", f"{COMMENTS}?page=1&page=2", None, id="a parameter twice"),
    pytest.param("GET", COMMENTS, {"body": "hi"}, id="a body where there is none"),
    pytest.param(
        "POST",
        f"{REPO}/dispatches",
        {"event_type": "gate", "client_payload": {str(n): n for n in range(11)}},
        id="dispatch: 11 payload keys",
    ),
    pytest.param("POST", f"{REPO}/dispatches", {"event_type": "x" * 101}, id="dispatch: event over 100"),
    pytest.param("POST", f"{REPO}/check-runs", output(summary="x" * 65_536), id="check: summary over 65535"),
    pytest.param("POST", f"{REPO}/check-runs", output(annotations=[NOTE] * 51), id="check: 51 annotations"),
    pytest.param(
        "POST", f"{REPO}/check-runs", output() | {"status": "completed", "conclusion": "denied"}, id="check: denied"
    ),
    pytest.param(
        "POST", f"{REPO}/deployments/1/statuses", {"state": "blocked"}, id="deployment: state blocked"
    ),
    pytest.param(
        "POST",
        f"{REPO}/actions/runs/1/deployment_protection_rule",
        {"environment": "production", "state": "reject"},
        id="protection: reject",
    ),
    pytest.param(
        "POST", f"{REPO}/code-scanning/sarifs", SARIF | {"commit_sha": SHA[:7]}, id="sarif: short sha"
    ),
    pytest.param("POST", f"{REPO}/code-scanning/sarifs", SARIF | {"ref": "main"}, id="sarif: bare ref"),
    pytest.param("POST", f"{REPO}/code-scanning/sarifs", SARIF | {"tool": "x"}, id="sarif: unknown key"),
]  # fmt: skip

TAKEN = [
    pytest.param(
        "POST", f"{REPO}/statuses/{SHA}", {"state": "success", "description": None}, 201, id="status"
    ),
    pytest.param("POST", COMMENTS, {"body": "x" * 65_536}, 201, id="comment"),
    pytest.param("GET", f"{COMMENTS}?per_page=100&page=1", None, 200, id="comments"),
    pytest.param(
        "POST",
        f"{REPO}/dispatches",
        {"event_type": "gate", "client_payload": {str(n): n for n in range(10)}},
        204,
        id="dispatch",
    ),
    pytest.param("POST", f"{REPO}/check-runs", output(summary="x" * 65_535), 201, id="check"),
    pytest.param("POST", f"{REPO}/deployments/1/statuses", {"state": "failure"}, 201, id="deployment"),
    pytest.param(
        "POST",
        f"{REPO}/actions/runs/1/deployment_protection_rule",
        {"environment_name": "production", "state": "rejected", "comment": "no"},
        204,
        id="protection",
    ),
    pytest.param(
        "POST", f"{REPO}/actions/workflows/gate.yml/dispatches", {"ref": "main"}, 200, id="workflow"
    ),
    pytest.param("POST", f"{REPO}/code-scanning/sarifs", SARIF, 202, id="sarif"),
    pytest.param("POST", f"{REPO}/issues", {"title": "gate"}, 201, id="issue"),
]


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
def test_it_refuses_what_github_refuses(github: FakeGitHub, method: str, path: str, body: object) -> None:
    status, answer, _ = ask(github, method, path, body)
    assert status == 422
    assert answer["errors"]
    assert len(github.violations) == len(answer["errors"])
    assert not github.comments
    assert not github.statuses


@pytest.mark.parametrize(("method", "path", "body", "expected"), TAKEN)
def test_it_takes_what_github_takes(
    github: FakeGitHub, method: str, path: str, body: object, expected: int
) -> None:
    status, _, _ = ask(github, method, path, body)
    assert (status, github.violations) == (expected, [])


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_it_needs_every_header(github: FakeGitHub, name: str) -> None:
    headers = {key: value for key, value in HEADERS.items() if key != name}
    assert ask(github, "POST", COMMENTS, {"body": "hi"}, headers)[0] == 422
    assert len(github.violations) == 1


def test_an_unknown_token_is_not_let_in(github: FakeGitHub) -> None:
    status, answer, _ = ask(github, "GET", COMMENTS, None, HEADERS | {"Authorization": "Bearer ghs_other"})
    assert (status, answer["message"]) == (401, "Bad credentials")


def test_who_am_i(github: FakeGitHub) -> None:
    assert ask(github, "GET", "/user")[0] == 403
    mine = HEADERS | {"Authorization": f"Bearer {MEMBERS_TOKEN}"}
    assert ask(github, "GET", "/user", None, mine)[1]["login"] == "dana"
    assert not github.violations


def test_it_pages_with_links(github: FakeGitHub) -> None:
    for number in range(5):
        github.comment(7, "dana", f"comment {number}")
    _, first, headers = ask(github, "GET", f"{COMMENTS}?per_page=2")
    assert [c["body"] for c in first] == ["comment 0", "comment 1"]
    assert f'{COMMENTS}?per_page=2&page=2>; rel="next"' in headers["Link"]
    assert f'{COMMENTS}?per_page=2&page=3>; rel="last"' in headers["Link"]
    _, last, headers = ask(github, "GET", f"{COMMENTS}?per_page=2&page=3")
    assert [c["body"] for c in last] == ["comment 4"]
    assert "next" not in headers["Link"]
    assert not github.violations


def test_its_own_answers_are_held_against_the_description(github: FakeGitHub) -> None:
    made = github.comment(7, "dana", "hi")
    del made["node_id"]
    ask(github, "GET", COMMENTS)
    assert [v for v in github.violations if "node_id" in v]


def test_every_operation_is_found_again() -> None:
    for template, methods in description()["paths"].items():
        path = template.replace("{sha}", SHA)
        for method in methods:
            found = operation_of(method.upper(), path)
            assert found is not None
            assert found.path == template


def test_the_description_is_cut_from_the_package_the_same_way_each_time(tmp_path: Path) -> None:
    """A package whose description holds more than the subset gives the subset's bytes back."""
    whole = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    whole["paths"]["/zen"] = {"get": {"responses": {"200": {"$ref": "#/components/responses/zen"}}}}
    whole["components"]["responses"]["zen"] = {"description": "unused"}
    inner = tmp_path / "api.json"
    inner.write_text(json.dumps(whole), encoding="utf-8")
    package = tmp_path / "package.tgz"
    with tarfile.open(package, "w:gz") as tar:
        tar.add(inner, "package/generated/api.github.com.json")
    cut = tmp_path / "cut.json"
    subprocess.run([sys.executable, SCRIPT, package, cut], check=True, timeout=60)
    assert cut.read_bytes() == DESCRIPTION.read_bytes()


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "npm pack @octokit/openapi@" in done.stderr


def test_the_notice_names_the_version_and_the_licence() -> None:
    notice = (DESCRIPTION.parent / "NOTICE-github-openapi.md").read_text(encoding="utf-8")
    info = description()["info"]
    assert info["version"] in notice
    assert info["license"]["name"] == "MIT"
    assert "MIT License" in notice
    assert info["version"] in SCRIPT.read_text(encoding="utf-8")


def test_faults_are_met_in_their_order(github: FakeGitHub) -> None:
    github.fail(fake_github.answers(503, "first"), method="POST")
    github.fail(fake_github.answers(404, "second"))
    assert ask(github, "GET", COMMENTS)[0] == 404
    assert ask(github, "POST", COMMENTS, {"body": "hi"})[0] == 503
    assert ask(github, "POST", COMMENTS, {"body": "hi"})[0] == 201
