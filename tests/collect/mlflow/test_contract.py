"""One contract for both readers, against one real MLflow server."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.mlflow import client as client_module
from aigate.collect.mlflow import rest as rest_module
from aigate.collect.mlflow.reader import ArtifactRoot, Json, RegistryError, RegistryReader
from mlflow_seed import Churn, Judged

pytestmark = pytest.mark.server

NOWHERE = "0" * 32


def pairs(found: Json) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in found.get("tags", [])}


def code_of(ask: Callable[[], Any]) -> str:
    with pytest.raises(RegistryError) as caught:
        ask()
    return caught.value.code


def test_both_readers_give_the_same_answers(
    rest: RegistryReader, client: RegistryReader, churn: Churn, judged: Judged
) -> None:
    questions: dict[str, Callable[[RegistryReader], Any]] = {
        "model": lambda r: r.registered_model(churn.name),
        "version": lambda r: r.version(churn.name, "2"),
        "alias": lambda r: r.version_by_alias(churn.name, "champion"),
        "served from": lambda r: r.served_from(churn.name, "1"),
        "no alias": lambda r: r.version_by_alias(churn.name, "nobody"),
        "run": lambda r: r.run(churn.champion.run_id),
        "evaluation run": lambda r: r.run(churn.champion.evaluation_run),
        "judged run": lambda r: r.run(judged.run_id),
        "logged model": lambda r: r.logged_model(churn.champion.model_id),
        "history": lambda r: r.metric_history(churn.champion.run_id, "train_loss"),
        "no history": lambda r: r.metric_history(churn.champion.run_id, "nonesuch"),
        "traces": lambda r: sorted(
            r.traces(judged.experiment_id, judged.run_id), key=lambda t: t["trace_id"]
        ),
        "models": lambda r: sorted(r.registered_models(), key=lambda m: m["name"]),
    }
    for name, ask in questions.items():
        assert in_order(ask(rest)) == in_order(ask(client)), name


def in_order(value: Any) -> Any:
    """Lists of pairs sorted: tags are a set, and each reader has its own order."""
    if isinstance(value, dict):
        return {key: in_order(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return sorted((in_order(child) for child in value), key=repr)
    return value


def test_the_server_says_what_it_is(rest: RegistryReader, client: RegistryReader) -> None:
    there = rest.server()
    assert there.version is not None
    assert there.version.startswith("3.")
    assert (there.store, there.workspaces) == ("SqlStore", False)
    assert there.date is not None
    here = client.server()
    assert (here.version, here.store, here.date) == (there.version, "sqlite", None)
    assert rest.date() is not None
    assert client.date() is None


def test_a_model_has_its_aliases_and_its_owner(reader: RegistryReader, churn: Churn) -> None:
    model = reader.registered_model(churn.name)
    assert pairs(model) == {"owner": "retention-platform"}
    assert {(a["alias"], a["version"]) for a in model["aliases"]} == {("champion", "1"), ("challenger", "2")}


def test_a_version_number_is_text(reader: RegistryReader, churn: Churn) -> None:
    assert reader.version(churn.name, "2")["version"] == "2"


@pytest.mark.parametrize("version", ["01", " 1", "1 ", "１", "0", "+1", "1.0", "latest", "", "12345678901"])
def test_a_version_number_is_written_plainly(reader: RegistryReader, churn: Churn, version: str) -> None:
    assert code_of(lambda: reader.version(churn.name, version)) == "refused"


def test_an_alias_that_is_not_set_is_none(reader: RegistryReader, churn: Churn) -> None:
    assert reader.version_by_alias(churn.name, "nobody") is None


def test_an_alias_is_case_sensitive(reader: RegistryReader, churn: Churn) -> None:
    assert reader.version_by_alias(churn.name, "Champion") is None


def test_latest_is_no_alias_that_a_version_holds(reader: RegistryReader, churn: Churn) -> None:
    assert code_of(lambda: reader.version_by_alias(churn.name, "latest")) == "broken"


def test_a_version_is_served_from_where_its_files_lie(reader: RegistryReader, churn: Churn) -> None:
    model = reader.logged_model(churn.champion.model_id)
    assert model is not None
    assert reader.served_from(churn.name, "1") == model["info"]["artifact_uri"]


def test_an_alias_of_a_model_that_is_not_there_is_an_error(reader: RegistryReader) -> None:
    assert code_of(lambda: reader.version_by_alias("nonesuch", "champion")) == "not_found"


def test_what_is_not_there_is_not_found(reader: RegistryReader, churn: Churn) -> None:
    assert code_of(lambda: reader.registered_model("nonesuch")) == "not_found"
    assert code_of(lambda: reader.version(churn.name, "99")) == "not_found"
    assert code_of(lambda: reader.served_from(churn.name, "99")) == "not_found"
    assert code_of(lambda: reader.served_from(churn.name, "01")) == "refused"
    assert code_of(lambda: reader.run(NOWHERE)) == "not_found"
    assert code_of(lambda: reader.logged_model(f"m-{NOWHERE}")) == "not_found"


def test_the_history_of_a_run_that_is_not_there_is_empty(reader: RegistryReader) -> None:
    """MLflow's own answer, which is why the run itself is always read too."""
    assert list(reader.metric_history(NOWHERE, "accuracy")) == []


