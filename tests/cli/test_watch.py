"""`aigate watch` as a command: against a real MLflow server, as a process, and what it refuses."""

import contextlib
import gc
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

import aigate.cli.watch as door
import mlflow_seed
from aigate.cli import run as aigate
from aigate.errors import AigateError
from aigate.plan import Act
from aigate.watch.tell import Tick
from aigate.window import Heartbeat, read_heartbeat
from cli.conftest import Done, System
from fakes import WebServer, json_reply
from servers import MlflowServer

SPAN = timedelta(minutes=5)


# Against a real server


@pytest.fixture
def watched(system: System, mlflow_server: MlflowServer, request: pytest.FixtureRequest) -> System:
    """A registered model of the test's own: v1 at 0.94 in service, v2 at 0.71; what fails twice of two is a fact."""
    name = f"watch-{abs(hash(request.node.name)):x}"[:30]
    churn = mlflow_seed.seed_churn(mlflow_seed.connect(mlflow_server.url), name)
    text = (system.folder / "aigate.yaml").read_text()
    text = text.replace(system.churn.name, name).replace(system.churn.champion.run_id, churn.champion.run_id)
    rules = "environments: {production: {watch: {bad: 2, of: 2}, rollback: {mode: auto, min_soak: 0s, cooldown: 0s}}}"
    (system.folder / "aigate.yaml").write_text(f"{text}\n{rules}\n")
    return replace(system, churn=churn, environ={"AIGATE_LEDGER": f"sqlite:///{system.folder}/ledger.db"})


def client(system: System) -> Any:
    return mlflow_seed.connect(system.uri)


def a_second_later() -> None:
    """Wait for the next second: two looks in one are one reading."""
    time.sleep(1.01 - time.time() % 1)


def look(system: System, *more: str) -> tuple[Done, dict[str, Any]]:
    """Look once; return the command and the tick."""
    a_second_later()
    done = system.aigate("watch", "--once", "--format", "json", *more)
    assert done.out.count("\n") == 1, done.out + done.err
    return done, cast("dict[str, Any]", json.loads(done.out))


def holder(system: System) -> str:
    return str(client(system).get_model_version_by_alias(system.churn.name, "champion").version)


def adopt(system: System, reason: str) -> None:
    done = system.aigate("adopt", "--as", "retention-platform", "--reason", reason)
    assert done.code == 0, done.out + done.err


def serve_the_bad_one(system: System) -> None:
    """Version 2 takes the alias past the gate, and is adopted after version 1 was."""
    for version in ("1", "2"):
        client(system).set_registered_model_alias(system.churn.name, "champion", version)
        adopt(system, f"v{version} serves")


def measure(system: System, accuracy: float) -> None:
    """Measure version 2 once more, on the data of another month."""
    bad, data = system.churn.challenger, ("churn-eval-2026-12", "77ab01c2")
    experiment = system.churn.experiment_id
    mlflow_seed.evaluate(client(system), experiment, bad.model_id, {"accuracy": accuracy}, dataset=data)


@pytest.mark.server
def test_a_champion_that_does_well_stays_and_is_heard_of(watched: System) -> None:
    watched = watched.apart()
    adopt(watched, "as found")
    done, tick = look(watched)
    assert (done.code, tick["call"], tick["champion"], tick["done"]) == (0, "keep", "1", "nothing"), done.out
    text = client(watched).get_registered_model(watched.churn.name).tags["aigate.watch"]
    beat = read_heartbeat(text, datetime.now(UTC))
    assert isinstance(beat, Heartbeat), beat
    assert (beat.call, beat.every, beat.window and beat.window.letters) == ("keep", None, "k")
    again = watched.aigate("watch", watched.churn.name, "--once")
    assert again.code == 0
    assert again.out.startswith(f"KEEP {watched.churn.name} v1 @champion · production · ")
    assert again.out.count("\n") == 1, again.out


