"""What MLflow holds, as evidence: every way in which it can mislead is a test by name."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import fake_registry as fake
from aigate.collect.deadline import Deadline
from aigate.collect.manifest_file import frozen
from aigate.collect.mlflow.reader import RegistryError
from aigate.collect.registry import ModelEvidence, collect_model
from aigate.errors import ConfigError, UsageError
from aigate.manifest import Manifest
from aigate.snapshot import Measurement, PairedRows, Version
from aigate.values import gap
from fake_registry import (
    EVAL,
    HOUR,
    NOW,
    START,
    TRAIN,
    FakeRegistry,
    eval_id,
    model_id,
    point,
    run_id,
    run_of,
)

METRICS: dict[str, Any] = {"accuracy": {"range": ["0", "1"], "floor": "0.9", "max_drop": "0.02"}}


def manifest(metrics: dict[str, Any] | None = None, name: str = "churn") -> Manifest:
    given = {"version": 1, "system": "churn", "model": {"name": name}, "metrics": metrics or METRICS}
    return Manifest.model_validate(frozen(given))


def collect(
    reader: FakeRegistry,
    metrics: dict[str, Any] | None = None,
    *,
    question: Any = "promote",
    version: str | None = None,
    runs: tuple[str, ...] = (),
    champion: str = "champion",
    challenger: str = "challenger",
) -> ModelEvidence:
    return collect_model(
        reader,
        manifest(metrics),
        question=question,
        champion_alias=champion,
        candidate_alias=challenger,
        candidate_version=version,
        provenance_runs=runs,
        now=NOW,
        deadline=Deadline(20),
    )


def reason(part: object) -> str:
    lost = gap(part)
    assert lost is not None, f"not missing: {part!r}"
    assert lost.source == "https://mlflow.example"
    return lost.missing


def fact(part: Any) -> Any:
    assert gap(part) is None, part
    return part


def measured(part: Version | None, name: str = "accuracy") -> Measurement:
    version: Version = fact(part)
    found = fact(version.metric(name))
    assert isinstance(found, Measurement)
    return found


@pytest.fixture
def churn() -> FakeRegistry:
    return fake.churn()


class TestSubject:
    def test_it_is_the_exact_version(self, churn: FakeRegistry) -> None:
        subject = fact(collect(churn).challenger).subject
        assert subject.model_dump(exclude={"artifact_digest", "created_at"}) == {
            "registry": "https://mlflow.example",
            "name": "churn",
            "version": "2",
            "run_id": run_id("2"),
            "source": f"models:/{model_id('2')}",
            "model_id": model_id("2"),
        }
        assert fake.ms(subject.created_at) == START + 2 * HOUR

    def test_a_recreated_model_is_another_subject(self, churn: FakeRegistry) -> None:
        before = fact(collect(churn).champion).subject
        churn.versions["churn", "1"]["creation_timestamp"] += 1
        after = fact(collect(churn).champion).subject
        assert (before.name, before.version) == (after.name, after.version)
        assert before != after

    def test_the_digest_is_over_paths_and_contents(self, churn: FakeRegistry) -> None:
        lines = "".join(
            f"{hashlib.sha256(content).hexdigest()}  {path}\n"
            for path, content in (("MLmodel", b"flavors: {}\n"), ("data/weights", b"weights of 1"))
        )
        expected = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
        assert fact(collect(churn).champion).subject.artifact_digest == expected

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda f: f.update({(model_id("1"), "MLmodel"): b"flavors: {} "}), id="a byte"),
            pytest.param(lambda f: f.update({(model_id("1"), "new"): b""}), id="a new empty file"),
            pytest.param(
                lambda f: f.update({(model_id("1"), "data/w"): f.pop((model_id("1"), "data/weights"))}),
                id="a name",
            ),
            pytest.param(lambda f: f.pop((model_id("1"), "MLmodel")), id="a file less"),
        ],
    )
    def test_overwritten_files_change_the_digest(
        self, churn: FakeRegistry, change: Callable[[Any], Any]
    ) -> None:
        before = fact(collect(churn).champion).subject
        change(churn.files)
        after = fact(collect(churn).champion).subject
        assert before.artifact_digest != after.artifact_digest

    def test_a_model_without_files_has_no_digest(self, churn: FakeRegistry) -> None:
        churn.files = {key: body for key, body in churn.files.items() if key[0] != model_id("1")}
        assert "no files" in reason(fact(collect(churn).champion).subject.artifact_digest)

    def test_files_that_cannot_be_read_leave_a_gap_and_nothing_else(self, churn: FakeRegistry) -> None:
        churn.fails[f"file {model_id('2')}"] = RegistryError("unreachable", "the store is away")
        version = fact(collect(churn).challenger)
        assert reason(version.subject.artifact_digest) == "the store is away"
        assert measured(version).value == Decimal("0.71")

    def test_a_version_of_mlflow_2_has_its_files_under_its_run(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "2"]["source"] = f"mlflow-artifacts:/1/{run_id('2')}/artifacts/model"
        churn.files[run_id("2"), "model/MLmodel"] = b"flavors: {}\n"
        churn.files[run_id("2"), "model/data/weights"] = b"weights of 2"
        churn.files[run_id("2"), "plots/roc.png"] = b"not the model's"
        old_style = fact(collect(churn).challenger).subject
        churn.versions["churn", "2"]["source"] = f"models:/{model_id('2')}"
        new_style = fact(collect(churn).challenger).subject
        assert old_style.artifact_digest == new_style.artifact_digest
        assert old_style.model_id is None

    @pytest.mark.parametrize(
        "source", ["s3://bucket/model", "file:///etc", "mlflow-artifacts:/1/other/artifacts/model", ""]
    )
    def test_files_outside_of_the_run_are_not_looked_at(self, churn: FakeRegistry, source: str) -> None:
        churn.versions["churn", "2"]["source"] = source
        assert "outside of run" in reason(fact(collect(churn).challenger).subject.artifact_digest)

    def test_a_path_that_climbs_is_not_asked_for(self, churn: FakeRegistry) -> None:
        source = f"mlflow-artifacts:/1/{run_id('2')}/artifacts/../../../etc"
        churn.versions["churn", "2"]["source"] = source
        assert gap(fact(collect(churn).challenger).subject.artifact_digest) is not None


class TestLineage:
    def copy(self, churn: FakeRegistry) -> None:
        churn.models["prod"] = {"name": "prod", "creation_timestamp": START}
        churn.versions["prod", "1"] = {
            **churn.versions["churn", "1"],
            "name": "prod",
            "creation_timestamp": START + 5 * HOUR,
            "source": "models:/churn/1",
            "tags": [{"key": "aigate.decision", "value": "pass"}],
        }
        churn.versions["churn", "2"] |= {"source": "models:/prod/1", "run_id": run_id("1")}

    def test_the_chain_of_sources_is_followed_to_the_logged_model(self, churn: FakeRegistry) -> None:
        self.copy(churn)
        version = fact(collect(churn).challenger)
        assert version.lineage == ("models:/prod/1", "models:/churn/1")
        assert version.subject.model_id == model_id("1")
        assert measured(version).value == Decimal("0.94")

    def test_copied_tags_come_with_the_copys_own_identity(self, churn: FakeRegistry) -> None:
        """MLflow copies tags: a decision among them was made about another version."""
        self.copy(churn)
        churn.versions["churn", "2"]["tags"] = [{"key": "aigate.decision", "value": "pass"}]
        version = fact(collect(churn).challenger)
        assert version.tag("aigate.decision") == "pass"
        assert version.lineage, "that it is a copy can be seen"
        assert version.subject != fact(collect(churn).champion).subject

    def test_a_copy_of_what_is_gone_has_no_measurements(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "2"]["source"] = "models:/gone/7"
        version = fact(collect(churn).challenger)
        assert "copy of models:/gone/7" in reason(version.measurements)
        assert "copy of models:/gone/7" in reason(version.subject.artifact_digest)
        assert version.subject.model_id is None

    def test_a_chain_without_end_ends(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "2"]["source"] = "models:/churn/2"
        assert "no end" in reason(fact(collect(churn).challenger).measurements)

    def test_a_long_chain_ends(self, churn: FakeRegistry) -> None:
        for number in range(3, 40):
            churn.versions["churn", str(number)] = {
                **churn.versions["churn", "1"],
                "version": str(number),
                "source": f"models:/churn/{number + 1}",
            }
        churn.versions["churn", "2"]["source"] = "models:/churn/3"
        assert "no end" in reason(fact(collect(churn).challenger).measurements)
        assert len(churn.asked) < 60

    def test_a_run_that_did_not_log_the_model_is_not_its_run(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "2"]["run_id"] = run_id("1")
        version = fact(collect(churn).challenger)
        assert "logged by run" in reason(version.run)


class TestAliases:
    def test_an_alias_nobody_holds_means_nothing_is_in_service(self, churn: FakeRegistry) -> None:
        del churn.aliases["churn", "champion"]
        assert collect(churn).champion is None

    def test_a_challenger_that_nobody_is_leaves_a_gap(self, churn: FakeRegistry) -> None:
        del churn.aliases["churn", "challenger"]
        assert reason(collect(churn).challenger) == "no version of churn holds @challenger"

    def test_an_alias_that_cannot_be_read_is_not_an_alias_nobody_holds(self, churn: FakeRegistry) -> None:
        churn.fails["alias churn champion"] = RegistryError("broken", "registry functionality is unavailable")
        assert "unavailable" in reason(collect(churn).champion)

    @pytest.mark.parametrize("twin", ["Champion", "CHAMPION", "ｃhampion"])
    def test_alias_case_variants_leave_a_gap(self, churn: FakeRegistry, twin: str) -> None:
        churn.aliases["churn", twin] = "2"
        assert f"@{twin}" in reason(collect(churn).champion)
        del churn.aliases["churn", "champion"]
        assert f"@{twin}" in reason(collect(churn).champion)

    def test_an_alias_that_moves_between_two_readings_leaves_a_gap(self, churn: FakeRegistry) -> None:
        churn.models["churn"]["aliases"] = [
            {"alias": "champion", "version": "2"},
            {"alias": "challenger", "version": "2"},
        ]
        found = collect(churn)
        assert "moved" in reason(found.champion)
        assert gap(found.challenger) is None

    def test_an_alias_set_between_two_readings_leaves_a_gap(self, churn: FakeRegistry) -> None:
        del churn.aliases["churn", "champion"]
        churn.models["churn"]["aliases"] = [{"alias": "champion", "version": "1"}]
        assert "moved" in reason(collect(churn).champion)

    def test_without_the_models_own_list_no_alias_is_known_to_be_unset(self, churn: FakeRegistry) -> None:
        del churn.aliases["churn", "champion"]
        churn.fails["model churn"] = RegistryError("deadline", "too late")
        found = collect(churn)
        assert reason(found.model) == "too late"
        assert "not known for sure" in reason(found.champion)

    @pytest.mark.parametrize("alias", ["latest", "Latest", "v1", "V12"])
    def test_latest_is_no_alias(self, churn: FakeRegistry, alias: str) -> None:
        with pytest.raises(UsageError, match="is no alias"):
            collect(churn, challenger=alias)
        with pytest.raises(UsageError, match="is no alias"):
            collect(churn, champion=alias)

    def test_a_number_needs_no_alias(self, churn: FakeRegistry) -> None:
        del churn.aliases["churn", "challenger"]
        found = collect(churn, version="2", challenger="latest")
        assert fact(found.challenger).subject.version == "2"

    def test_a_number_that_is_not_there_leaves_a_gap(self, churn: FakeRegistry) -> None:
        assert "not found" in reason(collect(churn, version="9").challenger)

    def test_a_version_that_is_champion_already_is_read_once(self, churn: FakeRegistry) -> None:
        found = collect(churn, version="1")
        assert found.challenger == found.champion
        assert churn.asked.count(f"run {run_id('1')}") == 1

    def test_the_champions_stay_is_asked_without_a_challenger(self, churn: FakeRegistry) -> None:
        found = collect(churn, question="retain")
        assert found.challenger is None
        assert fact(found.champion).subject.version == "1"
        assert not any("challenger" in question for question in churn.asked)


class TestModel:
    def test_it_is_read(self, churn: FakeRegistry) -> None:
        model = fact(collect(churn).model)
        assert model.tag("owner") == "retention-platform"
        assert [(alias.name, alias.version) for alias in model.aliases] == [
            ("challenger", "2"),
            ("champion", "1"),
        ]

    def test_an_alias_at_no_version_is_broken(self, churn: FakeRegistry) -> None:
        churn.aliases["churn", "old"] = "01"
        assert "version" in reason(collect(churn).model)

    def test_a_time_of_another_century_is_broken(self, churn: FakeRegistry) -> None:
        churn.models["churn"]["creation_timestamp"] = START // 1000
        assert "2000 to 2100" in reason(collect(churn).model)

    def test_every_time_but_the_servers_own_is_compared_with_its_clock(self, churn: FakeRegistry) -> None:
        churn.clock = NOW + timedelta(minutes=10)
        found = collect(churn)
        assert "ahead of this machine's" in reason(fact(found.challenger).measurements)
        assert "ahead" in reason(fact(found.champion).measurements)
        churn.clock = NOW - timedelta(minutes=3)
        assert "behind" in reason(fact(collect(churn).challenger).measurements)

    def test_a_clock_a_little_off_is_the_network(self, churn: FakeRegistry) -> None:
        churn.clock = NOW + timedelta(seconds=100)
        assert measured(collect(churn).challenger).value == Decimal("0.71")

    def test_a_model_that_is_not_ready_is_not_ready(self, churn: FakeRegistry) -> None:
        """MLflow says READY of every version at once."""
        churn.model_of("2")["info"]["status"] = "LOGGED_MODEL_UPLOAD_FAILED"
        assert fact(collect(churn).challenger).status == "LOGGED_MODEL_UPLOAD_FAILED"

    def test_a_stage_is_named_where_one_is_set(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "1"]["current_stage"] = "Production"
        found = collect(churn)
        assert (fact(found.champion).stage, fact(found.challenger).stage) == ("Production", None)


class TestRun:
    def test_it_is_read(self, churn: FakeRegistry) -> None:
        run = fact(fact(collect(churn).challenger).run)
        assert (run.status, run.deleted, run.user) == ("FINISHED", False, "ci")
        assert run.param("retrieval_confidence") == "0.72"
        assert [(d.name, d.context, d.rows) for d in run.datasets] == [("churn-train", "training", 9_000)]

    def test_a_deleted_run_answers_as_if_nothing_had_happened_and_is_marked(
        self, churn: FakeRegistry
    ) -> None:
        churn.runs[run_id("2")]["info"]["lifecycle_stage"] = "deleted"
        assert fact(fact(collect(churn).challenger).run).deleted

    def test_a_version_without_a_run_has_none(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "2"]["run_id"] = ""
        version = fact(collect(churn).challenger)
        assert version.run is None
        assert version.subject.run_id is None

    def test_a_run_that_cannot_be_read_is_missing(self, churn: FakeRegistry) -> None:
        churn.fails[f"run {run_id('2')}"] = RegistryError("unreachable", "no answer")
        version = fact(collect(churn).challenger)
        assert reason(version.run) == "no answer"
        assert measured(version).value == Decimal("0.71"), "measured elsewhere"

    def test_a_parameter_of_6000_characters_may_have_been_cut(self, churn: FakeRegistry) -> None:
        churn.runs[run_id("2")]["data"]["params"] = [
            {"key": "whole", "value": "x" * 5_999},
            {"key": "cut", "value": "x" * 6_000},
        ]
        run = fact(fact(collect(churn).challenger).run)
        assert run.param("whole") == "x" * 5_999
        assert run.param("cut") == "x" * 6_000 + " […cut: MLflow keeps 6000 characters]"

    def test_a_run_tag_of_8000_characters_may_have_been_cut(self, churn: FakeRegistry) -> None:
        churn.runs[run_id("2")]["data"]["tags"] = [{"key": "t", "value": "x" * 8_000}]
        assert "cut" in (fact(fact(collect(churn).challenger).run).tag("t") or "")

    def test_a_version_tag_longer_than_a_snapshot_takes_is_marked(self, churn: FakeRegistry) -> None:
        churn.versions["churn", "2"]["tags"] = [{"key": "prompt", "value": "x" * 100_000}]
        assert "100000 characters" in (fact(collect(churn).challenger).tag("prompt") or "")

    def test_its_metrics_are_text_without_exponents(self, churn: FakeRegistry) -> None:
        logged = {"a": Decimal("1e2"), "b": 7, "c": "NaN", "d": Decimal("1.7976931348623157e308")}
        churn.runs[run_id("2")]["data"]["metrics"] = [point(key, value) for key, value in logged.items()]
        metrics = fact(fact(collect(churn).challenger).run).metrics
        assert [tag.value for tag in metrics] == ["100", "7", "NaN", "Infinity"]

    def test_the_runs_that_provenance_names_are_read(self, churn: FakeRegistry) -> None:
        found = collect(churn, runs=(eval_id("1"), "nonesuch"))
        assert fact(found.runs[eval_id("1")]).run_id == eval_id("1")
        assert "not found" in reason(found.runs["nonesuch"])


class TestMeasurement:
    def test_duplicates_of_one_evaluation_are_one_measurement(self, churn: FakeRegistry) -> None:
        """MLflow's evaluation logs each metric twice."""
        version = fact(collect(churn).challenger)
        assert [m.name for m in version.measurements if m.name == "accuracy"] == ["accuracy"]
        found = measured(version)
        assert (found.value, found.run_id, found.rows) == (Decimal("0.71"), eval_id("2"), 100)
        assert found.dataset is not None
        assert (found.dataset.name, found.dataset.digest, found.dataset.context) == (
            "churn-eval",
            "08b584b7",
            "evaluation",
        )

    def test_a_value_is_exact(self, churn: FakeRegistry) -> None:
        churn.points_of("2")[0]["value"] = churn.points_of("2")[3]["value"] = Decimal("0.9000000000000001")
        assert measured(collect(churn).challenger).value == Decimal("0.9000000000000001")

    @pytest.mark.parametrize("step", [1, 10**9, -5])
    def test_a_worse_value_hidden_behind_a_larger_step_is_not_overlooked(
        self, churn: FakeRegistry, step: int
    ) -> None:
        """MLflow's `latest` is by step: 0.99 at step 5 hides every later 0.71 at step 0."""
        churn.points_of("2").append(point("accuracy", "0.99", run_id=eval_id("2"), data=EVAL, step=step))
        text = reason(measured(collect(churn).challenger).value)
        assert "2 different values" in text
        assert "0.71" in text
        assert f"step {step}" in text

    def test_a_repeated_evaluation_that_differs_is_not_chosen_from(self, churn: FakeRegistry) -> None:
        churn.runs[hexes("a")] = run_of(hexes("a"), datasets=[(EVAL, "evaluation", 100)])
        churn.points_of("2").append(point("accuracy", "0.95", run_id=hexes("a"), data=EVAL))
        assert "different values" in reason(measured(collect(churn).challenger).value)

    def test_a_repeated_evaluation_that_agrees_is_the_same(self, churn: FakeRegistry) -> None:
        churn.runs[hexes("a")] = run_of(hexes("a"), datasets=[(EVAL, "evaluation", 100)])
        churn.points_of("2").append(point("accuracy", "0.710", run_id=hexes("a"), data=EVAL))
        assert measured(collect(churn).challenger).value == Decimal("0.71")

    def test_points_of_a_deleted_run_do_not_count(self, churn: FakeRegistry) -> None:
        churn.runs[hexes("a")] = run_of(hexes("a"), lifecycle="deleted", datasets=[(EVAL, "evaluation", 100)])
        churn.points_of("2").append(point("accuracy", "0.99", run_id=hexes("a"), data=EVAL))
        assert measured(collect(churn).challenger).value == Decimal("0.71")

    def test_a_measurement_only_in_deleted_runs_is_missing(self, churn: FakeRegistry) -> None:
        churn.runs[eval_id("2")]["info"]["lifecycle_stage"] = "deleted"
        assert "only in runs that are deleted" in reason(measured(collect(churn).challenger).value)

    @pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED", "SCHEDULED"])
    def test_a_run_that_has_not_finished_measures_nothing(self, churn: FakeRegistry, status: str) -> None:
        churn.runs[eval_id("2")]["info"]["status"] = status
        assert f"is {status}, not FINISHED" in reason(measured(collect(churn).challenger).value)

    def test_a_run_that_cannot_be_read_measures_nothing(self, churn: FakeRegistry) -> None:
        churn.fails[f"run {eval_id('2')}"] = RegistryError("denied", "you may not")
        assert "you may not" in reason(measured(collect(churn).challenger).value)

    def test_a_metric_appended_after_its_run_finished_is_marked(self, churn: FakeRegistry) -> None:
        for p in churn.points_of("2"):
            p["timestamp"] = START + HOUR + 1
        assert measured(collect(churn).challenger).after_finish
        assert not measured(collect(churn).champion).after_finish

    def test_one_point_of_two_after_the_end_marks_both(self, churn: FakeRegistry) -> None:
        churn.points_of("2")[0]["timestamp"] = START + HOUR + 1
        assert measured(collect(churn).challenger).after_finish

    def test_a_metric_of_the_runs_last_millisecond_is_not_after_it(self, churn: FakeRegistry) -> None:
        for p in churn.points_of("2"):
            p["timestamp"] = START + HOUR
        assert not measured(collect(churn).challenger).after_finish

    @pytest.mark.parametrize("ahead", [61_000, HOUR, 365 * 24 * HOUR])
    def test_a_time_in_the_future_pins_nothing(self, churn: FakeRegistry, ahead: int) -> None:
        churn.points_of("2")[0]["timestamp"] = fake.ms(NOW) + ahead
        assert "in the future" in reason(measured(collect(churn).challenger).value)

    def test_a_time_within_the_skew_is_now(self, churn: FakeRegistry) -> None:
        churn.points_of("2")[0]["timestamp"] = fake.ms(NOW) + 60_000
        assert measured(collect(churn).challenger).value == Decimal("0.71")

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "0.9 or so", True, None, [], {}])
    def test_what_is_no_number_is_missing(self, churn: FakeRegistry, value: Any) -> None:
        for p in churn.points_of("2"):
            p["value"] = value
        assert "no number" in reason(measured(collect(churn).challenger).value)

    def test_nan_beside_a_number_is_missing(self, churn: FakeRegistry) -> None:
        churn.points_of("2")[0]["value"] = "NaN"
        assert "no number" in reason(measured(collect(churn).challenger).value)

    @pytest.mark.parametrize("sign", ["", "-"])
    def test_infinity_arrives_as_the_largest_double_and_is_missing(
        self, churn: FakeRegistry, sign: str
    ) -> None:
        for p in churn.points_of("2"):
            p["value"] = Decimal(f"{sign}1.7976931348623157e308")
        assert "stores infinity" in reason(measured(collect(churn).challenger).value)

    def test_a_metric_without_data_names_none(self, churn: FakeRegistry) -> None:
        for p in churn.points_of("2"):
            del p["dataset_name"], p["dataset_digest"]
        churn.runs[eval_id("2")]["inputs"] = {}
        found = measured(collect(churn).challenger)
        assert (found.value, found.dataset, found.rows) == (Decimal("0.71"), None, None)

    def test_data_without_a_context_tag_is_data(self, churn: FakeRegistry) -> None:
        """`log_metric(dataset=)` leaves the tag out."""
        churn.runs[eval_id("2")] = run_of(eval_id("2"), datasets=[(EVAL, None, 100)])
        found = measured(collect(churn).challenger).dataset
        assert found is not None
        assert (found.name, found.context, found.rows) == ("churn-eval", None, 100)

    def test_data_that_the_run_does_not_list_is_data(self, churn: FakeRegistry) -> None:
        churn.runs[eval_id("2")]["inputs"] = {}
        found = measured(collect(churn).challenger).dataset
        assert found is not None
        assert (found.name, found.digest, found.rows) == ("churn-eval", "08b584b7", None)

    def test_training_data_does_not_count_beside_other_data(self, churn: FakeRegistry) -> None:
        churn.runs[eval_id("2")] = run_of(
            eval_id("2"), datasets=[(EVAL, "evaluation", 100), (TRAIN, "training", 9_000)]
        )
        churn.points_of("2").append(point("accuracy", "0.999", run_id=eval_id("2"), data=TRAIN))
        found = measured(collect(churn).challenger)
        assert (found.value, found.dataset and found.dataset.name) == (Decimal("0.71"), "churn-eval")

    def test_training_data_alone_is_named_as_such(self, churn: FakeRegistry) -> None:
        churn.runs[eval_id("2")] = run_of(eval_id("2"), datasets=[(EVAL, "training", 100)])
        found = measured(collect(churn).challenger).dataset
        assert found is not None
        assert found.context == "training"

    def test_data_logged_for_both_is_training_data(self, churn: FakeRegistry) -> None:
        churn.runs[eval_id("2")] = run_of(
            eval_id("2"), datasets=[(EVAL, "evaluation", 100), (EVAL, "training", 100)]
        )
        found = measured(collect(churn).challenger).dataset
        assert found is not None
        assert found.context == "training"

    def test_two_datasets_under_one_name_in_one_run_are_not_chosen_from(self, churn: FakeRegistry) -> None:
        hard = {"name": "churn-hard", "digest": "11111111"}
        churn.points_of("2").append(point("accuracy", "0.95", run_id=eval_id("2"), data=hard))
        text = reason(measured(collect(churn).challenger).value)
        assert "churn-eval" in text
        assert "churn-hard" in text

    def newer(self, churn: FakeRegistry, number: str, value: str) -> None:
        later = {"name": "churn-eval-12", "digest": "22222222"}
        evaluated = hexes("c" if number == "1" else "d")
        at = START + 10 * HOUR
        churn.runs[evaluated] = run_of(
            evaluated, datasets=[(later, "evaluation", 120)], start=at, end=at + HOUR
        )
        churn.points_of(number).append(point("accuracy", value, run_id=evaluated, data=later, at=at + 1))

    def test_a_later_evaluation_on_other_data_comes_first(self, churn: FakeRegistry) -> None:
        self.newer(churn, "2", "0.90")
        version = fact(collect(churn).challenger)
        values = [m.value for m in version.measurements if m.name == "accuracy"]
        assert values == [Decimal("0.90"), Decimal("0.71")]

    def test_the_champion_is_compared_on_the_challengers_data(self, churn: FakeRegistry) -> None:
        """Measured again on other data since, its number on the same data is the one that compares."""
        self.newer(churn, "1", "0.80")
        found = measured(collect(churn).champion)
        assert (found.value, found.dataset and found.dataset.digest) == (Decimal("0.94"), "08b584b7")
        assert measured(collect(churn, question="retain").champion).value == Decimal("0.80")

    def test_both_measured_again_are_compared_on_the_new_data(self, churn: FakeRegistry) -> None:
        self.newer(churn, "1", "0.80")
        self.newer(churn, "2", "0.79")
        found = collect(churn)
        assert measured(found.champion).value == Decimal("0.80")
        assert measured(found.challenger).value == Decimal("0.79")

    def test_too_many_measuring_runs_are_missing(self, churn: FakeRegistry) -> None:
        for number in range(60):
            churn.points_of("2").append(point("accuracy", "0.71", run_id=f"{number:032d}", data=EVAL))
        assert "more than 50 runs" in reason(fact(collect(churn).challenger).measurements)

    def test_a_logged_model_that_is_gone_leaves_no_measurement(self, churn: FakeRegistry) -> None:
        del churn.logged[model_id("2")]
        assert "not found" in reason(fact(collect(churn).challenger).measurements)

    def test_the_spread_of_rows_is_taken_from_mlflows_own_pair(self, churn: FakeRegistry) -> None:
        found = measured(collect(churn).champion, "hit/mean")
        assert found.deviation is not None
        assert abs(found.deviation - Decimal("0.2375")) < Decimal("0.0001")
        assert measured(collect(churn).champion).deviation is None


