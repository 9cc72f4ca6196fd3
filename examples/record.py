"""Record the examples anew: `python examples/record.py [--reports] [NAME …]`, from the project's folder.

Each example is evaluated for real, against an MLflow server and freshness
endpoints that are started here; what the command saves with `--save-snapshot`
is kept beside the manifest. The runs that a manifest names are written into it
first, since MLflow gives them new ids each time. Then the recorded snapshot is
evaluated as a reader would do it, and what that prints is kept in `expected/`
and at the end of the README. With `--reports` only this last step is done.
"""
# ruff: noqa: TID251 - a program reads its own environment and clock

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from aigate.demo import models, pipeline
from aigate.demo.endpoints import Endpoints
from aigate.demo.pipeline import EMBEDDINGS, FEATURES, SCORING, TRANSACTIONS
from aigate.demo.server import MlflowServer, environment

HERE = Path(__file__).parent
PORT = 8391
"""The manifests name it, so it cannot be any that is free."""

README_TITLE = "## What aigate says\n"
HOUR = 60
NIGHTLY = {TRANSACTIONS: (100, 0), FEATURES: (80, 90), EMBEDDINGS: (60, 70), SCORING: (45, 45)}
"""Minutes ago that each stage was built, and had read its inputs: all in order, an hour ago."""

STAGES: dict[str, Mapping[str, tuple[int, int]]] = {
    # The cache was built before the features had landed, and serves those of the night before.
    "stale-cache": {
        TRANSACTIONS: (13 * HOUR, 0),
        FEATURES: (12 * HOUR, 12 * HOUR + 20),
        EMBEDDINGS: (12 * HOUR + 30, 12 * HOUR + 45),
        SCORING: (12 * HOUR, 12 * HOUR),
    },
    # Building the embeddings takes seven hours, and their age is counted from the end of it.
    "silent-lag": {
        TRANSACTIONS: (10, 0),
        FEATURES: (2 * HOUR + 20, 2 * HOUR + 30),
        EMBEDDINGS: (5 * HOUR + 50, 13 * HOUR),
        SCORING: (HOUR, HOUR),
    },
    "no-owner": NIGHTLY,
    "frozen-threshold": NIGHTLY,
}


STORY = "three-green-teams"
"""All failures at once: recorded from the demonstration itself."""


def main(words: list[str]) -> None:
    """Record the named examples, or all of them."""
    names = [word for word in words if word != "--reports"] or [*STAGES, STORY]
    if "--reports" not in words:
        if seen := [name for name in names if name in STAGES]:
            record(seen)
        if STORY in names:
            story()
    for name in names:
        expected(name)
        print(f"recorded {name}")


def record(names: list[str]) -> None:
    """Evaluate the named examples on a server and endpoints of their own, and keep the evidence."""
    with tempfile.TemporaryDirectory(prefix="aigate-examples-") as place:
        folder = Path(place)
        with Endpoints(PORT) as endpoints, MlflowServer(folder, os.environ) as server:
            environ = environment(os.environ, folder, server.url)
            server.wait()
            os.environ.clear()
            os.environ.update(environ)
            runs = seed(folder)
            for name in names:
                endpoints.publish(pipeline.documents(pipeline.chain(_now(), STAGES[name])))
                models.give_alias("challenger", "3" if name == "frozen-threshold" else "2")
                snapshot(HERE / name, folder / name, runs)


def story() -> None:
    """Play the demonstration, and keep what the refused decision in it rests on."""
    command = [sys.executable, "-m", "aigate", "demo", "--keep"]
    told = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    (refused,) = set(re.findall(r"(/\S+)/1-refused/snapshot\.json", told))
    example = HERE / STORY
    for name in ("aigate.yaml", "snapshot.json"):
        shutil.copy(Path(refused, "1-refused", name), example / name)
    shutil.copytree(Path(refused, "runbooks"), example / "runbooks", dirs_exist_ok=True)
    shutil.rmtree(refused)


def seed(folder: Path) -> dict[str, str]:
    """Log the versions the examples ask about; return the runs their manifests name, by what they stand for.

    Version 1 is champion, 2 is as good as it is. Version 3 is good too, and
    uses a retrieval threshold and an embedding that nobody wrote down.
    """
    models.quiet()
    models.start()
    dev = models.tune("dev", "behaviour-1")
    tuned = models.tune("production")
    v1 = models.log_version(folder, confidence=tuned.confidence, hours_old=0, first=True)
    models.log_version(folder, confidence=tuned.confidence, hours_old=0)
    models.log_version(folder, confidence=0.6, hours_old=0)
    models.give_alias("champion", v1.version)
    return {"floor": v1.evaluation_run, "retrieval_confidence": dev.run_id}


def snapshot(example: Path, folder: Path, runs: Mapping[str, str]) -> None:
    """Evaluate an example in a folder of its own, outside of version control, and keep the evidence."""
    text = (example / "aigate.yaml").read_text(encoding="utf-8")
    for limit, run in runs.items():
        text = re.sub(
            rf"(\b{limit}:.*?\brun: )[0-9a-f]{{32}}", rf"\g<1>{run}", text, count=1, flags=re.DOTALL
        )
    (example / "aigate.yaml").write_text(text, encoding="utf-8")
    shutil.copytree(example, folder)
    evaluate("--save-snapshot", str(example.absolute() / "snapshot.json"), cwd=folder)


def expected(name: str) -> None:
    """Keep what the recorded snapshot evaluates to."""
    folder = HERE / name / "expected"
    folder.mkdir(exist_ok=True)
    example = f"examples/{name}"
    decided = folder / "decision.json"
    words = ("--snapshot", f"{example}/snapshot.json", "--manifest", f"{example}/aigate.yaml")
    code, text = evaluate(*words, "-o", "text", "-o", f"json:{decided}", cwd=HERE.parent)
    decision = json.loads(decided.read_bytes())
    decided.unlink()
    failed = [j["info"]["id"] for j in decision["judgements"] if j["result"]["outcome"] == "fail"]
    answer = {"exit_code": code, "verdict": decision["verdict"], "failed": failed}
    (folder / "verdict.json").write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    (folder / "report.txt").write_text(without_id(text), encoding="utf-8")
    show(HERE / name, without_id(text))
    if name == STORY:
        denial(HERE.parent / "README.md", without_id(text))


def show(example: Path, report: str) -> None:
    """Put the report at the end of the example's README."""
    readme = example / "README.md"
    head, title, _ = readme.read_text(encoding="utf-8").partition(README_TITLE)
    shown = "".join(f"    {line}".rstrip() + "\n" for line in report.splitlines())
    readme.write_text(f"{head}{title}\n{shown}", encoding="utf-8")


def denial(readme: Path, report: str) -> None:
    """Show the story's report in the project's README."""
    text = readme.read_text(encoding="utf-8")
    head, begin, rest = text.partition("<!-- denial -->\n")
    _, end, tail = rest.partition("<!-- /denial -->")
    readme.write_text(f"{head}{begin}```text\n{report}```\n{end}{tail}", encoding="utf-8")


def without_id(report: str) -> str:
    """Return a report without the decision's id, which also depends on who asked and with which versions."""
    return re.sub(r"\bdecision [0-9a-f]{12}\b", "decision ············", report)


def evaluate(*words: str, cwd: Path) -> tuple[int, str]:
    """Run `aigate evaluate` as anybody would; raise where it came to no verdict."""
    command = [sys.executable, "-m", "aigate", "evaluate", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    if done.returncode not in (0, 1) or done.stderr:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode, done.stdout


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


if __name__ == "__main__":
    main(sys.argv[1:])
