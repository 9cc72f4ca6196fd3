"""The store that guards: what it uses of MLflow is there, and what it says where something is wrong, or dies."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aigate.hook.store import PRIVATE, SINCE_3_10, lacking
from enforce.conftest import PostgresServer

pytestmark = pytest.mark.server

GUARDED = {
    "create_model_version",
    "create_registered_model",
    "delete_model_version",
    "delete_model_version_tag",
    "delete_registered_model",
    "delete_registered_model_alias",
    "delete_registered_model_tag",
    "rename_registered_model",
    "set_model_version_tag",
    "set_registered_model_alias",
    "set_registered_model_tag",
    "transition_model_version_stage",
}
THROUGH_GUARDED = {  # these call one of the others, on the same store
    "copy_model_version",
    "create_prompt",
    "create_prompt_version",
    "delete_prompt",
    "delete_prompt_alias",
    "delete_prompt_tag",
    "delete_prompt_version",
    "delete_prompt_version_tag",
    "set_prompt_alias",
    "set_prompt_tag",
    "set_prompt_version_tag",
}
HARMLESS = {  # they move no alias and take nothing away that one rests on
    "create_webhook",
    "delete_webhook",
    "link_prompt_version_to_model",
    "link_prompt_version_to_run",
    "link_prompts_to_trace",
    "test_webhook",
    "update_model_version",
    "update_registered_model",
    "update_webhook",
}
READS = ("get_", "search_", "list_", "supports_")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Any:
    """What `store_child.py` says, asked once for all."""
    database = postgres.uri(postgres.new_database()).replace("postgresql://", "postgresql+psycopg://")
    return told_by_child(str(tmp_path_factory.mktemp("store")), database)


def told_by_child(*words: str, python: str = sys.executable) -> Any:
    """Run `store_child.py`, by the Python that has the MLflow, and return what it says."""
    program = Path(__file__).with_name("store_child.py")
    done = subprocess.run(
        [python, "-W", "ignore", str(program), *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_this_mlflow_has_everything_that_is_used(found: Any) -> None:
    assert found["mlflow"]["lacking"] == [], "MLflow changed: src/aigate/hook/store.py has to follow"


def test_what_is_lacking_is_named() -> None:
    assert lacking({"json:": ("dumps", "gone")}) == ("json:.gone",)
    assert lacking({"json:JSONDecoder": ("decode", "gone")}) == ("json:JSONDecoder.gone",)
    assert lacking({"json:Gone": ("x",), "no_such_module:": ("x",)}) == ("json:Gone", "no_such_module:")
    assert all(names for table in (PRIVATE, SINCE_3_10) for names in table.values())


def test_a_store_that_lacks_something_is_closed(found: Any) -> None:
    """Building still succeeds, and every guarded operation is refused by the name of what is gone."""
    for status, words, header in found["lacks"]:
        assert (status, header) == (403, "broken")
        assert "this MLflow lacks mlflow.utils.validation:._validate_gone" in words


def test_every_public_method_of_the_store_is_known(found: Any) -> None:
    """A method that MLflow adds is either guarded or harmless; which of them, a person has to say."""
    writes = {name for name in found["mlflow"]["methods"] if not name.startswith(READS)}
    assert writes == GUARDED | THROUGH_GUARDED | HARMLESS


def test_mlflow_finds_the_guard_by_the_scheme(found: Any) -> None:
    assert len(found["mlflow"]["schemes"]) == 4
    assert set(found["mlflow"]["schemes"].values()) == {True}


def test_nothing_heavy_is_imported_for_those_who_do_not_use_it(found: Any) -> None:
    """Every process that imports MLflow's registry loads this module by its entry point."""
    assert found["imported"] == []


def test_a_store_without_a_request_moves_nothing(found: Any) -> None:
    """Whoever opens the database by the guarded address, past any server, shows no ticket."""
    said, holder = found["no request"]
    assert "no ticket is shown" in said
    assert holder == "1"


def test_observing_tells_and_lets_pass(found: Any) -> None:
    seen = found["observing"]
    assert [status for status, _, _ in seen["answers"]] == [200, 200, 200, 200, 200, 404]
    assert all(header.startswith("observe; keys=") for _, _, header in seen["answers"])
    assert seen["holder"] == "1"
    assert seen["tags"] == {"aigate.receipt": "x", "aigate.artifact_digest": "x"}
    told = [line.split(":")[1].split(" of ")[0] for line in seen["told"] if " would " in line]
    assert told == [
        " would refuse set_alias",
        " would refuse set_tag",
        " would leave out the tags ('aigate.receipt',)",
        " would refuse create_model",
        " would refuse set_alias",
    ]
    assert "mode observe" in seen["told"][0]


@pytest.mark.parametrize("how", ["not set", "wrong"])
def test_without_a_configuration_it_refuses_and_says_so(found: Any, how: str) -> None:
    for status, words, header in found[how]["refused"]:
        assert (status, header) == (403, "broken")
        assert "no configuration that it can use" in words
    assert [status for status, _, _ in found[how]["done"]] == [200, 200]
    assert "the guard is broken and refuses" in found[how]["told"][0]


def test_a_fault_of_its_own_refuses(found: Any) -> None:
    status, words, header = found["fault"]["answer"]
    assert (status, header[:7]) == (403, "enforce")
    assert "the guard could not check this" in words
    assert found["fault"]["holder"] == "1"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_whoever_is_killed_has_done_all_or_nothing(found: Any, database: str) -> None:
    """Before the commit neither the alias nor the ticket is gone; after it, both are."""
    ends = found[f"killed {database}"]
    for point in ("ticket taken", "alias written"):
        assert (ends[point]["signal"], ends[point]["holder"]) == (9, "1"), ends[point]
        assert (ends[point]["again"][0], ends[point]["then"], ends[point]["twice"]) == (200, "2", 403)
    done = ends["committed"]
    assert (done["signal"], done["holder"], done["then"]) == (9, "2", "2")
    assert done["again"][0] == 403
    assert "used already" in done["again"][1]