def hexes(letter: str) -> str:
    return letter * 32


class TestMlflow2:
    """No LoggedModel: the run's own history is what there is."""

    @pytest.fixture
    def old(self, churn: FakeRegistry) -> FakeRegistry:
        churn.versions["churn", "2"]["source"] = f"mlflow-artifacts:/1/{run_id('2')}/artifacts/model"
        churn.runs[run_id("2")] = run_of(
            run_id("2"),
            metrics=[point("accuracy", "0.71"), point("train_loss", "0.3"), point("system/cpu", "3")],
            datasets=[(TRAIN, "training", 9_000), (EVAL, "evaluation", 100)],
        )
        churn.history[run_id("2"), "accuracy"] = [point("accuracy", "0.71")]
        return churn

    def test_the_runs_history_is_the_measurement(self, old: FakeRegistry) -> None:
        found = measured(collect(old).challenger)
        assert (found.value, found.run_id, found.rows) == (Decimal("0.71"), run_id("2"), 100)
        assert found.dataset is not None
        assert found.dataset.digest == EVAL["digest"]

    def test_a_server_without_logged_models_falls_back_to_the_run(self, old: FakeRegistry) -> None:
        old.versions["churn", "2"]["source"] = f"models:/{model_id('2')}"
        old.logged[model_id("2")] = None
        assert measured(collect(old).challenger).value == Decimal("0.71")

    def test_a_pinned_value_is_seen_in_the_history_only(self, old: FakeRegistry) -> None:
        old.runs[run_id("2")]["data"]["metrics"][0] = point("accuracy", "0.99", step=10**9)
        old.history[run_id("2"), "accuracy"] += [point("accuracy", "0.99", step=10**9)]
        assert "different values" in reason(measured(old_challenger(old)).value)

    def test_a_history_that_cannot_be_read_is_missing(self, old: FakeRegistry) -> None:
        old.fails[f"history {run_id('2')}"] = RegistryError("limit", "too long")
        assert reason(fact(old_challenger(old)).measurements) == "too long"

    def test_a_run_that_cannot_be_read_leaves_no_measurement(self, old: FakeRegistry) -> None:
        old.fails[f"run {run_id('2')}"] = RegistryError("unreachable", "no answer")
        assert reason(fact(old_challenger(old)).measurements) == "no answer"

    def test_two_sets_of_evaluation_data_are_none(self, old: FakeRegistry) -> None:
        more = {"name": "more", "digest": "33333333"}
        old.runs[run_id("2")] = run_of(
            run_id("2"),
            metrics=[point("accuracy", "0.71")],
            datasets=[(EVAL, "evaluation", 100), (more, "evaluation", 10)],
        )
        assert measured(old_challenger(old)).dataset is None

    def test_an_undeclared_metric_is_named_and_not_read(self, old: FakeRegistry) -> None:
        version = fact(old_challenger(old))
        assert "not declared" in reason(measured(version, "train_loss").value)
        assert "train_loss" in reason(version.metric("acuracy"))
        assert not any(m.name.startswith("system/") for m in version.measurements)
        assert not any("train_loss" in question for question in old.asked)


