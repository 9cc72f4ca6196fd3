"""Six policies of the usual kind, for the throughput figure; `engines` states the same six for each engine."""

from decimal import Decimal

from aigate import Findings, Snapshot, deny, policy

FLOOR, DROP = Decimal("0.92"), Decimal("0.02")


@policy("six.owner")
def owner(s: Snapshot) -> Findings:
    """Somebody answers for it."""
    if s.owner is None:
        yield deny("no owner")


@policy("six.floor")
def floor(s: Snapshot) -> Findings:
    """It is good enough."""
    value = s.judged.metric("accuracy").value
    if value < FLOOR:
        yield deny("too low", value=value, limit=FLOOR)


@policy("six.regression")
def regression(s: Snapshot) -> Findings:
    """It is no worse than the champion on the same data."""
    if s.champion is None:
        yield deny("no champion")
        return
    new, old = s.judged.metric("accuracy"), s.champion.metric("accuracy")
    if new.dataset != old.dataset:
        yield deny("other data")
    elif old.value - new.value > DROP:
        yield deny("worse", value=new.value, limit=DROP)


@policy("six.freshness", blames="data")
def freshness(s: Snapshot) -> Findings:
    """Every stage is as fresh as promised."""
    for stage in s.stages:
        if stage.limit is not None and stage.age is not None and stage.age > stage.limit:
            yield deny("stale", key=stage.name)


@policy("six.recorded")
def recorded(s: Snapshot) -> Findings:
    """Every threshold says who set it, from which run."""
    for threshold in s.thresholds:
        origin = threshold.provenance
        if origin is None or origin.set_by is None or origin.run is None:
            yield deny("no origin", key=threshold.name)


@policy("six.environment")
def environment(s: Snapshot) -> Findings:
    """Every threshold was set where it is used."""
    for threshold in s.thresholds:
        if threshold.provenance is None or threshold.provenance.environment != s.environment:
            yield deny("set elsewhere", key=threshold.name)
