"""Documents beside the ledger, inside MLflow: compressed, and kept in the write-once params of a run each."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterator, Sequence

from aigate.collect.mlflow.reader import RegistryError
from aigate.digest import digest_bytes
from aigate.enforce.mlflow_runs import Runs
from aigate.enforce.store import LedgerError, TooLargeError
from aigate.enforce.tracking import MOST_PARAMS, NOT_WRITTEN
from aigate.values import Digest

PART = 5_900
"""Characters in one param: MLflow cuts what is past 6,000 off, and says nothing."""

MOST_PACKED = 500_000
"""Bytes of a document once compressed; 113 params hold it."""

MOST_BYTES = 32 * 1024 * 1024
"""Bytes of a document before it is compressed, and after it is unpacked."""

_WHOLE = "document"
"""The param that says whose document it is, and which. It is written with the last part, so that a
document whose writer was killed has none."""


class Documents:
    """Keeps documents as runs of the ledger's experiment."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._kept: dict[str, str] = {}

    def keep(self, model: str, digest: Digest, content: bytes) -> str:
        """Keep a document and return the id of its run.

        The same one twice is kept once by one object, and twice by two: MLflow
        takes longer to search for it (0.1 s) than to keep it again.
        """
        return self.keep_together(model, ((digest, content),))[0]

    def keep_together(self, model: str, documents: Sequence[tuple[Digest, bytes]]) -> tuple[str, ...]:
        """Keep several documents in one run, and return what each is referred to by: the run, and its number there."""
        names = [_name(model, digest) for digest, _ in documents]
        new = [
            (name, digest, content)
            for name, (digest, content) in zip(names, documents, strict=True)
            if name not in self._kept
        ]
        params: dict[str, str] = {}
        for number, (_, digest, content) in enumerate(new):
            params |= _params(model, digest, content, _prefix(number))
        if new:
            run_id = self._make(model, new[0][1], params)
            for number, (name, _, _) in enumerate(new):
                self._kept[name] = f"{run_id}/{number}" if number else run_id
        return tuple(self._kept[name] for name in names)

    def document(self, model: str, place: str) -> bytes:
        """Return a document by the id of its run, its digest checked."""
        run_id, _, number = place.partition("/")
        prefix = _prefix(int(number)) if number.isdecimal() else ""
        found = self._runs.params(run_id, "the document")
        params = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
        owner, _, digest = params.get(_WHOLE, "").partition(".")
        if owner != hash_of(model):
            raise LedgerError(f"run {place} holds no whole document of this model")
        return _unpacked(params, f"sha256:{digest}", place)

    def _make(self, model: str, digest: Digest, params: dict[str, str]) -> str:
        tags = {"aigate.kind": "document", "aigate.model": model, "aigate.digest": digest}
        place = self._runs.make(f"aigate {digest.partition(':')[2][:12]}", tags)
        error: RegistryError | None = None
        items = list(params.items())
        for start in range(0, len(items), MOST_PARAMS):
            try:
                self._runs.tracking.log_params(place, dict(items[start : start + MOST_PARAMS]))
            except RegistryError as e:
                error = e
                break
        if error is None or error.code not in NOT_WRITTEN:
            try:
                if self._runs.wait_for(lambda: self._runs.params(place, "the document") == params or None):
                    self._runs.finish(place)
                    return place
            except LedgerError as e:
                error = error or RegistryError("unreachable", e.message)
        reason = error.message if error else "MLflow says that it was, and it is not all there"
        raise LedgerError(
            f"a document of {len(params)} params was not kept in MLflow: {reason}",
            fix="find out why MLflow does not keep it, then try again",
        ) from error


def hash_of(model: str) -> str:
    """Return what stands for a model's name where only plain characters may: 32 hexadecimal digits."""
    return hashlib.sha256(model.encode()).hexdigest()[:32]


def _name(model: str, digest: Digest) -> str:
    """Return what says whose document it is, and which."""
    return f"{hash_of(model)}.{digest.partition(':')[2]}"


def _prefix(number: int) -> str:
    """Return what the keys of a run's further documents begin with."""
    return f"{number}." if number else ""


def _params(model: str, digest: Digest, content: bytes, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the params of a document, in the order in which they are written."""
    if len(content) > MOST_BYTES:
        raise TooLargeError(f"the document has {len(content)} bytes, MLflow is given at most {MOST_BYTES}")
    packed = zlib.compress(content, 9)
    if len(packed) > MOST_PACKED:
        raise TooLargeError(
            f"the document has {len(packed)} bytes compressed, MLflow is given at most {MOST_PACKED}"
        )
    text = base64.b64encode(packed).decode()
    parts = [text[start : start + PART] for start in range(0, len(text), PART)]
    for number, part in enumerate(parts):
        yield f"{prefix}part.{number:03}", part
    yield f"{prefix}parts", str(len(parts))
    yield f"{prefix}{_WHOLE}", _name(model, digest)


def _unpacked(params: dict[str, str], digest: Digest, place: str) -> bytes:
    """Return a document's bytes; no more of them are ever made than a document may have."""
    keys = sorted(key for key in params if key.startswith("part."))
    expected = [f"part.{number:03}" for number in range(len(keys))]
    if params.get("parts") != str(len(keys)) or keys != expected:
        raise LedgerError(f"the document in run {place} is not whole")
    unpack = zlib.decompressobj()
    try:
        packed = base64.b64decode("".join(params[key] for key in keys), validate=True)
        content = unpack.decompress(packed, MOST_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error) as e:
        raise LedgerError(f"the document in run {place} cannot be unpacked") from e
    if not unpack.eof or unpack.unused_data or len(content) > MOST_BYTES:
        raise LedgerError(f"the document in run {place} is larger or longer than what was kept")
    if digest_bytes(content) != digest:
        raise LedgerError(
            f"the document in run {place} is not the one that was kept: it has another digest",
            fix="somebody who holds MLflow's database has changed it; the ledger names the digest it had",
        )
    return content
