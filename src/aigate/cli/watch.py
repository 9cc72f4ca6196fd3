"""`aigate watch`: may the champion stay? Asked once, or again and again."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aigate.cli.acting import (
    acting,
    files_only,
    ledger_option,
    outputs_option,
    page,
    result_option,
    write_result,
)
from aigate.cli.complain import complain, say
from aigate.cli.evaluate import saved
from aigate.cli.options import deadline_option, environment_option, manifest_option, tracking_option
from aigate.errors import AigateError, UsageError
from aigate.values import parse_duration, show_duration, show_instant

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.act import Acting
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.gate import Request
    from aigate.report import Output
    from aigate.watch import Manner, Ticked
    from aigate.watch.memory import Memory
    from aigate.watch.tell import Tick

SHORTEST = timedelta(seconds=10)
"""The least time between two looks: each asks the registry and every freshness source."""

_UNKNOWN = 3
_INTERNAL = 70


@click.command("watch")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--once", is_flag=True, help="Look once, for cron and pipelines.")
@click.option("--every", metavar="SPAN", help="Look again and again, such as 5m; at least 10s.")
@manifest_option
@environment_option
@click.option("--dry-run", is_flag=True, help="Tell what would be done; do nothing, write no heartbeat.")
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Judge and act upon this evidence, which a look of the last 15 minutes saved.",
)
@click.option(
    "--decision-id", metavar="DIGEST", help="With --snapshot: what the decision on it must come to."
)
@click.option(
    "--save-snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the evidence to this file.",
)
@tracking_option
@ledger_option
@deadline_option
@outputs_option
@result_option
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object a look, each on a line.",
)
def command(
    model: str | None,
    once: bool,
    every: str | None,
    manifest: Path,
    environment: str,
    dry_run: bool,
    snapshot: Path | None,
    decision_id: str | None,
    save_snapshot: Path | None,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    outputs: tuple[str, ...],
    result: Path | None,
    shape: str,
) -> int:
    """Judge the champion in service, and act where the manifest lets it.

    What it does is `environments.<name>.rollback.mode`: auto (roll back or
    halt), propose (print the command; the default) or off (tell). It takes
    more than one bad reading: `environments.<name>.watch`.

    A look costs what `aigate evaluate` costs, one write, and a reading of the
    ledger (three requests at most). With --every the ledger is read where
    something changed or is to be done, and once an hour.

    With --once the exit code is 0 where the champion may stay, 1 where a
    rollback or a halt is called for (done, proposed, or waiting for another
    reading), 3 where nobody can tell, 4 where an effect, or the heartbeat,
    could not be confirmed. With --every it ends at SIGTERM or SIGINT, with
    the exit code of its last look, and 3 where there was none; an act that
    has begun is finished first.
    """
    from aigate.collect.manifest_file import load_manifest
    from aigate.gate import Request
    from aigate.rules import environment_of

    span = span_of(once, every)
    loaded = load_manifest(manifest)
    environment_of(loaded, environment)
    _check_model(model, loaded.manifest.model.name)
    request = Request(question="retain", environment=environment, tracking_uri=tracking_uri)
    teller = show_json if shape == "json" else show_text
    around = partial(acting, tracking_uri, ledger_uri, deadline)
    if span is None:
        files = files_only(outputs)
        look = _look(loaded, request, around(), _manner(dry_run, snapshot, decision_id, save_snapshot), None)
        teller(look.tick)
        return kept(look, files, result, save_snapshot, (loaded, manifest))
    if dry_run or snapshot or decision_id or save_snapshot or outputs or result:
        raise UsageError(
            "--dry-run, --snapshot, --decision-id, --save-snapshot, -o and --result are for one look",
            fix="give --once",
        )
    looking = Looking(manifest, request, around, span, teller, shape == "json")
    with until_told(looking):
        return run(span.total_seconds(), looking.look, looking.stopping)


def span_of(once: bool, every: str | None) -> timedelta | None:
    """Return the time between two looks; None for one look."""
    if once == (every is not None):
        raise UsageError("say how often to look", fix="--once, or --every 5m")
    if every is None:
        return None
    try:
        span = parse_duration(every)
    except ValueError as e:
        raise UsageError(f"--every {every!r}: {e}") from e
    if span < SHORTEST:
        raise UsageError(f"--every {every} is too often", fix=f"at least {show_duration(SHORTEST)}")
    return span


def _manner(
    dry_run: bool, snapshot: Path | None, decision_id: str | None, save_snapshot: Path | None
) -> "Manner":
    from aigate.collect.snapshot_file import load_snapshot
    from aigate.watch import Manner

    if snapshot is not None and save_snapshot is not None:
        raise UsageError("--snapshot and --save-snapshot do not go together", fix="give one of them")
    if decision_id is not None and snapshot is None:
        raise UsageError(
            "--decision-id names a decision on evidence that is not given", fix="give --snapshot too"
        )
    seen = None if snapshot is None else load_snapshot(snapshot)
    return Manner(dry=dry_run, seen=seen, decision=decision_id or "")


def kept(
    look: "Ticked",
    files: "tuple[Output, ...]",
    result: Path | None,
    save_snapshot: Path | None,
    manifest: "tuple[LoadedManifest, Path]",
) -> int:
    """Write what was asked for of a look into files; return the exit code of the whole."""
    from aigate.digest import canonical
    from aigate.report import Delivery, deliver
    from aigate.report.json import harmless

    delivery = deliver(look.answer.decision, files, page(look.answer, *manifest))
    troubles = list(delivery.troubles)
    if save_snapshot is not None:
        troubles += saved(look.answer, save_snapshot)
    if result is not None:
        troubles += write_result(result, harmless(canonical(look.tick).decode()) + "\n")
    for trouble in troubles:
        complain(trouble)
    return Delivery("", tuple(troubles)).exit_code(look.tick.exit_code)


def _check_model(model: str | None, declared: str) -> None:
    if model is not None and model != declared:
        raise UsageError(
            f"the manifest is about model {declared!r}, not {model!r}",
            fix="name its manifest: --manifest FILE",
        )


def _look(
    loaded: "LoadedManifest",
    request: "Request",
    acting: "Acting",
    manner: "Manner",
    last: "Memory | None",
) -> "Ticked":
    from aigate.watch import watch

    return watch(loaded, request, acting, manner=manner, last=last)


# The process


class _EndingError(BaseException):
    """Somebody told the watcher to end while it was only looking; what it read is dropped."""


class Looking:
    """A watcher's looks, one after the other; all it keeps of them is what the last one knew."""

    def __init__(
        self,
        manifest: Path,
        request: "Request",
        around: "Callable[[], Acting]",
        every: timedelta,
        teller: "Callable[[Tick], None]",
        json: bool,
    ) -> None:
        self.stopping = threading.Event()
        self._manifest = manifest
        self._request = request
        self._around = around
        self._every = every
        self._teller = teller
        self._json = json
        self._last: Memory | None = None
        self._only_looking = False

    def told(self, number: int, frame: object) -> None:
        """Take a signal: end at once between looks and while nothing but reading is done, else after the act."""
        self.stopping.set()
        if self._only_looking:
            self._only_looking = False
            raise _EndingError

    def step(self, name: str) -> None:
        """Take note of where a look is; from `judged` on, something may be done in the world."""
        if name == "judged":
            self._only_looking = False
            if self.stopping.is_set():
                raise _EndingError

    def look(self) -> int | None:
        """Look once and tell of it; return the exit code, and None for a look that was broken off.

        The manifest is read anew each time. Nothing that goes wrong in one
        look keeps the next from being taken.
        """
        from aigate.collect.manifest_file import load_manifest
        from aigate.watch import Manner

        try:
            try:
                self._only_looking = True
                loaded = load_manifest(self._manifest)
                around = replace(self._around(), step=self.step)
                self.before(loaded, around)
                ticked = _look(loaded, self._request, around, Manner(every=self._every), self._last)
            finally:
                self._only_looking = False
        except _EndingError:
            return None
        except AigateError as e:
            return self._failed(e.message, complain(e))
        except Exception as e:  # noqa: BLE001 - one look that nobody foresaw must not end the watch
            words = f"internal error: {type(e).__name__}"
            fix = "nothing was decided in this look; run `aigate watch --once` to see where it lies"
            return self._failed(words, say(words, fix=fix, code=_INTERNAL))
        self._last = ticked.memory or self._last
        self._teller(ticked.tick)
        return ticked.tick.exit_code

    def before(self, loaded: "LoadedManifest", around: "Acting") -> None:
        """Do what belongs before a look; nothing, for one who only watches."""

    def _failed(self, message: str, code: int) -> int:
        """Tell programs that a look came to nothing; people have been told already."""
        if self._json:
            import json

            from aigate.report.json import harmless

            at = show_instant(datetime.now(UTC).replace(microsecond=0))  # noqa: TID251 - this is a door
            line = {"schema": "aigate.tick/v1", "at": at, "error": message, "exit_code": code}
            click.echo(harmless(json.dumps(line, sort_keys=True)))
        return code