def old_challenger(old: FakeRegistry) -> Version | None:
    return collect(old).challenger


def assessed(
    name: str, value: Any = 1.0, *, error: bool = False, run: str | None = None, made: str = "01", **more: Any
) -> dict[str, Any]:
    feedback: dict[str, Any] = {"value": None if error else value}
    if error:
        feedback["error"] = {"error_code": "SCORER_ERROR", "error_message": "the judge did not answer"}
    return {
        "assessment_name": name,
        "source": {"source_type": "LLM_JUDGE", "source_id": name},
        "create_time": f"2026-11-20T00:00:{made}Z",
        "feedback": feedback,
        "metadata": {
            "mlflow.assessment.sourceRunId": run or eval_id("2"),
            "mlflow.assessment.scorerDigest": f"sha256:{name}",
        },
        "valid": True,
        **more,
    }


def traced(*rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"trace_id": f"tr-{at}", "assessments": row} for at, row in enumerate(rows)]


JUDGED = {"flaky/mean": {"range": ["0", "1"], "floor": "0.9", "judge": "flaky"}}


class TestJudges:
    @pytest.fixture
    def genai(self, churn: FakeRegistry) -> FakeRegistry:
        churn.points_of("2").append(point("flaky/mean", "1.0", run_id=eval_id("2")))
        churn.runs[eval_id("2")] = run_of(
            eval_id("2"),
            tags={"mlflow.runType": "genai_evaluate"},
            datasets=[({"name": "dataset", "digest": "47bfc3db"}, None, 4)],
        )
        churn.traced[eval_id("2")] = traced(
            [assessed("flaky")],
            [assessed("flaky", error=True)],
            [assessed("flaky", error=True)],
            [assessed("flaky", error=True)],
        )
        return churn

    def tally(self, reader: FakeRegistry, metrics: Any = JUDGED) -> tuple[int, int, int]:
        judge = fact(collect(reader, metrics).challenger).judge("flaky")
        return judge.rows, judge.judged, judge.failed

    def test_a_mean_that_hides_failed_judges_is_seen_through(self, genai: FakeRegistry) -> None:
        """The scorer raised on 3 of 4 rows: run FINISHED, `flaky/mean` 1.0."""
        assert measured(collect(genai, JUDGED).challenger, "flaky/mean").value == 1
        assert self.tally(genai) == (4, 1, 3)

    def test_an_undeclared_judge_of_a_genai_evaluation_is_counted_too(self, genai: FakeRegistry) -> None:
        assert self.tally(genai, {"flaky/mean": {"floor": "0.9"}}) == (4, 1, 3)

    def test_a_genai_metric_was_measured_on_its_runs_one_dataset(self, genai: FakeRegistry) -> None:
        found = measured(collect(genai, JUDGED).challenger, "flaky/mean").dataset
        assert found is not None
        assert (found.digest, found.rows) == ("47bfc3db", 4)

    def test_rows_without_a_trace_were_not_judged(self, genai: FakeRegistry) -> None:
        genai.traced[eval_id("2")] = traced([assessed("flaky")])
        assert self.tally(genai) == (4, 1, 3)

    def test_rows_without_an_assessment_were_not_judged(self, genai: FakeRegistry) -> None:
        genai.traced[eval_id("2")] = traced([assessed("flaky")], [], [assessed("other")], [])
        assert self.tally(genai) == (4, 1, 3)

    @pytest.mark.parametrize("value", [None, "", "NaN"])
    def test_no_value_is_no_judgement(self, genai: FakeRegistry, value: Any) -> None:
        genai.traced[eval_id("2")] = traced(*([assessed("flaky", value)] for _ in range(4)))
        assert self.tally(genai) == (4, 0, 4)

    def test_an_error_beside_a_value_is_no_judgement(self, genai: FakeRegistry) -> None:
        odd = assessed("flaky", error=True)
        odd["feedback"]["value"] = 1.0
        genai.traced[eval_id("2")] = traced(*([odd] for _ in range(4)))
        assert self.tally(genai) == (4, 0, 4)

    def test_of_two_runs_the_one_in_which_it_failed_most_counts(self, genai: FakeRegistry) -> None:
        other = hexes("a")
        genai.runs[other] = run_of(other, tags={"mlflow.runType": "genai_evaluate"})
        genai.points_of("2").append(point("more/mean", "1.0", run_id=other))
        genai.traced[other] = traced(*([assessed("flaky", run=other)] for _ in range(10)))
        metrics = {**JUDGED, "more/mean": {"floor": "0.9"}}
        assert self.tally(genai, metrics) == (4, 1, 3)
        assert self.tally(genai, dict(reversed(metrics.items()))) == (4, 1, 3)

    @pytest.mark.parametrize("value", [0.0, False, "no", 1])
    def test_a_bad_grade_is_a_judgement(self, genai: FakeRegistry, value: Any) -> None:
        genai.traced[eval_id("2")] = traced(*([assessed("flaky", value)] for _ in range(4)))
        assert self.tally(genai) == (4, 4, 0)

    def test_the_newest_assessment_counts(self, genai: FakeRegistry) -> None:
        genai.traced[eval_id("2")] = traced(
            [assessed("flaky", made="02"), assessed("flaky", error=True, made="01")],
            [assessed("flaky", made="01"), assessed("flaky", error=True, made="02")],
        )
        assert self.tally(genai) == (4, 1, 3)

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"valid": False}, id="overridden"),
            pytest.param({"source": {"source_type": "HUMAN"}}, id="a person's"),
            pytest.param({"metadata": {"mlflow.assessment.sourceRunId": "f" * 32}}, id="another run's"),
        ],
    )
    def test_what_is_not_the_scorers_does_not_count(self, genai: FakeRegistry, other: dict[str, Any]) -> None:
        late = {**assessed("flaky", made="09"), **other}
        genai.traced[eval_id("2")] = traced(*([assessed("flaky", error=True), late] for _ in range(4)))
        assert self.tally(genai) == (4, 0, 4)

    def test_the_scorers_digest_is_the_one_of_all_rows(self, genai: FakeRegistry) -> None:
        assert fact(collect(genai, JUDGED).challenger).judge("flaky").digest == "sha256:flaky"
        changed = assessed("flaky")
        changed["metadata"]["mlflow.assessment.scorerDigest"] = "sha256:new"
        genai.traced[eval_id("2")][0]["assessments"] = [changed]
        assert fact(collect(genai, JUDGED).challenger).judge("flaky").digest is None

    def test_traces_that_cannot_be_read_leave_a_gap(self, genai: FakeRegistry) -> None:
        genai.fails["traces"] = RegistryError("unsupported", "this server has no traces")
        assert "no traces" in reason(fact(collect(genai, JUDGED).challenger).judges)

    def test_without_judges_no_trace_is_asked_for(self, churn: FakeRegistry) -> None:
        assert fact(collect(churn).challenger).judges == ()
        assert not any(question.startswith("traces") for question in churn.asked)


