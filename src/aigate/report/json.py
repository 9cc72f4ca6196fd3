"""The decision record: one canonical JSON (RFC 8785) that carries the digest of itself.

Its shape is the fields of `Decision` and `id`, and its version is `schema`.
The id is the digest of the record without `id`, so a record proves that it is
whole; that nobody replaced it whole is the ledger's to prove.
"""

import json
import re
from typing import Any

import rfc8785
from pydantic import ValidationError

from aigate.decision import Decision
from aigate.digest import digest, digest_bytes
from aigate.errors import ConfigError
from aigate.report.clean import clean
from aigate.report.context import ReportContext
from aigate.values import Digest

SCHEMA = "aigate.decision/v1"

MAX_RECORD = 64 * 1024 * 1024
"""Bytes that a record may have when it is read."""

_ALARMING = re.compile(
    "##(?=\\w*\\[)|[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
"""What a terminal or a runner would act upon. In JSON, none of it can stand outside of a string."""

_FOREIGN = re.compile("[^\x00-\x7f]")


def decision_id(decision: Decision) -> Digest:
    """Return the digest that names a decision: over its canonical JSON, without `id`."""
    return digest(decision)


def short(id: Digest) -> str:
    """Return the first twelve digits of a digest, as people read it to each other."""
    return id.removeprefix("sha256:")[:12]


def record(decision: Decision) -> bytes:
    """Return the decision record: canonical JSON with `id`. The same decision gives the same bytes."""
    fields: dict[str, Any] = decision.model_dump(mode="json", by_alias=True)
    return rfc8785.dumps({**fields, "id": decision_id(decision)})


def render(decision: Decision, ctx: ReportContext) -> str:
    """Return the record for a program, and a newline.

    It is the canonical record, save that characters with power over a
    terminal or a runner's log, and those that its encoding lacks, are written
    as JSON escapes: the same data.
    """
    return harmless(record(decision).decode(), ascii_only=not ctx.unicode) + "\n"


def harmless(text: str, *, ascii_only: bool = False) -> str:
    """Return JSON text of the same meaning in which no character commands a terminal or a runner."""
    text = _ALARMING.sub(lambda found: _escaped(found[0]), text)
    return _FOREIGN.sub(lambda found: _escaped(found[0]), text) if ascii_only else text


def _escaped(found: str) -> str:
    return "#\\u0023" if found == "##" else json.dumps(found)[1:-1]


def read_record(data: bytes) -> Decision:
    """Read a record back, as `record` or `render` wrote it.

    Raises ConfigError, saying what differs, where it is not canonical, where
    its id is not its digest, and where it is not a decision that this version
    knows.
    """
    fields = _parse(data)
    _check_form(data, fields)
    schema = fields.get("schema")
    if schema != SCHEMA:
        raise ConfigError(f"a record of schema {clean(str(schema), 60)!r}; this aigate reads {SCHEMA!r}")
    said = fields.pop("id", None)
    found = digest_bytes(rfc8785.dumps(fields))
    if said != found:
        raise ConfigError(
            f"the record's id is {clean(str(said), 80)}, its content has {found}: it is not what was written",
            fix="take the record from the ledger, or decide anew",
        )
    return _decision(fields)


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_RECORD:
        raise ConfigError(f"not a decision record: {len(data)} bytes, at most {MAX_RECORD} are read")
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as e:
        raise ConfigError(f"not a decision record: not JSON ({clean(str(e), 120)})") from e
    if not isinstance(value, dict):
        raise ConfigError("not a decision record: not a JSON object")
    return value


def _check_form(data: bytes, fields: dict[str, Any]) -> None:
    """Refuse every form but those that are written here; so no two parsers can read it differently."""
    try:
        whole = rfc8785.dumps(fields)
    except (rfc8785.CanonicalizationError, RecursionError) as e:
        raise ConfigError(f"not a decision record: it has no canonical form ({clean(str(e), 120)})") from e
    given = data.removesuffix(b"\n")
    forms = (harmless(whole.decode(), ascii_only=ascii_only).encode() for ascii_only in (False, True))
    if given == whole or given in forms:
        return
    at = next(
        (i for i, (a, b) in enumerate(zip(given, whole, strict=False)) if a != b), min(len(given), len(whole))
    )
    raise ConfigError(
        f"the record is not in canonical form (RFC 8785): at byte {at} it has {_near(given, at)}, "
        f"canonical is {_near(whole, at)}"
    )


def _near(data: bytes, at: int) -> str:
    return repr(clean(data[at : at + 24].decode(errors="replace"))) if at < len(data) else "its end"


def _decision(fields: dict[str, Any]) -> Decision:
    try:
        decision = Decision.model_validate_json(rfc8785.dumps(fields))
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"not a decision record: {clean(where, 120)}: {clean(first['msg'], 200)}") from e
    # Fields that a record leaves out are younger than it is; those it has must mean what they say.
    again = decision.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if again != fields:
        differing = sorted(key for key in again.keys() | fields.keys() if again.get(key) != fields.get(key))
        raise ConfigError(
            f"not a decision record: {', '.join(differing)} is written in another form than aigate's"
        )
    return decision
