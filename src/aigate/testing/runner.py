"""Policies run in tests: one by one in the test's own process, or as the gate runs them."""

import platform
from collections.abc import Mapping
from pathlib import Path

import pydantic

import aigate
from aigate.collect.manifest_file import load_manifest
from aigate.decision import Actor, Decision, PolicyResult, Versions
from aigate.errors import AigateError, UsageError
from aigate.evaluate import Setting, decide, judge
from aigate.isolate import Limits
from aigate.isolate.many import Many
from aigate.manifest import PRODUCTION, Environment
from aigate.policy import Policy
from aigate.rules import check_settings, environment_of, policies_digest, policies_in_force, read_standard
from aigate.snapshot import Snapshot

NAMES = ("aigate.yaml", "aigate.yml")
"""What a manifest is called that `find_manifest` looks for."""


def load_policy(path: Path, id: str) -> Policy:
    """Return one policy of a file, by its id. Raises KeyError where the file has no such policy."""
    names: dict[str, object] = {"__name__": path.stem}
    exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), names)  # noqa: S102 - as the gate does
    found = {value.id: value for value in names.values() if isinstance(value, Policy)}
    if id not in found:
        raise KeyError(f"{path.name} has no policy {id!r} (it has: {', '.join(found) or 'none'})")
    return found[id]


def find_manifest(start: Path) -> Path | None:
    """Return the nearest manifest in a folder or above it, within its repository; None where there is none."""
    here = start if start.is_dir() else start.parent
    for folder in (here, *here.parents):
        for name in NAMES:
            if (folder / name).is_file():
                return folder / name
        if (folder / ".git").exists():
            return None
    return None


class Gate:
    """The policies in force, run exactly as the gate runs them, on any number of snapshots.

    Each answer comes from a process of its own, with an empty environment, the
    gate's limits and the manifest's parameters: what a policy remembers, prints
    or finds in this process changes nothing. Without a manifest, the standard
    pack is in force. Use it as a context manager, or call `close`.
    """

    def __init__(
        self, manifest: Path | None = None, environment: str = PRODUCTION, *, seconds: float = 10.0
    ) -> None:
        """Load the policies; raises ConfigError, UsageError or PolicyCodeError where the gate would."""
        self.manifest = manifest
        self.environment = environment
        self._settings = Environment()
        if manifest is None:
            self._files = read_standard()
        else:
            loaded = load_manifest(manifest)
            self._settings = environment_of(loaded, environment)
            self._files = policies_in_force(loaded)
            check_settings(loaded, environment, self._files)
        self._limits = Limits(seconds=seconds)
        self._many = Many(self._files, self._settings.params, limits=self._limits)

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the policies' process; closing twice is once."""
        self._many.close()

    @property
    def policies(self) -> tuple[str, ...]:
        """The ids of the policies in force."""
        return tuple(id for file in self._files for id in file.policies)

    def params(self, id: str, given: Mapping[str, object]) -> dict[str, object]:
        """Return the parameters that a policy is given: the manifest's, with others over them."""
        return {**self._settings.params.get(id, {}), **given}

    def run(self, policy: str | Policy, snapshot: Snapshot, **params: object) -> PolicyResult:
        """Return how one policy ends on a snapshot.

        `params` go over the manifest's. Raises UsageError for a policy that is
        not in force, PolicyCodeError for parameters that do not fit.
        """
        id = policy if isinstance(policy, str) else policy.id
        if id not in self.policies:
            where = "without a manifest" if self.manifest is None else f"by {self.manifest}"
            raise UsageError(
                f"no policy {id!r} is in force {where}", fix=f"there are {', '.join(self.policies)}"
            )
        over = {id: self.params(id, params)} if params else {}
        heard = self._many.ask(snapshot.model_dump_json(by_alias=True), {id}, over)
        if heard is None:
            raise AigateError("the snapshot could not be handed over")
        return heard.results[id]

    def decide(self, snapshot: Snapshot) -> Decision:
        """Return the decision on a snapshot: every policy in force, with the environment's levels.

        Waivers are left out: they are leave for one version, and no test's matter.
        """
        heard = self._many.run(snapshot)
        setting = Setting(
            policies_digest=policies_digest(self._files),
            isolation=str(self._limits),
            versions=Versions(
                aigate=aigate.__version__, python=platform.python_version(), pydantic=pydantic.VERSION
            ),
            actor=Actor(name="user:test"),
        )
        return decide(snapshot, judge(heard.infos, heard.results, self._settings.levels), setting)