HIT = {"hit/mean": {"range": ["0", "1"], "floor": "0.6", "max_drop": "0.02", "confidence": "0.95"}}


class TestRows:
    def rows(self, reader: FakeRegistry, metrics: Any = HIT) -> PairedRows | None:
        (comparison,) = collect(reader, metrics).comparisons
        found: PairedRows | None = comparison.rows
        return found

    def test_both_versions_rows_are_paired(self, churn: FakeRegistry) -> None:
        paired = fact(self.rows(churn))
        assert (paired.dataset, paired.rows, paired.overlap, paired.binary) == ("08b584b7", 100, 1, True)
        assert (paired.gained, paired.lost) == (1, 24)
        assert paired.mean == Decimal("-0.23")
        assert abs(paired.deviation - Decimal("0.4462")) < Decimal("0.0001")

    def test_without_a_confidence_no_rows_are_read(self, churn: FakeRegistry) -> None:
        assert collect(churn).comparisons == ()
        assert not any("eval_results_table" in question for question in churn.asked)

    def test_without_rows_there_are_none(self, churn: FakeRegistry) -> None:
        for number in "12":
            churn.runs[eval_id(number)]["data"]["tags"] = []
        assert self.rows(churn) is None

    def test_rows_of_another_metric_are_none(self, churn: FakeRegistry) -> None:
        assert self.rows(churn, {"accuracy": {"max_drop": "0.02", "confidence": "0.95"}}) is None

    def test_rows_of_one_version_only_are_a_gap(self, churn: FakeRegistry) -> None:
        churn.runs[eval_id("1")]["data"]["tags"] = []
        assert "logged no rows" in reason(self.rows(churn))

    @pytest.mark.parametrize("number", ["1", "2"])
    def test_rows_that_are_not_what_the_mean_was_taken_over_are_a_gap(
        self, churn: FakeRegistry, number: str
    ) -> None:
        churn.files[eval_id(number), "eval_results_table.json"] = fake.table([1] * 100)
        assert "mean of 1" in reason(self.rows(churn))

    def test_rows_of_two_evaluations_in_one_table_are_a_gap(self, churn: FakeRegistry) -> None:
        """MLflow appends to a table that is there already."""
        churn.files[eval_id("2"), "eval_results_table.json"] = fake.table(([1] * 70 + [0] * 29 + [1]) * 2)
        assert "200 rows" in reason(self.rows(churn))

    def test_rows_on_different_data_are_not_paired(self, churn: FakeRegistry) -> None:
        for p in churn.points_of("2"):
            p["dataset_digest"] = "99999999"
        assert "different data" in reason(self.rows(churn))

    def test_rows_of_one_run_for_both_versions_are_nobodys(self, churn: FakeRegistry) -> None:
        """Compared with itself a version is never worse."""
        churn.points_of("2")[:] = [{**p} for p in churn.points_of("1")]
        assert "both versions were evaluated in run" in reason(self.rows(churn))

    def test_a_table_that_cannot_be_read_is_a_gap(self, churn: FakeRegistry) -> None:
        churn.files[eval_id("2"), "eval_results_table.json"] = b"<html>"
        assert "not JSON" in reason(self.rows(churn))

    def test_a_slice_is_compared_by_its_own_metric(self, churn: FakeRegistry) -> None:
        metrics = {
            "accuracy": {
                "max_drop": "0.02",
                "confidence": "0.95",
                "slices": {"new": {"metric": "hit/mean", "max_drop": "0.04"}},
            }
        }
        assert {c.metric: c.rows is None for c in collect(churn, metrics).comparisons} == {
            "accuracy": True,
            "hit/mean": False,
        }


