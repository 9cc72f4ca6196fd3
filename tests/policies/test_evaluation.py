"""Evaluation: each policy seen to pass, fail, go unknown and skip; limits at their edge, tests that know their size."""

from datetime import timedelta
from decimal import Decimal

import pytest

from aigate.limits import Limit
from aigate.snapshot import Dataset, Judge, Measurement
from aigate.testing import NOW, change, missing, passing_snapshot
from standard_pack import ask, expect, passing, with_

ACCURACY = "/challenger/measurements/accuracy"
CHAMPION = "/champion/measurements/accuracy"
LATENCY = "/challenger/measurements/latency_p95_ms"
CORRECT = "/challenger/measurements/correctness~1mean"
RULE = "/metrics/accuracy/rule"
NEW = "/challenger/measurements/accuracy_new"


def unlimited(*names: str) -> dict[str, object]:
    """A change that takes every limit from a metric."""
    gone: dict[str, object] = {}
    for name in names:
        rule = f"/metrics/{name.replace('/', '~1')}/rule"
        gone |= {f"{rule}/confidence": None, f"{rule}/slices": {}, f"{rule}/min_coverage": None}
        gone |= {f"{rule}/{limit}": None for limit in ("floor", "ceiling", "max_drop", "max_rise", "anchor")}
    return gone


def points(value: str, against: str, margin: str) -> dict[str, object]:
    """A comparison of point estimates, without the floor, the anchor and the test."""
    return {
        f"{RULE}/confidence": None,
        f"{RULE}/max_drop/value": Decimal(margin),
        f"{ACCURACY}/value": Decimal(value),
        f"{CHAMPION}/value": Decimal(against),
    }


class TestLimits:
    def test_a_floor_is_a_limit(self) -> None:
        expect("evaluation.limits", {}, "pass")

    def test_no_limit_fails_and_shows_the_lines_to_add_with_a_metric_that_is_there(self) -> None:
        changes = unlimited("accuracy", "latency_p95_ms", "correctness/mean")
        found = expect(
            "evaluation.limits", changes, "fail", "no evaluation metric has a limit", keys=("metrics",)
        )
        assert "metrics:\n  accuracy: {range: [0, 1], floor: {value: <least>" in found.findings[0].fix
        expect("evaluation.limits", {"/metrics": ()}, "fail")

    def test_the_lines_to_add_do_not_need_the_version(self) -> None:
        expect("evaluation.limits", {"/metrics": (), "/challenger": missing("gone")}, "fail", "<metric>")

    def test_a_drop_alone_is_a_limit_only_beside_a_champion(self) -> None:
        changes = unlimited("latency_p95_ms", "correctness/mean") | {
            f"{RULE}/floor": None,
            f"{RULE}/anchor": None,
        }
        expect("evaluation.limits", changes, "pass")
        expect("evaluation.limits", changes | {"/champion": None}, "fail", "only a drop against a champion")
        expect("evaluation.limits", changes | {"/champion": missing("time-out")}, "unknown", "time-out")
        assert ask("evaluation.limits", with_(changes, passing_snapshot("retain"))).outcome == "fail"