@contextmanager
def until_told(looking: Looking) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the watch, for as long as it lasts."""
    before = {number: signal.signal(number, looking.told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    every: float,
    look: Callable[[], int | None],
    stopping: threading.Event,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], bool] | None = None,
) -> int:
    """Look at fixed moments, `every` seconds apart, until told to stop; return the last look's exit code.

    The moments are counted from the start, so that they do not drift by what
    a look takes; those that a long look overran are left out, so that looks
    never pile up. `wait` waits for so many seconds at most and returns True
    where somebody wants a look at once; it must come back when told to stop.
    """
    wait = wait or stopping.wait
    start, last = clock(), _UNKNOWN
    while not stopping.is_set():
        code = look()
        last = last if code is None else code
        now = clock()
        due = start + (int((now - start) // every) + 1) * every
        while not stopping.is_set() and (left := due - clock()) > 0:
            if wait(left):
                break
    return last


# What is shown

_DONE = {
    "told": "nothing is done: rollback.mode is off",
    "planned": "nothing is done: it was only to be shown",
    "proposed": "nothing is done: rollback.mode is propose",
    "refused": "it was refused",
    "failed": "it could not be done",
    "aborted": "nothing is done",
    "unconfirmed": "whether it was done could not be confirmed",
}


def show_json(tick: "Tick") -> None:
    """Print a tick as one line for programs."""
    from aigate.digest import canonical
    from aigate.report.json import harmless

    plain = "utf" not in (sys.stdout.encoding or "").lower()
    click.echo(harmless(canonical(tick).decode(), ascii_only=plain))


def show_text(tick: "Tick") -> None:
    """Print a tick for people."""
    from aigate.cli.terminal import show

    held = f"v{tick.champion}" if tick.champion else "?"
    head = f"{tick.call.upper()} {tick.model} {held} @{tick.alias}"
    show(" · ".join([head, tick.environment, show_instant(tick.at), tick.reason]))
    for line in _details(tick):
        show(line, indent="  ")


def _details(tick: "Tick") -> Iterator[str]:
    """Return what a person needs to know beside the head line; little where all is well."""
    from aigate.watch.tell import is_command

    if tick.exit_code != 0:
        for failure in tick.failures:
            owner = f" ({failure.owner})" if failure.owner else ""
            yield f"{failure.policy} [{failure.blames}]: {failure.message}{owner}"
        yield from (f"? {words}" for words in tick.unclear)
    yield from (f"~ {words}" for words in tick.waived)
    yield from tick.why
    for act in tick.acts:
        entry = f" (ledger entry {act.seq})" if act.seq is not None else ""
        yield f"{act.act} {act.result}: {act.reason}{entry}"
    if tick.done in _DONE:
        yield _DONE[tick.done]
    if tick.owner is not None:
        ways = [tick.owner.contact, f"page {tick.owner.escalation}" if tick.owner.escalation else None]
        yield f"owner: {', '.join([tick.owner.team, *(way for way in ways if way)])}"
    if tick.runbook:
        yield f"runbook: {tick.runbook}"
    if tick.drift:
        yield f"drift: {tick.drift}"
    following = (*tick.next, *(words for act in tick.acts for words in act.next))
    yield from (f"run: {words}" for words in following if is_command(words))
    yield from (f"note: {words}" for words in following if not is_command(words))
    yield from (f"warning: {words}" for words in tick.warnings)
