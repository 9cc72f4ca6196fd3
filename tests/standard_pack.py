"""The standard policies, loaded from their files as the gate loads them."""

from collections.abc import Mapping
from functools import cache

from aigate.collect.policy_files import read_policies, standard_folder
from aigate.decision import Outcome, PolicyInfo, PolicyResult
from aigate.policy import Policy, PolicyFile, show_params
from aigate.snapshot import Snapshot
from aigate.testing import change, passing_snapshot

_SNAPSHOT = passing_snapshot()


@cache
def files() -> tuple[PolicyFile, ...]:
    """The files of the pack."""
    return read_policies(standard_folder(), shown="policies", standard=True)


@cache
def pack() -> dict[str, Policy]:
    """Every policy of the pack by its id."""
    found: dict[str, Policy] = {}
    for file in files():
        names: dict[str, object] = {"__name__": file.shown.removesuffix(".py").replace("/", ".")}
        exec(compile(file.source, file.shown, "exec", dont_inherit=True), names)
        found |= {value.id: value for value in names.values() if isinstance(value, Policy)}
    assert sorted(found) == sorted(id for file in files() for id in file.policies)
    return found


@cache
def infos() -> tuple[PolicyInfo, ...]:
    """What a decision records of each policy, with its defaults."""
    by_id = {id: file for file in files() for id in file.policies}
    return tuple(
        PolicyInfo(
            id=policy.id,
            title=policy.title,
            detail=policy.detail,
            severity=policy.severity,
            blames=policy.blames,
            url=policy.url,
            file=by_id[policy.id].shown,
            file_digest=by_id[policy.id].digest,
            params=show_params(policy.defaults),
        )
        for policy in pack().values()
    )


def passing() -> Snapshot:
    """The passing snapshot; built once, since it cannot be changed."""
    return _SNAPSHOT


def with_(changes: Mapping[str, object], snapshot: Snapshot | None = None) -> Snapshot:
    """The passing snapshot with several places changed."""
    snapshot = snapshot or _SNAPSHOT
    for pointer, value in changes.items():
        snapshot = change(snapshot, pointer, value)
    return snapshot


def ask(id: str, snapshot: Snapshot, **params: object) -> PolicyResult:
    """Run one standard policy."""
    return pack()[id].run(snapshot, **params)


def expect(
    id: str,
    changes: Mapping[str, object],
    outcome: Outcome,
    *words: str,
    keys: tuple[str, ...] | None = None,
    **params: object,
) -> PolicyResult:
    """Run one standard policy on the changed passing snapshot, and hold its answer against what is expected.

    `words` must occur in the reason or in the findings; `keys` are the findings' keys.
    """
    result = ask(id, with_(changes), **params)
    assert result.outcome == outcome, (result.outcome, result.reason, result.findings)
    said = " ".join([result.reason, *(f"{f.message} {f.origin} {f.owner} {f.fix}" for f in result.findings)])
    for word in words:
        assert word in said, said
    if keys is not None:
        assert tuple(finding.key for finding in result.findings) == keys
    assert len({finding.key for finding in result.findings}) == len(result.findings), "keys are not unique"
    assert all(finding.fix and finding.key for finding in result.findings)
    return result
