"""`aigate halt`, `resume`, `adopt`, `clear`, `break-glass`, `review`: what changes a model's state and moves nothing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aigate.cli.acting import (
    acting,
    alias_for,
    alias_option,
    as_option,
    format_option,
    ledger_option,
    manifest_for,
    reason_option,
    told,
)
from aigate.cli.evaluate import NUMBER
from aigate.cli.options import manifest_option, tracking_option
from aigate.cli.rollback import SECONDS
from aigate.errors import UsageError
from aigate.values import parse_duration

if TYPE_CHECKING:
    from aigate.act import Acting, StateRequest
    from aigate.collect.manifest_file import LoadedManifest


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that all of these have."""
    options = (
        reason_option,
        alias_option,
        as_option,
        manifest_option,
        tracking_option,
        ledger_option,
        format_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command("halt")
@click.argument("model", required=False)
@click.option("--for", "lasting", metavar="DURATION", help="End it by itself after this time, such as 4h.")
@_common
def halt(model: str | None, lasting: str | None, **options: Any) -> int:
    """Stop every promotion of a model until somebody resumes.

    Anyone who owns a stage may do that. A rollback stays possible.
    """
    from aigate.act import halt as act

    loaded, asked, where = _asked(model, options)
    until = None if lasting is None else where.clock() + _span(lasting)
    return told(act(loaded, asked, where, until=until), options["shape"])


@click.command("resume")
@click.argument("model", required=False)
@_common
def resume(model: str | None, **options: Any) -> int:
    """End every halt in force; for the accountable owner or an approver."""
    from aigate.act import resume as act

    loaded, asked, where = _asked(model, options)
    return told(act(loaded, asked, where), options["shape"])


@click.command("adopt")
@click.argument("model", required=False)
@_common
def adopt(model: str | None, **options: Any) -> int:
    """Accept the version that holds the alias now, though aigate did not put it there.

    It counts as known good from then on, on the word of who adopted it.
    """
    from aigate.act import adopt as act

    loaded, asked, where = _asked(model, options)
    return told(act(loaded, asked, where), options["shape"])


@click.command("clear")
@click.argument("version", metavar="MODEL@VERSION")
@_common
def clear(version: str, **options: Any) -> int:
    """Lift the quarantine of a version that was rolled back from."""
    from aigate.act import clear as act

    model, number = _version(version)
    loaded, asked, where = _asked(model, options)
    return told(act(loaded, asked, where, version=number), options["shape"])


@click.command("break-glass")
@click.argument("version", metavar="MODEL@VERSION")
@click.option("--for", "lasting", default="30m", show_default=True, metavar="DURATION", help="At most 1h.")
@_common
def break_glass(version: str, lasting: str, **options: Any) -> int:
    """Let exactly this version be promoted once, whatever the policies say.

    It is written down first, lasts a short time, and is shown in every status
    until somebody has reviewed it.
    """
    from aigate.act import break_glass as act

    model, number = _version(version)
    loaded, asked, where = _asked(model, options)
    return told(act(loaded, asked, where, version=number, lasting=_span(lasting)), options["shape"])


@click.command("review")
@click.argument("model")
@click.argument("entry", type=click.IntRange(1))
@_common
def review(model: str, entry: int, **options: Any) -> int:
    """Say that a use of break-glass has been looked at; ENTRY is its number in the ledger."""
    from aigate.act import review as act

    loaded, asked, where = _asked(model, options)
    return told(act(loaded, asked, where, seq=entry), options["shape"])


def _asked(
    model: str | None, options: dict[str, Any]
) -> "tuple[LoadedManifest | None, StateRequest, Acting]":
    from aigate.act import StateRequest

    manifest: Path = options["manifest"]
    loaded, name = manifest_for(manifest, model)
    asked = StateRequest(
        model=name,
        alias=alias_for(loaded, options["alias"]),
        reason=str(options["reason"]).strip(),
        as_team=options["as_team"],
    )
    return loaded, asked, acting(options["tracking_uri"], options["ledger_uri"], SECONDS)


def _version(text: str) -> tuple[str, str]:
    model, _, number = text.rpartition("@")
    number = number.removeprefix("v")
    if not model or not NUMBER.fullmatch(number):
        raise UsageError(f"{text!r} names no version", fix="write it as MODEL@3")
    return model, number


def _span(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as e:
        raise UsageError(f"--for {text!r}: {e}") from e
