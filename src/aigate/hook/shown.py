"""What a request to the server shows, what it is told in its answer, and the table of what was shown before."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from aigate.hook.guard import Guard, Operation
from aigate.ticket import (
    GUARD_HEADER,
    HEADER,
    SKEW,
    Payload,
    Refusal,
    TicketError,
    again,
    guard_header,
    read_envelope,
)
from aigate.values import VERSION_PATTERN
from aigate.wording import command

TABLE = "aigate_tickets"
"""Holds the nonce of every ticket that was used and has not expired; beside MLflow's own tables."""


def presented(operation: Operation, guard: Guard, now: datetime, kind: type[Payload]) -> Payload | Refusal:
    """Return the ticket of this request, its signature verified; why there is none, where there is none."""
    from flask import has_request_context, request

    from aigate.enforce.keys import verify

    if operation.version and not re.fullmatch(VERSION_PATTERN, operation.version):
        return Refusal(
            f"version {operation.version!a} is not written as a version number", instead(operation)
        )
    text = request.headers.get(HEADER, "") if has_request_context() else ""
    if not text:
        return Refusal(f"{_what(operation)}, and no ticket is shown", instead(operation))
    try:
        return verify(read_envelope(text), guard.keys, now, kind)
    except TicketError as e:
        return Refusal(e.message, instead(operation))


def _what(operation: Operation) -> str:
    if operation.tags:
        return f"the tag {operation.tags[0]!a} of model {operation.model!a} is aigate's own"
    return f"@{operation.alias} of model {operation.model!a} is protected"


def instead(operation: Operation) -> str:
    """Return the command to run instead of an operation."""
    if operation.tags:
        return command("status", operation.model)
    return again(operation.model, operation.alias or "champion", operation.version or "N")


def tell(guard: Guard, now: datetime) -> None:
    """Say in the answer to this request how the registry is guarded."""
    from flask import after_this_request, has_request_context

    if not has_request_context():
        return
    text = guard_header(guard.says(now))

    @after_this_request
    def add(response: Any) -> Any:
        response.headers[GUARD_HEADER] = text
        return response


_tables: "WeakKeyDictionary[Any, Any]" = WeakKeyDictionary()


def used_table(engine: Any) -> Any:
    """Return the table of used tickets; make it where it is not there yet, which is asked once for each engine."""
    if engine not in _tables:
        _tables[engine] = _made_table(engine)
    return _tables[engine]


def _made_table(engine: Any) -> Any:
    import sqlalchemy as sa

    table = sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("nonce", sa.String(32), primary_key=True),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.Integer, nullable=False),
    )
    if not sa.inspect(engine).has_table(TABLE):
        try:
            table.create(engine)
        except sa.exc.SQLAlchemyError:  # another worker made it in this moment
            if not sa.inspect(engine).has_table(TABLE):
                raise
    return table


def take(line: Any, used: Any, nonce: str, expires_at: datetime, now: datetime, *, entry: int = 0) -> str:
    """Take a ticket in the caller's transaction, and forget those that have expired; return what is wrong.

    The first statement writes: where a ticket was taken already, it fails, and
    so does the transaction.
    """
    from sqlalchemy.exc import IntegrityError

    try:
        line.execute(used.insert().values(nonce=nonce, expires=_seconds(expires_at), entry=entry))
    except IntegrityError:
        return "the ticket was used already"
    line.execute(used.delete().where(used.c.expires < _seconds(now - SKEW)))
    return ""


def _seconds(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1))
