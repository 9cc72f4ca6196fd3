"""A model in a real MLflow registry that is promoted and rolled back for real, in this process."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.act import (
    Acting,
    Promoted,
    PromoteRequest,
    RollbackRequest,
    StateRequest,
    adopt,
    open_desk,
    promote,
    rollback,
)
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.decision import Actor
from aigate.gate import Request, World
from aigate.ledger import Chain
from aigate.plan import Act
from aigate.standing import Standing
from servers import MlflowServer

MANIFEST = """\
version: 1
system: churn
owner: {{team: retention-platform, contact: "#churn-oncall"}}
model: {{name: {name}}}
metrics:
  accuracy:
    range: [0, 1]
    floor: 0.92
    max_drop: 0.02
    provenance: {{method: measured, set_by: m.ito, set_on: 2026-08-02, environment: production, run: "{run}"}}
stages:
  - name: features
    owner: data-eng
    freshness: {{file: fresh.json, time: loaded_at, max_age: 2h, provenance: {origin}}}
runbooks: {{default: runbook.md}}
"""
ORIGIN = "{method: expert, set_by: d.silva, set_on: 2026-08-02, environment: production, rationale: agreed}"
_donors: dict[tuple[str, float], mlflow_seed.SeededVersion] = {}
"""Versions whose runs and files others borrow: to log a model takes a second."""


@dataclass
class Shop:
    """A folder with a manifest, the model it speaks of, and the clock of whoever acts."""

    folder: Path
    client: Any
    uri: str
    name: str
    experiment: str
    server_files: Path
    """Where the MLflow server keeps artifacts."""
    versions: list[mlflow_seed.SeededVersion] = field(default_factory=list)
    own: bool = False
    """Whether its versions have runs and files of their own, to be harmed."""
    actor: str = "user:kai"
    ledger: str | None = None
    environ: dict[str, str] = field(default_factory=dict)
    """What is set where the act runs."""
    ahead: timedelta = timedelta(0)
    """How far this clock has been put forward."""

    def add(self, accuracy: float) -> str:
        """Register a version and return its number; unless `own`, runs and files are those of other tests."""
        if self.own:
            made = mlflow_seed.register(
                self.client, self.name, self.experiment, accuracy=accuracy, weights=f"w{len(self.versions)}"
            )
        else:
            made = self._borrowed(accuracy)
        self.versions.append(made)
        return made.version

    def _borrowed(self, accuracy: float) -> mlflow_seed.SeededVersion:
        donor = _donors.get((self.uri, accuracy))
        if donor is None:
            name = f"donor-{os.urandom(4).hex()}"
            self.client.create_registered_model(name)
            experiment = self.client.create_experiment(name)
            donor = mlflow_seed.register(
                self.client, name, experiment, accuracy=accuracy, weights=f"w{accuracy}"
            )
            _donors[self.uri, accuracy] = donor
        found = self.client.create_model_version(
            self.name, f"models:/{donor.model_id}", donor.run_id, model_id=donor.model_id
        )
        return replace(donor, name=self.name, version=str(found.version))

    def fresh(self, hours_ago: float = 0.5) -> None:
        """Let the one stage say when it was loaded."""
        at = self.clock() - timedelta(hours=hours_ago)
        (self.folder / "fresh.json").write_text(json.dumps({"loaded_at": at.isoformat()}))

    def extend(self, text: str) -> None:
        """Add lines to the manifest."""
        path = self.folder / "aigate.yaml"
        path.write_text(path.read_text() + text)

    def clock(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC).replace(microsecond=0) + self.ahead

    @property
    def loaded(self) -> LoadedManifest:
        """The manifest as it is now."""
        return load_manifest(self.folder / "aigate.yaml")

    def acting(self, step: Callable[[str], None] = lambda name: None) -> Acting:
        """Return what an act is handed in."""
        world = World(
            now=self.clock(),
            environ=self.environ,
            home=self.folder,
            actor=Actor(name=self.actor),
            deadline=30,
        )
        return Acting(
            world=world,
            clock=self.clock,
            nonce=lambda: os.urandom(8).hex(),
            step=step,
            tracking_uri=self.uri,
            ledger_uri=self.ledger,
        )

    def promote(
        self, version: str | None = None, *, step: Callable[[str], None] = lambda name: None, **more: Any
    ) -> Promoted:
        """Promote a version; the challenger where none is named."""
        asked = PromoteRequest(request=Request(version=version, tracking_uri=self.uri), **more)
        return promote(self.loaded, asked, self.acting(step))

    def rollback(
        self,
        reason: str = "INC-1",
        *,
        step: Callable[[str], None] = lambda name: None,
        bare: bool = False,
        **more: Any,
    ) -> Act:
        """Roll back; `bare` without a manifest."""
        asked = RollbackRequest(model=self.name, alias="champion", reason=reason, **more)
        return rollback(None if bare else self.loaded, asked, self.acting(step))

    def asked(self, reason: str = "because", as_team: str | None = None) -> StateRequest:
        """Return who asks for a change of state."""
        return StateRequest(model=self.name, alias="champion", reason=reason, as_team=as_team)

    def adopt(self) -> Act:
        """Adopt what holds the alias, as its owner."""
        return adopt(self.loaded, self.asked("in service before", "retention-platform"), self.acting())

    @property
    def holder(self) -> str | None:
        """The version that holds the alias, asked of MLflow's own client."""
        aliases = self.client.get_registered_model(self.name).aliases
        found = aliases.get("champion")
        return None if found is None else str(found)

    @property
    def chain(self) -> Chain:
        """The ledger, read anew."""
        with open_desk(self.acting(), self.name) as desk:
            return desk.ledger.refresh()

    @property
    def standing(self) -> Standing:
        """What the ledger comes to."""
        with open_desk(self.acting(), self.name) as desk:
            desk.ledger.refresh()
            return desk.ledger.standing

    def kinds(self) -> list[str]:
        """Return what is in the ledger, entry by entry; an outcome by its result."""
        chain = self.chain
        assert not chain.faults
        return [getattr(entry.body, "result", entry.body.kind) for entry in chain.entries]


