"""What the guard in the server costs per call of the registry, beside a plain one, and how soon an audit finds what it cannot see.

As a program, it measures two stores in its own process: MLflow's own, and the
same with the guard before it.
"""

import contextlib
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import acts
import world
from measure import ROOT, in_turn, middle

ROUNDS = 80
"""Of each call, on either side in turn."""

AUDITS = 5
REGISTRY = "bench"
SIGNED = "set protected alias, with a ticket"
TARGET = "at most 5 % or 1 ms more"
Row = tuple[str, str, str]
Call = Callable[[int], object]
Side = Mapping[str, Call]
"""The calls of one side, by name; each is told the number of the round."""


def rows(folder: Path) -> list[Row]:
    """Measure stores over SQLite and, where it is installed, PostgreSQL; servers over HTTP; and audits."""
    place = folder / "hook"
    place.mkdir()
    pem = guard_file(place)
    found = [_row("in process, SQLite", _stores(place, f"sqlite:///{place}/stores.db", pem))]
    with postgres() as database:
        if database:
            found.append(_row("in process, PostgreSQL", _stores(place, database, pem)))
    found.append(_row("over HTTP, SQLite, one worker", servers(place, pem)))
    return [*found, *audits(place)]


def guard_file(place: Path) -> Path:
    """Write a guard file and a key pair beside it; return the private key's path."""
    from aigate.enforce.keys import generate, write_pair

    pair = write_pair(generate(), place)
    (place / "guard.yaml").write_text(
        f"version: 1\nregistry: [{REGISTRY}]\nprotected: [{{model: 'prod-*'}}]\nkeys: [{{file: {pair.public.name}}}]\n"
    )
    return pair.private


def _row(where: str, measured: Mapping[str, list[list[float]]]) -> Row:
    words = []
    for name, (plain, guarded) in measured.items():
        more = median(b - a for a, b in zip(plain, guarded, strict=True))
        words.append(f"{name} {median(plain) * 1000:.2f} ms {more * 1000:+.2f}")
    return f"the guard in the server, {where}: plain, and what it adds", ", ".join(words), TARGET


def compared(plain: Side, guarded: Side) -> dict[str, list[list[float]]]:
    """Time every call on both sides in turn, the first round unmeasured; return the seconds of both, call by call."""
    times: dict[str, list[list[float]]] = {name: [[], []] for name in plain}
    for number in range(ROUNDS + 1):
        for name in plain:
            sides = list(enumerate((plain[name], guarded[name])))
            for side, call in sides if number % 2 else reversed(sides):
                started = time.perf_counter()
                call(number)
                took = time.perf_counter() - started
                if number:
                    times[name][side].append(took)
    return times


# ---- two stores in one process


