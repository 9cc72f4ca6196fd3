"""A replay: one recorded decision, made once more from its own snapshot, and held against what was written."""

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path

import pydantic

import aigate
from aigate.again.rules import Rules
from aigate.collect.records import kind_of
from aigate.collect.snapshot_file import MAX_BYTES, parse_snapshot
from aigate.decision import Decision, Judgement, Versions
from aigate.digest import digest, digest_bytes
from aigate.errors import AigateError, ConfigError
from aigate.evaluate import Setting, decide, judge, subject_of
from aigate.isolate import Isolate
from aigate.manifest import Manifest
from aigate.replay import Changed, Replay, compared, once_more, younger
from aigate.report.json import MAX_RECORD, read_record
from aigate.snapshot import Snapshot
from aigate.values import Digest
from aigate.waiver import apply, book_of, grounds

MOST_BESIDE = 5000
"""Files beside a record that are looked at for its snapshot."""


class NotFoundError(AigateError):
    """The evidence behind a decision is not to be had."""

    exit_code = 3


def load_record(path: Path) -> tuple[bytes, Decision]:
    """Read a decision record; raises ConfigError, with the place, for one that was edited or is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD + 1)
    except OSError as e:
        raise ConfigError(f"cannot be read: {e.strerror}", place=str(path)) from e
    return data, parse_record(data, str(path))


def parse_record(data: bytes, shown: str) -> Decision:
    """Turn a record's bytes into the decision. Raises ConfigError with places in `shown`."""
    try:
        return read_record(data)
    except ConfigError as e:
        raise ConfigError(e.message, place=shown, fix=e.fix) from e


def load_evidence(recorded: Decision, path: Path) -> Snapshot:
    """Read the snapshot that somebody says a decision was made from. Raises ConfigError where it is another one."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1).rstrip(b"\n")
    except OSError as e:
        raise ConfigError(f"cannot be read: {e.strerror}", place=str(path)) from e
    return evidence(recorded, data, str(path))


def evidence(recorded: Decision, data: bytes, shown: str) -> Snapshot:
    """Turn the bytes of a snapshot into the one that a decision was made from. Raises ConfigError."""
    found = parse_snapshot(data, shown)
    if not is_of(recorded.snapshot_digest, data, found):
        raise ConfigError(
            f"its digest is {digest(found)}, the decision was made from {recorded.snapshot_digest}",
            place=shown,
            fix="it was edited, or belongs to another decision: take the one that was saved with this record",
        )
    return found


def is_of(wanted: Digest, data: bytes, found: Snapshot) -> bool:
    """Whether a snapshot is the one of a digest: by its bytes or, where an older aigate wrote these, as it is read."""
    return wanted in (digest_bytes(data), digest(found))


def find_beside(recorded: Decision, record: Path) -> Snapshot:
    """Find a decision's snapshot by its digest: beside the record, or where an export of the history keeps it.

    Raises NotFoundError where it is in none of these places.
    """
    folder = record.absolute().parent
    for number, path in enumerate(_beside(folder, recorded.snapshot_digest)):
        if number == MOST_BESIDE:
            break
        data = _content(path)
        if data is None or kind_of(data) != "snapshot":
            continue
        with contextlib.suppress(ConfigError):  # another one's, or none; the right one may still come
            return evidence(recorded, data, str(path))
    raise NotFoundError(
        f"the snapshot {recorded.snapshot_digest} that it was made from is not in {folder}",
        fix="name it with --snapshot FILE, or the ledger that keeps it with --ledger URI",
    )


def _beside(folder: Path, digest: Digest) -> Iterator[Path]:
    name = f"{digest.removeprefix('sha256:')}.json"
    yield from (folder / name, folder / "snapshots" / name, folder.parent / "snapshots" / name)
    yield from sorted(folder.glob("*.json"))


def _content(path: Path) -> bytes | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES + 1:
            return None
        return path.read_bytes().rstrip(b"\n")
    except OSError:
        return None


def replay(
    record: Decision,
    id: Digest,
    snapshot: Snapshot,
    rules: Rules,
    manifest: Manifest,
    manifest_digest: Digest,
) -> Replay:
    """Make a recorded decision once more, with the waivers of then, and hold it against the record.

    Raises PolicyCodeError for policies that do not load.
    """
    with Isolate(rules.files, rules.params) as isolate:
        answers = isolate.run(snapshot)
    judged = judge(answers.infos, answers.results, rules.levels)
    changed = (
        *_manifest(record, manifest_digest),
        *younger(
            record.versions,
            Versions(aigate=aigate.__version__, python=platform.python_version(), pydantic=pydantic.VERSION),
        ),
    )
    told = [
        compared(
            id,
            record,
            once_more(record, _decided(record, snapshot, judged, rules, manifest, trusted=trusted)),
            changed,
            whole=record.versions.aigate == aigate.__version__,
        )
        # Whether the manifest came with a change under review, for which no waiver counts, no field says.
        for trusted in ((True, False) if record.waivers_digest is not None else (True,))
    ]
    return next((one for one in told if one.identical), told[0])


def _decided(
    record: Decision,
    snapshot: Snapshot,
    judged: tuple[Judgement, ...],
    rules: Rules,
    manifest: Manifest,
    *,
    trusted: bool,
) -> Decision:
    held = grounds(manifest, snapshot, subject_of(snapshot), trusted=trusted)
    marked, waivers = apply(book_of(record), judged, held)
    setting = Setting(
        policies_digest=rules.digest,
        isolation=record.isolation,
        versions=record.versions,
        actor=record.actor,
        waivers=waivers,
        waivers_digest=record.waivers_digest,
    )
    return decide(snapshot, marked, setting)


def _manifest(record: Decision, now: Digest) -> tuple[Changed, ...]:
    if record.manifest_digest == now:
        return ()
    return (Changed(what="manifest (levels, parameters)", recorded=record.manifest_digest, now=now),)
