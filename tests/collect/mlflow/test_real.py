"""The traps as MLflow sets them itself: evidence taken from a real server, by both readers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.deadline import Deadline
from aigate.collect.manifest_file import frozen
from aigate.collect.mlflow.reader import RegistryReader
from aigate.collect.registry import ModelEvidence, collect_model
from aigate.manifest import Manifest
from aigate.snapshot import Version
from aigate.values import gap
from mlflow_seed import Churn, Judged

pytestmark = pytest.mark.server

METRICS: dict[str, Any] = {
    "accuracy": {"range": ("0", "1"), "floor": "0.9", "max_drop": "0.02"},
    "hit/mean": {"range": ("0", "1"), "max_drop": "0.02", "confidence": "0.95"},
}


def collect(
    reader: RegistryReader,
    name: str,
    *,
    metrics: dict[str, Any] | None = None,
    version: str | None = None,
    now: datetime | None = None,
) -> ModelEvidence:
    data = {"version": 1, "system": "churn", "model": {"name": name}, "metrics": metrics or METRICS}
    return collect_model(
        reader,
        Manifest.model_validate(frozen(data)),
        question="promote",
        champion_alias="champion",
        candidate_alias="challenger",
        candidate_version=version,
        provenance_runs=(),
        now=now or datetime.now(UTC),
        deadline=Deadline(60),
    )


def fact(part: Any) -> Any:
    assert gap(part) is None, part
    return part


def reason(part: object) -> str:
    lost = gap(part)
    assert lost is not None, part
    return lost.missing


@pytest.fixture
def one(writer: Any, request: pytest.FixtureRequest) -> Callable[..., tuple[str, str]]:
    """Registers one version of a model of the test's own; returns its name and its run."""
    name = f"own-{abs(hash(request.node.nodeid))}"

    def make(log: Callable[[str], None], *, finish: bool = True) -> tuple[str, str]:
        experiment = writer.create_experiment(f"{name}-experiment")
        writer.create_registered_model(name)
        run_id = mlflow_seed.start_run(writer, experiment)
        log(run_id)
        if finish:
            writer.set_terminated(run_id)
        mlflow_seed.register_run(writer, name, run_id, alias="challenger")
        return name, run_id

    return make


def challenger(reader: RegistryReader, name: str) -> Version:
    version: Version = fact(collect(reader, name).challenger)
    return version


def test_the_story_is_read(reader: RegistryReader, churn: Churn) -> None:
    found = collect(reader, churn.name)
    old, new = fact(found.champion), fact(found.challenger)
    assert (fact(old.metric("accuracy")).value, fact(new.metric("accuracy")).value) == (
        Decimal("0.94"),
        Decimal("0.71"),
    )
    assert old.metric("accuracy").dataset == new.metric("accuracy").dataset
    assert old.metric("accuracy").rows == 100
    assert fact(new.run).param("retrieval_confidence") == "0.72"
    assert fact(found.model).tag("owner") == "retention-platform"
    assert new.subject.model_id == churn.challenger.model_id
    assert not new.metric("accuracy").after_finish


def test_both_readers_bring_the_same_evidence(
    rest: RegistryReader, client: RegistryReader, churn: Churn
) -> None:
    now = datetime.now(UTC)
    mine, theirs = (collect(reader, churn.name, now=now) for reader in (rest, client))
    for one, other in ((mine.champion, theirs.champion), (mine.challenger, theirs.challenger)):
        one, other = fact(one).model_dump(mode="json"), fact(other).model_dump(mode="json")
        for version in (one, other):
            del version["subject"]["registry"], version["subject"]["artifact_digest"]
            for measurement in version["measurements"]:
                if isinstance(measurement["value"], dict):
                    del measurement["value"]["source"]
        assert one == other
    assert mine.model == theirs.model


def test_files_and_rows_come_through_the_server(rest: RegistryReader, churn: Churn) -> None:
    found = collect(rest, churn.name)
    digests = {fact(fact(v).subject.artifact_digest) for v in (found.champion, found.challenger)}
    assert len(digests) == 2
    rows = {comparison.metric: comparison.rows for comparison in found.comparisons}
    assert set(rows) == {"hit/mean"}
    paired = fact(rows["hit/mean"])
    assert (paired.rows, paired.gained, paired.lost) == (100, 1, 24)


def test_overwritten_files_change_the_digest(
    rest: RegistryReader, writer: Any, churn: Churn, tmp_path: Any
) -> None:
    """MLflow lets the files of a registered version be overwritten, and nothing else about it changes."""
    before = fact(collect(rest, churn.name).champion)
    (tmp_path / "weights.txt").write_text("EVIL")
    writer.log_model_artifacts(churn.champion.model_id, str(tmp_path), "data")
    after = fact(collect(rest, churn.name).champion)
    (tmp_path / "weights.txt").write_text("good")
    writer.log_model_artifacts(churn.champion.model_id, str(tmp_path), "data")
    assert before.subject.artifact_digest != after.subject.artifact_digest
    assert (
        before.subject.model_copy(update={"artifact_digest": after.subject.artifact_digest}) == after.subject
    )
    assert fact(collect(rest, churn.name).champion).subject == before.subject


