"""Limits and their provenance: what a claim takes, whom it is given to, and how it reads."""

import copy
from datetime import date

import pytest

from aigate.limits import Provenance, show_origin, spread_provenance
from aigate.manifest import (
    Manifest,
)
from declared import BASE, refused


@pytest.mark.parametrize("day", ["2026-13-01", "2026-02-30", "02.08.2026", 20260802, "2026-08-02T00:00:00Z"])
def test_provenance_is_dated_by_days(day: object) -> None:
    refused(Provenance, {"set_on": day}, "set_on")


def test_provenance_says_what_it_says() -> None:
    claim = Provenance.model_validate(
        {"set_on": "2026-08-02", "model": "7", "measured_with": {"judge": "j1"}}
    )
    assert (claim.set_on, claim.model, claim.measured_with) == (date(2026, 8, 2), "7", {"judge": "j1"})
    refused(Provenance, {"model": "07"}, "model")
    refused(Provenance, {"method": "guessed"}, "method")
    refused(Provenance, {"dataset": {"name": "d", "rows": 0}}, "rows")


def test_provenance_beside_limits_is_given_to_those_that_have_none() -> None:
    own, shared = {"set_by": "b.lind"}, {"set_by": "m.ito"}
    data = {
        "metrics": {
            "a": {
                "floor": 1,
                "max_drop": {"value": 2, "provenance": own},
                "min_coverage": {"value": 3},
                "ceiling": None,
                "anchor": {"value": 1, "max_creep": 0},
                "slices": {"s": {"metric": "n", "floor": 1}},
                "provenance": shared,
            },
            "b": {"floor": 1},
        },
        "stages": (
            {
                "name": "r",
                "freshness": {"max_age": "2h", "max_evidence_age": {"value": "1h"}, "provenance": shared},
            },
            {"name": "q", "freshness": {"max_age": "2h"}},
            {"name": "p"},
        ),
    }
    before = copy.deepcopy(data)
    assert spread_provenance(data) == {
        "metrics": {
            "a": {
                "floor": {"value": 1, "provenance": shared},
                "max_drop": {"value": 2, "provenance": own},
                "min_coverage": {"value": 3, "provenance": shared},
                "ceiling": None,
                "anchor": {"value": 1, "max_creep": 0},
                "slices": {"s": {"metric": "n", "floor": 1}},
                "provenance": shared,
            },
            "b": {"floor": 1},
        },
        "stages": (
            {
                "name": "r",
                "freshness": {
                    "max_age": {"value": "2h", "provenance": shared},
                    "max_evidence_age": {"value": "1h", "provenance": shared},
                    "provenance": shared,
                },
            },
            {"name": "q", "freshness": {"max_age": "2h"}},
            {"name": "p"},
        ),
    }
    assert data == before  # it was copied, and not changed


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        (),
        {"metrics": None},
        {"metrics": ("a",)},
        {"metrics": {"a": 1, "b": None, "c": ()}},
        {"metrics": {"a": {"floor": 1, "provenance": "me"}}},
        {"metrics": {"a": {"floor": 1, "provenance": None}}},
        {"stages": {"a": 1}},
        {"stages": ("a", None, 1)},
        {"stages": ({"name": "a", "freshness": "2h"}, {"freshness": None}, {"freshness": ()})},
        {"thresholds": {"t": 1, "provenance": {"set_by": "m"}}},
    ],
    ids=str,
)
def test_what_has_another_shape_is_left_as_it_is(data: object) -> None:
    assert spread_provenance(data) == data


def test_a_mistake_is_not_hidden_by_spreading() -> None:
    """A limit that is wrong is still wrong with a provenance given to it."""
    for wrong in ((), True, "much"):
        data = BASE | {"metrics": {"a": {"floor": wrong, "provenance": {"set_by": "m"}}}}
        refused(Manifest, spread_provenance(data), "floor")


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (None, "nobody wrote down where this limit comes from"),
        ({}, "set by somebody unnamed"),
        (
            {"set_by": "m.ito", "set_on": "2026-08-02", "run": "1f0c", "review_by": "2027-02-02"},
            "set by m.ito 2026-08-02 from run 1f0c, review by 2027-02-02",
        ),
        ({"run": "0123456789abc"}, "set by somebody unnamed from run 01234567…"),
        ({"evidence": "a link"}, "set by somebody unnamed from a link"),
    ],
    ids=str,
)
def test_an_origin_in_one_line(claim: dict[str, str] | None, words: str) -> None:
    assert show_origin(None if claim is None else Provenance.model_validate(claim)) == words
