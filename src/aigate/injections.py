"""The known failures of a pipeline, each with the hypothesis of what catches it: the table of a drill. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from aigate import breakage
from aigate.breakage import Found
from aigate.snapshot import Snapshot


@dataclass(frozen=True)
class Injection:
    """One known failure, what ought to catch it, and how it shows in the evidence."""

    name: str
    failure: str
    caught_by: tuple[str, ...]
    """Policies, `ledger` or `gate`, any of which would do."""
    remedy: str
    """What to do where nothing catches it."""
    inject: Callable[[Snapshot], Found]
    """Returns the evidence for every place where it can happen; why it cannot, where it cannot."""

    @property
    def hypothesis(self) -> str:
        """What the drill puts to the test."""
        return f"We believe that {self.failure} is caught by {' or '.join(self.caught_by)}."


LEDGER = "ledger"
"""What catches a failure beside the policies: `promote`, `status` and `watch` hold the alias against it."""

GATE = "gate"
"""What holds by itself, whatever the policies say, where the versions in question are not known."""

INJECTIONS: tuple[Injection, ...] = (
    Injection(
        "owner-gone",
        "a path whose owner has left",
        ("ownership.accountable",),
        "let ownership.accountable count (levels: {ownership: require})",
        breakage.owner_gone,
    ),
    Injection(
        "stage-owner-gone",
        "a stage whose owner has left",
        ("ownership.stages",),
        "let ownership.stages count (levels: {ownership: require})",
        breakage.stage_owner_gone,
    ),
    Injection(
        "cache-stale",
        "a cache that serves what its upstream has replaced",
        ("freshness.cache",),
        "let freshness.cache count, and give the cache an allowance",
        breakage.stale_cache,
    ),
    Injection(
        "cache-stale-unseen",
        "a stale cache whose upstream is replaced every minute, so that nobody sees since when",
        ("freshness.cache",),
        "let freshness.cache count, and give the cache an allowance",
        breakage.stale_cache_of_a_busy_upstream,
    ),
    Injection(
        "stage-late",
        "a stage that is 12 hours late",
        ("freshness.stage",),
        "give the stage a max_age, and let freshness.stage count",
        breakage.late,
    ),
    Injection(
        "source-silent",
        "a freshness report that stopped 12 hours ago",
        ("freshness.evidence",),
        "give the stage a max_evidence_age below 12h, and let freshness.evidence count",
        breakage.silent,
    ),
    Injection(
        "threshold-from-dev",
        "a threshold that was set in dev",
        ("provenance.environment",),
        "let provenance.environment count",
        breakage.from_dev,
    ),
    Injection(
        "threshold-older-than-embedding",
        "a threshold that is older than the embedding it is applied to",
        ("provenance.measured_with",),
        "name the embedding in the threshold's provenance: measured_with: {<parameter>: <value>}",
        breakage.older_than_embedding,
    ),
    Injection(
        "accuracy-fell",
        "a metric that falls as accuracy did, from 94 to 71",
        ("evaluation.floor", "evaluation.regression"),
        "give the metric a floor and a max_drop, and let the policies of evaluation count",
        breakage.fell,
    ),
    Injection(
        "judge-fails",
        "a judge that fails on three rows of four",
        ("evaluation.judges",),
        "name the metric's judge and its min_coverage, and let evaluation.judges count",
        breakage.judge_fails,
    ),
    Injection(
        "future-clock",
        "a clock that is two hours ahead",
        ("freshness.stage",),
        "give the stage a max_age, and let freshness.stage count",
        breakage.future,
    ),
    Injection(
        "registry-down",
        "a registry that does not answer",
        (GATE,),
        "nothing: without the version in question the gate never says yes",
        breakage.registry_down,
    ),
    Injection(
        "alias-moved",
        "an alias that was moved by hand",
        (LEDGER,),
        "promote with `aigate promote`, which holds the alias against the ledger",
        breakage.moved_by_hand,
    ),
    Injection(
        "artifact-overwritten",
        "a model whose files were overwritten",
        ("pipeline.artifact",),
        "set the tag aigate.artifact_digest on the version when it is registered",
        breakage.overwritten,
    ),
)
"""Every known failure, in the order in which it is drilled."""
