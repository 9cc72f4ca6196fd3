"""Evidence that was collected for one manifest, for another one about the same system. Pure.

It answers "what would this manifest make of what is known?" without asking the
world again. What the other manifest wants to know from elsewhere is missing:
a reading is of the source that it was read from, and of no other.
"""

from collections.abc import Mapping
from datetime import datetime

from aigate.assemble import Collected
from aigate.manifest import Manifest, StageDeclared
from aigate.register import register
from aigate.snapshot import FreshnessEvidence, Run, Snapshot
from aigate.values import Evident, missing

_LIMITS = frozenset({"max_age", "max_evidence_age"})
"""What a stage says of its source that does not change what is read from it."""


def reuse(
    snapshot: Snapshot,
    before: Manifest,
    after: Manifest,
    *,
    runbooks: Mapping[str, Evident[bool]],
    edited: Mapping[str, Evident[datetime | None]],
) -> Collected:
    """Return what a snapshot holds for another manifest.

    `before` is the manifest that the snapshot was taken under. `runbooks` and
    `edited` are about `after`; they need no network, so they are found anew.
    """
    was = {stage.name: stage for stage in before.stages}
    return Collected(
        model=snapshot.model,
        challenger=snapshot.challenger,
        champion=snapshot.champion,
        comparisons=snapshot.comparisons,
        runs=_runs(snapshot, after),
        freshness={
            stage.name: _freshness(snapshot, was.get(stage.name), stage)
            for stage in after.stages
            if stage.freshness is not None
        },
        runbooks=runbooks,
        edited=edited,
        sources=snapshot.evidence,
    )


def _freshness(
    snapshot: Snapshot, before: StageDeclared | None, after: StageDeclared
) -> Evident[FreshnessEvidence]:
    if before is None or before.freshness is None:
        return missing("the change declares this source, and it was not asked", after.name)
    if _source(before) != _source(after):
        return missing("the change reads it from elsewhere, and that was not asked", after.name)
    found = next((stage.freshness for stage in snapshot.stages if stage.name == after.name), None)
    return missing("it was not asked", after.name) if found is None else found


def _source(stage: StageDeclared) -> object:
    assert stage.freshness is not None  # only called for stages that declare freshness
    return type(stage.freshness), stage.freshness.model_dump(exclude=set(_LIMITS))


def _runs(snapshot: Snapshot, after: Manifest) -> dict[str, Evident[Run | None]]:
    known: dict[str, Evident[Run | None]] = {}
    for threshold in snapshot.thresholds:
        if threshold.provenance is not None and threshold.provenance.run is not None:
            known[threshold.provenance.run] = threshold.run
    named = (item.provenance.run for item in register(after) if item.provenance is not None)
    return {
        run: known.get(run, missing("the change names this run, and nobody asked for it", run))
        for run in named
        if run is not None
    }