class TestFloor:
    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            pytest.param({f"{ACCURACY}/value": Decimal("0.92")}, "pass", id="at-the-floor"),
            pytest.param({f"{ACCURACY}/value": Decimal("0.9199999999999999999")}, "fail", id="a-hair-below"),
            pytest.param({f"{LATENCY}/value": Decimal("250")}, "pass", id="at-the-ceiling"),
            pytest.param({f"{LATENCY}/value": Decimal("250.0000000000000001")}, "fail", id="a-hair-above"),
            pytest.param({f"{ACCURACY}/value": Decimal(1)}, "pass", id="at-the-end-of-the-range"),
            pytest.param({f"{ACCURACY}/value": Decimal("1.0001")}, "unknown", id="beyond-the-range"),
            pytest.param({f"{ACCURACY}/value": Decimal("-0.5")}, "unknown", id="below-the-range"),
            pytest.param({f"{ACCURACY}/value": missing("NaN")}, "unknown", id="not-a-number"),
            pytest.param(
                {f"{ACCURACY}/recorded_at": NOW + timedelta(hours=1)}, "unknown", id="of-the-future"
            ),
            pytest.param({"/challenger": missing("time-out")}, "unknown", id="version-not-read"),
            pytest.param({"/challenger": None}, "unknown", id="no-version"),
            pytest.param({"/challenger/measurements": ()}, "unknown", id="nothing-measured"),
        ],
    )
    def test_values_at_their_limits(self, changes: dict[str, object], outcome: str) -> None:
        expect("evaluation.floor", changes, outcome)  # type: ignore[arg-type]  # from the table

    def test_it_names_value_limit_and_where_the_limit_comes_from(self) -> None:
        found = expect("evaluation.floor", {f"{ACCURACY}/value": Decimal("0.71")}, "fail", keys=("accuracy",))
        finding = found.findings[0]
        assert finding.message == "accuracy is 0.71, below its floor of 0.92"
        assert (finding.value, finding.limit, finding.owner) == ("0.71", "0.92", "retention-platform")
        assert finding.origin == "set by m.ito 2026-08-02 from run 1f0c55aa…, review by 2027-02-02"

    def test_infinity_as_mlflow_stores_it_passes_no_floor_even_without_a_range(self) -> None:
        huge = Decimal("1.7976931348623157E+308")
        changes: dict[str, object] = {f"{ACCURACY}/value": huge, f"{RULE}/range": None, f"{RULE}/kind": None}
        expect("evaluation.floor", changes, "unknown", "which cannot be: it is finite")

    def test_a_proportion_has_a_range_of_its_own(self) -> None:
        changes: dict[str, object] = {f"{ACCURACY}/value": Decimal(94), f"{RULE}/range": None}
        expect("evaluation.floor", changes, "unknown", "between 0 and 1")

    def test_one_unknown_metric_does_not_hide_another_that_fails(self) -> None:
        changes = {f"{ACCURACY}/value": missing("NaN"), f"{LATENCY}/value": Decimal(300)}
        expect("evaluation.floor", changes, "fail", "NaN", keys=("latency_p95_ms",))

    def test_a_metric_measured_on_several_datasets_holds_on_each(self) -> None:
        first = passing().judged.metric("accuracy")
        harder = Measurement(
            name="accuracy",
            value=Decimal("0.60"),
            dataset=Dataset(name="hard", digest="aa11"),
            run_id=first.run_id,
            recorded_at=first.recorded_at,
        )
        measurements = (*passing().judged.measurements, harder)
        found = expect("evaluation.floor", {"/challenger/measurements": measurements}, "fail")
        assert found.findings[0].key == "accuracy@hard@aa11"

    def test_without_floors_and_ceilings_it_is_a_skip(self) -> None:
        changes = unlimited("latency_p95_ms", "correctness/mean") | {f"{RULE}/floor": None}
        expect("evaluation.floor", changes, "skip")

    def test_the_champion_is_held_against_the_same_floor(self) -> None:
        retain = change(passing_snapshot("retain"), f"{CHAMPION}/value", Decimal("0.71"))
        assert ask("evaluation.floor", retain).outcome == "fail"

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("0.9133333333333333", "0.9133"),
            ("0.91999", "0.91999"),
            ("0.919999999999999999999", "0.919999999999999999999"),
        ],
    )
    def test_a_value_is_shown_so_that_it_differs_from_its_limit(self, value: str, shown: str) -> None:
        found = expect("evaluation.floor", {f"{ACCURACY}/value": Decimal(value)}, "fail")
        assert found.findings[0].message == f"accuracy is {shown}, below its floor of 0.92"
        assert found.findings[0].value == value


