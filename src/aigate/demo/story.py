"""The story in six acts: what everybody sees, what nobody sees, the refusal, the repair, the move, the record."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from types import FrameType
from typing import Any

from aigate.demo import aftermath, pipeline, project
from aigate.demo.endpoints import Endpoints, get
from aigate.demo.models import NAME
from aigate.demo.server import MlflowServer, environment, store_options
from aigate.demo.worker import Worker
from aigate.errors import AigateError, UsageError
from aigate.values import show_duration

REFUSED, ALLOWED = "1-refused", "2-allowed"
"""The folders of the two decisions' records."""

NEEDED = ("mlflow", "sklearn")
FOUND_OUT = (
    "evaluation.floor",
    "evaluation.regression",
    "freshness.cache",
    "freshness.end_to_end",
    "freshness.stage",
    "provenance.environment",
    "provenance.review",
)
"""The policies that must fail for the story to be told as it is."""


@dataclass(frozen=True)
class Asked:
    """What the gate answered: its exit code, and its own record."""

    code: int
    verdict: str
    failed: tuple[str, ...]

    def __str__(self) -> str:
        """Say it as the story's last line needs it."""
        return f"{self.verdict} with {self.code}"


@dataclass
class Teller:
    """Puts lines on the screen; work that takes time is shown with the seconds it has taken so far."""

    say: Callable[[str], None]
    began: float
    acts: int = 0

    def act(self, title: str) -> None:
        """Begin an act."""
        self.acts += 1
        self.say(f"\n{self.acts} · {title}\n")

    def line(self, who: str, words: str) -> None:
        """Say one thing about one part."""
        self.say(f"    {who:<11} {words}")

    def did(self, words: str) -> None:
        """Say what has been done by now."""
        self.say(f"  [{time.monotonic() - self.began:3.0f} s] {words}")


@dataclass(frozen=True)
class World:
    """What the story is handed from outside, and what it started itself."""

    folder: Path
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    server: MlflowServer
    worker: Worker
    endpoints: Endpoints
    teller: Teller


def run(
    say: Callable[[str], None],
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    *,
    keep: bool = False,
) -> None:
    """Tell the story; returns only where it came out as told.

    Raises UsageError where MLflow or scikit-learn is not installed, and
    AigateError (exit code 70) where the gate did not say DENY and then ALLOW.
    Whatever happens, what was started is ended, and the folder is removed
    unless `keep`.
    """
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        raise UsageError(
            f"the demonstration needs {' and '.join(lacking)}, not installed here",
            fix="install aigate-mlops[mlflow], which has both",
        )
    teller = Teller(say, time.monotonic())
    say("aigate demo: a real failure on a real MLflow server. All of it runs on this machine.\n")
    folder = Path(tempfile.mkdtemp(prefix="aigate-demo-"))
    if keep:
        teller.did(f"everything will be left in {folder}")
    try:
        with _ended_by_signals():
            differs = _tell(folder, environ, clock, teller)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    _farewell(teller, folder, keep=keep)
    if differs:
        raise AigateError("the story did not come out as told: " + "; ".join(differs))


def _tell(
    folder: Path, environ: Mapping[str, str], clock: Callable[[], datetime], teller: Teller
) -> list[str]:
    """Play the acts, and return what came out otherwise than it should have."""
    with (
        Endpoints() as endpoints,
        MlflowServer(folder, environ) as server,
        Worker(folder, environ, server.url, teller.did) as worker,
    ):
        teller.did("starting `mlflow server` on SQLite …")
        teller.did(f"MLflow {server.wait()} answers at {server.url}")
        world = World(folder, environ, clock, server, worker, endpoints, teller)
        began = worker.do("begin")
        now = clock().replace(microsecond=0)
        late = pipeline.late(now)
        endpoints.publish(_boards(late) | pipeline.documents(late))
        threshold = project.Origin(
            began["dev"]["confidence"], _months_ago(now.date(), 14), "dev", began["dev"]["run_id"]
        )
        project.write(folder, _manifest(world, began, threshold))
        _everybody_is_green(world, began)
        _what_nobody_sees(world, began, threshold)
        teller.act("One gate looks at the whole path.")
        refused = _ask(world, REFUSED)
        repaired = _repair(world, began)
        allowed = _ask(world, ALLOWED)
        return [*_differences(began, repaired, refused, allowed), *_move(world)]


