"""The first files: valid, honest about what nobody knows, and unimpressed by hostile names."""

import string
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aigate.collect.manifest_file import parse_manifest
from aigate.collect.strict_yaml import load_yaml
from aigate.manifest import Manifest, json_schema
from aigate.scaffold import MARGIN, Seen, files, manifest, propose, quoted, slug
from aigate.snapshot import Dataset, Measurement

EVAL = Dataset(name="churn-eval", digest="08b584b7", context="evaluation")
TRAIN = Dataset(name="churn-train", digest="5be5aa04", context="training")


def measured(name: str, value: str, dataset: Dataset | None = EVAL) -> Measurement:
    return Measurement(
        name=name,
        value=Decimal(value),
        dataset=dataset,
        run_id="1f0c55aa90d14f6e",
        recorded_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


def seen(**changes: Any) -> Seen:
    known: dict[str, Any] = {
        "model": "churn",
        "champion": "champion",
        "challenger": "challenger",
        "owner": "retention-platform",
        "contact": "#churn-oncall",
        "version": "1",
        "metrics": (measured("accuracy", "0.94"),),
        "user": "m.ito",
        "today": date(2026, 11, 21),
    }
    return Seen(**known | changes)


def loaded(text: str) -> Manifest:
    return parse_manifest(text.encode(), "aigate.yaml")[0]


def uncommented(text: str) -> str:
    """What an editor makes of it by taking the comments' marks away."""
    return "\n".join(line.removeprefix("# ") for line in text.splitlines())


def test_it_declares_what_was_found_and_says_where_it_comes_from() -> None:
    found = loaded(manifest(seen()))
    assert (found.system, found.model.name, found.model.champion) == ("churn", "churn", "champion")
    assert found.owner is not None
    assert (found.owner.team, found.owner.contact) == ("retention-platform", "#churn-oncall")
    rule = found.metrics["accuracy"]
    for limit, value in ((rule.floor, "0.92"), (rule.max_drop, "0.02")):
        assert limit is not None
        assert limit.value == Decimal(value)
        assert limit.provenance is not None
        assert limit.provenance.model_dump(exclude_defaults=True) == {
            "method": "measured",
            "set_by": "m.ito",
            "set_on": "2026-11-21",
            "environment": "production",
            "run": "1f0c55aa90d14f6e",
            "review_by": "2027-02-19",
        }
    assert found.runbooks == {"default": "runbooks/churn.md"}
    assert found.environments["production"].levels == {"house.description": "advise"}
    assert not found.stages


def test_it_is_short() -> None:
    assert len(manifest(seen()).splitlines()) <= 15
    assert len(manifest(seen(owner=None, contact=None, metrics=())).splitlines()) <= 15


@pytest.mark.parametrize("metrics", [(), (measured("accuracy", "0.94"),)], ids=["no-metric", "metric"])
@pytest.mark.parametrize("owner", [None, "retention-platform"])
@pytest.mark.parametrize("user", [None, "m.ito"])
def test_what_is_left_to_fill_in_is_valid_without_its_comment_marks(
    metrics: tuple[Measurement, ...], owner: str | None, user: str | None
) -> None:
    """Nobody should have to guess at the indentation; and a placeholder left as it is counts as nobody."""
    found = loaded(uncommented(manifest(seen(owner=owner, contact=None, metrics=metrics, user=user))))
    assert found.owner is not None
    assert found.owner.contact is None or found.owner.contact.startswith("#<")
    (stage,) = found.stages
    assert stage.owner == "<team>"
    assert stage.freshness is not None
    assert stage.freshness.max_age.provenance is not None
    assert (stage.freshness.max_age.provenance.rationale or "").startswith("<")
    if not metrics:
        assert list(found.metrics) == ["<metric>"]
    if user is None:
        assert stage.freshness.max_age.provenance.set_by == "<your name>"


def test_nobody_is_made_up() -> None:
    """An owner without a contact gets none: a guessed channel would pass as one that was named."""
    found = loaded(manifest(seen(contact=None)))
    assert found.owner is not None
    assert (found.owner.contact, found.owner.escalation) == (None, None)
    assert loaded(manifest(seen(owner=None))).owner is None


def test_the_schema_comes_where_it_is_asked_for() -> None:
    assert "aigate.schema.json" not in files(seen())
    with_schema = files(seen(), schema=True)
    assert with_schema["aigate.yaml"].startswith(
        "# yaml-language-server: $schema=aigate.schema.json\nversion: 1\n"
    )
    assert (
        load_yaml(with_schema["aigate.schema.json"], source="schema", max_bytes=1_000_000).data
        == json_schema()
    )


NAMES = [
    "churn",
    "true",
    "No",
    "null",
    "~",
    "012",
    "1e3",
    "0x1f",
    "1:30",
    "2026-11-21",
    "<<",
    "=",
    "- a",
    "? a",
    "a: b",
    "a #b",
    "a, b]}",
    "# a",
    '"',
    "'",
    "\\",
    "\\x41",
    "${HOME}",
    "{{ x }}",
    "%TAG",
    "@a",
    "`a`",
    "*a",
    "&a",
    "!!python/object:os.system",
    "|",
    ">",
    " lead and trail ",
    "модель",
    "模型",
    "😀",
    "e\u0301",
    "\u00a0",
    "\u200b",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "..",
    "con",
    "x" * 200,
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_comes_back_as_it_was(name: str) -> None:
    text = manifest(seen(model=name, owner=name, contact=name, user=name, metrics=(measured(name, "0.94"),)))
    found = loaded(text)
    assert (found.system, found.model.name) == (name, name)
    assert found.owner is not None
    assert (found.owner.team, found.owner.contact) == (name, name)
    # Another reader of YAML 1.1 finds the same.
    assert yaml.safe_load(text)["system"] == name
    assert yaml.safe_load(text)["owner"] == {"team": name, "contact": name}


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_of_any_name(name: str) -> None:
    """What it is called decides whether it is proposed; here it is, with `accuracy` in its name."""
    found = loaded(manifest(seen(metrics=(measured(f"{name[:180]} accuracy", "0.94"),))))
    assert list(found.metrics) == [f"{name[:180]} accuracy"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_a_scalar_is_one_line_and_comes_back(text: str) -> None:
    written = quoted(text)
    assert written.isprintable()
    assert yaml.safe_load(f"{{a: {written}}}") == {"a": text}


@given(st.text(max_size=80))
def test_a_slug_is_a_plain_name(text: str) -> None:
    found = slug(text)
    assert 0 < len(found) <= 60
    assert set(found) <= set(string.ascii_lowercase + string.digits + "-")
    assert not found.startswith("-")


@pytest.mark.parametrize("name", [*NAMES, "a\n# b", "\x1b[31mred", "<script>", "[a](https://b.example)"])
def test_no_path_leads_out_and_no_heading_is_broken(name: str) -> None:
    found = files(seen(model=name))
    for path in found:
        assert not path.startswith("/")
        assert ".." not in path
        assert path.count("/") <= 2
    (runbook,) = (text for path, text in found.items() if path.startswith("runbooks/"))
    heading, empty, *_ = runbook.split("\n")
    assert heading.startswith("# ")
    assert heading.endswith(": when the gate says no")
    assert heading.isprintable()
    assert not set("<>[]`") & set(heading)
    assert empty == ""


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        ([("accuracy", "0.94"), ("f1", "0.9")], "accuracy"),
        ([("roc_auc", "0.9"), ("f1_score", "0.8")], "f1_score"),
        ([("val_accuracy", "0.9"), ("accuracy", "0.8")], "accuracy"),
        (
            [("correctness/mean", "0.9"), ("correctness/variance", "0.2"), ("correctness/p90", "1")],
            "correctness/mean",
        ),
        ([("training_accuracy_score", "1")], None),
        ([("train_accuracy", "1"), ("test_accuracy", "0.9")], "test_accuracy"),
        ([("brier_accuracy", "0.1"), ("log_loss", "0.3"), ("false_recall", "0.1")], None),
        ([("inaccuracy", "0.1"), ("recall_time_ms", "0.5")], None),
        ([("accuracy", "94")], None),
        ([("accuracy", "-0.5")], None),
        ([("accuracy", "0.03")], None),
        ([("accuracy", "1")], "accuracy"),
        ([], None),
    ],
)
def test_the_metric_to_begin_with(metrics: list[tuple[str, str]], chosen: str | None) -> None:
    """A share that is better when higher, and not one of the training data: a wrong direction is worse than none."""
    for order in (metrics, metrics[::-1]):
        found = propose(measured(name, value) for name, value in order)
        assert (found.metric.name if found else None) == chosen


def test_a_metric_on_logged_data_comes_first() -> None:
    """The policy `evaluation.data` refuses the others."""
    for other in (None, TRAIN):
        found = propose([measured("accuracy", "0.94", other), measured("recall", "0.8")])
        assert found is not None
        assert found.metric.name == "recall"
    alone = propose([measured("accuracy", "0.94", None)])
    assert alone is not None


@given(st.decimals("0.04", "1", places=17))
def test_the_floor_lies_below_what_was_measured_and_is_no_noise(value: Decimal) -> None:
    found = propose([measured("accuracy", f"{value:f}")])
    assert found is not None
    assert 0 < found.floor <= value - MARGIN < found.floor + Decimal("0.0001")
    assert found.floor == round(found.floor, 4)
    rule = loaded(manifest(seen(metrics=(measured("accuracy", f"{value:f}"),)))).metrics["accuracy"]
    assert rule.floor is not None
    assert rule.floor.value == found.floor