class TestRegression:
    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            pytest.param(points("0.90", "0.92", "0.02"), "pass", id="at-the-margin"),
            pytest.param(points("0.8999999", "0.92", "0.02"), "fail", id="a-hair-beyond"),
            pytest.param(points("0.94", "0.92", "0.00"), "pass", id="better-with-no-margin"),
            pytest.param(points("0.92", "0.92", "0"), "pass", id="equal-with-no-margin"),
            pytest.param({f"{LATENCY}/value": Decimal(200)}, "pass", id="a-rise-at-the-margin"),
            pytest.param({f"{LATENCY}/value": Decimal("200.1")}, "fail", id="a-rise-beyond"),
            pytest.param({f"{LATENCY}/value": Decimal(100)}, "pass", id="faster-is-better"),
        ],
    )
    def test_point_estimates(self, changes: dict[str, object], outcome: str) -> None:
        expect("evaluation.regression", changes, outcome)  # type: ignore[arg-type]  # from the table

    def test_point_estimates_are_called_so_with_what_the_rows_could_show(self) -> None:
        changes = points("0.90", "0.92", "0.02")
        found = expect(
            "evaluation.regression", changes, "pass", "accuracy: point estimates, 0.92 → 0.90 on 5000 rows"
        )
        assert "no difference below 0.014 from chance" in found.reason
        unlogged = {f"{ACCURACY}/rows": None, f"{ACCURACY}/dataset/rows": None}
        expect("evaluation.regression", changes | unlogged, "pass", "on how many rows is not known")
        expect("evaluation.regression", changes | {f"{RULE}/kind": None}, "pass", "declare its kind")

    def test_a_drop_names_both_values_the_margin_the_champion_and_the_data(self) -> None:
        found = expect("evaluation.regression", points("0.71", "0.94", "0.02"), "fail", keys=("accuracy",))
        finding = found.findings[0]
        assert "accuracy went from 0.94 to 0.71 (-0.23, allowed -0.02) against champion v1" in finding.message
        assert "same data 9b21f0aa, by point estimates" in finding.message
        assert (finding.value, finding.limit) == ("0.71", "0.92")
        assert finding.origin.startswith("set by m.ito")

    @pytest.mark.parametrize("side", [ACCURACY, CHAMPION], ids=["challenger", "champion"])
    @pytest.mark.parametrize(
        ("place", "value", "words"),
        [
            ("dataset/digest", "0ther", "not compared; evaluate the champion on the new data"),
            ("dataset", None, "not logged"),
            ("value", missing("NaN"), "NaN"),
            ("value", Decimal("1.5"), "which cannot be"),
            ("recorded_at", NOW + timedelta(days=1), "in the future"),
        ],
        ids=["other-data", "data-not-logged", "not-a-number", "out-of-range", "of-the-future"],
    )
    def test_what_cannot_be_compared_is_unknown(
        self, side: str, place: str, value: object, words: str
    ) -> None:
        expect("evaluation.regression", {f"{side}/{place}": value}, "unknown", words)
        changes = points("0.94", "0.94", "0.02") | {f"{side}/{place}": value}
        expect("evaluation.regression", changes, "unknown", words)

    def test_a_champions_value_that_was_written_later_is_unknown(self) -> None:
        expect("evaluation.regression", {f"{CHAMPION}/after_finish": True}, "unknown", "the champion's value")

    def test_another_judge_is_another_scale(self) -> None:
        rule = "/metrics/correctness~1mean/rule"
        changes: dict[str, object] = {f"{rule}/max_drop": Limit(value=Decimal("0.05"))}
        expect("evaluation.regression", changes, "pass")
        other = changes | {"/challenger/judges/correctness/digest": "new"}
        expect("evaluation.regression", other, "unknown", "judge correctness is new, the champion's 4be12c0d")
        expect("evaluation.regression", changes | {"/champion/judges": ()}, "unknown", "not logged")
        undeclared = {f"{rule}/judge": None, f"{rule}/min_coverage": None}
        expect("evaluation.regression", other | undeclared, "unknown", "not compared")

    def test_without_a_champion_margins_or_a_promotion_it_is_a_skip(self) -> None:
        expect("evaluation.regression", {"/champion": None}, "skip", "nothing holds @champion")
        expect("evaluation.regression", unlimited("accuracy", "latency_p95_ms"), "skip", "no metric declares")
        assert ask("evaluation.regression", passing_snapshot("retain")).outcome == "skip"

    def test_an_unread_champion_is_unknown(self) -> None:
        expect("evaluation.regression", {"/champion": missing("time-out")}, "unknown", "time-out")


ROWS = "/comparisons/accuracy/rows"


