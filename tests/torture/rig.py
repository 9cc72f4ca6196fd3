"""A model in a real registry, its ledger, a witness inside MLflow's database, and what must hold after every run."""

import contextlib
import json
import sqlite3
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow_seed
from aigate.act import Acting, StateRequest, adopt, clear, open_desk
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.enforce.receipts import ANCHOR, QUARANTINE, RECEIPT, head_in
from aigate.ledger import MOVED, Chain, Head, Intent, Outcome, check_anchor
from aigate.standing import fold, standing
from torture import driver

MANIFEST = """\
version: 1
system: churn
owner: {{team: retention, contact: "#churn"}}
authority: {{teams: {{retention: ["user:torture"]}}}}
model: {{name: {model}}}
metrics:
  accuracy:
    range: [0, 1]
    floor: 0.92
    max_drop: 0.02
    provenance: {{method: measured, set_by: m.ito, set_on: 2026-08-02, environment: production, run: "{run}"}}
stages:
  - name: features
    owner: data-eng
    freshness:
      file: features.json
      time: loaded_at
      max_age: 400d
      max_evidence_age: 400d
      provenance: {{method: expert, set_by: d.silva, set_on: 2026-08-02, environment: production, rationale: agreed}}
runbooks: {{default: runbook.md}}
"""
ALIAS = "champion"
LATER = 120
"""Seconds by which the clock of every run is later than the one before, where it is to find the dead at once."""

Job = dict[str, Any]
Said = dict[str, Any]

TALLY: Counter[str] = Counter()
"""What was tried in this session, for the account at its end."""


