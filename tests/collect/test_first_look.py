"""What `init` takes from a registry: which model, which aliases, and only numbers that the gate would believe."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aigate.collect.access import Access
from aigate.collect.first_look import Found, NoAnswerError, first_look, listed, nearest
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.errors import UsageError
from fake_registry import EVAL, HOUR, NOW, START, FakeRegistry, churn, eval_id, hexes, point, run_id, run_of

URI = {"MLFLOW_TRACKING_URI": "https://mlflow.example"}


def named(fake: FakeRegistry, name: str, **more: Any) -> None:
    fake.models[name] = {"name": name, "creation_timestamp": 1, **more}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    found = churn()
    found.models["churn"]["aliases"] = [
        {"alias": alias, "version": version} for (_, alias), version in found.aliases.items()
    ]
    monkeypatch.setattr(Access, "registry", lambda self, deadline: found)
    return found


def look(model: str | None = None) -> Found:
    return first_look(URI, Path("/nonexistent"), NOW, 10, None, model)


def aliases(fake: FakeRegistry, **versions: str) -> None:
    fake.models["churn"]["aliases"] = [{"alias": a, "version": v} for a, v in versions.items()]


def test_the_only_model_is_the_one(fake: FakeRegistry) -> None:
    found = look()
    assert (found.model, found.champion, found.challenger, found.version) == (
        "churn",
        "champion",
        "challenger",
        "1",
    )
    assert found.owner == "retention-platform"
    values = {metric.name: metric.value for metric in found.metrics}
    assert values["accuracy"] == Decimal("0.94")
    (accuracy,) = (metric for metric in found.metrics if metric.name == "accuracy")
    assert accuracy.run_id == eval_id("1"), "the run that measured it, not the one that trained it"
    assert accuracy.dataset is not None
    assert accuracy.dataset.digest == EVAL["digest"]


@pytest.mark.parametrize(
    ("given", "champion", "challenger", "version"),
    [
        ({"champion": "2"}, "champion", "challenger", "2"),
        ({"Production": "2", "staging": "1"}, "Production", "staging", "2"),
        ({"prod": "2", "champion": "1"}, "champion", "challenger", "1"),
        ({"shadow": "1"}, "champion", "shadow", "2"),
        ({}, "champion", "challenger", "2"),
    ],
    ids=["usual", "other-names", "both", "none-in-service", "none"],
)
def test_the_aliases_are_those_that_are_there(
    fake: FakeRegistry, given: dict[str, str], champion: str, challenger: str, version: str
) -> None:
    aliases(fake, **given)
    fake.models["churn"]["latest_versions"] = [{"version": "1"}, {"version": "2"}, {"version": "x"}]
    found = look()
    assert (found.champion, found.challenger, found.version) == (champion, challenger, version)


def test_a_model_without_a_version_has_no_metrics(fake: FakeRegistry) -> None:
    aliases(fake)
    found = look()
    assert (found.version, found.metrics, found.trouble) == (None, (), "")


@pytest.mark.parametrize("tag", ["true", "True"])
def test_prompts_are_no_models(fake: FakeRegistry, tag: str) -> None:
    """Some servers list them among the models."""
    named(fake, "ask", tags=[{"key": "mlflow.prompt.is_prompt", "value": tag}])
    assert look().model == "churn"
    with pytest.raises(UsageError, match="there is no model 'ask'"):
        look("ask")


def test_several_models_are_listed(fake: FakeRegistry) -> None:
    named(fake, "upsell")
    with pytest.raises(
        UsageError, match=r"which model\? https://mlflow.example holds churn, upsell"
    ) as caught:
        look()
    assert "--model NAME" in caught.value.fix
    assert look("churn").model == "churn"


def test_a_misspelt_model_is_named_with_the_nearest(fake: FakeRegistry) -> None:
    with pytest.raises(UsageError, match="there is no model 'Chrun': did you mean 'churn'") as caught:
        look("Chrun")
    assert "holds churn" in caught.value.fix


def test_no_model_says_which_store(fake: FakeRegistry) -> None:
    fake.models.clear()
    with pytest.raises(UsageError, match=r"https://mlflow.example holds no registered model") as caught:
        look()
    assert "MLFLOW_TRACKING_URI" in caught.value.fix


def test_a_registry_that_does_not_answer_is_a_hold(
    fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent() -> list[Json]:
        raise RegistryError("unreachable", "the registered models: connection refused")

    monkeypatch.setattr(fake, "registered_models", silent)
    with pytest.raises(NoAnswerError, match=r"https://mlflow.example: .*connection refused") as caught:
        look()
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("question", ["version churn 1", "logged"])
def test_metrics_that_cannot_be_read_keep_nobody_from_beginning(fake: FakeRegistry, question: str) -> None:
    fake.fails[question] = RegistryError("broken", "MLflow answers with status 500")
    found = look()
    assert found.metrics == ()
    assert "status 500" in found.trouble


def test_an_unfinished_run_measured_nothing(fake: FakeRegistry) -> None:
    """What the gate would not believe is not proposed."""
    fake.runs[eval_id("1")]["info"]["status"] = "RUNNING"
    assert not [metric for metric in look().metrics if metric.name == "accuracy"]


def test_numbers_that_disagree_are_not_proposed(fake: FakeRegistry) -> None:
    fake.points_of("1").append(point("accuracy", "0.99", run_id=eval_id("1"), data=EVAL))
    assert not [metric for metric in look().metrics if metric.name == "accuracy"]


def test_of_several_measurements_the_newest_counts(fake: FakeRegistry) -> None:
    other = {"name": "churn-eval", "digest": "77777777"}
    fake.runs[hexes("f")] = run_of(hexes("f"), datasets=[(other, "evaluation", 100)])
    for at, value in ((START + 2 * HOUR, "0.8"), (START - HOUR, "0.7")):
        fake.points_of("1").append(point("accuracy", value, run_id=hexes("f"), data=other, at=at))
        (accuracy,) = (metric for metric in look().metrics if metric.name == "accuracy")
        assert (accuracy.value, accuracy.run_id) == (
            (Decimal("0.8"), hexes("f")) if value == "0.8" else (Decimal("0.94"), eval_id("1"))
        )
        fake.points_of("1").pop()


def test_a_run_tells_what_its_model_does_not(fake: FakeRegistry) -> None:
    """MLflow 2 ties no metric to a model, and people log to the run by hand."""
    fake.history[run_id("1"), "recall"] = [point("recall", "0.8"), point("recall", "0.8", step=1)]
    fake.history[run_id("1"), "precision"] = [point("precision", "0.8"), point("precision", "0.7", step=1)]
    fake.runs[run_id("1")] = run_of(run_id("1"), metrics=[point("recall", "0.8"), point("precision", "0.7")])
    values = {metric.name: metric.value for metric in look().metrics}
    assert values["recall"] == Decimal("0.8")
    assert "precision" not in values, "two values, and nobody said which one counts"


def test_a_version_without_a_run_has_what_its_model_tells(fake: FakeRegistry) -> None:
    fake.versions["churn", "1"]["run_id"] = ""
    assert "accuracy" in {metric.name for metric in look().metrics}


def test_names_for_a_message_are_harmless_and_few() -> None:
    assert listed(["churn", "a b", "b\n::error::x", "\x1b[31m", "", "c'd"]) == (
        "churn, a b, 'b\\n::error::x', '\\x1b[31m', '', \"c'd\""
    )
    assert listed([]) == "none"
    assert listed([str(n) for n in range(23)]).endswith("19 and 3 more")


@pytest.mark.parametrize(
    ("name", "words"),
    [("chrun", ": did you mean 'churn'?"), ("CHURN", ": did you mean 'churn'?"), ("fraud", ""), ("", "")],
)
def test_the_nearest_name(name: str, words: str) -> None:
    assert nearest(name, ["churn", "upsell"]) == words