def rows(n: int, gained: int, lost: int) -> dict[str, object]:
    """Paired rows of a binary metric, and the two values that go with them."""
    mean = Decimal(gained - lost) / n
    return {
        f"{ROWS}/rows": n,
        f"{ROWS}/gained": gained,
        f"{ROWS}/lost": lost,
        f"{ROWS}/mean": mean,
        f"{ACCURACY}/value": Decimal("0.94") + mean,
    }


def unpaired(
    n: int | None, value: str, kind: str | None = "proportion", deviation: str | None = None
) -> dict[str, object]:
    """No paired rows: values and counts alone."""
    changes: dict[str, object] = {ROWS: None, f"{RULE}/kind": kind, f"{ACCURACY}/value": Decimal(value)}
    for side in (ACCURACY, CHAMPION):
        changes |= {f"{side}/rows": n, f"{side}/dataset/rows": n}
        changes |= {f"{side}/deviation": deviation and Decimal(deviation)}
    return changes


class TestNonInferiority:
    @pytest.mark.parametrize(
        ("changes", "outcome", "words"),
        [
            pytest.param(rows(5000, 145, 160), "pass", "", id="paired-equal-with-many-rows"),
            pytest.param(rows(200, 6, 6), "unknown", "too few to tell", id="paired-equal-with-few-rows"),
            pytest.param(rows(5000, 50, 250), "fail", "paired", id="paired-worse"),
            pytest.param(unpaired(5000, "0.941"), "pass", "", id="unpaired-equal-with-many-rows"),
            pytest.param(unpaired(300, "0.941"), "unknown", "would do", id="unpaired-equal-with-few-rows"),
            pytest.param(unpaired(5000, "0.85"), "fail", "unpaired", id="unpaired-worse"),
            pytest.param(unpaired(None, "0.941"), "unknown", "on how many rows", id="rows-not-logged"),
            pytest.param(unpaired(0, "0.941"), "unknown", "cannot rest on 0 rows", id="no-rows"),
            pytest.param(unpaired(5000, "0.941", None), "unknown", "kind", id="kind-not-declared"),
            pytest.param(unpaired(5000, "0.941", "mean", "0.2"), "pass", "", id="mean-with-deviation"),
            pytest.param(unpaired(100, "0.941", "mean", "0.2"), "unknown", "too few", id="mean-with-few-rows"),
            pytest.param(unpaired(5000, "0.941", "mean"), "pass", "", id="mean-by-its-range"),
            pytest.param(unpaired(5000, "0.941", "mean") | {f"{RULE}/range": None}, "unknown", "standard deviation", id="mean-without-spread"),
        ],
    )  # fmt: skip
    def test_three_answers(self, changes: dict[str, object], outcome: str, words: str) -> None:
        expect("evaluation.regression", changes, outcome, words)  # type: ignore[arg-type]  # from the table

    def test_too_few_rows_say_how_many_would_do(self) -> None:
        found = expect("evaluation.regression", rows(200, 6, 6), "unknown")
        assert "would do" in found.reason
        assert any(word.isdigit() and int(word) > 200 for word in found.reason.split())

    def test_declared_rows_stand_in_for_data_that_do_not_say(self) -> None:
        expect("evaluation.regression", unpaired(None, "0.941") | {f"{RULE}/rows": 5000}, "pass")

    @pytest.mark.parametrize(
        ("place", "value", "words"),
        [
            ("", missing("table unread"), "table unread"),
            ("/dataset", "0ther", "of dataset 0ther"),
            ("/overlap", Decimal("0.9499"), "95.0 %"),
            ("/overlap", Decimal("1.01"), "in common"),
            ("/gained", 1000, "do not make a mean"),
            ("/lost", 4900, "do not make a mean"),
        ],
        ids=[
            "not-read",
            "other-data",
            "too-little-in-common",
            "more-than-all",
            "gains-made-up",
            "losses-made-up",
        ],
    )
    def test_rows_that_cannot_be_believed_are_unknown(self, place: str, value: object, words: str) -> None:
        expect("evaluation.regression", {f"{ROWS}{place}": value}, "unknown", words)

    def test_the_overlap_needed_is_a_parameter(self) -> None:
        expect("evaluation.regression", {f"{ROWS}/overlap": Decimal("0.90")}, "pass", min_overlap="0.9")

    def test_more_gains_and_losses_than_rows_are_unknown(self) -> None:
        expect(
            "evaluation.regression", {f"{ROWS}/gained": 5015, f"{ROWS}/lost": 5000}, "unknown", "more than"
        )

    def test_rows_that_contradict_the_logged_value_are_unknown(self) -> None:
        expect(
            "evaluation.regression", {f"{ACCURACY}/value": Decimal("0.80")}, "unknown", "its value says worse"
        )

    def test_scores_that_are_not_binary_use_their_deviation(self) -> None:
        scores: dict[str, object] = {f"{ROWS}/binary": False, f"{ROWS}/mean": Decimal("-0.001")}
        expect("evaluation.regression", scores | {f"{ROWS}/deviation": Decimal("0.25")}, "pass")
        expect("evaluation.regression", scores | {f"{ROWS}/deviation": Decimal(4)}, "unknown")

    def test_lower_is_better_turns_every_sign(self) -> None:
        rule = "/metrics/latency_p95_ms/rule"
        timed: dict[str, object] = {f"{rule}/confidence": Decimal("0.95"), f"{rule}/kind": "mean"}
        for side in ("/challenger", "/champion"):
            timed[f"{side}/measurements/latency_p95_ms/deviation"] = Decimal(90)
        expect("evaluation.regression", timed, "pass")
        found = expect(
            "evaluation.regression", timed | {f"{LATENCY}/value": Decimal(210)}, "fail", "+30, allowed +20"
        )
        assert found.findings[0].limit == "200"
        few = {f"{LATENCY}/rows": 40, f"{LATENCY}/dataset/rows": 40}
        expect("evaluation.regression", timed | few, "unknown")

    def test_paired_rows_of_an_error_are_turned_too(self) -> None:
        """The metric is a share of errors: a row gained is an error more."""
        error: dict[str, object] = {
            f"{RULE}/floor": None,
            f"{RULE}/anchor": None,
            f"{RULE}/slices": {},
            f"{RULE}/max_drop": None,
            f"{RULE}/max_rise": Limit(value=Decimal("0.02")),
        }
        snapshot = with_(rows(5000, 250, 50))
        snapshot = change(
            snapshot,
            f"{RULE}",
            snapshot.metrics[0].rule.model_dump() | {k.rpartition("/")[2]: v for k, v in error.items()},
        )
        assert ask("evaluation.regression", snapshot).outcome == "fail"