def _stores(place: Path, database: str, pem: Path) -> dict[str, list[list[float]]]:
    env = {**os.environ, "AIGATE_GUARD": str(place / "guard.yaml"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, str(ROOT / "bench" / "hook.py"), database, str(pem)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: the stores failed: {done.stderr[-2000:]}")
    found: dict[str, list[list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(database: str, pem: str) -> None:
    """Print what `compared` returns for two stores of one database, each with models of its own."""
    from flask import Flask
    from mlflow.server.handlers import ModelRegistryStoreRegistryWrapper

    from aigate.hook.store import build

    app, tickets = Flask("bench"), Tickets(Path(pem))
    plain = ModelRegistryStoreRegistryWrapper._get_sqlalchemy_store(database)
    guarded = build(f"aigate+{database}")
    print(
        json.dumps(
            compared(_store_side(app, plain, tickets, "plain"), _store_side(app, guarded, tickets, "guarded"))
        )
    )


def _store_side(app: Any, store: Any, tickets: "Tickets", name: str) -> Side:
    free, protected = f"free-{name}", f"prod-{name}"
    for model in (free, protected):
        store.create_registered_model(model)
        versions = [store.create_model_version(model, f"s3://nowhere/{n}") for n in (1, 2)]
    shown = tickets.in_turn(protected, [(v.version, v.creation_timestamp, v.source) for v in versions])
    calls: dict[str, Call] = {
        "set alias": lambda n: store.set_registered_model_alias(free, "champion", str(n % 2 + 1)),
        SIGNED: lambda n: store.set_registered_model_alias(protected, "champion", str(n % 2 + 1)),
        "get by alias": lambda n: store.get_model_version_by_alias(protected, "champion"),
        "create version": lambda n: store.create_model_version(protected, f"s3://nowhere/new-{n}"),
        "search": lambda n: store.search_model_versions(f"name = '{free}'", max_results=100),
    }

    def within(name: str, call: Call) -> Call:
        """Call as within a request, which both sides pay for; the ticket was made before."""
        return lambda n: _requested(app, shown[n] if name == SIGNED else "", lambda: call(n))

    return {name: within(name, call) for name, call in calls.items()}


def _requested(app: Any, ticket: str, call: Callable[[], object]) -> None:
    from aigate.ticket import HEADER

    with app.test_request_context(headers={HEADER: ticket} if ticket else {}):
        call()


class Tickets:
    """Signs leave for moves, ahead of the clock that is measured."""

    def __init__(self, pem: Path) -> None:
        from aigate.enforce.keys import read_signing_key

        self._key = read_signing_key(pem.read_bytes(), "the bench's key")

    def in_turn(self, model: str, versions: Sequence[tuple[object, object, str]]) -> list[str]:
        """Return the header of each round: it moves the alias back and forth between (number, creation, source)."""
        from aigate.enforce.keys import sign
        from aigate.ledger import Identity
        from aigate.ticket import Ticket, header_value
        from aigate.values import missing

        first, second = (
            Identity(
                version=str(number),
                created_at=datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(str(created))),
                run_id=None,
                source=source,
                model_id=None,
                artifact_digest=missing("not read", "bench"),
            )
            for number, created, source in versions
        )
        now = datetime.now(UTC).replace(microsecond=0)
        found, held = [], None
        for number in range(ROUNDS + 1):
            to = second if number % 2 else first
            ticket = Ticket(
                registry=REGISTRY,
                model=model,
                alias="champion",
                action="promote",
                from_=held,
                to=to,
                decision="sha256:" + "a" * 64,
                entry=1,
                issued_at=now,
                expires_at=now + timedelta(minutes=15),
                nonce=os.urandom(16).hex(),
            )
            found.append(header_value(sign(ticket, self._key)))
            held = to
        return found


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL as the tests do, and yield a database's address; an empty one where there is none."""
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        yield ""
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from enforce import conftest

    with contextlib.contextmanager(conftest.postgres._get_wrapped_function())() as server:
        yield server.uri(server.new_database()).replace("postgresql://", "postgresql+psycopg://")


# ---- two servers


def servers(place: Path, pem: Path) -> dict[str, list[list[float]]]:
    """Compare a plain server with a guarded one, over one kept connection each."""
    folders = [place / "plain", place / "guarded"]
    for folder in folders:
        folder.mkdir()
    guard = place / "guard.yaml"
    with world.mlflow_server(folders[0]) as plain, world.mlflow_server(folders[1], guard) as guarded:
        return compared(*(_server_side(Line(url), Tickets(pem)) for url in (plain, guarded)))


class Line:
    """A kept connection to a server."""

    def __init__(self, url: str) -> None:
        self._line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)

    def ask(self, method: str, place: str, body: object = None, ticket: str = "") -> Any:
        """Send a request that has to end well."""
        headers = {"Content-Type": "application/json"} | ({"X-Aigate-Ticket": ticket} if ticket else {})
        self._line.request(method, f"/api/2.0/mlflow/{place}", json.dumps(body) if body else None, headers)
        answer = self._line.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: {method} {place} ended with {answer.status}: {text[:300]!r}")
        return json.loads(text)


def _server_side(line: Line, tickets: Tickets) -> Side:
    free, protected = "free-churn", "prod-churn"
    for model in (free, protected):
        line.ask("POST", "registered-models/create", {"name": model})
        bodies = [{"name": model, "source": f"s3://nowhere/{n}"} for n in (1, 2)]
        versions = [line.ask("POST", "model-versions/create", body)["model_version"] for body in bodies]
    shown = tickets.in_turn(
        protected, [(v["version"], v["creation_timestamp"], v["source"]) for v in versions]
    )

    def move(model: str, n: int, ticket: str = "") -> object:
        body = {"name": model, "alias": "champion", "version": str(n % 2 + 1)}
        return line.ask("POST", "registered-models/alias", body, ticket)

    return {
        "set alias": lambda n: move(free, n),
        SIGNED: lambda n: move(protected, n, shown[n]),
        "get by alias": lambda n: line.ask("GET", f"registered-models/alias?name={protected}&alias=champion"),
        "create version": lambda n: line.ask(
            "POST", "model-versions/create", {"name": protected, "source": f"s3://nowhere/new-{n}"}
        ),
        "search": lambda n: line.ask("GET", f"model-versions/search?filter=name='{free}'&max_results=100"),
    }


# ---- what no server sees


def audits(place: Path) -> list[Row]:
    """Move an alias past every server, and time a cold audit until it says so."""
    folder = place / "audited"
    folder.mkdir()
    with world.mlflow_server(folder) as url:
        run = world.seed_good(url, "audited")
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_TRACKING_URI": url}
        manifest = world.write_manifest(folder, [f"{url}/health"], run, model="audited")
        here = ("-m", str(manifest))
        acts.done("adopt", "audited", "--reason", "bench", *here, "--as", "retention", env=env)
        command = [*acts.AIGATE, "audit", "audited", *here]
        clean = in_turn({"audit": command}, env, rounds=AUDITS, expect={"audit": 0})["audit"]
        with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            database.execute("UPDATE registered_model_aliases SET version = 2 WHERE alias = 'champion'")
        found = in_turn({"audit": command}, env, rounds=AUDITS, expect={"audit": 1})["audit"]
    return [
        (
            "`aigate audit`, cold process, of an alias that SQL moved: until it is found",
            f"{middle(found, lambda r: r.wall):.2f} s",
            f"{middle(clean, lambda r: r.wall):.2f} s where nothing was moved",
        )
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
