"""Asks a registry's server for a move that cannot happen: its answer says whether the server is guarded.

It asks with the right to write, and changes nothing: no registry has a version
0. `aigate.guarded` says what an answer comes to.
"""

from aigate.collect.access import Access
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow.wire import error_of, parsed, translated
from aigate.collect.response import FetchError
from aigate.enforce.mlflow import open_fetcher, open_wire
from aigate.enforce.writer import WRITE
from aigate.guarded import NO_VERSION, Heard
from aigate.ticket import GUARD_HEADER, read_guard_header


def probe(access: Access, deadline: Deadline, model: str, alias: str) -> Heard:
    """Ask once, for at most `WRITE` seconds, and show no ticket. Raises RegistryError where no answer comes.

    `access` has to be a server's (`by_client` false).
    """
    asked = f"whether the server guards {model}@{alias}"
    body = {"name": model, "alias": alias, "version": NO_VERSION}
    with open_fetcher(access, Deadline(max(0.0, min(WRITE, deadline.remaining())))) as fetcher:
        wire = open_wire(access, fetcher)
        wire.check_workspace(wire.registry)
        try:
            answer = wire.exchange("POST", wire.registry, "registered-models/alias", body)
        except FetchError as e:
            raise translated(e, asked) from e
    code, message = error_of(parsed(answer, asked))
    says = answer.header(GUARD_HEADER)
    return Heard(
        answer.status, code, message, None if says is None else read_guard_header(says), answer.server_date
    )