class TestAnchor:
    @pytest.mark.parametrize(
        ("value", "outcome"),
        [("0.915", "pass"), ("0.9149", "fail"), ("0.99", "pass"), ("1.2", "unknown")],
        ids=["at-the-most", "beyond", "better", "out-of-range"],
    )
    def test_creep_is_held_against_the_anchor(self, value: str, outcome: str) -> None:
        expect("evaluation.anchor", {f"{ACCURACY}/value": Decimal(value)}, outcome)  # type: ignore[arg-type]  # from the table

    def test_creep_names_the_anchor_and_where_it_comes_from(self) -> None:
        found = expect("evaluation.anchor", {f"{ACCURACY}/value": Decimal("0.90")}, "fail", "set by m.ito")
        assert (
            "accuracy is 0.90, 0.045 worse than its anchor of 0.945 (at most 0.03 in all)"
            in found.findings[0].message
        )
        assert found.findings[0].limit == "0.915"

    def test_lower_may_be_better(self) -> None:
        anchor = {"value": {"value": "170"}, "max_creep": {"value": "20"}}
        rule: dict[str, object] = {"/metrics/latency_p95_ms/rule/anchor": anchor}
        expect("evaluation.anchor", rule | {f"{LATENCY}/value": Decimal(190)}, "pass")
        expect(
            "evaluation.anchor", rule | {f"{LATENCY}/value": Decimal(191)}, "fail", keys=("latency_p95_ms",)
        )

    def test_missing_is_unknown_and_none_declared_a_skip(self) -> None:
        expect("evaluation.anchor", {f"{ACCURACY}/value": missing("NaN")}, "unknown", "NaN")
        expect("evaluation.anchor", {f"{RULE}/anchor": None}, "skip")


