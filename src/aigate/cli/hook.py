"""`aigate hook serve`: MLflow's webhooks wake a watcher, which finds what was moved past the gate."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aigate.cli.acting import acting, ledger_option
from aigate.cli.complain import complain
from aigate.cli.options import deadline_option, environment_option, manifest_option, tracking_option
from aigate.cli.terminal import show
from aigate.cli.watch import Looking, run, show_json, show_text, span_of, until_told
from aigate.errors import AigateError, UsageError
from aigate.values import parse_duration, show_duration, show_instant

if TYPE_CHECKING:  # `--help` needs none of them
    from aigate.act import Acting
    from aigate.audit import Audit
    from aigate.collect.manifest_file import LoadedManifest
    from aigate.listen.bell import Bell
    from aigate.listen.delivery import Counts, Deliveries
    from aigate.listen.ungated import OnUngated, Ungated
    from aigate.watch.tell import Tick

PORT = 8674

LONGEST_PAUSE = timedelta(hours=1)


@click.group("hook")
def command() -> None:
    """Receive MLflow's webhooks.

    A webhook comes after the fact, may be lost, and says nothing of who: it
    only wakes a watcher, which looks by the clock as well. What keeps an
    alias from being moved in the first place is the guard in the MLflow
    server.
    """


@command.command("serve")
@click.option("--every", default="5m", show_default=True, metavar="SPAN", help="Look so often by the clock.")
@click.option(
    "--on-ungated",
    type=click.Choice(["tell", "revert"]),
    default="tell",
    show_default=True,
    help="What to do about an alias that was moved past the gate; revert needs rollback.mode auto.",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen here.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one."
)
@click.option(
    "--pause",
    default="5s",
    show_default=True,
    metavar="SPAN",
    help="Between a look and one that a delivery asks for.",
)
@manifest_option
@environment_option
@tracking_option
@ledger_option
@deadline_option
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object a line; each look ends with its tick, as `watch --every` prints it.",
)
def serve(
    every: str,
    on_ungated: "OnUngated",
    host: str,
    port: int,
    pause: str,
    manifest: Path,
    environment: str,
    tracking_uri: str | None,
    ledger_uri: str | None,
    deadline: float,
    shape: str,
) -> int:
    """Watch as `aigate watch --every` does, and look at once when MLflow tells of the model.

    Posts go to /mlflow, signed with the secret in AIGATE_WEBHOOK_SECRET or in
    the file that AIGATE_WEBHOOK_SECRET_FILE names. GET /healthz answers 200
    while looks come to their end, else 503. It speaks plain HTTP: beyond this
    machine, put a proxy with TLS before it.

    Each look asks first whether the alias is where the ledger has it. Where
    somebody moved it past the gate, that is told with the commands that end
    it, and ledger, registry and records are audited. With --on-ungated revert,
    and where the manifest's environments.<name>.rollback.mode is auto, the
    alias is put back: by an entry in the ledger, within max_per_day and
    cooldown of the automatic rollbacks, and never to a version that was found
    bad. Who then rolls back in MLflow's own pages is reverted too: use
    `aigate rollback`.

    It ends at SIGTERM or SIGINT with exit code 0, once the look under way is
    finished; where nothing answers that takes a few times --deadline, and a
    second signal breaks off what is only read.
    """
    from aigate.collect.manifest_file import load_manifest
    from aigate.gate import Request
    from aigate.listen.bell import Bell
    from aigate.listen.delivery import Deliveries
    from aigate.listen.health import Health
    from aigate.listen.secret import webhook_secret
    from aigate.listen.server import Listener
    from aigate.rules import environment_of

    span, rest = span_of(False, every), _pause(pause)
    assert span is not None  # --every was given
    secret = webhook_secret(os.environ)  # noqa: TID251 - this is a door
    loaded = load_manifest(manifest)
    environment_of(loaded, environment)
    seconds = span.total_seconds()
    bell, health = Bell(rest.total_seconds()), Health(seconds)
    deliveries = Deliveries(secret, loaded.manifest.model.name, _clock, bell.ring, health.told)
    telling = _Json() if shape == "json" else _Text()

    def tell(tick: "Tick") -> None:
        health.looked()
        looking.judged.take(tick)
        telling.tick(tick)

    request = Request(question="retain", environment=environment, tracking_uri=tracking_uri)
    around = partial(acting, tracking_uri, ledger_uri, deadline)
    looking = _Hooked(manifest, request, around, span, tell, shape == "json")
    looking.hook(bell, deliveries, telling, on_ungated)
    with until_told(looking), Listener(host, port, deliveries) as listener:
        telling.listening(listener.host, listener.port, span, on_ungated)
        run(seconds, looking.look, looking.stopping, wait=bell.wait)
    return 0


def _clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - this is a door


def _pause(text: str) -> timedelta:
    """Return the time between a look and an early one. Raises UsageError."""
    try:
        found = parse_duration(text)
    except ValueError as e:
        raise UsageError(f"--pause {text!r}: {e}") from e
    if found > LONGEST_PAUSE:
        raise UsageError(f"--pause {text} is too long", fix=f"at most {show_duration(LONGEST_PAUSE)}")
    return found


class _Hooked(Looking):
    """A watcher that is woken, and that looks for moves past the gate before it judges the champion."""

    def hook(
        self, bell: "Bell", deliveries: "Deliveries", telling: "_Text | _Json", on_ungated: "OnUngated"
    ) -> None:
        """Say what wakes it, and what is told and done."""
        from aigate.listen.ungated import Audits, Judged

        self.judged = Judged()
        self._audits = Audits()
        self._bell = bell
        self._deliveries = deliveries
        self._telling = telling
        self._on_ungated = on_ungated

    def told(self, number: int, frame: object) -> None:
        """Take a signal: the look is finished first; a second one breaks off what is only read, as a watcher's does."""
        again = self.stopping.is_set()
        self.stopping.set()
        self._bell.stop()
        if again:
            super().told(number, frame)

    def step(self, name: str) -> None:
        """Take note of where a look is; from here on something may be done in the world."""
        if name in ("revert", "judged"):
            self._only_looking = False

    def before(self, loaded: "LoadedManifest", around: "Acting") -> None:
        """Find what was moved past the gate; tell, and put it back where that is wanted."""
        from aigate.listen.ungated import Asked, check

        self._telling.deliveries(self._deliveries.counts(), around.clock())
        asked = Asked(self._request.environment, self._on_ungated, self._bell.woken)
        found = check(loaded, asked, around, self.judged)
        self._telling.ungated(found)
        # After what is done: an audit reads for a while.
        audit = self._audits.after(found, loaded, around)
        if isinstance(audit, AigateError):
            complain(audit)
        elif audit is not None:
            self._telling.audit(audit)