@pytest.fixture(params=["sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where the ledger is: in a file, which costs least; None is inside MLflow."""
    return None if request.param == "mlflow" else f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def empty(tmp_path: Path, mlflow_server: MlflowServer, ledger: str | None) -> Shop:
    """A model without a champion: v1 at 0.94 asks for its place."""
    return _opened(tmp_path, mlflow_server, ledger, own=False)


def _opened(folder: Path, mlflow_server: MlflowServer, ledger: str | None, *, own: bool) -> Shop:
    client = mlflow_seed.connect(mlflow_server.url)
    name = f"act-churn-{os.urandom(4).hex()}"
    experiment = client.create_experiment(f"{name}-experiment")
    client.create_registered_model(name, tags={"owner": "retention-platform"})
    files = mlflow_server.log.parent / "artifacts"
    shop = Shop(folder, client, mlflow_server.url, name, experiment, files, own=own, ledger=ledger)
    shop.add(0.94)
    client.set_registered_model_alias(name, "challenger", "1")
    run = shop.versions[0].evaluation_run
    (folder / "aigate.yaml").write_text(MANIFEST.format(name=name, run=run, origin=ORIGIN))
    (folder / "runbook.md").write_text("# what to do\n")
    shop.fresh()
    return shop


@pytest.fixture
def shop(empty: Shop) -> Shop:
    """A model with a champion that was adopted (v1, 0.94) and a good challenger (v2, 0.945)."""
    return _stocked(empty)


@pytest.fixture
def own(tmp_path: Path, mlflow_server: MlflowServer, ledger: str | None) -> Shop:
    """The same, with runs and files of its own, which may be harmed."""
    return _stocked(_opened(tmp_path, mlflow_server, ledger, own=True))


def _stocked(shop: Shop) -> Shop:
    shop.add(0.945)
    shop.client.set_registered_model_alias(shop.name, "champion", "1")
    shop.client.set_registered_model_alias(shop.name, "challenger", "2")
    assert shop.adopt().result == "done"
    return shop
