"""Provenance: every limit can say who set it, when, where and from what, and that still holds.

A number without an origin was right once, for somebody, somewhere. The gate's
own limits are thresholds like any other.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from aigate import Finding, Findings, Skip, Snapshot, Unknown, deny, policy
from aigate.limits import Provenance, show_origin
from aigate.snapshot import Dataset, Run, Threshold, Version
from aigate.values import parse_duration

_ARGUED = ("expert", "regulatory", "cost_model")
"""Methods whose evidence is an argument: a rationale does for a run."""

_SHARING = ("floor", "ceiling", "max_drop", "max_rise", "min_coverage", "max_age", "max_evidence_age")
"""Limits beside which one provenance may stand for all of them."""

_EASTMOST = timedelta(hours=14)
"""Somewhere it is tomorrow already: a date up to this far ahead may be somebody's today."""


@policy("provenance.recorded", severity="high", blames="process")
def recorded(s: Snapshot, *, kinds: tuple[str, ...] = ("limit", "serving", "age")) -> Findings:
    """Every threshold says who set it, when, for which environment, and from what.

    Somebody must be able to say why 0.72 and not 0.60. `run` or `evidence`
    names the measurement; for an age limit, and for the methods `expert`,
    `regulatory` and `cost_model`, a `rationale` does.
    """
    wanted = [threshold for threshold in s.thresholds if threshold.kind in kinds]
    if not s.thresholds and any(metric.rule.limited for metric in s.metrics):
        raise Unknown("there are limits, and no list of where they come from")
    if not wanted:
        raise Skip(f"the manifest declares no threshold of the kinds {', '.join(kinds)}")
    for threshold in wanted:
        if lacking := _lacking(threshold):
            yield deny(
                f"{threshold.name} ({threshold.value}) does not say {_listed(lacking)}",
                key=threshold.name,
                value=threshold.value,
                owner=_owner(s, threshold),
                origin=show_origin(threshold.provenance),
                fix=_lines_to_add(s, threshold),
            )


def _lacking(threshold: Threshold) -> list[str]:
    """Return what a threshold's provenance leaves open, in words."""
    p = threshold.provenance
    if p is None:
        return ["who set it", "when", "where", "from what"]
    argued = threshold.kind == "age" or p.method in _ARGUED
    source = p.run or p.evidence or (p.rationale if argued else None)
    stated = {
        "who set it": p.set_by if not _automaton(p.set_by) else None,
        "when": p.set_on,
        "where": p.environment,
        "from what": source,
    }
    return [words for words, value in stated.items() if value is None or _blank(value)]


def _blank(value: object) -> bool:
    return isinstance(value, str) and (not value.strip() or value.startswith("<"))


def _automaton(name: str | None) -> bool:
    """Whether a name is a bot's: nobody can be asked why."""
    return name is not None and name.endswith("[bot]")


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _lines_to_add(s: Snapshot, threshold: Threshold) -> str:
    place, _, key = threshold.name.rpartition(".")
    source = "rationale: <why>" if threshold.kind == "age" else "run: <run id>"
    shared = (
        f"; one `provenance` in {place} serves all limits there"
        if key in _SHARING and ".slices." not in place
        else ""
    )
    return (
        f"add to the manifest, at {threshold.name}{shared}:\n"
        f"{key}: {{value: {threshold.value.replace(' ', '')}, provenance: {{set_by: <name>, "
        f"set_on: {s.now.date().isoformat()}, environment: {s.environment}, {source}}}}}"
    )


@policy("provenance.method", severity="medium", blames="process")
def method(s: Snapshot) -> Findings:
    """No threshold is a default, or copied from elsewhere.

    A value that came with a library or from another system was never measured
    on this one. `portable` says why a copied value holds here; a default has
    no such excuse.
    """
    for threshold, p in _with_provenance(s):
        if p.method == "default":
            words = "a default that nobody measured"
        elif (p.method == "copied" or p.copied_from) and not p.portable:
            words = f"copied from {p.copied_from or 'somewhere unnamed'}"
        else:
            continue
        yield deny(
            f"{threshold.name} ({threshold.value}) is {words}",
            key=threshold.name,
            value=threshold.value,
            owner=_owner(s, threshold),
            origin=show_origin(p),
            fix="measure it on this system, or say in provenance.portable why the copied value holds here"
            if p.method != "default"
            else "measure it on this system and record the run",
        )