def test_a_copied_version_carries_tags_that_were_not_earned(
    reader: RegistryReader, rest: RegistryReader, writer: Any, churn: Churn
) -> None:
    name = "prod-" + ("rest" if reader is rest else "client")
    version = mlflow_seed.seed_copy(writer, churn, name)
    found = fact(collect(reader, name, version=version).challenger)
    assert found.tag("aigate.decision") == "pass"
    assert found.lineage == (f"models:/{churn.name}/1",)
    assert found.subject.model_id == churn.champion.model_id
    assert found.subject.name == name
    assert found.metric("accuracy").value == Decimal("0.94")


def test_a_recreated_model_is_another_subject(
    reader: RegistryReader, rest: RegistryReader, writer: Any
) -> None:
    name = "again-" + ("rest" if reader is rest else "client")
    first, second = mlflow_seed.recreate(writer, name)
    assert first != second
    subject = fact(collect(reader, name).champion).subject
    assert subject.version == "1"
    assert round(subject.created_at.timestamp() * 1000) == second


def test_a_failed_judge_behind_a_perfect_mean_is_seen(reader: RegistryReader, judged: Judged) -> None:
    metrics = {"flaky/mean": {"range": ("0", "1"), "floor": "0.9"}, "steady/mean": {"floor": "0.9"}}
    found = fact(collect(reader, judged.name, metrics=metrics).challenger)
    measured = fact(found.metric("flaky/mean"))
    assert measured.value == 1
    assert (measured.dataset.rows, measured.run_id) == (4, judged.run_id)
    flaky, steady = fact(found.judge("flaky")), fact(found.judge("steady"))
    assert (flaky.rows, flaky.judged, flaky.failed) == (4, 1, 3)
    assert (steady.rows, steady.judged, steady.failed) == (4, 4, 0)
    assert flaky.digest.startswith("sha256:")
    assert flaky.digest != steady.digest


def test_a_value_pinned_by_a_huge_step(reader: RegistryReader, writer: Any, one: Any) -> None:
    def log(run_id: str) -> None:
        writer.log_metric(run_id, "accuracy", 0.99, step=10**9)
        writer.log_metric(run_id, "accuracy", 0.1, step=0)

    name, run_id = one(log)
    latest = {m["key"]: m["value"] for m in reader.run(run_id)["data"]["metrics"]}
    assert latest["accuracy"] == Decimal("0.99"), "what MLflow calls the latest"
    assert "2 different values" in reason(challenger(reader, name).metric("accuracy").value)


def test_a_value_dated_in_the_future(reader: RegistryReader, writer: Any, one: Any) -> None:
    ahead = int((datetime.now(UTC) + timedelta(days=365)).timestamp() * 1000)
    name, _ = one(lambda run_id: writer.log_metric(run_id, "accuracy", 0.99, timestamp=ahead))
    assert "in the future" in reason(challenger(reader, name).metric("accuracy").value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_value_that_is_no_number(reader: RegistryReader, writer: Any, one: Any, value: str) -> None:
    name, _ = one(lambda run_id: writer.log_metric(run_id, "accuracy", float(value)))
    measured = challenger(reader, name).metric("accuracy")
    assert "no number" in reason(measured.value) or "infinity" in reason(measured.value)


def test_a_metric_appended_after_the_end(reader: RegistryReader, writer: Any, one: Any) -> None:
    name, run_id = one(lambda _: None)
    later = int((datetime.now(UTC) + timedelta(seconds=30)).timestamp() * 1000)
    writer.log_metric(run_id, "accuracy", 0.95, timestamp=later)
    measured = fact(challenger(reader, name).metric("accuracy"))
    assert (measured.value, measured.after_finish) == (Decimal("0.95"), True)


def test_a_deleted_run(reader: RegistryReader, writer: Any, one: Any) -> None:
    name, run_id = one(lambda run_id: writer.log_metric(run_id, "accuracy", 0.95))
    writer.delete_run(run_id)
    version = challenger(reader, name)
    assert fact(version.run).deleted
    assert "deleted" in reason(version.metric("accuracy").value)


def test_a_run_that_goes_on(reader: RegistryReader, writer: Any, one: Any) -> None:
    name, _ = one(lambda run_id: writer.log_metric(run_id, "accuracy", 0.95), finish=False)
    assert "is RUNNING" in reason(challenger(reader, name).metric("accuracy").value)


def test_a_version_of_mlflow_2_has_its_files_under_its_run(
    rest: RegistryReader, writer: Any, one: Any
) -> None:
    name, _ = one(lambda run_id: writer.log_metric(run_id, "accuracy", 0.95))
    version = challenger(rest, name)
    assert version.subject.model_id is None
    fact(version.subject.artifact_digest)
    assert fact(version.metric("accuracy")).value == Decimal("0.95")


def test_aliases_that_differ_in_case_only(reader: RegistryReader, writer: Any, one: Any) -> None:
    """MLflow on SQLite keeps them apart; serving may not."""
    name, _ = one(lambda run_id: writer.log_metric(run_id, "accuracy", 0.95))
    assert collect(reader, name).champion is None
    writer.set_registered_model_alias(name, "Champion", "1")
    assert "@Champion" in reason(collect(reader, name).champion)


def test_the_servers_clock_is_ours(rest: RegistryReader, churn: Churn) -> None:
    skewed = datetime.now(UTC) + timedelta(minutes=10)
    found = collect(rest, churn.name, now=skewed)
    assert "behind this machine's" in reason(fact(found.challenger).measurements)