def sliced(
    gained: int, lost: int, n: int = 1200, *, part: str = "accuracy_new", base: str = "0.905"
) -> dict[str, object]:
    """Paired rows of one slice, and the value that goes with them."""
    at, mean = f"/comparisons/{part}/rows", Decimal(gained - lost) / n
    return {
        f"{at}/rows": n,
        f"{at}/gained": gained,
        f"{at}/lost": lost,
        f"{at}/mean": mean,
        f"/challenger/measurements/{part}/value": Decimal(base) + mean,
    }


class TestSlices:
    def test_a_slice_below_its_floor_fails_though_the_whole_is_fine(self) -> None:
        expect("evaluation.slices", {}, "pass")
        changes = {f"{NEW}/value": Decimal("0.87")}
        found = expect("evaluation.slices", {**changes}, "fail", keys=("accuracy/new",))
        assert found.findings[0].message == "accuracy on slice new is 0.87, below its floor of 0.88"

    @pytest.mark.parametrize(
        ("value", "outcome"), [("0.865", "pass"), ("0.8649", "fail")], ids=["at-the-margin", "beyond"]
    )
    def test_without_confidence_points_are_compared(self, value: str, outcome: str) -> None:
        changes = {
            f"{RULE}/confidence": None,
            f"{RULE}/slices/new/floor": None,
            f"{NEW}/value": Decimal(value),
        }
        expect("evaluation.slices", changes, outcome)  # type: ignore[arg-type]  # from the table

    def test_with_confidence_a_drop_must_be_beyond_the_margin_and_beyond_chance(self) -> None:
        gone: dict[str, object] = {f"{RULE}/slices/new/floor": None}
        expect("evaluation.slices", gone | sliced(20, 90), "fail", "(Holm)", keys=("accuracy/new/drop",))
        small = gone | sliced(3, 6, 60)
        expect(
            "evaluation.slices",
            small,
            "pass",
            "0.050 worse, beyond its margin; on so few rows chance may do that",
        )
        expect("evaluation.slices", gone | sliced(20, 60), "pass")

    def test_more_slices_need_more_than_chance(self) -> None:
        """One slice alone is beyond chance at 95 %; beside nineteen others it is not."""
        alone: dict[str, object] = {f"{RULE}/slices/new/floor": None, f"{RULE}/slices/long/max_drop": None}
        drop = sliced(2, 9, 120)
        expect("evaluation.slices", alone | drop, "fail")
        many = {f"s{i}": {"metric": "accuracy_long", "max_drop": {"value": "0.04"}} for i in range(19)} | {
            "new": {"metric": "accuracy_new", "max_drop": {"value": "0.04"}}
        }
        expect("evaluation.slices", {f"{RULE}/slices": many} | drop, "pass", "chance may do that")

    def test_slices_that_are_taken_out_leave_more_room_for_the_rest(self) -> None:
        """Holm's second step: the weaker harm is beyond chance only once the stronger is out."""
        gone: dict[str, object] = {f"{RULE}/slices/{name}/floor": None for name in ("new", "long")}
        weak = sliced(3, 9, 120)
        strong = sliced(20, 400, 3800, part="accuracy_long", base="0.950")
        found = expect("evaluation.slices", gone | weak | strong, "fail")
        assert [finding.key for finding in found.findings] == ["accuracy/new/drop", "accuracy/long/drop"]
        expect("evaluation.slices", gone | weak, "pass", "chance may do that")

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({f"{NEW}/value": missing("NaN")}, id="not-a-number"),
            pytest.param({"/challenger/measurements": ()}, id="not-measured"),
            pytest.param({f"{NEW}/dataset/digest": "0ther"}, id="other-data"),
            pytest.param({"/champion/measurements/accuracy_new/value": missing("x")}, id="champion-not-measured"),
            pytest.param(sliced(20, 90) | {"/comparisons/accuracy_new/rows/overlap": Decimal("0.5")}, id="rows-differ"),
        ],
    )  # fmt: skip
    def test_a_slice_that_cannot_be_told_is_unknown(self, changes: dict[str, object]) -> None:
        expect("evaluation.slices", {f"{RULE}/slices/new/floor": None, **changes}, "unknown")

    def test_the_rows_of_the_whole_are_not_those_of_a_slice(self) -> None:
        whole: dict[str, object] = {
            f"{RULE}/slices/new/floor": None,
            "/comparisons/accuracy_new/rows": None,
            f"{NEW}/value": Decimal("0.80"),
        }
        expect("evaluation.slices", whole, "fail", keys=("accuracy/new/drop",))
        unsaid = {f"{NEW}/rows": 5000, "/champion/measurements/accuracy_new/rows": 5000}
        expect("evaluation.slices", whole | unsaid, "unknown", "on how many rows")

    def test_without_a_champion_the_floors_remain(self) -> None:
        expect("evaluation.slices", {"/champion": None}, "pass")
        changes = {"/champion": None, f"{NEW}/value": Decimal("0.5")}
        expect("evaluation.slices", changes, "fail", keys=("accuracy/new",))
        assert ask("evaluation.slices", passing_snapshot("retain")).outcome == "pass"

    def test_none_declared_is_a_skip(self) -> None:
        expect("evaluation.slices", {f"{RULE}/slices": {}}, "skip")