def _everybody_is_green(world: World, began: dict[str, Any]) -> None:
    """Act 1: each team asks about its own part."""
    now, url, line = world.clock(), world.endpoints.url, world.teller.line
    world.teller.act("Three teams look, each at its own part. Everything is green.")
    job, serving = get(url + "/board/job"), get(url + "/board/serving")
    passed = [test for test, good in began["tests"].items() if good]
    ran = show_duration(now - datetime.fromisoformat(job["finished_at"]))
    line("data", f"✓ job {job['job']}: {job['state']}, {ran} ago")
    line("platform", f"✓ endpoint: {serving['endpoint']}; cache: {serving['cache']}")
    line("ML", f"✓ {len(passed)} of {len(began['tests'])} tests of v2 pass:")
    line("", ", ".join(passed))


def _what_nobody_sees(world: World, began: dict[str, Any], threshold: project.Origin) -> None:
    """Act 2: what lies between the parts, from the same sources."""
    now, line = world.clock(), world.teller.line
    world.teller.act("What nobody sees: it lies between the parts, so it is on no board.")
    built, features = (
        get(world.endpoints.url + pipeline.path(stage)) for stage in (pipeline.EMBEDDINGS, pipeline.FEATURES)
    )
    age = show_duration(now - datetime.fromisoformat(built["built_at"]))
    line("cache", f"built {age} ago from {built['inputs'][pipeline.FEATURES]};")
    line("", f"upstream has replaced it: the features are at {features['version']}")
    line(
        "threshold",
        f"retrieval_confidence {threshold.value:.2f}: fitted in dev on {threshold.set_on}, not since;",
    )
    wrong = round(began["wrong_share"] * 100)
    line("", f"in production {wrong} of 100 vectors that it lets through are somebody else's")
    v1, v2 = (began[name]["accuracy"] for name in ("v1", "v2"))
    line("accuracy", f"v1 {v1:.2f} → v2 {v2:.2f}, on the same 1,000 customers;")
    line("", "v2 was trained on vectors from that cache, 12 hours old")


def _repair(world: World, began: dict[str, Any]) -> dict[str, Any]:
    """Act 4: the path is repaired, not the alarm."""
    teller = world.teller
    teller.act("The repair: fresh data, and a threshold measured where it is used.")
    repaired = world.worker.do("repair")
    now = world.clock().replace(microsecond=0)
    fresh = pipeline.backfilled(now)
    world.endpoints.publish(_boards(fresh) | pipeline.documents(fresh))
    teller.did("pipeline built again in order: " + " → ".join(pipeline.STAGES))
    tuned = repaired["production"]
    threshold = project.Origin(tuned["confidence"], now.date(), "production", tuned["run_id"])
    project.write(world.folder, _manifest(world, began, threshold))
    teller.did(
        f"manifest: retrieval_confidence {threshold.value:.2f}, from run {threshold.run[:8]}… in production"
    )
    teller.say("")
    return repaired


def _move(world: World) -> list[str]:
    """Act 5: the alias is moved, taken back, and explained."""
    world.teller.act("The decision becomes an act, and one command takes it back.")
    environ = environment(world.environ, world.folder, world.server.url)
    return aftermath.play(world.teller.say, world.folder, environ)


def _farewell(teller: Teller, folder: Path, *, keep: bool) -> None:
    """Act 6: what is left of it, and where to go on."""
    line = teller.line
    teller.act("What is left.")
    if keep:
        refused = folder / REFUSED
        line("records", "the evidence, the decision and the manifest of each, and the data:")
        line("", str(folder))
        line("ask again", f"aigate evaluate --snapshot {refused}/snapshot.json \\")
        line("", f"  --manifest {refused}/aigate.yaml")
        line("look at it", f"mlflow server {' '.join(store_options(folder))}")
    else:
        line("records", "each decision was recorded with its evidence and can be asked again years later;")
        line("", "here both went with the folder they were in. To look at them: aigate demo --keep")
    line("next", "set MLFLOW_TRACKING_URI, then `aigate doctor` and `aigate init` on a model of yours")
    teller.say("")
    teller.did("done; nothing that was started is still running")