@pytest.mark.server
@pytest.mark.slow
def test_a_model_that_fails_twice_goes_back(watched: System) -> None:
    serve_the_bad_one(watched)
    first, tick = look(watched)
    assert (first.code, tick["call"], tick["bad"]) == (1, "wait", 1), first.out
    again, tick = look(watched)
    assert (again.code, tick["call"], holder(watched)) == (1, "wait", "2"), "the same number read twice"
    measure(watched, 0.70)
    done, tick = look(watched)
    assert (done.code, tick["call"], tick["done"]) == (1, "rollback", "done"), done.out + done.err
    assert holder(watched) == "1"
    assert tick["acts"][0]["automatic"] is True
    assert tick["acts"][0]["decision"] == tick["decision"]
    well, tick = look(watched)
    assert (well.code, tick["call"], tick["champion"], tick["drift"]) == (0, "keep", "1", "")


@pytest.mark.server
@pytest.mark.slow
def test_late_data_halt_and_nothing_moves(watched: System) -> None:
    adopt(watched, "as found")
    watched.loaded(features=12)
    assert look(watched)[1]["call"] == "wait"
    a_second_later()
    done = watched.aigate("watch", "--once")
    assert done.code == 1
    assert done.out.startswith(f"HALT {watched.churn.name} v1")
    for words in ("freshness.stage [data]", "data-eng", "2 of 2", "owner: retention-platform", "runbook.md"):
        assert words in done.out
    _, tick = look(watched)
    assert (tick["call"], tick["done"], tick["acts"]) == ("halt", "nothing", [])
    assert "halted already" in tick["why"][-1]
    assert holder(watched) == "1"


@pytest.mark.server
def test_what_is_only_proposed_can_be_pasted(watched: System) -> None:
    path = watched.folder / "aigate.yaml"
    path.write_text(path.read_text().replace("bad: 2, of: 2", "bad: 1, of: 1").replace("auto", "propose"))
    watched.loaded(features=12)
    done, tick = look(watched)
    assert (done.code, tick["call"], tick["done"]) == (1, "halt", "proposed")
    pasted = watched.aigate(*_words(tick["next"][0]))
    assert pasted.code in (0, 1), pasted.err
    assert "Usage" not in pasted.err


def _words(line: str) -> list[str]:
    import shlex

    name, *words = shlex.split(line)
    assert name == "aigate"
    return words


@pytest.mark.server
def test_a_registry_that_is_gone_is_a_hold(watched: System) -> None:
    watched = watched.apart()
    done = watched.aigate("watch", "--once", uri="http://127.0.0.1:9", AIGATE_LEDGER="")
    assert done.code == 3
    assert done.out.startswith("HOLD ")
    assert "left as it is" in done.out


@pytest.mark.server
def test_what_one_job_saw_another_does(watched: System) -> None:
    """The one that looks needs no right to write; the one that acts asks no endpoint."""
    path = watched.folder / "aigate.yaml"
    path.write_text(path.read_text().replace("bad: 2, of: 2", "bad: 1, of: 1"))
    adopt(watched, "in service before aigate")
    watched.loaded(features=12)
    seen = watched.aigate(
        "watch", "--once", "--dry-run", "--save-snapshot", "seen.json", "--result", "look.json",
        "-o", "json:record.json",
    )  # fmt: skip
    told = json.loads((watched.folder / "look.json").read_text())
    assert (seen.code, told["call"], told["done"]) == (1, "halt", "planned"), seen.err
    assert "only to be shown" in seen.out
    assert "aigate.watch" not in client(watched).get_registered_model(watched.churn.name).tags
    assert json.loads((watched.folder / "record.json").read_text())["question"] == "retain"
    watched.loaded(features=1)  # what the second job would see if it looked for itself
    other = watched.aigate(
        "watch", "--once", "--snapshot", "seen.json", "--decision-id", "sha256:" + "0" * 64
    )
    assert (other.code, "are not the same" in other.err) == (3, True), other.err
    same = ("--decision-id", told["decision"])
    done = watched.aigate("watch", "--once", "--snapshot", "seen.json", *same, "--result", "act.json")
    told = json.loads((watched.folder / "act.json").read_text())
    assert (done.code, told["call"], told["done"]) == (1, "halt", "done"), done.err
    assert "aigate.watch" in client(watched).get_registered_model(watched.churn.name).tags


