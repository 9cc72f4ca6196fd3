"""The files that `aigate init` writes, from what the registry holds. Pure: names and numbers in, texts out."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal

from aigate.manifest import json_schema
from aigate.snapshot import Measurement
from aigate.values import show_number

REVIEW = timedelta(days=90)
"""How soon a first guess at a limit is to be looked at again."""

MARGIN = Decimal("0.02")
"""How far below the version in service the first floor is put: a share of 1, as accuracy is."""

SCHEMA_FILE = "aigate.schema.json"

_FLOOR_STEP = Decimal("0.0001")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_SHARES = (
    "accuracy",
    "f1",
    "auc",
    "precision",
    "recall",
    "correctness",
    "relevance",
    "faithfulness",
    "match",
    "ndcg",
)
"""Words in the name of a metric that lies between 0 and 1 and is better when higher, the likeliest first."""

_NO_SHARE = re.compile(
    "train(ing)?|loss|err(or)?|brier|hinge|log|mae|mape|r?mse|std(dev)?|var(iance)?|min|max|p[0-9]+|count|rows|total|"
    "latency|time|seconds|ms|drift|false|f[pn]r|cost"
)
"""Words in the name of one that is not, or that says nothing of unseen data."""


@dataclass(frozen=True)
class Seen:
    """What the registry holds about one model, and who asks."""

    model: str
    champion: str
    challenger: str
    owner: str | None
    contact: str | None
    version: str | None
    """The version whose metrics these are."""
    metrics: tuple[Measurement, ...]
    user: str | None
    """Who signs the first limits; None where nobody can be asked why."""
    today: date


@dataclass(frozen=True)
class Proposal:
    """A first limit: a floor a little below what was measured."""

    metric: Measurement
    floor: Decimal


def files(seen: Seen, *, schema: bool = False) -> dict[str, str]:
    """Return every file by its path under the folder that is initialised; with `schema`, the manifest's too."""
    found = {
        "aigate.yaml": manifest(seen, schema=schema),
        f"runbooks/{slug(seen.model)}.md": _RUNBOOK.format(model=_inline(seen.model)),
        "policies/description.py": _POLICY,
        "tests/policies/test_description.py": _TEST,
    }
    return found | ({SCHEMA_FILE: json.dumps(json_schema(), indent=2) + "\n"} if schema else {})


def manifest(seen: Seen, *, schema: bool = False) -> str:
    """Return a manifest that loads; what only people can know stands in it as a comment to fill in.

    What stands between angle brackets is to be replaced; left as it is, a name
    counts as none.
    """
    name = quoted(seen.model)
    lines = [
        *([f"# yaml-language-server: $schema={SCHEMA_FILE}"] if schema else []),
        "version: 1",
        f"system: {name}",
        _owner(seen),
        f"model: {{name: {name}, champion: {quoted(seen.champion)}, challenger: {quoted(seen.challenger)}}}",
        *_metrics(seen),
        "# stages:  # every step from raw data to the answer: whose it is, and how old its data may be",
        "#   - {name: <stage>, owner: <team>, freshness: {url: https://<host>/<path>.json, time: <field>, max_age: 2h,",
        f"#       provenance: {_claim(seen, 'rationale: <why 2h>')}}}}}",
        f"runbooks: {{default: runbooks/{slug(seen.model)}.md}}",
        "environments: {production: {levels: {house.description: advise}}}  # advise: it is said, and blocks nothing",
    ]
    return "\n".join(lines) + "\n"


def _owner(seen: Seen) -> str:
    """Return the owner's line. Where to reach a team is never guessed: nobody would notice that it is wrong."""
    contact = quoted(seen.contact) if seen.contact else '"#<channel>"'
    if not seen.owner:
        return f"# owner: {{team: <team>, contact: {contact}}}  # who answers for the whole path?"
    if not seen.contact:
        return f"owner: {{team: {quoted(seen.owner)}}}  # and where to ask: contact: {contact}"
    return f"owner: {{team: {quoted(seen.owner)}, contact: {contact}}}"