@policy("provenance.environment", severity="high", blames="process")
def environment(s: Snapshot) -> Findings:
    """Every threshold was tuned in the environment it is used in.

    A confidence threshold set in dev and never touched again is how this
    begins. `portable` says why a value holds elsewhere.
    """
    stated = [(t, p) for t, p in _with_provenance(s) if p.environment is not None]
    if not stated:
        raise Skip("no threshold names its environment (provenance.recorded asks for it)")
    for threshold, p in stated:
        if p.environment != s.environment and not p.portable:
            yield deny(
                f"{threshold.name} ({threshold.value}) was tuned in {p.environment} and is used in {s.environment}",
                key=threshold.name,
                value=p.environment,
                limit=s.environment,
                owner=_owner(s, threshold),
                origin=show_origin(p),
                fix=f"measure it in {s.environment}, or say in provenance.portable why it holds there",
            )


@policy("provenance.review", severity="medium", blames="process")
def review(s: Snapshot, *, review_every: timedelta = timedelta(days=365)) -> Findings:
    """Every threshold's review is due in future, was done by somebody else, and on a day that has been.

    A threshold is looked at again by the date it names, and at the latest
    `review_every` after it was set or last reviewed.
    """
    today = s.now.date()
    latest = (s.now + _EASTMOST).date()
    for threshold, p in _with_provenance(s):
        for key, message, value, limit in _review(p, today, latest, review_every):
            yield deny(
                f"{threshold.name} ({threshold.value}): {message}",
                key=f"{threshold.name}/{key}",
                value=value,
                limit=limit,
                owner=_owner(s, threshold),
                origin=show_origin(p),
                fix="have somebody other than its author look at it, then record reviewed_by, reviewed_on "
                "and the next review_by",
            )


def _review(
    p: Provenance, today: date, latest: date, every: timedelta
) -> Iterator[tuple[str, str, object, object]]:
    """Yield what is wrong with one review: a key, words, the reading and what it is held against."""
    set_on, reviewed_on = p.set_on, p.reviewed_on
    looked = max((day for day in (set_on, reviewed_on) if day is not None), default=None)
    if p.reviewed_by is not None and p.set_by is not None and _same_person(p.reviewed_by, p.set_by):
        yield "reviewer", f"{p.set_by} reviewed what {p.set_by} had set", p.reviewed_by, ""
    if p.review_by is not None and p.review_by < today:
        yield "due", f"its review was due on {p.review_by}", today, p.review_by
    elif looked is not None and looked + every < today:
        yield "due", f"nobody has looked at it since {looked}", today, looked + every
    for name, day in (("set_on", set_on), ("reviewed_on", reviewed_on)):
        if day is not None and day > latest:
            yield name, f"its {name} is {day}, in the future", day, today
    if set_on is not None and reviewed_on is not None and reviewed_on < set_on:
        yield "order", f"reviewed on {reviewed_on}, before it was set on {set_on}", reviewed_on, set_on


def _same_person(one: str, other: str) -> bool:
    return one.strip().lstrip("@").casefold() == other.strip().lstrip("@").casefold()


@policy("provenance.edited", severity="high", blames="process")
def edited(s: Snapshot, *, slack: timedelta = timedelta(days=3)) -> Findings:
    """No threshold was changed after the day its provenance says it was set.

    A value that was edited while its provenance stayed tells a story about
    another number. `slack` is the time a change may take to be merged.
    """
    dated = [(t, p.set_on) for t, p in _with_provenance(s) if p.set_on is not None]
    known = False
    for threshold, set_on in dated:
        with suppress(Unknown):
            changed = threshold.edited_on
            known = known or changed is not None
            if changed is not None and changed.date() > set_on + slack:
                yield deny(
                    f"{threshold.name} ({threshold.value}) was changed on {changed.date()}, "
                    f"its provenance is of {set_on}",
                    key=threshold.name,
                    value=changed.date(),
                    limit=set_on,
                    owner=_owner(s, threshold),
                    origin=show_origin(threshold.provenance),
                    fix="record who set the new value, when and from what; or put the old value back",
                )
    if not known:
        raise Skip("the manifest is not under version control, or no threshold says when it was set")