@pytest.mark.server
def test_what_was_seen_long_ago_or_of_something_else_is_not_acted_upon(watched: System) -> None:
    assert watched.aigate("watch", "--once", "--dry-run", "--save-snapshot", "seen.json").code == 0
    text = (watched.folder / "seen.json").read_text()
    taken = json.loads(text)["now"]
    early = (datetime.fromisoformat(taken) - timedelta(minutes=16)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (watched.folder / "old.json").write_text(text.replace(f'"now":"{taken}"', f'"now":"{early}"'))
    old = watched.aigate("watch", "--once", "--snapshot", "old.json")
    assert (old.code, "may be acted upon for 15m" in old.err) == (3, True), old.err
    (watched.folder / "other.json").write_text(text.replace('"question":"retain"', '"question":"promote"'))
    other = watched.aigate("watch", "--once", "--snapshot", "other.json")
    assert (other.code, "asks whether to promote" in other.err) == (2, True), other.err
    assert "aigate.watch" not in client(watched).get_registered_model(watched.churn.name).tags


def test_what_belongs_to_one_look_is_not_for_many(tmp_path: Path) -> None:
    (tmp_path / "aigate.yaml").write_text(
        (Path(__file__).parents[2] / "examples/no-owner/aigate.yaml").read_text()
    )
    for words in (
        ["--dry-run"],
        ["--result", "x"],
        ["-o", "json:x"],
        ["--save-snapshot", "x"],
        ["--snapshot", "x"],
    ):
        assert aigate(["watch", "--every", "5m", "--manifest", str(tmp_path / "aigate.yaml"), *words]) == 2


@pytest.mark.server
def test_looking_costs_a_write_and_the_ledger_more_than_evaluating(
    watched: System, mlflow_server: MlflowServer
) -> None:
    def requests(*args: str) -> list[str]:
        before = _logged(mlflow_server)
        assert watched.aigate(*args).code == 0
        return _logged(mlflow_server)[len(before) :]

    adopt(watched, "in service before aigate")
    asked, looked = requests("evaluate", "--question", "retain"), requests("watch", "--once")
    assert asked
    assert len(looked) == len(asked) + 2, "the heartbeat, and the anchor; the ledger itself is elsewhere"


def _logged(server: MlflowServer) -> list[str]:
    """Return what was asked of the API so far; the server writes its log behind its answers, in their order."""
    last = f"/{secrets.token_hex(8)}"
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"{server.url}{last}", timeout=20).close()
    while last not in (text := server.log.read_text()):
        time.sleep(0.02)
    return [line for line in text.splitlines() if "/api/2.0/" in line]


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_between_looks_with_the_last_code(watched: System, number: signal.Signals) -> None:
    process = _start(watched)
    try:
        assert process.stdout is not None
        tick = json.loads(process.stdout.readline())
        assert (tick["call"], tick["exit_code"]) == ("keep", 0)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, ""), err


@pytest.mark.server
@pytest.mark.slow
def test_a_process_ends_within_a_look(watched: System) -> None:
    """A freshness source that never answers holds a look for its deadline, and not the end."""
    asked = threading.Event()

    with WebServer() as slow:
        path = watched.folder / "aigate.yaml"
        path.write_text(path.read_text().replace(watched.web.url(), slow.url()))

        def hang(*_: Any) -> Any:
            asked.set()
            time.sleep(15)
            return json_reply({})

        slow.routes["/features.json"] = hang
        slow.routes["/transactions.json"] = hang
        process = _start(watched)
        try:
            assert asked.wait(60)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out) == (3, ""), err
    assert time.monotonic() - began < 10


