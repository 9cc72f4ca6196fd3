"""From a manifest to a proof: the tests first, then the trial of every policy in every environment named."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from aigate.collect.manifest_file import LoadedManifest
from aigate.isolate import Limits
from aigate.manifest import PRODUCTION, Environment, level_of
from aigate.mutate import placed
from aigate.policy import PolicyFile
from aigate.prove import Case, Coverage, Proof, Proven, Suite, settle
from aigate.rules import check_settings, environment_of, policies_in_force, read_standard
from aigate.snapshot import Snapshot
from aigate.testing.passing import passing_snapshot
from aigate.trial import Base, Tell, Trial, base_of
from aigate.trial.runs import Ran, bases_of, coverage, relevant, repeat


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is on trial: the policies in force, and what each environment makes of them."""

    files: tuple[PolicyFile, ...]
    environments: Mapping[str, Environment]
    alias: Mapping[str, str]


def rules_of(loaded: LoadedManifest | None, environments: Sequence[str]) -> Rules:
    """Return what a manifest puts in force; without one, the standard pack.

    Raises UsageError, ConfigError or PolicyCodeError where the gate would.
    """
    if loaded is None:
        files = read_standard()
        return Rules(
            files, dict.fromkeys(environments, Environment()), dict.fromkeys(environments, "champion")
        )
    files = policies_in_force(loaded)
    settings = {name: environment_of(loaded, name) for name in environments}
    for name in environments:
        check_settings(loaded, name, files)
    return Rules(files, settings, {name: loaded.manifest.alias_of(name) for name in environments})


def prove(
    rules: Rules,
    ran: Ran,
    given: Mapping[str, Snapshot],
    *,
    limits: Limits,
    workers: int,
    threshold: int | None,
    thorough: bool,
    tell: Tell,
) -> Proof:
    """Try every policy in every environment, from shipped, given and tested evidence.

    Raises PolicyCodeError where a policy does not load, or parameters do not fit.
    """
    recorded = relevant(ran.recorded, rules.files)
    proven: list[Proven] = []
    covered: Coverage | None = None
    tried = 0
    for environment, settings in rules.environments.items():
        trial = Trial(rules.files, settings.params, limits, workers, tell, thorough)
        bases = [
            *_shipped(environment, rules.alias[environment]),
            *_given(given, environment),
            *bases_of(recorded, environment),
        ]
        cases = trial.run(bases)
        repeated = repeat(rules.files, settings.params, recorded, cases, limits=limits, workers=workers)
        if covered is None:  # the tests are the same everywhere
            covered = Coverage(policies=coverage(rules.files, cases, repeated), threshold=threshold)
        proven += _settled(rules, environment, settings, cases)
        tried += trial.tried
    return Proof(
        environments=tuple(rules.environments),
        tested=ran.tested,
        policies=tuple(proven),
        tried=tried,
        coverage=covered,
    )


def _shipped(environment: str, alias: str) -> Iterable[Base]:
    """Return the passing snapshots of both questions, as of an environment."""
    for name, snapshot in (
        ("the passing snapshot", passing_snapshot()),
        ("the passing champion", passing_snapshot("retain")),
    ):
        base = base_of(name, snapshot, mutated=snapshot.question == "promote")
        if environment != PRODUCTION or alias != snapshot.alias:
            base = dataclasses.replace(base, data=placed(base.data, environment, alias))
        yield base


def _given(given: Mapping[str, Snapshot], environment: str) -> Iterable[Base]:
    for name, snapshot in given.items():
        if snapshot.environment == environment:
            yield base_of(name, snapshot)


def _settled(
    rules: Rules, environment: str, settings: Environment, cases: Mapping[str, Case]
) -> Iterable[Proven]:
    standard = {id for file in rules.files if file.standard for id in file.policies}
    for id in sorted(cases):
        level = level_of(id, settings.levels)
        yield settle(cases[id], environment=environment, level=level, standard=id in standard)


def tested_nothing(words: str) -> Ran:
    """Return what stands for tests that were left out on purpose."""
    return Ran(Suite(state="none", words=words))