@policy("provenance.run", severity="high", blames="process")
def run(s: Snapshot) -> Findings:
    """The run a threshold was measured in exists, and says the same value.

    Compared is a parameter or metric of the run that has the threshold's name
    (`retrieval_confidence`, `accuracy.floor` or `accuracy_floor`); a run that
    logged none is believed to be about it.
    """
    named = [(t, p.run) for t, p in _with_provenance(s) if p.run is not None]
    if not named:
        raise Skip("no threshold names the run it was measured in")
    for threshold, run_id in named:
        with suppress(Unknown):
            for key, message in _run_troubles(threshold, run_id, threshold.run):
                yield deny(
                    f"{threshold.name} ({threshold.value}) is said to come from run {run_id}: {message}",
                    key=f"{threshold.name}{key}",
                    value=threshold.value,
                    owner=_owner(s, threshold),
                    origin=show_origin(threshold.provenance),
                    fix="name the run that measured it, or measure it again",
                )


def _run_troubles(threshold: Threshold, named: str, found: Run | None) -> Iterator[tuple[str, str]]:
    if found is None:
        yield "", "there is no such run"
        return
    if found.run_id != named:
        raise Unknown(f"{threshold.name} names run {named}, and run {found.run_id} was read")
    if found.deleted:
        yield "/deleted", "that run is deleted"
    if found.status != "FINISHED":
        yield "/status", f"that run is {found.status}, not FINISHED"
    names = _logged_names(threshold)
    for tag in (*found.params, *found.metrics):
        if tag.key in names and not _equal(tag.value, threshold.value):
            yield f"/{tag.key}", f"that run has {tag.key} = {tag.value}"


def _logged_names(threshold: Threshold) -> set[str]:
    """Return the names under which a run may have logged a threshold."""
    theme, _, rest = threshold.name.partition(".")
    names = {threshold.name, rest.replace(".", "_")} | {rest}
    return names if theme in ("metrics", "thresholds") else {threshold.name}


@policy("provenance.applied", severity="critical", blames="process")
def applied(s: Snapshot) -> Findings:
    """The value in use is the value declared.

    A threshold that was corrected in the manifest and not where it is applied
    is the old threshold still.
    """
    declared = [threshold for threshold in s.thresholds if threshold.declared_applied]
    if not declared:
        raise Skip("no threshold declares where it is applied")
    for threshold in declared:
        with suppress(Unknown):
            found = threshold.applied
            if found is None:
                message, value = "is nowhere to be found where the manifest says it is applied", ""
            elif not _equal(found.value, threshold.value):
                message, value = f"is {found.value} in use ({found.place})", found.value
            else:
                continue
            yield deny(
                f"{threshold.name}, declared {threshold.value}, {message}",
                key=threshold.name,
                value=value,
                limit=threshold.value,
                owner=_owner(s, threshold),
                origin=show_origin(threshold.provenance),
                fix="make the two agree: deploy the declared value, or declare the one in use with its provenance",
            )


@policy("provenance.data", severity="medium", blames="process")
def data(s: Snapshot) -> Findings:
    """Every threshold was measured on the data the version is evaluated on.

    A floor measured on last year's test set says nothing about this year's. A
    metric's limit is held against that metric's dataset, any other threshold
    against the datasets of all metrics with a limit.
    """
    stated = [
        (t, p.dataset)
        for t, p in _with_provenance(s)
        if t.kind != "age" and p.dataset is not None and p.dataset.digest is not None
    ]
    if not stated:
        raise Skip("no threshold names the digest of its dataset")
    evaluated = _evaluated_on(s)
    for threshold, dataset in stated:
        with suppress(Unknown):
            found = _data_of(threshold, evaluated)
            if dataset.digest not in [data.digest for data in found]:
                shown = ", ".join(dict.fromkeys(f"{data.name}@{data.digest}" for data in found))
                yield deny(
                    f"{threshold.name} ({threshold.value}) was measured on {dataset.name}@{dataset.digest}, "
                    f"the version on {shown}",
                    key=threshold.name,
                    value=dataset.digest,
                    limit=shown,
                    owner=_owner(s, threshold),
                    origin=show_origin(threshold.provenance),
                    fix="measure the threshold on the data in use, and record that",
                )


