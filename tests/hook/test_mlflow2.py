"""The guard in a server of MLflow 2, from an environment of its own: `scripts/setup.sh mlflow2`.

What the files beside this one lend is asked of it as it is of MLflow 3.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from act.conftest import MANIFEST, ORIGIN, Shop
from aigate.enforce.keys import VARIABLE, private_pem
from aigate.gate import Request, evaluate
from aigate.hook.store import SINCE_3_10
from hook import test_server, test_store, test_tags
from hook.conftest import GuardedServer, serving
from hook.test_store import GUARDED, HARMLESS, READS, THROUGH_GUARDED

pytestmark = pytest.mark.server

PYTHON = Path(__file__).parents[2] / ".venv-mlflow2" / "bin" / "python"
_WIDE = "version of full width"
WAYS = test_server.WAYS | {_WIDE: (test_server.WAYS[_WIDE][0], False)}
"""MLflow 2 compares a version's number as it is written."""


@pytest.fixture(scope="module")
def python() -> str:
    """The Python that has MLflow 2."""
    if not PYTHON.exists():
        pytest.skip("MLflow 2 is not installed: scripts/setup.sh mlflow2")
    return str(PYTHON)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, python: str) -> Iterator[GuardedServer]:
    """A server of two workers that enforces, over SQLite."""
    with serving(tmp_path_factory.mktemp("guarded-mlflow2"), python=python, workers=2) as found:
        found.workspaces = False
        yield found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, python: str) -> Any:
    """What `store_child.py` says of MLflow 2."""
    return test_store.told_by_child(str(tmp_path_factory.mktemp("store-mlflow2")), python=python)


def test_it_is_mlflow_2(server: GuardedServer) -> None:
    assert server.send("GET", "/version").body.startswith("2.")


@pytest.mark.parametrize(("way", "works"), WAYS.values(), ids=WAYS)
def test_a_way_round_changes_nothing(server: GuardedServer, way: test_server.Way, works: bool | None) -> None:
    test_server.test_a_way_round_changes_nothing(server, way, works)


test_no_version_is_made_in_a_closed_model = test_server.test_no_version_is_made_in_a_closed_model
test_nothing_is_renamed_onto_a_protected_name = test_server.test_nothing_is_renamed_onto_a_protected_name
test_a_ticket_moves_what_it_is_for_once = test_server.test_a_ticket_moves_what_it_is_for_once
test_an_alias_that_nothing_holds = (
    test_server.test_an_alias_that_nothing_holds_is_set_by_a_ticket_that_says_so
)
test_a_ticket_that_does_not_fit_moves_nothing = test_server.test_a_ticket_that_does_not_fit_moves_nothing
test_of_many_that_race_one_wins = test_server.test_of_many_that_race_one_wins
test_whoever_asks_is_told_how_it_is_guarded = test_server.test_whoever_asks_is_told_how_it_is_guarded
test_no_ticket_makes_an_alias_mlflow_would_not = (
    test_server.test_no_ticket_makes_an_alias_that_mlflow_would_not
)
test_mlflows_own_words_stay_its_own = test_server.test_mlflows_own_words_stay_its_own
test_work_that_is_none_of_its_business = test_server.test_work_that_is_none_of_its_business_goes_on
test_a_tag_is_written_by_its_ticket_once = test_tags.test_a_tag_is_written_by_the_ticket_that_is_for_it_once
test_evidence_that_people_write_stays_theirs = test_tags.test_evidence_that_people_write_stays_theirs
test_nothing_is_born_with_a_forged_tag = test_tags.test_nothing_is_born_with_a_forged_tag

test_this_mlflow_has_everything_that_is_used = test_store.test_this_mlflow_has_everything_that_is_used
test_a_store_that_lacks_something_is_closed = test_store.test_a_store_that_lacks_something_is_closed
test_observing_tells_and_lets_pass = test_store.test_observing_tells_and_lets_pass
test_without_a_configuration_it_refuses = test_store.test_without_a_configuration_it_refuses_and_says_so
test_a_fault_of_its_own_refuses = test_store.test_a_fault_of_its_own_refuses


