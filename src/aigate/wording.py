"""Words that several accounts use: how a version is named, and how a command is written. Pure."""

import shlex

from aigate.ledger import Identity

USUAL_ALIAS = "champion"
"""What a command takes where neither an option nor a manifest names the alias."""


def shown(identity: Identity | None) -> str:
    """Name a version for people."""
    return "no version" if identity is None else f"v{identity.version}"


def command(*words: str) -> str:
    """Return a command line of aigate, quoted for a shell."""
    return shlex.join(["aigate", *words])


def at(alias: str) -> tuple[str, ...]:
    """Return the option that names an alias; nothing for the usual one."""
    return () if alias == USUAL_ALIAS else ("--alias", alias)
