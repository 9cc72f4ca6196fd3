"""The action's command `check`: what it is told, whose files it looks at, and when it says yes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aigate.action.event import Event, UntrustedError, refuse_credentials
from aigate.action.inputs import Inputs, arguments, read_inputs
from aigate.action.outcome import Left, Outcome, outcome
from aigate.action.run import in_force
from aigate.action.words import of_result
from aigate.digest import canonical
from aigate.errors import UsageError
from aigate.report.check import MOST_SHOWN, Check, Checked, Problem, render_markdown

CHECK = Inputs("check")
SOUND = Checked(manifest="aigate.yaml", system="churn", policies=32, environments=("production",))
WRONG = Problem(place="aigate.yaml:3:1", message="unknown key", fix="see", manifest="aigate.yaml")


def test_the_command_line() -> None:
    reports, start = Path("/reports"), Path("/start")
    words = arguments(CHECK, "deep/aigate.yaml", reports, start)
    assert words == ["check", "--result=/reports/result.json", "--", "deep/aigate.yaml"]
    recorded = arguments(Inputs("check", snapshot="s.json"), "aigate.yaml", reports, start)
    assert recorded == [
        "check",
        "--result=/reports/result.json",
        "--snapshot=/start/s.json",
        "--",
        "aigate.yaml",
    ]
    assert not CHECK.changes


@pytest.mark.parametrize("name", ["model", "version", "reason", "decision", "ledger", "mlflow_tracking_uri"])
def test_inputs_that_mean_nothing_to_it(name: str) -> None:
    environ = {"AIGATE_INPUT_COMMAND": "check", f"AIGATE_INPUT_{name.upper()}": "x"}
    with pytest.raises(UsageError, match="means nothing to check"):
        read_inputs(environ)


def left(check: Check) -> Left:
    return Left(result=canonical(check))


@pytest.mark.parametrize(
    ("check", "code", "yes", "said"),
    [
        (Check(checked=(SOUND,)), 0, True, "check ok, 32 policies"),
        (Check(checked=(SOUND,)), 70, False, "check ok, 32 policies"),
        (Check(checked=(SOUND,), errors=(WRONG,)), 0, False, "check failed, 1 mistake"),
        (Check(errors=(WRONG, WRONG)), 2, False, "check failed, 2 mistakes"),
        (Check(), 0, False, "check failed, 0 mistakes"),
    ],
    ids=["ok", "other-code", "errors-and-zero", "errors", "nothing"],
)
def test_a_yes_is_said_twice(check: Check, code: int, yes: bool, said: str) -> None:
    found = outcome(CHECK, code, left(check))
    assert found == Outcome(yes=yes, said=said)
    assert found.outputs["verdict"] == ""


@pytest.mark.parametrize("data", [None, b"", b"{}x", b'{"schema": "aigate.check/v2"}', b"[]"])
def test_a_result_that_cannot_be_read_is_no_yes(data: bytes | None) -> None:
    assert outcome(CHECK, 0, Left(result=data)) == Outcome()


def event(name: str, payload: dict[str, Any] | None = None, sha: str = "") -> Event:
    return Event(name, sha, payload or {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_TOKEN", "t"),
        ("MLFLOW_TRACKING_PASSWORD", "p"),
        ("DATABRICKS_TOKEN", "t"),
        ("AIGATE_SIGNING_KEY", "k"),
        ("AIGATE_LEDGER", "postgresql://gate:pa55@db.example/aigate"),
        ("AIGATE_LEDGER", "postgresql://gate:pa55@[db.example/aigate"),
        ("MLFLOW_TRACKING_URI", "https://me:pa55@mlflow.example"),
    ],
)
def test_no_proposed_code_beside_a_credential(name: str, value: str) -> None:
    for kind in ("pull_request", "pull_request_review", "merge_group"):
        with pytest.raises(UntrustedError, match=f"beside {name}") as caught:
            refuse_credentials(event(kind), {name: value})
        assert caught.value.exit_code == 2
        assert "pa55" not in f"{caught.value.message} {caught.value.fix}"
    refuse_credentials(event("push"), {name: value})


def test_what_is_no_credential() -> None:
    environ = {
        "MLFLOW_TRACKING_TOKEN": "",  # a fork's run: the secret is there, and empty
        "MLFLOW_TRACKING_URI": "https://mlflow.example",
        "AIGATE_LEDGER": "postgresql://gate@db.example/aigate",
    }
    refuse_credentials(event("pull_request"), environ)


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.invalid")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def proposed(tmp_path: Path) -> tuple[Path, str, str]:
    """A clone with a change checked out: its folder, the base and the head."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    (tmp_path / "aigate.yaml").write_text("base\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "base")
    base = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "aigate.yaml").write_text("change\n")
    git(tmp_path, "commit", "--quiet", "--all", "--message", "change")
    return tmp_path, base, git(tmp_path, "rev-parse", "HEAD")


@pytest.mark.parametrize(("inputs", "text"), [(CHECK, "change\n"), (Inputs("evaluate"), "base\n")])
def test_a_change_is_checked_by_its_own_files_and_judged_by_the_bases(
    proposed: tuple[Path, str, str], inputs: Inputs, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, base, head = proposed
    payload = {"pull_request": {"head": {"sha": head}, "base": {"sha": base}}}
    environ = {"RUNNER_TEMP": str(tmp_path_factory.mktemp("temp"))}
    with in_force(event("pull_request", payload, head), folder, inputs, environ) as rules:
        assert (rules.root / rules.manifest).read_text() == text


@pytest.mark.parametrize("name", ["pull_request_target", "issue_comment"])
def test_a_run_with_the_bases_secrets_checks_no_foreign_code(
    proposed: tuple[Path, str, str], name: str
) -> None:
    folder, base, head = proposed
    payload = {"pull_request": {"head": {"sha": head}, "base": {"sha": base}}}
    with (
        pytest.raises(UntrustedError, match="runs with the base's secrets"),
        in_force(event(name, payload, base), folder, CHECK, {}),
    ):
        pass
    git(folder, "checkout", "--quiet", "--detach", base)
    with in_force(event(name, payload, base), folder, CHECK, {}) as rules:
        assert (rules.root / rules.manifest).read_text() == "base\n"


def test_the_summary_lists_mistakes_and_shows_text_as_text() -> None:
    odd = Problem(
        place="policies/x.py:3",
        message="no: <img src=x> @everyone\n## done",
        manifest="aigate.yaml",
    )
    text = render_markdown(Check(errors=(WRONG, odd)))
    assert text.splitlines()[2] == "- `aigate.yaml:3:1`: unknown key (fix: see)"
    assert len(text.splitlines()) == 4
    assert "<img" not in text
    assert "`@everyone`" in text, "as code, it notifies nobody"
    assert of_result(canonical(Check(errors=(WRONG, odd)))) == text
    many = render_markdown(Check(errors=(WRONG,) * (MOST_SHOWN + 5)))
    assert many.endswith("- 5 more\n")
    assert len(many.splitlines()) == 2 + MOST_SHOWN + 1


def test_the_shape_is_kept() -> None:
    check = Check(checked=(SOUND,), errors=(WRONG,))
    found = json.loads(canonical(check))
    assert found["schema"] == "aigate.check/v1"
    assert set(found) == {"schema", "checked", "tried", "errors", "warnings", "notes"}
    assert set(found["errors"][0]) == {"place", "message", "fix", "manifest"}
