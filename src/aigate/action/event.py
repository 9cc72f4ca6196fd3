"""What set the workflow off, and whose manifest, policies and waivers are in force for it. Pure but for one file.

On a pull request they are the base's: who proposes a change must not be able
to change by which rules it is judged. The rules themselves:

- `pull_request`, its reviews and `merge_group`: the base. GitHub checks out a
  merge commit of its own making; its first parent is the base as it is now.
  Where something else is checked out it is the base that the event names.
- `pull_request_target`, `issue_comment`, `workflow_run` of a pull request: they
  run with the base's secrets, so what is checked out must be the base itself.
- The command `check` looks at what is proposed, and runs its policies. So on a
  pull request what is checked out is in force for it, and no credential for
  MLflow or a ledger may be at hand.
- Everything else runs for somebody who may write to the repository: what is
  checked out is in force.

Source: "Events that trigger workflows" and "Securely using pull_request_target"
in GitHub's documentation.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aigate.action.inputs import Inputs
from aigate.errors import AigateError

_PULL = frozenset({"pull_request", "pull_request_review", "pull_request_review_comment"})
_PRIVILEGED = frozenset({"pull_request_target", "issue_comment"})
_FOREIGN = _PULL | _PRIVILEGED | {"merge_group", "workflow_run", ""}
"""What may stand at the beginning of a `workflow_run` from outside: of a chain nobody knows the beginning."""

_LARGEST = 16 * 1024 * 1024
_CREDENTIALS = (
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "PGPASSWORD",
    "AIGATE_GITHUB_TOKEN",
    "AIGATE_SIGNING_KEY",
)
_ADDRESSES = ("AIGATE_LEDGER", "AIGATE_INPUT_LEDGER", "MLFLOW_TRACKING_URI")
"""Variables with an address, which may have a password in it."""


class UntrustedError(AigateError):
    """The checkout is not one whose manifest and policies may be in force."""

    exit_code = 2


@dataclass(frozen=True)
class Event:
    """What set the workflow off."""

    name: str
    sha: str
    """The commit that GitHub says the run is about (GITHUB_SHA)."""
    payload: Mapping[str, Any]

    @property
    def is_pull(self) -> bool:
        """Whether somebody proposes a change."""
        return self.name in _PULL or self.name == "merge_group"

    @property
    def number(self) -> int | None:
        """The pull request's number, where there is one."""
        found = self._at("pull_request", "number")
        return found if isinstance(found, int) else None

    @property
    def head(self) -> str:
        """The commit that is proposed."""
        return self._text("pull_request", "head", "sha") or self._text("merge_group", "head_sha")

    @property
    def base(self) -> str:
        """The commit that it is proposed for, as of the event."""
        return self._text("pull_request", "base", "sha") or self._text("merge_group", "base_sha")

    @property
    def privileged(self) -> bool:
        """Whether it has the base's secrets although somebody from outside may have set it off."""
        cause = self._text("workflow_run", "event")
        return self.name in _PRIVILEGED or (self.name == "workflow_run" and cause in _FOREIGN)

    def _at(self, *keys: str) -> object:
        here: object = self.payload
        for key in keys:
            here = here.get(key) if isinstance(here, dict) else None
        return here

    def _text(self, *keys: str) -> str:
        found = self._at(*keys)
        return found if isinstance(found, str) else ""


@dataclass(frozen=True)
class Checkout:
    """What git says of the folder that the command runs in."""

    head: str
    parents: tuple[str, ...]
    has_base: bool
    """Whether the base that the event names is there."""


def read_event(environ: Mapping[str, str]) -> Event:
    """Read the event and its payload; raises UntrustedError where a pull request's cannot be read."""
    name, path = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_EVENT_PATH", "")
    payload: object = {}
    try:
        if path:
            with Path(path).open("rb") as file:
                payload = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        payload = None
    event = Event(name, environ.get("GITHUB_SHA", ""), payload if isinstance(payload, dict) else {})
    if not isinstance(payload, dict) and (event.is_pull or name in {*_PRIVILEGED, "workflow_run"}):
        raise UntrustedError(
            f"the payload of the event {name} cannot be read, so nobody can tell whose rules are in force",
            fix="let the step run on a GitHub runner, which sets GITHUB_EVENT_PATH",
        )
    return event


def refuse_to_act(event: Event, inputs: Inputs) -> None:
    """Raise UntrustedError where a command that changes something runs for a change that is only proposed."""
    if inputs.changes and (event.is_pull or event.privileged):
        raise UntrustedError(
            f"{inputs.command} changes what is in service, and {event.name} is about a change that is not merged",
            fix="use command: evaluate there (or dry-run: true), and act from push, schedule or workflow_dispatch",
        )


def refuse_brought_evidence(event: Event, inputs: Inputs) -> None:
    """Raise UntrustedError where a change would be judged by evidence that it may have brought along."""
    if inputs.command == "evaluate" and inputs.snapshot and (event.is_pull or event.privileged):
        raise UntrustedError(
            "recorded evidence in the workspace may be the change's own",
            fix="leave out the input snapshot on a pull request, so that the gate collects the evidence",
        )


def refuse_credentials(event: Event, environ: Mapping[str, str]) -> None:
    """Raise UntrustedError where proposed code is about to be run with a credential at hand."""
    found = [name for name in _CREDENTIALS if environ.get(name, "").strip()]
    found += [name for name in _ADDRESSES if _has_password(environ.get(name, ""))]
    if event.is_pull and found:
        raise UntrustedError(
            f"proposed code is run here, beside {', '.join(found)}",
            fix="leave the secrets out of this job: check asks nothing of MLflow or of a ledger",
        )


def _has_password(address: str) -> bool:
    try:
        return urlsplit(address).password is not None
    except ValueError:
        return "@" in address


def base_in_force(event: Event, checkout: Checkout | None) -> str | None:
    """Return the commit whose manifest, policies and waivers are in force; None for what is checked out.

    `checkout` is None where there is no git work tree, or no git. Raises
    UntrustedError where it is not known, or where what is checked out came
    from outside into a run with the base's secrets.
    """
    if event.privileged:
        return _refuse_foreign(event, checkout)
    if not event.is_pull:
        return None
    if checkout is None:
        raise UntrustedError(
            "this is no git work tree, so the base's manifest and policies cannot be had",
            fix="check out with actions/checkout and fetch-depth: 0, on a runner with git",
        )
    if event.head and checkout.head == event.sha and checkout.parents[1:2] == (event.head,):
        return checkout.parents[0]
    if event.base and checkout.has_base:
        return event.base
    raise UntrustedError(
        "the base's manifest and policies are not in this clone, and those of the change are not in force",
        fix="give actions/checkout fetch-depth: 0 (the dates of thresholds are read from history, too)",
    )


def _refuse_foreign(event: Event, checkout: Checkout | None) -> str:
    """Return the commit that is checked out, which is the base: as git has it, whatever was laid over it since."""
    if checkout is None or not event.sha or checkout.head != event.sha:
        raise UntrustedError(
            f"{event.name} runs with the base's secrets, and what is checked out is not the base "
            f"({(checkout.head if checkout else '')[:12] or 'unknown'}, not {event.sha[:12] or 'unknown'})",
            fix="use the event pull_request, or check out without ref:",
        )
    return checkout.head
