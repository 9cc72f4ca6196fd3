"""A drill: the current evidence with each known failure in it, judged as the gate would judge it."""

import os
import platform
from collections.abc import Callable

import pydantic

import aigate
from aigate.again.rules import Rules
from aigate.breakage import Injected
from aigate.decision import Actor, Decision, Versions
from aigate.digest import canonical, digest
from aigate.drill import DrillReport, concluded, not_applicable, prepare
from aigate.errors import AigateError
from aigate.evaluate import Setting, decide, judge, subject_of
from aigate.isolate import Limits
from aigate.isolate.many import Crew, Heard, Question
from aigate.manifest import Manifest
from aigate.snapshot import Snapshot
from aigate.values import gap
from aigate.waiver import WaiverBook, apply, grounds


class NothingToDrillError(AigateError):
    """There is no evidence into which a failure could be put."""

    exit_code = 3


def drill(
    snapshot: Snapshot,
    rules: Rules,
    manifest: Manifest,
    waivers: WaiverBook,
    *,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> DrillReport:
    """Put every known failure into a snapshot, and show what catches it.

    Every policy loads anew for every one of them, as in the gate; waivers
    count as they do there. Raises PolicyCodeError for policies that do not
    load, NothingToDrillError where the version in question is not known.
    """
    subject = subject_of(snapshot)
    if (lost := gap(subject)) is not None:
        if snapshot.question == "retain" and snapshot.champion is None:
            raise NothingToDrillError(
                f"nothing holds @{snapshot.alias}, so there is no champion into which a failure could be put",
                fix="drill what asks for the alias: --question promote; or name a recorded snapshot with --snapshot",
            )
        raise NothingToDrillError(
            f"the version in question is not known, so no failure can be put into it: {lost.missing}",
            fix="name a version that there is: MODEL@VERSION; `aigate doctor` says what is reachable; "
            "or name a recorded snapshot with --snapshot",
        )
    prepared = list(prepare(snapshot))
    tried = [injected for _, found in prepared if not isinstance(found, str) for injected in found]
    sound, *decisions = _decided([snapshot, *(t.snapshot for t in tried)], rules, manifest, waivers, tell)
    by_place = iter(zip(tried, decisions, strict=True))
    drilled = []
    for injection, found in prepared:
        if isinstance(found, str):
            drilled.append(not_applicable(injection, found))
            continue
        ours: list[tuple[Injected, Decision]] = [next(by_place) for _ in found]
        drilled.append(concluded(injection, sound, ours))
    return DrillReport(
        system=snapshot.system,
        model=subject.name,
        version=subject.version,
        environment=snapshot.environment,
        now=snapshot.now,
        snapshot=digest(snapshot),
        verdict=sound.verdict,
        drilled=tuple(drilled),
    )


def _decided(
    snapshots: list[Snapshot],
    rules: Rules,
    manifest: Manifest,
    waivers: WaiverBook,
    tell: Callable[[int, int], None],
) -> list[Decision]:
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        tell(done, len(snapshots))

    workers = min(len(os.sched_getaffinity(0)), 4)
    with Crew(rules.files, rules.params, workers=workers) as crew:
        answers = crew.answer((Question(canonical(s).decode()) for s in snapshots), tell=one_more)
    return [
        _decision(snapshot, heard, rules, manifest, waivers)
        for snapshot, heard in zip(snapshots, answers, strict=True)
    ]


def _decision(
    snapshot: Snapshot, heard: Heard | None, rules: Rules, manifest: Manifest, waivers: WaiverBook
) -> Decision:
    if heard is None:  # every snapshot was validated before it was asked about
        raise AigateError("a drilled snapshot was refused by the process that runs the policies")
    judged = judge(heard.infos, heard.results, rules.levels)
    judged, uses = apply(waivers, judged, grounds(manifest, snapshot, subject_of(snapshot)))
    setting = Setting(
        policies_digest=rules.digest,
        isolation=str(Limits()),
        versions=Versions(
            aigate=aigate.__version__, python=platform.python_version(), pydantic=pydantic.VERSION
        ),
        actor=Actor(name="drill"),
        waivers=uses,
        waivers_digest=waivers.digest,
    )
    return decide(snapshot, judged, setting)
