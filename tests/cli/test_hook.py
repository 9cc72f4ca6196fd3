"""`aigate hook serve` as a command: what it refuses, what it says, how it wakes and how it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

import aigate.cli.hook as door
from aigate.act.revert import Place
from aigate.cli import run as aigate
from aigate.cli.watch import Looking, run, until_told
from aigate.listen.bell import Bell
from aigate.listen.delivery import Counts
from aigate.listen.ungated import Ungated
from aigate.plan import Act
from sending import request, send

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECRET = "a-secret-of-the-tests-only-7fd1"
MANIFEST = "version: 1\nsystem: churn\nmodel: {name: churn}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIGATE_WEBHOOK_SECRET", SECRET)
    (tmp_path / "aigate.yaml").write_text(MANIFEST)
    return tmp_path


# What is refused


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param(["--every", "9s"], "too often", id="too-often"),
        pytest.param(["--every", "never"], "not a duration", id="no-span"),
        pytest.param(["--pause", "soon"], "--pause 'soon'", id="no-pause"),
        pytest.param(["--pause", "2h"], "too long", id="a-long-pause"),
        pytest.param(["--port", "70000"], "--port", id="no-port"),
        pytest.param(["--host", "no.such.host.invalid"], "cannot listen", id="no-host"),
        pytest.param(["--on-ungated", "halt"], "--on-ungated", id="no-mode"),
        pytest.param(["-e", "staging"], "staging", id="an-unknown-environment"),
        pytest.param(["-m", "nowhere.yaml"], "no manifest", id="no-manifest"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    assert aigate(["hook", "serve", "--port", "0", *args]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert SECRET not in said.err + said.out


@pytest.mark.usefixtures("folder")
def test_without_a_secret_nothing_is_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AIGATE_WEBHOOK_SECRET")
    assert aigate(["hook", "serve", "--port", "0"]) == 2
    said = capsys.readouterr().err
    for words in ("no webhook secret", "token_urlsafe", "create_webhook", "model_version_alias.created"):
        assert words in said
    monkeypatch.setenv("AIGATE_WEBHOOK_SECRET", SECRET[:15])
    assert aigate(["hook", "serve", "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "shorter than 16 bytes" in said
    assert SECRET[:15] not in said


# The process


def _serve(folder: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "AIGATE_WEBHOOK_SECRET": SECRET,
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "aigate", "hook", "serve", "--port", "0", "--pause", "0s", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    made = _serve(folder, "--deadline", "5")
    yield made
    made.kill()
    made.wait()
    assert made.stdout is not None
    made.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_looks_at_once_when_it_is_woken_and_ends_with_zero(
    process: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    """The registry is gone: each look says so, and neither that nor a stranger ends it."""
    assert process.stdout is not None
    said: list[str] = []

    def until(start: str) -> str:
        for line in process.stdout or ():
            said.append(line)
            if line.startswith(start):
                return line
        raise AssertionError("".join(said))

    listening = until("listening on http://127.0.0.1:")
    address = ("127.0.0.1", int(listening.split("http://127.0.0.1:")[1].split("/")[0]))
    assert "looking every 5m; on an ungated move: tell" in listening
    assert "found by the clock" in until("HOLD churn ? @champion")
    until("HOLD churn ? @champion")  # the watcher's own look
    assert send(address, b"GET /healthz HTTP/1.1\r\n\r\n")[0] == 200
    assert send(address, request(secret=b"x" * 32))[0] == 401
    assert send(address, request())[0] == 202
    assert until("deliveries: ") == "deliveries: 1 accepted, 1 refused\n"
    assert "refused 1: signed with another secret" in until("  refused")
    assert "MLflow told of it" in until("HOLD churn ? @champion")
    until("HOLD churn ? @champion")
    time.sleep(0.2)  # it waits by now, for five minutes
    process.send_signal(number)
    said += process.stdout.readlines()
    assert process.wait(timeout=20) == 0
    assert SECRET not in "".join(said)
    assert "Traceback" not in "".join(said)


# Waking and ending


def test_who_is_woken_looks_before_its_time() -> None:
    bell, stopping, looks = Bell(0), threading.Event(), 0

    def look() -> int:
        nonlocal looks
        looks += 1
        if looks == 5:
            stopping.set()
            bell.stop()
        else:
            bell.ring()
        return looks

    assert run(3600, look, stopping, wait=bell.wait) == 5


@pytest.fixture
def hooked(folder: Path) -> "door._Hooked":
    around: Any = lambda: None  # noqa: E731
    made = door._Hooked(
        folder / "aigate.yaml", cast("Any", None), around, timedelta(minutes=5), lambda tick: None, json=True
    )
    made.hook(Bell(60), cast("Any", None), door._Text(), "tell")
    return made


def test_a_signal_lets_a_look_be_finished_and_the_second_breaks_off_what_is_read(
    hooked: "door._Hooked", monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []

    def look(signals: int, step: str) -> Callable[[Looking, Any, Any], None]:
        def before(self: Looking, loaded: Any, around: Any) -> None:
            self.step(step)
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGTERM)
            passed.append(step)
            raise RuntimeError("as far as this goes")

        return before

    monkeypatch.setattr("aigate.cli.watch.replace", lambda around, step: around)
    with until_told(hooked):
        for signals, step, finished in ((1, "reading", True), (1, "reading", False), (2, "revert", True)):
            passed.clear()
            monkeypatch.setattr(door._Hooked, "before", look(signals, step))
            code = hooked.look()
            assert (passed == [step], code) == (finished, 70 if finished else None)
    assert hooked.stopping.is_set()


# What is said

_UNGATED = Ungated(
    at=NOW,
    model="churn",
    alias="champion",
    environment="production",
    woken=True,
    state="ungated",
    live="3",
    expected="2",
    since=NOW,
    by="user:kai",
    message="@champion is on v3; aigate put it on v2",
    mode="auto",
    done="told",
    next=("aigate rollback churn --reason …", "look at the access log"),
    exit_code=1,
)


def _said(capsys: pytest.CaptureFixture[str], **changes: object) -> str:
    door._Text().ungated(_UNGATED.model_copy(update=changes))
    return capsys.readouterr().out


def test_a_move_past_the_gate_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys).splitlines() == [
        "UNGATED churn v3 @champion · production · 2026-11-21T12:00:00Z · MLflow told of it",
        "  @champion is on v3; aigate put it on v2",
        "  nothing is done: --on-ungated is tell",
        "  run: aigate rollback churn --reason …",
        "  note: look at the access log",
    ]
    act = Act.model_validate(
        {
            "act": "rollback", "model": "churn", "alias": "champion", "result": "done", "exit_code": 0,
            "reason": "v3 → v2, read back", "now": NOW, "seq": 7, "next": ("v3 is quarantined",),
            "warnings": ("no receipt",),
        }
    )  # fmt: skip
    assert _said(capsys, done="reverted", act=act, next=()).splitlines()[2:] == [
        "  it was put back",
        "  rollback done: v3 → v2, read back (ledger entry 7)",
        "  note: v3 is quarantined",
        "  warning: no receipt",
    ]
    assert _said(capsys, state="covered") == ""
    assert "churn nothing @champion" in _said(capsys, live=None)
    assert _said(capsys, state="under_way").startswith("MOVING churn v3 ")
    assert _said(capsys, state="unknown", live=None, woken=False).startswith("HOLD churn ? @champion")


def test_what_comes_from_outside_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    said = _said(capsys, message="\x1b[31mred\n::set-output name=x::y \u202e")
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not any(line.strip().startswith("::") for line in said.splitlines())


def test_every_way_it_ends_has_its_words() -> None:
    def names(model: type[Any], field: str) -> set[str]:
        return set(model.model_fields[field].annotation.__args__)

    assert set(door._DONE) == names(Ungated, "done") - {"nothing"}
    assert set(door._HEADS) == names(Ungated, "state") - {"covered"}
    assert names(Place, "state") < names(Ungated, "state")


def test_deliveries_are_counted_and_a_quiet_time_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    door._Text().deliveries(Counts({}, {}), NOW)
    door._Json().deliveries(Counts({}, {}), NOW)
    assert capsys.readouterr().out == ""
    door._Text().deliveries(Counts({"accepted": 2, "repeated": 1}, {"slow": 4, "unsigned": 1}), NOW)
    assert capsys.readouterr().out.splitlines() == [
        "deliveries: 2 accepted, 1 repeated, 5 refused",
        "  refused 4: slow",
        "  refused 1: not signed: the webhook has no secret in MLflow",
    ]
    door._Json().deliveries(Counts({"accepted": 2}, {"slow": 4}), NOW)
    assert capsys.readouterr().out == (
        '{"at": "2026-11-21T12:00:00Z", "refused": {"slow": 4}, "schema": "aigate.deliveries/v1", '
        '"taken": {"accepted": 2}}\n'
    )