def _evaluated_on(s: Snapshot) -> dict[str, Dataset | None]:
    """Return the data that each limited metric was measured on, by the metric's place in the manifest."""
    found: dict[str, Dataset | None] = {}
    for metric in s.metrics:
        if metric.rule.limited or metric.rule.slices:
            with suppress(Unknown):
                found[f"metrics.{metric.name}."] = s.judged.metric(metric.name).dataset
    return found


def _data_of(threshold: Threshold, evaluated: dict[str, Dataset | None]) -> list[Dataset]:
    """Return the data that a threshold is to agree with: its metric's, or for no metric's that of all."""
    own = [data for place, data in evaluated.items() if threshold.name.startswith(place)]
    found = [data for data in (own or evaluated.values()) if data is not None]
    if not found:
        raise Unknown(f"{threshold.name}: on which data the version was evaluated is not logged")
    return found


@policy("provenance.measured_with", severity="critical", blames="process")
def measured_with(s: Snapshot) -> Findings:
    """What a threshold was measured with is what is in use: model, embedding, judge, prompt.

    Scores of another embedding model live on another scale: a cut-off that was
    right lets nothing through, or everything. Each name in
    `provenance.measured_with` is looked for among the version's tags and its
    run's parameters and tags. A serving threshold's `provenance.model` is the
    version in question.
    """
    bound = [(t, p) for t, p in _with_provenance(s) if p.measured_with or (p.model and t.kind == "serving")]
    if not bound:
        raise Skip("no threshold says what it was measured with")
    for threshold, p in bound:
        version = s.judged.subject.version
        if threshold.kind == "serving" and p.model is not None and p.model != version:
            yield _changed(s, threshold, "model", f"v{p.model}", f"v{version}")
        for name, then in p.measured_with.items():
            with suppress(Unknown):
                for now in _in_use(s.judged, name, threshold):
                    if not _equal(now, then):
                        yield _changed(s, threshold, name, then, now)
                        break


def _changed(s: Snapshot, threshold: Threshold, name: str, then: str, now: str) -> Finding:
    return deny(
        f"{threshold.name} ({threshold.value}) was measured with {name} {then}, in use is {now}",
        key=f"{threshold.name}/{name}",
        value=now,
        limit=then,
        owner=_owner(s, threshold),
        origin=show_origin(threshold.provenance),
        fix=f"measure {threshold.name} again with {name} {now}, and record that",
    )


def _in_use(version: Version, name: str, threshold: Threshold) -> list[str]:
    """Return every value a name has on a version and its run; with none, nobody can tell."""
    run = version.run
    places = [version.tag(name)] if run is None else [version.tag(name), run.param(name), run.tag(name)]
    found = [value for value in places if value is not None]
    if not found:
        number = version.subject.version
        raise Unknown(f"{threshold.name} depends on {name}, which v{number} does not log as parameter or tag")
    return found


def _with_provenance(s: Snapshot) -> list[tuple[Threshold, Provenance]]:
    """Return the thresholds that say anything of their origin; without one, the policy is skipped."""
    found = [(t, t.provenance) for t in s.thresholds if t.provenance is not None]
    if not found:
        raise Skip("no threshold has provenance (provenance.recorded asks for it)")
    return found


def _owner(s: Snapshot, threshold: Threshold) -> str:
    """Return who keeps a threshold: a stage's owner for its limits, else the owner of the path."""
    for stage in s.stages:
        if stage.owner and threshold.name.startswith(f"stages.{stage.name}."):
            return stage.owner
    return s.owner.team if s.owner else ""


def _equal(one: str, other: str) -> bool:
    """Whether two texts say the same: as numbers, as spans of time, or letter by letter."""
    if one.strip() == other.strip():
        return True
    with suppress(InvalidOperation):
        return Decimal(one.strip()) == Decimal(other.strip())
    with suppress(ValueError):
        return parse_duration(one.replace(" ", "")) == parse_duration(other.replace(" ", ""))
    return False