def _differences(
    began: dict[str, Any], repaired: dict[str, Any], refused: Asked, allowed: Asked
) -> list[str]:
    """Return what differs from the story as it is meant to be."""
    accuracies = [f"{began[name]['accuracy']:.2f}" for name in ("v1", "v2")]
    broken = [test for test, passed in began["tests"].items() if not passed]
    overlooked = sorted(set(FOUND_OUT) - set(refused.failed))
    v3 = repaired["v3"]["accuracy"]
    answers = (refused.verdict, refused.code), (allowed.verdict, allowed.code)
    told = (
        (accuracies == ["0.94", "0.71"], f"v1 and v2 are at {' and '.join(accuracies)}, not 0.94 and 0.71"),
        (not broken, f"the team's own tests should pass, not so: {', '.join(broken)}"),
        (v3 >= project.FLOOR, f"v3 should reach {project.FLOOR}, it is at {v3}"),
        (answers[0] == ("deny", 1), f"v2 should be denied with exit code 1, the gate said {refused}"),
        (not overlooked, f"{', '.join(overlooked)} should have failed"),
        (answers[1] == ("allow", 0), f"v3 should be allowed with exit code 0, the gate said {allowed}"),
    )
    return [words for as_told, words in told if not as_told]


def _ask(world: World, name: str) -> Asked:
    """Run the command anybody would type, show what it prints, and keep its record."""
    record = world.folder / name
    record.mkdir()
    shutil.copy(world.folder / "aigate.yaml", record)
    words = ["evaluate", NAME, "--manifest", "aigate.yaml"]
    records = ["--save-snapshot", f"{name}/snapshot.json", "-o", "text", "-o", f"json:{name}/decision.json"]
    world.teller.say(f"    $ aigate {' '.join(words)} \\\n        {' '.join(records)}\n")
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own command
        [sys.executable, "-m", "aigate", *words, *records],
        cwd=world.folder,
        env=environment(world.environ, world.folder, world.server.url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    for line in done.stdout.splitlines():
        world.teller.say(f"    {line}".rstrip())
    asked = _recorded(record / "decision.json", done.returncode)
    failed = f"; failed: {', '.join(asked.failed)}" if asked.failed else ""
    world.teller.say("")
    for line in wrap(f"exit code {done.returncode}{failed}", width=96):
        world.teller.say(f"    {line}")
    return asked


def _recorded(file: Path, code: int) -> Asked:
    """Read a decision back from its record; a gate that came to none left none."""
    try:
        decision = json.loads(file.read_bytes())
    except FileNotFoundError:
        return Asked(code, "nothing", ())
    failed = [j["info"]["id"] for j in decision["judgements"] if j["result"]["outcome"] == "fail"]
    return Asked(code, decision["verdict"], tuple(failed))


def _boards(stages: Mapping[str, pipeline.Built]) -> dict[str, object]:
    """Return what the teams' own boards show: true, each of them, and of its own part only."""
    finished = stages[pipeline.FEATURES].document["built_at"]
    return {
        "/board/job": {"job": pipeline.FEATURES, "state": "succeeded", "finished_at": finished},
        "/board/serving": {"endpoint": "up", "cache": "serving"},
    }


def _manifest(world: World, began: dict[str, Any], threshold: project.Origin) -> str:
    return project.manifest(
        world.endpoints.url,
        world.clock().date(),
        baseline=began["v1"]["evaluation_run"],
        threshold=threshold,
    )


def _months_ago(today: date, months: int) -> date:
    return today - timedelta(days=months * 30)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a request to terminate end the story as Ctrl-C does: with everything cleaned up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