def test_it_has_nothing_of_what_is_used_of_newer_ones_only(found: Any) -> None:
    """What it has as well is to be looked for there too."""
    newer = {f"{place}.{name}" for place, names in SINCE_3_10.items() for name in names}
    assert (found["mlflow"]["workspaces"], set(found["mlflow"]["newer"])) == (False, newer)


def test_every_public_method_of_its_store_is_known(found: Any) -> None:
    writes = {name for name in found["mlflow"]["methods"] if not name.startswith(READS)}
    assert GUARDED <= writes <= GUARDED | THROUGH_GUARDED | HARMLESS


def test_whoever_is_killed_has_done_all_or_nothing(found: Any) -> None:
    test_store.test_whoever_is_killed_has_done_all_or_nothing(found, "sqlite")


class OldShop(Shop):
    """A shop whose versions each have a run to which everything was logged: MLflow 2 has no logged models."""

    def add(self, accuracy: float) -> str:
        """Register a version as the challenger and return its number."""
        run = mlflow_seed.start_run(self.client, self.experiment, metrics=[("accuracy", accuracy)])
        mlflow_seed.log_dataset(self.client, run, mlflow_seed.EVAL_DATASET, context="evaluation", rows=500)
        self.client.set_terminated(run)
        version = mlflow_seed.register_run(self.client, self.name, run, alias="challenger")
        self.versions.append(mlflow_seed.SeededVersion(self.name, version, run, "", run))
        return version


@pytest.fixture
def shop(tmp_path: Path, server: GuardedServer) -> OldShop:
    """A model without a champion on the guarded server; whoever acts has the key, and the ledger is in MLflow."""
    client = mlflow_seed.connect(server.url)
    name = f"act-churn-{os.urandom(4).hex()}"
    client.create_registered_model(name, tags={"owner": "retention-platform"})
    experiment = client.create_experiment(name)
    shop = OldShop(tmp_path, client, server.url, name, experiment, server.log.parent / "artifacts")
    shop.add(0.94)
    run = shop.versions[0].run_id
    (tmp_path / "aigate.yaml").write_text(MANIFEST.format(name=name, run=run, origin=ORIGIN))
    (tmp_path / "runbook.md").write_text("# what to do\n")
    shop.fresh()
    shop.environ = {VARIABLE: private_pem(server.key).decode()}
    return shop


def test_its_evidence_is_read_and_judged(shop: OldShop) -> None:
    asked = Request(tracking_uri=shop.uri)
    good = evaluate(shop.loaded, asked, shop.acting().world)
    assert (good.decision.verdict, good.decision.exit_code) == ("allow", 0), good.decision.reason
    version: Any = good.snapshot.challenger
    run = shop.versions[0].run_id
    assert (version.subject.version, version.subject.run_id, version.subject.model_id) == ("1", run, None)
    accuracy = version.metric("accuracy")
    assert (accuracy.value, accuracy.rows) == (Decimal("0.94"), 500)
    assert (accuracy.dataset.name, accuracy.dataset.digest) == mlflow_seed.EVAL_DATASET
    shop.add(0.71)
    bad = evaluate(shop.loaded, asked, shop.acting().world).decision
    assert (bad.verdict, bad.exit_code) == ("deny", 1)


def test_a_promotion_and_a_rollback_with_a_key_work_from_end_to_end(
    shop: OldShop, server: GuardedServer
) -> None:
    key, shop.environ = shop.environ, {}
    refused = shop.promote().act
    assert (refused.exit_code, shop.holder) == (4, None)
    assert "no ticket is shown" in refused.reason
    shop.environ = key
    assert shop.promote().act.result == "done"
    assert shop.holder == "1"
    shop.add(0.945)
    assert shop.promote().act.result == "done"
    assert shop.holder == "2"
    back = shop.rollback()
    assert (back.result, back.warnings, shop.holder) == ("done", (), "1")
    assert (2, "aigate.quarantine") in {row[:2] for row in server.tags(shop.name)}