def _metrics(seen: Seen) -> list[str]:
    proposal = propose(seen.metrics)
    if proposal is None:
        claim = _claim(seen, "run: <run id>")
        return [
            "# metrics:  # what a version must reach",
            f"#   <metric>: {{range: [0, 1], floor: 0.9, max_drop: {show_number(MARGIN)}, provenance: {claim}}}",
        ]
    measured = proposal.metric
    claim = _claim(
        seen, f"run: {quoted(measured.run_id)}, review_by: {seen.today + REVIEW}", method="measured"
    )
    return [
        f"metrics:  # version {seen.version} has {_inline(measured.name)} {show_number(measured.value)}",
        f"  {quoted(measured.name)}:",
        "    range: [0, 1]",
        f"    floor: {show_number(proposal.floor)}",
        f"    max_drop: {show_number(MARGIN)}  # against the version in service",
        f"    provenance: {claim}",
    ]


def _claim(seen: Seen, source: str, method: str = "expert") -> str:
    """Return the provenance of a limit; whoever it is that asks must be a person who can be asked why."""
    by = quoted(seen.user) if seen.user else "<your name>"
    return f"{{method: {method}, set_by: {by}, set_on: {seen.today}, environment: production, {source}}}"


def propose(metrics: Iterable[Measurement]) -> Proposal | None:
    """Return the first limit: on a metric whose name says that it is a share, and whose value can be one.

    One whose data were logged, and were not the training data, comes first:
    the others the standard policies do not accept.
    """
    shares = [(rank, m) for m in metrics if (rank := _rank(m)) is not None and 2 * MARGIN <= m.value <= 1]
    if not shares:
        return None
    _, metric = min(
        shares, key=lambda item: (not _on_logged_data(item[1]), item[0], len(item[1].name), item[1].name)
    )
    return Proposal(metric, (metric.value - MARGIN).quantize(_FLOOR_STEP, ROUND_FLOOR).normalize())


def _rank(metric: Measurement) -> int | None:
    """Return how likely a metric is to be what everybody looks at, 0 first; None where it is no share."""
    words = [word for word in re.split(r"[^a-z0-9]+", metric.name.lower()) if word]
    if any(map(_NO_SHARE.fullmatch, words)):
        return None
    return next((rank for rank, share in enumerate(_SHARES) if share in words), None)


def _on_logged_data(metric: Measurement) -> bool:
    return metric.dataset is not None and metric.dataset.context != "training"


def quoted(text: str) -> str:
    """Return text as a YAML scalar that every YAML reader reads back as the same text.

    What cannot be seen is written as an escape, and every other character as it is.
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def slug(text: str) -> str:
    """Return a name that is safe as a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:60].strip("-") or "model"


def _inline(text: str) -> str:
    """Return text for a comment or a heading: one line, nothing that is not seen, no markup."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return re.sub(r"[`<>\[\]&*#|\\]", "?", shown)[:80]


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
"""The policy is seen to pass, to fail, and not to know, as the gate runs it. `aigate test` runs this, and more."""

from aigate.snapshot import Snapshot
from aigate.testing import Gate, change, missing


def test_a_described_model_passes(gate: Gate, passing: Snapshot) -> None:
    described = change(passing, "/model/description", "Says who is likely to leave within 30 days.")
    assert gate.run("house.description", described).outcome == "pass"


def test_a_model_without_words_fails(gate: Gate, passing: Snapshot) -> None:
    result = gate.run("house.description", change(passing, "/model/description", ""))
    assert [finding.limit for finding in result.findings] == ["20"]


def test_a_registry_that_does_not_answer_is_unknown(gate: Gate, passing: Snapshot) -> None:
    result = gate.run("house.description", change(passing, "/model", missing("MLflow answered 503")))
    assert (result.outcome, result.reason) == ("unknown", "MLflow answered 503 (test)")
'''