@pytest.mark.parametrize("bad", ["", "a/b", "../x", "x' OR '1'='1", "r" * 256, "a b"])
def test_ids_are_asked_for_only_where_they_are_ids(reader: RegistryReader, bad: str) -> None:
    assert code_of(lambda: reader.run(bad)) == "refused"
    assert code_of(lambda: reader.metric_history(bad, "accuracy")) == "refused"
    assert code_of(lambda: reader.traces("0", bad)) == "refused"
    assert code_of(lambda: reader.traces(bad, NOWHERE)) == "refused"
    assert code_of(lambda: reader.logged_model(bad)) == "refused"


def test_a_logged_model_ties_a_metric_to_its_dataset_and_run(reader: RegistryReader, churn: Churn) -> None:
    model = reader.logged_model(churn.champion.model_id)
    assert model is not None
    points = [point for point in model["data"]["metrics"] if point["key"] == "accuracy"]
    assert len(points) == 2, "MLflow's evaluation logs each metric twice"
    name, digest = mlflow_seed.EVAL_DATASET
    for point in points:
        assert point["value"] == Decimal("0.94")
        assert (point["dataset_name"], point["dataset_digest"]) == (name, digest)
        assert point["run_id"] == churn.champion.evaluation_run


def test_a_deleted_run_is_answered_like_any_other(reader: RegistryReader, writer: Any, churn: Churn) -> None:
    run_id = mlflow_seed.start_run(writer, churn.experiment_id, metrics=[("accuracy", 0.99)])
    writer.delete_run(run_id)
    assert reader.run(run_id)["info"]["lifecycle_stage"] == "deleted"


def test_odd_numbers_arrive_as_mlflow_writes_them(reader: RegistryReader, writer: Any, churn: Churn) -> None:
    odd = [("nan", float("nan")), ("inf", float("inf")), ("minus", float("-inf"))]
    run_id = mlflow_seed.start_run(writer, churn.experiment_id, metrics=odd)
    found = {point["key"]: point["value"] for point in reader.run(run_id)["data"]["metrics"]}
    assert found["nan"] == "NaN"
    assert found["inf"] == Decimal("1.7976931348623157e308")
    assert found["minus"] == -Decimal("1.7976931348623157e308")
    assert [p["value"] for p in reader.metric_history(run_id, "nan")] == ["NaN"]


def test_a_parameter_of_6000_characters_is_cut_by_mlflow(
    reader: RegistryReader, writer: Any, churn: Churn
) -> None:
    run_id = writer.create_run(churn.experiment_id).info.run_id
    writer.log_param(run_id, "long", "x" * 7000)
    assert [len(p["value"]) for p in reader.run(run_id)["data"]["params"]] == [6000]


