"""What acts cost: a rollback at night, a promotion beyond its evaluation, a look of the watcher, a ledger's proof."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import world
from measure import Run, in_turn, middle, ratio, run

AIGATE = [sys.executable, "-P", "-m", "aigate"]
ROUNDS = 7
ENTRIES = 20_000
MODEL = "acts"

Row = tuple[str, str, str]


def rows(folder: Path, url: str, urls: list[str], env: Mapping[str, str]) -> list[Row]:
    """Measure promotions, rollbacks and looks against a live server, in cold processes; then the ledger alone."""
    trial = folder / MODEL
    trial.mkdir()
    good = world.seed_good(url, MODEL)
    manifest = world.write_manifest(trial, urls, good, model=MODEL)
    here = ("-m", str(manifest))
    because = ("--reason", "bench", *here)
    done("adopt", MODEL, *because, "--as", "retention", env=env)
    promotions, rollbacks = [], []
    for number in range(ROUNDS + 1):
        act = json.loads(done("promote", "--version", "2", *here, "--format", "json", env=env))
        back = cold(["rollback", MODEL, "--to", "1", *because], env)
        done("clear", f"{MODEL}@2", *because, "--as", "retention", env=env)
        if number:
            promotions.append(float(act["seconds"]))
            rollbacks.append(back)
    looks = in_turn(
        {
            "watch": [*AIGATE, "watch", "--once", *here],
            "evaluate": [*AIGATE, "evaluate", *here, f"{MODEL}@2"],
        },
        env,
        rounds=ROUNDS,
        expect={},
    )
    return [
        (
            "`aigate rollback`, cold process, local MLflow, its ledger inside",
            f"{middle(rollbacks, lambda r: r.wall):.2f} s wall, {middle(rollbacks, lambda r: r.peak):.0f} MiB",
            "at most 2 s",
        ),
        (
            "`aigate promote`, beyond its evaluation: intent, second look, move, receipt",
            f"{median(promotions):.2f} s",
            "at most 0.5 s",
        ),
        (
            "`aigate watch --once`, as a share of `aigate evaluate`",
            f"{ratio(looks['watch'], looks['evaluate']):.2f} ×",
            f"{middle(looks['evaluate'], lambda r: r.wall):.2f} s wall",
        ),
        (
            f"a ledger of {ENTRIES:,} entries read and verified",
            f"{verified():,.0f} entries/s",
            "at least 10,000/s",
        ),
    ]


def done(*words: str, env: Mapping[str, str]) -> str:
    """Run a command that must end well, and return what it prints."""
    made = subprocess.run([*AIGATE, *words], env=dict(env), capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(
            f"bench: aigate {words[0]} ended with {made.returncode}: {(made.stderr + made.stdout)[-2000:]}"
        )
    return made.stdout


def cold(words: Sequence[str], env: Mapping[str, str]) -> Run:
    """Time a command that must end well."""
    result = run([*AIGATE, *words], env)
    if result.code:
        sys.exit(f"bench: aigate {words[0]} ended with {result.code}")
    return result


def verified() -> float:
    """Return how many entries a second are read and verified: form, place, chain and digest of each."""
    from aigate.ledger import read_chain

    lines = history(ENTRIES)
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        chain = read_chain(MODEL, lines)
        rates.append(len(chain.entries) / (time.perf_counter() - started))
        if chain.faults or len(chain.entries) != ENTRIES:
            sys.exit("bench: the ledger is not what was written")
    return median(rates)


def history(count: int) -> list[bytes]:
    """Return a ledger of promotions: an intent and its outcome, again and again."""
    from aigate.decision import Actor
    from aigate.digest import digest_bytes
    from aigate.ledger import Body, Head, Identity, Intent, Kept, Outcome, next_entry, written

    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    some = digest_bytes(b"some")
    versions = [
        Identity(
            version=str(number),
            created_at=now,
            run_id=f"{number:032x}",
            source=f"models:/m-{number:032x}",
            model_id=f"m-{number:032x}",
            artifact_digest=some,
        )
        for number in (1, 2)
    ]
    actor = Actor(name="github:kai", run="https://github.com/acme/churn/actions/runs/123456789")
    head: Head | None = None
    lines = []
    for seq in range(1, count + 1):
        was, to = versions if seq % 4 < 2 else reversed(versions)
        body: Body = Outcome(of=max(seq - 1, 1), result="applied", found=to.version)
        if seq % 2:
            body = Intent(
                action="promote",
                alias="champion",
                from_=was,
                to=to,
                environment="production",
                reason="19 of 19 policies passed",
                expires=now,
                decision=some,
                record=Kept(digest=some, place=f"{seq:032x}"),
                snapshot=Kept(digest=some, place=f"{seq:032x}"),
                bound=some,
                manifest=some,
                policies=some,
            )
        line = written(next_entry(head, MODEL, body, at=now, actor=actor, nonce=f"{seq:016x}"))
        head = Head(seq=seq, digest=digest_bytes(line))
        lines.append(line)
    return lines