# What is shown


class _Json:
    """One object a line, for programs."""

    def tick(self, tick: "Tick") -> None:
        show_json(tick)

    def listening(self, host: str, port: int, every: timedelta, on_ungated: str) -> None:
        self._line("hook", listening=_url(host, port), every=show_duration(every), on_ungated=on_ungated)

    def deliveries(self, counts: "Counts", now: datetime) -> None:
        if counts.taken or counts.refused:
            self._line("deliveries", at=show_instant(now), taken=counts.taken, refused=counts.refused)

    def ungated(self, found: "Ungated") -> None:
        if found.state != "covered":
            self._model(found)

    def audit(self, audit: "Audit") -> None:
        self._model(audit)

    def _model(self, found: "Ungated | Audit") -> None:
        from aigate.digest import canonical
        from aigate.report.json import harmless

        click.echo(harmless(canonical(found).decode(), ascii_only=True))

    def _line(self, name: str, **fields: Any) -> None:
        import json

        from aigate.report.json import harmless

        click.echo(harmless(json.dumps({"schema": f"aigate.{name}/v1", **fields}, sort_keys=True)))


_HEADS = {
    "ungated": "UNGATED",
    "unknown_holder": "UNGATED",
    "under_way": "MOVING",
    "unknown": "HOLD",
}
_DONE = {
    "told": "nothing is done: --on-ungated is tell",
    "proposed": "nothing is done: rollback.mode is not auto",
    "refused": "it is not put back",
    "failed": "it could not be put back",
    "changed": "it was moved again meanwhile: nothing is done, the next look sees to it",
    "unconfirmed": "whether it was put back could not be confirmed",
    "reverted": "it was put back",
}
_WHY = {
    "signature": "signed with another secret than this one's",
    "unsigned": "not signed: the webhook has no secret in MLflow",
    "stale": "dated more than 5m from now: sent again later, or a clock is wrong",
}


class _Text:
    """Lines for people: loud where something was moved past the gate, else as short as a watcher's."""

    def tick(self, tick: "Tick") -> None:
        show_text(tick)

    def listening(self, host: str, port: int, every: timedelta, on_ungated: str) -> None:
        show(
            f"listening on {_url(host, port)}; looking every {show_duration(every)}; on an ungated move: {on_ungated}"
        )

    def deliveries(self, counts: "Counts", now: datetime) -> None:
        taken = [f"{number} {why}" for why, number in counts.taken.items()]
        refused = sum(counts.refused.values())
        if taken or refused:
            show(f"deliveries: {', '.join([*taken, *([f'{refused} refused'] if refused else [])])}")
        for why, number in counts.refused.items():
            show(f"refused {number}: {_WHY.get(why, why)}", indent="  ")

    def ungated(self, found: "Ungated") -> None:
        if found.state == "covered":
            return
        held = f"v{found.live}" if found.live else "nothing" if found.state != "unknown" else "?"
        head = f"{_HEADS[found.state]} {found.model} {held} @{found.alias}"
        woken = "MLflow told of it" if found.woken else "found by the clock"
        show(" · ".join([head, found.environment, show_instant(found.at), woken]))
        for line in _details(found):
            show(line, indent="  ")

    def audit(self, audit: "Audit") -> None:
        broken, unseen = audit.count("broken"), audit.count("unseen")
        show(f"audit of {audit.model}: {broken} broken, {unseen} could not be looked at")
        for remark in audit.remarks:
            show(f"{remark.gravity} {remark.code} {remark.where}: {remark.what}", indent="  ")


def _details(found: "Ungated") -> Iterator[str]:
    """Return what a person needs to know of a move past the gate."""
    from aigate.watch.tell import is_command

    if found.message:
        yield found.message
    if found.done in _DONE:
        yield _DONE[found.done]
    if (act := found.act) is not None:
        entry = f" (ledger entry {act.seq})" if act.seq is not None else ""
        yield f"{act.act} {act.result}: {act.reason}{entry}"
        yield from (f"note: {words}" for words in act.next)
        yield from (f"warning: {words}" for words in act.warnings)
    yield from (f"run: {words}" if is_command(words) else f"note: {words}" for words in found.next)


def _url(host: str, port: int) -> str:
    from aigate.listen.delivery import PATH

    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
