"""Which policies judge again, with which levels and parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aigate.collect.manifest_file import LoadedManifest
from aigate.collect.policy_files import doubles, read_policies
from aigate.errors import ConfigError, UsageError
from aigate.manifest import Level, Manifest, PolicySelection
from aigate.policy import PolicyFile
from aigate.rules import (
    check_settings,
    environment_of,
    policies_digest,
    policies_in_force,
    read_standard,
)
from aigate.values import Digest


@dataclass(frozen=True)
class Rules:
    """Policies, and what one environment makes of them."""

    shown: str
    """Which they are, for people."""
    files: tuple[PolicyFile, ...]
    levels: dict[str, Level] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    manifest: Manifest | None = None

    @property
    def digest(self) -> Digest:
        """The digest over the policies' files."""
        return policies_digest(self.files)


def rules(
    loaded: LoadedManifest | None,
    environment: str,
    folder: Path | None = None,
    *,
    standard: bool | None = None,
) -> Rules:
    """Return the policies in force, or those with the files of `folder` in place of the project's own.

    `standard` says whether the standard pack is among them; None leaves that
    to the manifest. Levels and parameters are the manifest's; without one,
    every policy counts (`block`) and has its defaults. Raises UsageError and
    ConfigError where they cannot be.
    """
    selection = PolicySelection() if loaded is None else loaded.manifest.policies
    files = read_standard() if loaded is None else policies_in_force(loaded)
    shown = "the standard pack" if loaded is None else f"the policies in force by {loaded.shown}"
    if folder is not None:
        if not folder.is_dir():
            raise UsageError(f"--policies: there is no folder {folder}")
        own = read_policies(folder, shown=selection.path)
        if not any(file.policies for file in own):
            raise UsageError(
                f"--policies: there is no policy in {folder}",
                fix="name the folder that has them; to judge by the standard pack alone, --standard and no --policies",
            )
        files = (*(f for f in files if not f.shown.startswith(f"{selection.path}/")), *own)
        shown = f"the policies in {folder}"
    if standard is not None:
        files = tuple(file for file in files if not file.standard)
        files = (*read_standard(), *files) if standard else files
    for error in doubles(files):
        raise error
    if not files:
        raise ConfigError(
            "no policy is left to judge with", fix="leave out --no-standard, or name --policies"
        )
    if loaded is None:
        return Rules(shown, files)
    check_settings(loaded, environment, files)
    settings = environment_of(loaded, environment)
    return Rules(shown, files, dict(settings.levels), settings.params, loaded.manifest)