def _start(system: System) -> "subprocess.Popen[str]":
    env = {"PATH": os.environ["PATH"], "HOME": str(system.folder), "MLFLOW_TRACKING_URI": system.uri}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "aigate", "watch", "--every", "10m", "--format", "json"],
        cwd=system.folder,
        env={**env, **system.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# What is refused


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param([], "how often", id="neither"),
        pytest.param(["--once", "--every", "5m"], "how often", id="both"),
        pytest.param(["--every", "9s"], "too often", id="too-often"),
        pytest.param(["--every", "0s"], "too often", id="without-a-pause"),
        pytest.param(["--every", "-5m"], "not a duration", id="negative"),
        pytest.param(["--every", "often"], "not a duration", id="no-span"),
        pytest.param(["--every", ""], "not a duration", id="empty"),
        pytest.param(["other", "--once"], "not 'other'", id="another-model"),
        pytest.param(["--once", "-e", "staging"], "staging", id="an-unknown-environment"),
        pytest.param(["--once", "-m", "nowhere.yaml"], "no manifest", id="no-manifest"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("aigate.yaml").write_text("version: 1\nsystem: churn\nmodel: {name: churn}\n")
    assert aigate(["watch", *args]) == 2
    assert words in capsys.readouterr().err


# The process


class Time:
    """A clock, and an event that waiting for lets time pass."""

    def __init__(self, until: float) -> None:
        self.now = 100.0
        self.until = until
        self.looks: list[float] = []

    def clock(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return self.now >= self.until

    def wait(self, timeout: float) -> bool:
        assert timeout > 0
        self.now += timeout
        return self.is_set()

    def run(self, every: float, look: Callable[[], int | None]) -> int:
        def seen() -> int | None:
            self.looks.append(self.now - 100)
            return look()

        return door.run(every, seen, cast("threading.Event", self), self.clock)


def test_looks_do_not_drift() -> None:
    time_ = Time(until=100 + 10_000)

    def look() -> int:
        time_.now += 3.7
        return 0

    assert time_.run(60, look) == 0
    assert time_.looks == [60.0 * n for n in range(len(time_.looks))]
    assert len(time_.looks) == 167


def test_looks_that_take_too_long_do_not_pile_up() -> None:
    time_ = Time(until=100 + 1000)

    def look() -> int:
        time_.now += 150 if time_.now < 200 else 1
        return 1

    assert time_.run(60, look) == 1
    assert time_.looks[:4] == [0.0, 180.0, 240.0, 300.0]


def test_the_exit_code_is_that_of_the_last_look_that_was_ended() -> None:
    codes = iter([0, 3, 1, None])
    time_ = Time(until=100 + 35)
    assert time_.run(10, lambda: next(codes)) == 1
    assert Time(until=0).run(10, lambda: 0) == 3, "there was none"
    assert Time(until=101).run(10, lambda: None) == 3


@pytest.fixture
def looking(tmp_path: Path) -> "door.Looking":
    (tmp_path / "aigate.yaml").write_text("version: 1\nsystem: churn\nmodel: {name: churn}\n")
    around: Any = lambda: _Around()  # noqa: E731
    return door.Looking(
        tmp_path / "aigate.yaml", cast("Any", None), around, SPAN, lambda tick: None, json=True
    )


class _Around:
    """What a look is handed in."""


def _let(monkeypatch: pytest.MonkeyPatch, look: Callable[..., Any]) -> None:
    monkeypatch.setattr(door, "_look", look)
    monkeypatch.setattr(door, "replace", lambda around, step: step)


class Told:
    """A tick and what is remembered of it, as far as the process cares."""

    def __init__(self, code: int, beat: object = None) -> None:
        self.tick = self
        self.exit_code = code
        self.memory = beat


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        pytest.param(AigateError("odd"), 70, "odd", id="aigate"),
        pytest.param(RuntimeError("secret"), 70, "internal error: RuntimeError", id="unforeseen"),
        pytest.param(MemoryError(), 70, "internal error: MemoryError", id="memory"),
        pytest.param(RecursionError("deep"), 70, "internal error: RecursionError", id="recursion"),
    ],
)
def test_a_look_that_fails_is_told_and_the_next_one_is_taken(
    looking: "door.Looking",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    words: str,
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    _let(monkeypatch, fail)
    assert looking.look() == code
    out, err = capsys.readouterr()
    line = json.loads(out)
    assert (line["error"], line["exit_code"]) == (words, code)
    assert out.count("\n") == 1
    assert words in err
    assert "secret" not in out + err
    _let(monkeypatch, lambda *_: Told(0))
    assert looking.look() == 0


def test_a_manifest_that_is_broken_meanwhile_is_told_and_read_again(
    looking: "door.Looking", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _let(monkeypatch, lambda *_: Told(1))
    text = looking._manifest.read_text()
    looking._manifest.write_text("version: 1\nsystem: [\n")
    assert looking.look() == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2
    looking._manifest.write_text(text)
    assert looking.look() == 1


def test_a_heartbeat_is_remembered_from_look_to_look(
    looking: "door.Looking", monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    beats = iter([cast("Any", "first"), None, "third"])

    def look(loaded: Any, request: Any, around: Any, every: Any, last: Any) -> Any:
        seen.append(last)
        return Told(0, next(beats))

    _let(monkeypatch, look)
    for _ in range(3):
        looking.look()
    assert seen == [None, "first", "first"]


def test_a_signal_while_only_looking_breaks_the_look_off(
    looking: "door.Looking", monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return Told(0)

    _let(monkeypatch, look)
    with door.until_told(looking):
        assert looking.look() is None
    assert looking.stopping.is_set()
    assert signal.getsignal(signal.SIGTERM) != looking.told


def test_a_signal_while_acting_lets_the_act_be_finished(
    looking: "door.Looking", monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def look(loaded: Any, request: Any, step: Any, *_: Any) -> Any:
        step("judged")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        done.append("moved")
        return Told(1)

    _let(monkeypatch, look)
    with door.until_told(looking):
        assert looking.look() == 1
    assert (done, looking.stopping.is_set()) == (["moved"], True)


def test_a_signal_before_the_act_keeps_it_from_beginning(
    looking: "door.Looking", monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(loaded: Any, request: Any, step: Any, *_: Any) -> Any:
        looking.stopping.set()
        step("judged")
        raise AssertionError("it acted")

    _let(monkeypatch, look)
    assert looking.look() is None


def test_memory_does_not_grow_with_the_looks(
    looking: "door.Looking", monkeypatch: pytest.MonkeyPatch
) -> None:
    _let(monkeypatch, lambda *_: Told(0, bytearray(10_000)))
    looking.look()
    tracemalloc.start()
    try:
        looking.look()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            looking.look()
        gc.collect()
        # 200 looks that were kept would be 2 MB.
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()


def test_waiting_is_interrupted_at_once() -> None:
    stopping = threading.Event()
    threading.Timer(0.2, stopping.set).start()
    began = time.monotonic()
    assert door.run(3600, lambda: 0, stopping) == 0
    assert time.monotonic() - began < 5


def test_commands_can_be_run_and_notes_are_no_commands() -> None:
    act = Act.model_validate(
        {
            "act": "rollback",
            "model": "churn",
            "alias": "champion",
            "result": "done",
            "exit_code": 0,
            "reason": "moved to v1",
            "now": datetime.now(UTC),
            "next": (
                "aigate status churn",
                "not covered: servers",
                "v4 is quarantined until: aigate clear churn@4",
            ),
        }
    )
    tick = Tick(
        at=datetime.now(UTC),
        system="churn",
        model="churn",
        alias="champion",
        environment="production",
        champion="4",
        verdict="rollback",
        reason="it fails",
        decision="sha256:" + "0" * 64,
        call="rollback",
        bad=2,
        needed=2,
        of=3,
        mode="auto",
        done="done",
        next=("aigate adopt churn --reason …",),
        acts=(act,),
        exit_code=1,
    )
    lines = list(door._details(tick))
    assert [line for line in lines if line.startswith("run: ")] == [
        "run: aigate adopt churn --reason …",
        "run: aigate status churn",
    ]
    assert [line for line in lines if line.startswith("note: ")] == [
        "note: not covered: servers",
        "note: v4 is quarantined until: aigate clear churn@4",
    ]
