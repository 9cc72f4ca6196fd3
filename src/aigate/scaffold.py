"""The files that `aigate init` writes, from what the registry holds. Pure: names and numbers in, texts out."""

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from aigate.values import show_number

REVIEW = timedelta(days=90)
"""How soon a first guess at a limit is to be looked at again."""

MARGIN = Decimal("0.02")
"""How far below the champion the first floor is put: a share of 1, as accuracy is."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_SHARES = ("accuracy", "f1", "auc", "precision", "recall", "score", "correctness", "exact_match", "r2")
"""Metrics that lie between 0 and 1 and are better when higher, by a part of their name."""


@dataclass(frozen=True)
class Measured:
    """A metric of the version in service."""

    name: str
    value: Decimal
    run: str


@dataclass(frozen=True)
class Seen:
    """What the registry holds about one model, and who asks."""

    model: str
    champion: str
    challenger: str
    owner: str | None
    metrics: tuple[Measured, ...]
    user: str
    today: date


def files(seen: Seen) -> dict[str, str]:
    """Return every file by its path under the folder that is initialised."""
    return {
        "aigate.yaml": manifest(seen),
        f"runbooks/{slug(seen.model)}.md": _RUNBOOK.format(model=_inline(seen.model)),
        "policies/description.py": _POLICY,
        "tests/policies/test_description.py": _TEST,
    }


def manifest(seen: Seen) -> str:
    """Return a manifest that loads; what only people can know stands in it as a comment to fill in."""
    name = quoted(seen.model)
    owner = (
        f'owner: {{team: {quoted(seen.owner)}, contact: "#{slug(seen.owner)}"}}'
        if seen.owner
        else '# owner: {team: your-team, contact: "#your-channel"}  # who answers for the whole path?'
    )
    lines = [
        "version: 1",
        f"system: {name}",
        owner,
        f"model: {{name: {name}, champion: {quoted(seen.champion)}, challenger: {quoted(seen.challenger)}}}",
        *_metrics(seen),
        "# stages:  # every step from raw data to the answer: whose it is, and how old its data may be",
        "#   - {name: features, owner: data-eng, freshness: {url: https://data.example/features.json, "
        "time: loaded_at, max_age: 2h}}",
        f"runbooks: {{default: runbooks/{slug(seen.model)}.md}}",
    ]
    return "\n".join(lines) + "\n"


def _metrics(seen: Seen) -> list[str]:
    measured = choose(seen.metrics)
    if measured is None:
        return [
            "# metrics:  # what a version must reach",
            "#   accuracy: {range: [0, 1], floor: 0.9, max_drop: 0.02}",
        ]
    claim = (
        f"{{method: measured, set_by: {quoted(seen.user)}, set_on: {seen.today}, environment: production, "
        f"run: {quoted(measured.run)}, review_by: {seen.today + REVIEW}}}"
    )
    floor = show_number(max(Decimal(0), measured.value - MARGIN))
    return [
        f"metrics:  # the version in service has {_inline(measured.name)} {show_number(measured.value)}",
        f"  {quoted(measured.name)}:",
        "    range: [0, 1]",
        f"    floor: {{value: {floor}, provenance: {claim}}}",
        f"    max_drop: {{value: {show_number(MARGIN)}, provenance: {claim}}}",
    ]


def choose(metrics: tuple[Measured, ...]) -> Measured | None:
    """Return the metric to begin with: one whose name says that it is a share, and whose value is one."""
    for word in _SHARES:
        for measured in sorted(metrics, key=lambda m: (len(m.name), m.name)):
            if word in measured.name.lower() and 0 <= measured.value <= 1:
                return measured
    return None


def quoted(text: str) -> str:
    """Return text as a YAML scalar that reads back as the same text."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)


def slug(text: str) -> str:
    """Return a name that is safe as a file's name and as a channel's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "model"


def _inline(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


_RUNBOOK = """\
# {model}: when the gate says no

1. Read the findings: each names the reading, the limit, and who set it.
2. Late or stale data: ask the owner of the stage. An older model does not cure it.
3. A worse model: leave the version in service where it is, and tell whoever trained the new one.
"""

_POLICY = '''\
"""A first policy of this system. One file, one theme; its test stands in tests/policies."""

from aigate import Findings, Snapshot, deny, policy


@policy("house.description", severity="low", blames="process")
def description(s: Snapshot, *, least: int = 20) -> Findings:
    """The registered model says what it is for.

    Whoever is paged at night reads it first. `least` is in characters.
    """
    if len(s.model.description) < least:
        yield deny(
            f"the registered model is described in {len(s.model.description)} characters",
            key=s.model.name,
            value=len(s.model.description),
            limit=least,
            fix="describe the registered model in MLflow: what it decides, for whom, from which data",
        )
'''

_TEST = '''\
"""The policy is seen to pass, to fail, and not to know."""

from pathlib import Path

from aigate.testing import change, load_policy, missing, passing_snapshot

description = load_policy(Path(__file__).parents[2] / "policies" / "description.py", "house.description")


def test_a_described_model_passes() -> None:
    described = change(passing_snapshot(), "/model/description", "Says who is likely to leave within 30 days.")
    assert description.run(described).outcome == "pass"


def test_a_model_without_words_fails() -> None:
    result = description.run(change(passing_snapshot(), "/model/description", ""))
    assert [finding.limit for finding in result.findings] == ["20"]


def test_a_registry_that_does_not_answer_is_unknown() -> None:
    result = description.run(change(passing_snapshot(), "/model", missing("MLflow answered 503")))
    assert (result.outcome, result.reason) == ("unknown", "MLflow answered 503 (test)")
'''