class Driver:
    """The program that runs jobs; see `driver`."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", driver.__file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def together(self, jobs: Sequence[Job]) -> list[Said]:
        """Run jobs at the same time and return what became of each."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(jobs)) + "\n")
        self._process.stdin.flush()
        said: list[Said] = json.loads(self._process.stdout.readline())
        return said

    def run(self, job: Job) -> Said:
        """Run one job."""
        return self.together([job])[0]

    def close(self) -> None:
        """End the program."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@dataclass
class Model:
    """One registered model with several good versions, the first one champion."""

    name: str
    uri: str
    database: str
    versions: tuple[mlflow_seed.SeededVersion, ...]
    run: str

    def ask(self, method: str, place: str, **values: str) -> Any:
        """Ask MLflow directly, with nothing of aigate's in between."""
        query = urllib.parse.urlencode(values)
        url = f"{self.uri}/api/2.0/mlflow/{place}"
        body = None if method == "GET" else json.dumps(values).encode()
        request = urllib.request.Request(
            f"{url}?{query}" if method == "GET" else url,
            body,
            {"Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def holder(self, alias: str = ALIAS) -> str:
        """Return the version that holds the alias."""
        found = self.ask("GET", "registered-models/alias", name=self.name, alias=alias)
        return str(found["model_version"]["version"])

    def tags(self, version: str | None = None) -> dict[str, str]:
        """Return the tags of a version, or of the model."""
        if version is None:
            found = self.ask("GET", "registered-models/get", name=self.name)["registered_model"]
        else:
            found = self.ask("GET", "model-versions/get", name=self.name, version=version)["model_version"]
        return {tag["key"]: tag["value"] for tag in found.get("tags", [])}

    def tagged(self, key: str) -> list[str]:
        """Return the versions that have a tag."""
        found = self.ask("GET", "model-versions/search", filter=f"name='{self.name}'", max_results="100")
        versions = found.get("model_versions", [])
        return sorted(v["version"] for v in versions if key in {tag["key"] for tag in v.get("tags", [])})

    def forget(self) -> None:
        """Take away every tag that aigate left."""
        if ANCHOR in self.tags():
            self.ask("DELETE", "registered-models/delete-tag", name=self.name, key=ANCHOR)
        for key in (RECEIPT, QUARANTINE):
            for version in self.tagged(key):
                self.ask("DELETE", "model-versions/delete-tag", name=self.name, version=version, key=key)

    def witnessed(self) -> list[tuple[str, str]]:
        """Return every move of one of the model's aliases, as triggers in MLflow's own database saw it."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as conn:
            rows = conn.execute("SELECT alias, version FROM torture WHERE name = ? ORDER BY id", (self.name,))
            return [(alias, str(version)) for alias, version in rows]


def witness(database: str) -> None:
    """Let MLflow's database write down every move of an alias."""
    table = "registered_model_aliases"
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS torture (id INTEGER PRIMARY KEY, name, alias, version)")
        for what in ("INSERT", "UPDATE"):
            conn.execute(
                f"CREATE TRIGGER IF NOT EXISTS torture_{what} AFTER {what} ON {table} BEGIN "
                "INSERT INTO torture (name, alias, version) VALUES (new.name, new.alias, new.version); END"
            )
        conn.commit()


def seed(uri: str, store: str, name: str, count: int) -> Model:
    """Register a model with `count` versions that are all good enough."""
    client = mlflow_seed.connect(uri)
    experiment = client.create_experiment(f"{name}-experiment")
    client.create_registered_model(name, tags={"owner": "retention"}, description="who will leave")
    versions = tuple(
        mlflow_seed.register(client, name, experiment, accuracy=0.94, weights=f"w{n}") for n in range(count)
    )
    client.set_registered_model_alias(name, ALIAS, versions[0].version)
    database = store.removeprefix("sqlite:///")
    witness(database)
    return Model(name, uri, database, versions, versions[0].evaluation_run)


@dataclass
class Rig:
    """A model with its manifest and one ledger, begun anew: what holds the alias is adopted."""

    folder: Path
    model: Model
    ledger: str
    driver: Driver
    uri: str = ""
    """MLflow's address for aigate, where it is another than the server's own."""
    later: int = 0
    """Seconds by which each run's clock is later than the one before."""
    offset: int = 0
    mark: int = 0
    """Moves that were witnessed before."""
    first: int = 0
    """The last entry that was there before."""
    loaded: LoadedManifest = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.manifest.write_text(MANIFEST.format(model=self.model.name, run=self.model.run))
        (self.folder / "runbook.md").write_text("# what to do\n")
        self.fresh()
        self.loaded = load_manifest(self.manifest)
        self.model.forget()
        self.uri = self.uri or self.model.uri
        done = adopt(self.loaded, StateRequest(self.model.name, ALIAS, "torture"), self.acting())
        assert done.exit_code == 0, done.reason
        self.clear()
        if done.result == "already":  # the ledger inside MLflow goes on, and its tags were taken away
            said = self.driver.run(self.job("promote", self.other(), uri=self.model.uri))
            assert said["done"]["code"] == 0, said["done"]
        self.begin()

    @property
    def manifest(self) -> Path:
        """Where the manifest is."""
        return self.folder / "aigate.yaml"

    def fresh(self, loaded_at: str = "2026-11-01T00:00:00Z") -> None:
        """Let the stage say when it was loaded."""
        (self.folder / "features.json").write_text(json.dumps({"loaded_at": loaded_at}))

    def begin(self) -> None:
        """Look only at what happens from here on."""
        self.mark, self.first = len(self.model.witnessed()), len(self.chain().entries)

    def other(self, *taken: str) -> str:
        """Return a version that neither holds the alias nor is one of those."""
        out = {self.model.holder(), *taken}
        return next(made.version for made in self.model.versions if made.version not in out)

    def job(self, act: str, to: str, **more: Any) -> Job:
        """Return a job."""
        self.offset += self.later
        base = {"act": act, "to": to, "manifest": str(self.manifest), "ledger": self.ledger}
        return {**base, "uri": self.uri, "offset": self.offset, **more}

    def acting(self, step: Callable[[str], None] = lambda name: None, **more: Any) -> Acting:
        """Return what an act in this process is handed in."""
        return driver.acting(self.job("none", "", **more), step)

    def chain(self) -> Chain:
        """Read the ledger."""
        made = driver.acting(self.job("none", "") | {"uri": self.model.uri}, lambda name: None)
        with open_desk(made, self.model.name) as desk:
            return desk.ledger.refresh()

    def clear(self) -> None:
        """Lift every quarantine, so that the next run can use the version again."""
        for found in standing(self.chain()).quarantined:
            asked = StateRequest(self.model.name, ALIAS, "torture")
            done = clear(self.loaded, asked, self.acting(), version=found.identity.version)
            assert done.exit_code == 0, done.reason

    def finish(self, act: str, to: str, after: object = "") -> Said:
        """Run it again, plainly, until it is done; then once more, which must change nothing."""
        for _ in range(3):
            said = self.driver.run(self.job(act, to))
            if said["done"] and said["done"]["code"] == 0:
                break
        assert said["done"], (after, said)
        assert said["done"]["code"] == 0, (after, said["done"])
        before = (self.chain(), self.model.witnessed())
        again = self.driver.run(self.job(act, to))
        assert again["done"]["code"] == 0, again
        assert again["done"]["result"] == "already", again
        assert (self.chain(), self.model.witnessed()) == before, "done twice, it changed something"
        return said

    def violations(self) -> list[str]:
        """Return every invariant that does not hold."""
        chain = self.chain()
        moves = [version for alias, version in self.model.witnessed()[self.mark :] if alias == ALIAS]
        return [*_chain(chain), *_moves(chain, self.first, moves), *self._registry(chain)]

    def sound(self) -> None:
        """Fail where an invariant does not hold."""
        found = self.violations()
        assert not found, found

    def _registry(self, chain: Chain) -> Iterator[str]:
        now = standing(chain)
        holder, live = now.holder(ALIAS), self.model.holder()
        if holder is None or holder.version != live:
            yield f"v{live} holds the alias, and the ledger says {holder and holder.version}"
        for head in (head_in(self.model.tags(), ANCHOR), head_in(self.model.tags(live), RECEIPT)):
            if not isinstance(head, Head):
                yield f"an anchor is not there: {head}"
            elif fault := check_anchor(chain, head, "a tag"):
                yield fault.what
        tenure = now.tenure(ALIAS)
        receipt = head_in(self.model.tags(live), RECEIPT)
        if tenure is not None and isinstance(receipt, Head) and receipt.seq != tenure.seq:
            yield f"v{live} has the receipt of entry {receipt.seq}, it was put there by {tenure.seq}"
        marked = self.model.tagged(QUARANTINE)
        known = sorted(found.identity.version for found in now.quarantined)
        if marked != known:
            yield f"in quarantine are {known}, tagged are {marked}"


def _chain(chain: Chain) -> Iterator[str]:
    """Every intent has one outcome, and nothing is wrong with the chain."""
    yield from (f"fault: {fault.what}" for fault in chain.faults)
    intents = [entry.seq for entry in chain.entries if isinstance(entry.body, Intent)]
    closed = Counter(entry.body.of for entry in chain.entries if isinstance(entry.body, Outcome))
    for seq in sorted({*intents, *closed}):
        if seq not in intents or closed[seq] != 1:
            yield f"entry {seq} is {'an' if seq in intents else 'no'} intent and has {closed[seq]} outcomes"


def _moves(chain: Chain, first: int, witnessed: Sequence[str]) -> Iterator[str]:
    """What the ledger calls moved is what MLflow's database saw, one by one, and each began where the last ended."""
    intents = {entry.seq: entry.body for entry in chain.entries if isinstance(entry.body, Intent)}
    moved = []
    for entry in chain.entries[first:]:
        outcome = entry.body
        if isinstance(outcome, Outcome) and outcome.result == "conflict":
            yield f"entry {outcome.of} ended as a conflict, and nobody else moves the alias: {outcome.detail}"
        if not isinstance(outcome, Outcome) or outcome.result not in MOVED:
            continue
        intent = intents[outcome.of]
        moved.append(intent.to.version)
        holder = fold(chain.model, chain.entries[: entry.seq - 1]).holder(ALIAS)
        if intent.from_ != holder:
            yield f"entry {outcome.of} moves the alias from {intent.from_}, and {holder} held it"
    if moved != list(witnessed):
        yield f"the ledger tells of the moves {moved}, MLflow's database of {list(witnessed)}"
