"""An exported history: everything that it takes to verify it, and nothing that has to be trusted for that.

The proof is in `entries.jsonl`, the records and the snapshots, byte for byte
as the ledger holds them; `ledger.csv` and `index.html` are for reading. The
same history at the same instant always gives the same files.
"""

import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from aigate.audit import Audit
from aigate.digest import canonical, digest_bytes
from aigate.ledger import Chain, Entry, Halt, Head, Intent
from aigate.report.clean import clean
from aigate.report.entry import row
from aigate.report.file import ReportError
from aigate.report.index import index
from aigate.values import Digest, Instant, Model, Name, Text

COLUMNS = (
    "entry",
    "at",
    "kind",
    "by",
    "run",
    "alias",
    "from",
    "to",
    "of",
    "result",
    "reason",
    "decision",
    "digest",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With these a spreadsheet takes a cell for a formula."""

_THEN = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip: the oldest there is."""

README = """\
The history of the registered model {model}, as aigate's ledger holds it.

  entries.jsonl  every entry, one a line, byte for byte; each names the digest of the one before it
  records/       the decision records that entries name, by digest
  snapshots/     the evidence that decisions rest on, by digest
  anchors.json   points of the chain that were kept elsewhere, and the head at the time of the export
  ledger.csv     the entries{listed} as a table, for reading
  index.html     the same as a page, with what the audit found
  MANIFEST       SHA-256 of every other file; `sha256sum -c MANIFEST` checks it too
  verify.py      computes all of it anew, with Python and nothing else:

      python -I -S verify.py

Nothing in here proves by itself that the whole was not made anew. What does is
anything that was kept elsewhere at the time: an anchor from a job's log
(`--anchor SEQ:DIGEST`), a receipt, or the digest of MANIFEST as `aigate audit
--export` printed it (`--manifest DIGEST`). If you do not trust this verify.py,
take the one of aigate's own source (src/aigate/report/verify.py).
"""


class AnchorKept(Model):
    """An anchor as the bundle lists it."""

    kept_in: Text
    seq: int
    digest: Digest


class Anchors(Model):
    """The anchors of a bundle."""

    model: Name
    at: Instant
    head: Head | None
    anchors: tuple[AnchorKept, ...]


def bundle(
    audit: Audit,
    chain: Chain,
    lines: tuple[bytes, ...],
    documents: Mapping[Digest, bytes],
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, bytes]:
    """Return the files of an export by name.

    `since` and `until` choose which entries the table and the page list; all
    of them are in it, for without the others no link could be verified.
    """
    listed = [
        e for e in chain.entries if (since is None or e.at >= since) and (until is None or e.at <= until)
    ]
    wanted = {
        kept.digest: role
        for e in chain.entries
        if isinstance(e.body, Intent | Halt)
        for role, kept in (("records", e.body.record), ("snapshots", getattr(e.body, "snapshot", None)))
        if kept is not None
    }
    found = {
        "entries.jsonl": b"".join(line + b"\n" for line in lines),
        **{
            f"{wanted[d]}/{d.removeprefix('sha256:')}.json": data
            for d, data in documents.items()
            if d in wanted
        },
        "anchors.json": canonical(_anchors(audit, chain)) + b"\n",
        "ledger.csv": table(listed, chain).encode(),
        "index.html": index(audit, listed, len(chain.entries)).encode(),
        "README.txt": README.format(
            model=clean(audit.model),
            listed="" if len(listed) == len(chain.entries) else " of the time asked for",
        ).encode(),
        "verify.py": files("aigate.report").joinpath("verify.py").read_bytes(),
    }
    manifest = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(found.items())
    )
    return {**dict(sorted(found.items())), "MANIFEST": manifest.encode()}


def _anchors(audit: Audit, chain: Chain) -> Anchors:
    kept = tuple(AnchorKept(kept_in=a.kept_in, seq=a.head.seq, digest=a.head.digest) for a in audit.anchors)
    return Anchors(model=audit.model, at=audit.now, head=chain.head, anchors=kept)


def table(entries: list[Entry], chain: Chain) -> str:
    """Return entries as CSV in which no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        cells = row(entry, chain.digests[entry.seq - 1])
        writer.writerow([_cell(cells.get(name, "")) for name in COLUMNS])
    return text.getvalue()


def _cell(text: str) -> str:
    shown = clean(text, 2000)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def write_bundle(path: Path, found: Mapping[str, bytes], *, folder: bool) -> Digest:
    """Write a bundle as a zip, or as files into a new `folder`; return the digest of its MANIFEST.

    A zip is there whole or not at all. Raises ReportError, also for a folder
    that has something in it.
    """
    try:
        if folder:
            _write_folder(path, found)
        else:
            _write_zip(path, found)
    except OSError as e:
        raise ReportError(
            f"cannot write the export {clean(str(path), 200)}: {e.strerror or type(e).__name__}",
            fix="name a file that can be written, or a new folder with a / at its end",
        ) from e
    return digest_bytes(found["MANIFEST"])


def _write_folder(path: Path, found: Mapping[str, bytes]) -> None:
    if path.exists() and any(path.iterdir()):
        raise ReportError(f"{clean(str(path), 200)} is not empty", fix="name a new folder for the export")
    for name, data in found.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _write_zip(path: Path, found: Mapping[str, bytes]) -> None:
    beside = path.with_name(f".aigate-{os.getpid()}-{os.urandom(6).hex()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        beside.write_bytes(zipped(found))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def zipped(found: Mapping[str, bytes]) -> bytes:
    """Return files as a zip; the same files always give the same bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in found.items():
            info = zipfile.ZipInfo(name, _THEN)
            info.create_system, info.external_attr = 3, 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return data.getvalue()
