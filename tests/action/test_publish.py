"""Telling people: it never fails, tells no secret, and says of a decision what it was."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aigate.action.inputs import ADVICE, ADVICE_RECORD, ANNOTATIONS, RECORD, REPORT, RESULT
from aigate.action.publish import gather, place_of, publish
from aigate.report.json import record
from fake_github import DROPS, ENDLESS, HALF_JSON, JOB_TOKEN, READ_ONLY, FakeGitHub, Fault, answers, page
from report.cases import allow, deny

HEAD = "b" * 40
SECRET = "hunter2-correct-horse"
PULL = '{"pull_request": {"number": 7, "head": {"sha": "%s"}, "base": {"sha": "%s"}}}' % (HEAD, "c" * 40)  # noqa: UP031
HOSTILE = f"a\n::error::{SECRET}\n##[add-path]/x\n<img src=x> @octocat\n"


class Job:
    """What a job left behind, and the variables that its step has."""

    def __init__(self, folder: Path, url: str) -> None:
        self.reports, self.summary = folder / "reports", folder / "summary"
        self.reports.mkdir()
        event = folder / "event.json"
        event.write_text(PULL)
        self.environ = {
            "AIGATE_ACTION_REPORTS": str(self.reports),
            "AIGATE_ACTION_EXIT_CODE": "0",
            "AIGATE_ACTION_YES": "yes",
            "AIGATE_ACTION_SAID": "ALLOW, decision 1234",
            "AIGATE_INPUT_SUMMARY": "true",
            "AIGATE_INPUT_ANNOTATIONS": "true",
            "AIGATE_INPUT_COMMENT": "true",
            "AIGATE_INPUT_STATUS": "true",
            "AIGATE_GITHUB_TOKEN": JOB_TOKEN,
            "MLFLOW_TRACKING_TOKEN": SECRET,
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_SHA": "d" * 40,
            "GITHUB_API_URL": url,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "12",
            "GITHUB_REPOSITORY": "acme/churn",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(folder / "output"),
        }

    def leave(self, name: str, content: bytes | str) -> None:
        (self.reports / name).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub(repository="acme/churn") as fake:
        yield fake


@pytest.fixture
def job(tmp_path: Path, github: FakeGitHub) -> Job:
    made = Job(tmp_path, github.url)
    made.leave(REPORT, "## ALLOW\n")
    made.leave(RECORD, record(allow()))
    made.leave(ANNOTATIONS, "::notice title=aigate::fine\n")
    return made


def test_everything_is_told(job: Job, github: FakeGitHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(job.environ) == 0
    assert job.summary.read_text() == "## ALLOW\n"
    (comment,) = github.bodies(7)
    assert comment.startswith("<!-- aigate:production -->")
    (status,) = github.statuses
    assert (status["sha"], status["state"], status["context"]) == (HEAD, "success", "aigate/production")
    assert status["description"] == "ALLOW, decision 1234"
    assert status["target_url"] == "https://github.com/acme/churn/actions/runs/12"
    assert "::notice title=aigate::fine" in capsys.readouterr().out
    assert github.violations == []
    assert not Path(job.environ["GITHUB_OUTPUT"]).exists(), "it has no say"


@pytest.mark.parametrize(
    ("code", "yes", "said", "state"),
    [
        ("0", "yes", "ALLOW", "success"),
        ("0", "", "ALLOW", "failure"),
        ("0", "Yes", "ALLOW", "failure"),
        ("1", "", "DENY", "failure"),
        ("1", "yes", "ALLOW", "failure"),
        ("00", "yes", "ALLOW", "error"),
        ("0\n", "yes", "ALLOW", "error"),
        ("2", "", "", "error"),
        ("3", "", "HOLD", "error"),
        ("4", "yes", "promote unconfirmed", "error"),
        ("70", "", "", "error"),
        ("137", "", "", "error"),
        ("", "", "", "error"),
        ("0", "", "", "error"),
    ],
)
def test_a_status_is_green_only_for_a_yes_said_twice(
    job: Job, github: FakeGitHub, code: str, yes: str, said: str, state: str
) -> None:
    given = {"AIGATE_ACTION_EXIT_CODE": code, "AIGATE_ACTION_YES": yes, "AIGATE_ACTION_SAID": said}
    assert publish(job.environ | given) == 0
    (status,) = github.statuses
    assert status["state"] == state
    assert status["description"] == (said or "no decision was reached")


def everything_told(job: Job, github: FakeGitHub, log: str) -> str:
    sent = "".join(f"{seen.path}{seen.query}{seen.body}" for seen in github.requests)
    summary = job.summary.read_text() if job.summary.exists() else ""
    return sent + summary + log


@pytest.mark.parametrize("file", [REPORT, ANNOTATIONS, "run.txt"])
@pytest.mark.parametrize("said", ["DENY", ""])
def test_no_secret_is_told(
    job: Job, github: FakeGitHub, capsys: pytest.CaptureFixture[str], file: str, said: str
) -> None:
    job.leave(file, f"it said {SECRET} and {JOB_TOKEN}\n")
    assert publish(job.environ | {"AIGATE_ACTION_SAID": said}) == 0
    told = everything_told(job, github, capsys.readouterr().out)
    assert SECRET not in told
    assert JOB_TOKEN not in told
    assert (file == "run.txt") is bool(said) or "***" in told


def test_a_secret_that_markdown_would_disguise_is_not_told(job: Job, github: FakeGitHub) -> None:
    """A reader sees `p&#42;ss` as it was."""
    token = "p*ss|_word_<3>@x"
    job.leave("run.txt", f"aigate: refused {token} at the door\n")
    publish(job.environ | {"AIGATE_ACTION_SAID": "", "MLFLOW_TRACKING_TOKEN": token})
    (comment,) = github.bodies(7)
    assert "word" not in comment
    assert "at the door" in comment


def test_without_a_decision_its_last_words_are_told_as_text(
    job: Job, github: FakeGitHub, capsys: Any
) -> None:
    job.leave("run.txt", HOSTILE)
    assert publish(job.environ | {"AIGATE_ACTION_SAID": ""}) == 0
    log = capsys.readouterr().out
    commands = [line for line in log.splitlines() if line.lstrip().startswith("::")]
    (command,) = commands
    assert command.startswith("::error title=aigate::no decision was reached")
    for text in (job.summary.read_text(), github.bodies(7)[0]):
        assert "No decision was reached" in text
        assert "ALLOW" not in text, "an old report is not about this"
        assert not re.search(r"^\s*::|##\[|<img| @octocat", text, re.MULTILINE)


def make_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


BROKEN: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(missing_ok=True),
    "empty": lambda path: path.write_bytes(b""),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\0\x80"),
    "a-folder": make_folder,
    "json": lambda path: path.write_bytes(b'{"schema": "aigate.act/v1", "act": {}}'),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(
    "file", [RECORD, RESULT, REPORT, ANNOTATIONS, ADVICE, ADVICE_RECORD, "run.txt", "advise.txt"]
)
@pytest.mark.parametrize("said", ["ALLOW", ""])
def test_what_is_missing_or_broken_is_left_out(job: Job, file: str, how: str, said: str) -> None:
    BROKEN[how](job.reports / file)
    told = gather(job.environ | {"AIGATE_ACTION_SAID": said})
    assert told.said == said
    assert ("No decision was reached" in told.report) is not bool(said)
    assert (
        publish(
            job.environ | {"AIGATE_ACTION_SAID": said, "AIGATE_INPUT_COMMENT": "", "AIGATE_INPUT_STATUS": ""}
        )
        == 0
    )
    assert job.summary.exists()


def test_without_any_report_that_is_told() -> None:
    told = gather({})
    assert "No decision was reached" in told.report
    assert "aigate did not run" in told.report
    assert publish({"AIGATE_INPUT_COMMENT": "true", "AIGATE_INPUT_STATUS": "true"}) == 0


def test_advice_is_told_after_the_decision(job: Job) -> None:
    job.leave(ADVICE, '{"policies_changed": true}')
    job.leave(ADVICE_RECORD, record(deny()))
    text = gather(job.environ).report
    assert text.index("## ALLOW") < text.index("### With your change")
    assert "It would be **DENY**" in text


@pytest.mark.parametrize(
    "fault",
    [
        DROPS,
        HALF_JSON,
        ENDLESS,
        READ_ONLY,
        answers(401, "Bad credentials"),
        answers(500, "x"),
        page(200),
        page(302),
    ],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("what", ["comment", "status"])
def test_a_github_that_fails_fails_nothing(
    job: Job,
    github: FakeGitHub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    fault: Fault,
) -> None:
    monkeypatch.setattr("aigate.action.publish.SECONDS", 1.0)
    other = {"comment": "AIGATE_INPUT_STATUS", "status": "AIGATE_INPUT_COMMENT"}[what]
    github.fail(fault, times=50)
    assert publish(job.environ | {other: "false"}) == 0
    log = capsys.readouterr().out
    (warning,) = (line for line in log.splitlines() if line.startswith("::warning"))
    assert f"{what} could not be written" in warning
    assert JOB_TOKEN not in log
    assert job.summary.read_text() == "## ALLOW\n", "the rest is told all the same"


@pytest.mark.parametrize(
    "broken",
    [
        {"AIGATE_GITHUB_TOKEN": ""},
        {"GITHUB_REPOSITORY": ""},
        {"GITHUB_REPOSITORY": "acme/../x"},
        {"GITHUB_API_URL": "file:///etc/passwd"},
        {"GITHUB_API_URL": "http://127.0.0.1:9"},
        {"GITHUB_API_URL": f"http://user:{SECRET}@127.0.0.1:9"},
        {"SSL_CERT_FILE": "/nonexistent", "GITHUB_API_URL": "https://127.0.0.1:9"},
        {"GITHUB_STEP_SUMMARY": "/nonexistent/summary"},
    ],
    ids=lambda b: "-".join(b),
)
def test_a_runner_that_is_set_up_wrongly_fails_nothing(
    job: Job, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, broken: dict[str, str]
) -> None:
    monkeypatch.setattr("aigate.action.publish.SECONDS", 1.0)
    assert publish(job.environ | broken) == 0
    log = capsys.readouterr().out
    assert "::warning" in log
    assert SECRET not in log


@pytest.mark.parametrize("name", ["SUMMARY", "ANNOTATIONS", "COMMENT", "STATUS"])
@pytest.mark.parametrize("value", ["false", "", "yes", "1"])
def test_only_what_is_wanted_is_told(
    job: Job, github: FakeGitHub, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    assert publish(job.environ | {f"AIGATE_INPUT_{name}": value}) == 0
    told = {
        "SUMMARY": job.summary.exists(),
        "COMMENT": github.bodies(7) != [],
        "STATUS": github.statuses != [],
    }
    log = capsys.readouterr().out
    told["ANNOTATIONS"] = "::notice" in log
    assert told == {each: each != name for each in told}
    assert ("taken as false" in log) is (value in ("yes", "1"))


def test_without_a_pull_request_there_is_no_comment_and_the_status_is_the_commits(
    job: Job, github: FakeGitHub
) -> None:
    Path(job.environ["GITHUB_EVENT_PATH"]).write_text("{}")
    publish(job.environ | {"GITHUB_EVENT_NAME": "push"})
    assert github.bodies(7) == []
    assert github.statuses[0]["sha"] == "d" * 40


def test_two_gates_of_a_repository_are_told_apart() -> None:
    def place(**given: str) -> str:
        return place_of({f"AIGATE_INPUT_{name.upper()}": value for name, value in given.items()})

    assert place() == place(manifest="aigate.yaml", environment="production") == "production"
    assert place(environment="staging") == "staging"
    assert place(manifest="teams/churn/aigate.yaml") == "production/teams/churn/aigate.yaml"
    assert (
        len({place(), place(environment="staging"), place(manifest="a/b.yaml"), place(manifest="a-b.yaml")})
        == 4
    )


@pytest.mark.parametrize("name", ["--><script>", "a\n<!-- x", "é/ü", "@octocat", "x" * 500, "a" * 300 + "/b"])
def test_a_name_in_the_marker_is_no_markup(job: Job, github: FakeGitHub, name: str) -> None:
    publish(job.environ | {"AIGATE_INPUT_ENVIRONMENT": name, "AIGATE_INPUT_MANIFEST": name})
    for comment in github.bodies(7):
        assert re.match(r"<!-- aigate:[^<>\s@]+ -->\n", comment), comment
        assert comment.count("<!--") == comment.count("-->") == 1
    assert github.violations == []
