"""What aigate writes to an MLflow registry, whichever way it is reached. Nothing here is ever repeated blindly.

MLflow may answer with an error after it has committed, and with 200 without
having done anything; so no method promises an effect. Whoever calls reads
back.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from aigate.enforce.present import Entered
from aigate.ticket import GuardSays

WRITE = 5.0
"""Seconds that one write may take. Longer, and others may take the writer for dead while it still writes."""


class Shown(NamedTuple):
    """What was shown with a write, and what the server said of its guard."""

    ticket: bool
    """Whether a ticket was shown."""
    guard: GuardSays | None
    """None where the server said nothing: nothing guards the alias there."""


class RegistryWriter(Protocol):
    """Writes to an MLflow registry, each write with its ticket where there is a key to sign one.

    Raises RegistryError: `denied`, `not_found` and `refused` say that nothing
    was written, every other code that nobody knows.
    """

    def set_alias(self, name: str, alias: str, version: str, entered: Entered | None = None) -> Shown:
        """Point an alias to a version, as an intent in the ledger says."""

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a version's tag."""

    def delete_version_tag(self, name: str, version: str, key: str) -> None:
        """Take a version's tag away; one that is not there is no error."""

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a registered model's tag."""


class BriefWriter:
    """Gives every write a short time of its own, out of what is left of the whole."""

    def __init__(self, within: Callable[[float], RegistryWriter], seconds: float = WRITE) -> None:
        self._within = within
        self._seconds = seconds

    def set_alias(self, name: str, alias: str, version: str, entered: Entered | None = None) -> Shown:
        """Point an alias to a version, as an intent in the ledger says."""
        return self._within(self._seconds).set_alias(name, alias, version, entered)

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a version's tag."""
        self._within(self._seconds).set_version_tag(name, version, key, value)

    def delete_version_tag(self, name: str, version: str, key: str) -> None:
        """Take a version's tag away; one that is not there is no error."""
        self._within(self._seconds).delete_version_tag(name, version, key)

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a registered model's tag."""
        self._within(self._seconds).set_model_tag(name, key, value)