def test_a_history_is_read_over_all_its_pages(reader: RegistryReader, writer: Any, churn: Churn) -> None:
    from mlflow.entities import Metric

    run_id = writer.create_run(churn.experiment_id).info.run_id
    for start in range(0, 2500, 500):
        writer.log_batch(
            run_id, [Metric("loss", i / 10, 1_795_000_000_000 + i, i) for i in range(start, start + 500)]
        )
    points = reader.metric_history(run_id, "loss")
    assert sorted(point["step"] for point in points) == list(range(2500))


def test_too_long_a_history_is_a_limit(
    reader: RegistryReader, churn: Churn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "POINTS_LIMIT", 0)
    monkeypatch.setattr(client_module, "POINTS_LIMIT", 0)
    assert code_of(lambda: reader.metric_history(churn.champion.run_id, "train_loss")) == "limit"


def test_a_failing_scorer_shows_in_the_assessments_only(reader: RegistryReader, judged: Judged) -> None:
    metrics = {p["key"]: p["value"] for p in reader.run(judged.run_id)["data"]["metrics"]}
    assert metrics["flaky/mean"] == 1, "MLflow's mean hides the three rows that failed"
    traces = reader.traces(judged.experiment_id, judged.run_id)
    assert len(traces) == 4
    answers = [a["feedback"] for t in traces for a in t["assessments"] if a["assessment_name"] == "flaky"]
    assert sum("error" in answer for answer in answers) == 3


@pytest.mark.parametrize("page", [1, 3])
def test_traces_are_read_over_all_their_pages(
    reader: RegistryReader, judged: Judged, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(rest_module, "_TRACES_PAGE", page)
    monkeypatch.setattr(client_module, "_TRACES_PAGE", page)
    traces = reader.traces(judged.experiment_id, judged.run_id)
    assert len({trace["trace_id"] for trace in traces}) == len(traces) == 4


def test_too_many_traces_are_a_limit(
    reader: RegistryReader, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_module, "TRACES_LIMIT", 3)
    monkeypatch.setattr(client_module, "TRACES_LIMIT", 3)
    assert code_of(lambda: reader.traces(judged.experiment_id, judged.run_id)) == "limit"


def test_files_are_listed_through_all_folders(rest: RegistryReader, churn: Churn) -> None:
    files = rest.artifacts(ArtifactRoot("model", churn.champion.model_id))
    assert [(f.path, f.size) for f in files] == [("MLmodel", 57), ("data/weights.txt", 4)]


def test_a_file_is_read_whole_or_not_at_all(rest: RegistryReader, churn: Churn) -> None:
    root = ArtifactRoot("model", churn.champion.model_id)
    assert rest.artifact(root, "data/weights.txt", 4) == b"good"
    assert code_of(lambda: rest.artifact(root, "data/weights.txt", 3)) == "limit"
    assert code_of(lambda: rest.artifact(root, "nonesuch", 100)) == "not_found"
    assert rest.sha256(root, "data/weights.txt", 4) == hashlib.sha256(b"good").hexdigest()
    assert code_of(lambda: rest.sha256(root, "data/weights.txt", 5)) == "broken"
    assert code_of(lambda: rest.sha256(root, "nonesuch", 100)) == "not_found"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a/./b", "..", "a\\b", "a\nb", "x/../../y"])
def test_no_path_leads_out_of_the_model(reader: RegistryReader, churn: Churn, path: str) -> None:
    root = ArtifactRoot("model", churn.champion.model_id)
    assert code_of(lambda: reader.artifact(root, path, 100)) == "refused"
    assert code_of(lambda: reader.artifacts(ArtifactRoot("run", churn.champion.run_id, path))) == "refused"


def test_files_behind_a_server_need_the_server(client: RegistryReader, churn: Churn) -> None:
    root = ArtifactRoot("model", churn.champion.model_id)
    assert code_of(lambda: client.artifacts(root)) == "unsupported"
    assert code_of(lambda: client.artifact(root, "MLmodel", 100)) == "unsupported"
    assert code_of(lambda: client.sha256(root, "MLmodel", 57)) == "unsupported"