class TestFailure:
    """The registry's trouble is evidence; what the user must mend is raised."""

    def test_nothing_reached_is_nothing_known(self, churn: FakeRegistry) -> None:
        churn.fails[""] = RegistryError("unreachable", "connection refused")
        found = collect(churn, runs=("r",))
        for part in (found.model, found.challenger, found.champion, found.runs["r"]):
            assert "connection refused" in reason(part)
        assert found.comparisons == ()

    @pytest.mark.parametrize(
        "error", [ConfigError("no such CA file"), UsageError("no"), RuntimeError("a bug")]
    )
    def test_what_is_not_the_registrys_trouble_is_raised(self, churn: FakeRegistry, error: Exception) -> None:
        churn.fails["logged"] = error
        with pytest.raises(type(error)):
            collect(churn)

    def test_every_single_failure_leaves_a_gap_and_never_a_yes(self) -> None:
        """Whatever one question is, its failure can be seen in the evidence."""
        whole = collect(fake.churn(), HIT)
        questions = sorted(set(asked_by(fake.churn())))
        assert len(questions) > 10
        for question in questions:
            reader = fake.churn()
            reader.fails[question] = RegistryError("unreachable", "gone")
            broken = collect(reader, HIT)
            assert "gone" in repr(broken), question
            assert any(source.status == "missing" for source in broken.sources) or broken.comparisons != (
                whole.comparisons
            ), question

    def test_what_was_asked_is_recorded(self, churn: FakeRegistry) -> None:
        churn.fails[f"run {run_id('2')}"] = RegistryError("denied", "you may not")
        found = {
            source.name: (source.status, source.reason) for source in collect(churn, runs=("r",)).sources
        }
        assert found["mlflow:run:challenger"] == ("missing", "you may not")
        assert found["mlflow:run:r"][0] == "missing"
        assert found["mlflow:version:champion"] == ("ok", "")
        assert found["mlflow:metrics:champion"] == ("ok", "")

    def test_nothing_at_all_has_a_gap_in_every_place(self) -> None:
        nothing = ModelEvidence.nothing("it was not reached", "https://mlflow.example", "promote", NOW)
        for part in (nothing.model, nothing.challenger, nothing.champion):
            assert reason(part) == "it was not reached"
        retained = ModelEvidence.nothing("it was not reached", "https://mlflow.example", "retain", NOW)
        assert retained.challenger is None
        assert retained.sources[0].status == "missing"

    def test_the_deadline_leaves_gaps(self, churn: FakeRegistry) -> None:
        clock = iter([0.0] + [100.0] * 10_000)
        found = collect_model(
            churn,
            manifest(),
            question="promote",
            champion_alias="champion",
            candidate_alias="challenger",
            candidate_version=None,
            provenance_runs=(),
            now=NOW,
            deadline=Deadline(1, monotonic=lambda: next(clock)),
        )
        assert "deadline" in reason(found.champion)


def asked_by(reader: FakeRegistry) -> list[str]:
    collect(reader, HIT, runs=())
    return reader.asked