class TestData:
    @pytest.mark.parametrize(
        ("changes", "words", "key"),
        [
            pytest.param({f"{ACCURACY}/dataset": None}, "names no dataset", "accuracy", id="not-logged"),
            pytest.param(
                {f"{NEW}/dataset": None}, "accuracy on slice new names no", "accuracy_new", id="of-a-slice"
            ),
            pytest.param(
                {f"{ACCURACY}/dataset/digest": "5d0c77e1"}, "training data", "accuracy", id="same-digest"
            ),
            pytest.param(
                {f"{ACCURACY}/dataset/context": "training"}, "training data", "accuracy", id="logged-as"
            ),
        ],
    )
    def test_metrics_rest_on_data_that_is_logged_and_new(
        self, changes: dict[str, object], words: str, key: str
    ) -> None:
        expect("evaluation.data", {}, "pass")
        expect("evaluation.data", changes, "fail", words, keys=(key,))

    def test_data_used_for_both_is_training_data(self) -> None:
        both = Dataset(name="churn_eval", digest="9b21f0aa", context="training")
        datasets = (*passing().judged.run.datasets, both)  # type: ignore[union-attr]  # it has a run
        expect("evaluation.data", {"/challenger/run/datasets": datasets}, "fail")

    def test_a_version_without_a_run_has_no_training_data_to_compare(self) -> None:
        expect("evaluation.data", {"/challenger/run": None}, "pass")

    @pytest.mark.parametrize("place", ["/challenger", "/challenger/run", "/challenger/measurements"])
    def test_missing_is_unknown(self, place: str) -> None:
        expect("evaluation.data", {place: missing("time-out")}, "unknown", "time-out")

    def test_a_metric_that_was_not_measured_is_unknown(self) -> None:
        expect("evaluation.data", {"/challenger/measurements": ()}, "unknown", "has no metric")

    def test_without_limits_it_is_a_skip(self) -> None:
        expect("evaluation.data", {"/metrics": ()}, "skip", "evaluation.limits")


class TestJudges:
    @pytest.mark.parametrize(
        ("judged", "failed", "outcome"),
        [
            pytest.param(4900, 100, "pass", id="at-the-least"),
            pytest.param(4899, 101, "fail", id="one-row-less"),
            pytest.param(4899, 0, "fail", id="rows-without-a-trace"),
            pytest.param(5000, 1, "unknown", id="more-than-there-are"),
        ],
    )
    def test_coverage(self, judged: int, failed: int, outcome: str) -> None:
        tally = Judge(name="correctness", rows=5000, judged=judged, failed=failed)
        expect("evaluation.judges", {"/challenger/judges": (tally,)}, outcome)  # type: ignore[arg-type]  # from the table

    def test_a_scorer_that_raised_on_three_rows_of_four_is_seen(self) -> None:
        tally = Judge(name="correctness", rows=4, judged=1, failed=3)
        changes: dict[str, object] = {"/challenger/judges": (tally,), f"{CORRECT}/value": Decimal("1.0")}
        found = expect(
            "evaluation.judges", changes, "fail", "on 1 of 4 rows, 3 failed", keys=("correctness/mean",)
        )
        assert (found.findings[0].value, found.findings[0].limit) == ("0.2500", "0.98")
        assert found.findings[0].origin.startswith("set by m.ito")

    def test_undeclared_coverage_is_the_parameters(self) -> None:
        rule = "/metrics/correctness~1mean/rule"
        changes: dict[str, object] = {
            f"{rule}/min_coverage": None,
            "/challenger/judges/correctness/judged": 4750,
            "/challenger/judges/correctness/failed": 250,
        }
        expect("evaluation.judges", changes, "pass")
        expect(
            "evaluation.judges",
            changes | {"/challenger/judges/correctness/judged": 4749},
            "fail",
            "min_coverage",
        )
        expect("evaluation.judges", changes, "fail", min_coverage="0.96")

    def test_a_mean_by_mlflows_naming_is_a_judges_though_nobody_said_so(self) -> None:
        rule = "/metrics/correctness~1mean/rule"
        changes: dict[str, object] = {f"{rule}/judge": None, f"{rule}/min_coverage": None}
        expect("evaluation.judges", changes | {"/challenger/judges/correctness/judged": 10}, "fail")
        expect("evaluation.judges", changes | {"/challenger/judges": ()}, "skip")

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"/challenger/judges": ()}, id="no-assessments"),
            pytest.param({"/challenger/judges": missing("time-out")}, id="not-read"),
            pytest.param({"/challenger/judges/correctness/rows": 0}, id="no-rows"),
        ],
    )
    def test_a_judge_of_whom_nothing_is_known_is_unknown(self, changes: dict[str, object]) -> None:
        expect("evaluation.judges", changes, "unknown")

    def test_no_judge_is_a_skip(self) -> None:
        expect("evaluation.judges", {"/metrics": passing().metrics[:2]}, "skip")


class TestFinished:
    @pytest.mark.parametrize(
        ("changes", "words", "key"),
        [
            pytest.param(
                {"/challenger/run/status": "RUNNING"}, "is RUNNING, not FINISHED", "run", id="running"
            ),
            pytest.param({"/challenger/run/status": "FAILED"}, "is FAILED", "run", id="failed"),
            pytest.param({"/challenger/run/deleted": True}, "is deleted", "run", id="deleted"),
            pytest.param(
                {f"{ACCURACY}/after_finish": True}, "after its run had finished", "accuracy", id="late"
            ),
            pytest.param({f"{NEW}/after_finish": True}, "slice new", "accuracy_new", id="a-slice-late"),
        ],
    )
    def test_the_run_is_over_and_nothing_was_added(
        self, changes: dict[str, object], words: str, key: str
    ) -> None:
        expect("evaluation.finished", {}, "pass")
        expect("evaluation.finished", changes, "fail", words, keys=(key,))

    def test_a_value_dated_after_the_end_was_written_after_it(self) -> None:
        expect(
            "evaluation.finished",
            {f"{ACCURACY}/recorded_at": NOW},
            "fail",
            "after its run",
            keys=("accuracy",),
        )

    def test_a_run_that_ends_in_the_future_is_unknown(self) -> None:
        later = {"/challenger/run/ended_at": NOW + timedelta(hours=1)}
        expect("evaluation.finished", later, "unknown", "in the future")
        expect("evaluation.finished", {"/challenger/run/ended_at": None}, "pass")

    def test_a_run_of_its_own_may_measure_later(self) -> None:
        changes: dict[str, object] = {f"{ACCURACY}/recorded_at": NOW, f"{ACCURACY}/run_id": "evaluation"}
        expect("evaluation.finished", changes, "pass")

    def test_without_a_run_only_the_times_can_be_told(self) -> None:
        expect("evaluation.finished", {"/challenger/run": None}, "skip", "without a run")
        changes: dict[str, object] = {"/challenger/run": None, f"{ACCURACY}/after_finish": True}
        expect("evaluation.finished", changes, "fail")

    @pytest.mark.parametrize("place", ["/challenger", "/challenger/run", "/challenger/measurements"])
    def test_missing_is_unknown(self, place: str) -> None:
        expect("evaluation.finished", {place: missing("time-out")}, "unknown", "time-out")
