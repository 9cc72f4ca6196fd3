"""Ledgers and writers on a real MLflow, opened as the gate opens them, and a proxy that breaks what passes through."""

import http.client
import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from aigate.collect.access import access
from aigate.collect.deadline import Deadline
from aigate.enforce.mlflow import open_fetcher, open_store, open_writer
from aigate.enforce.mlflow_store import MlflowStore
from aigate.enforce.tracking import Tracking
from aigate.enforce.writer import RegistryWriter
from fakes import Asked, Reply, WebServer, json_reply

API = "/api/2.0/mlflow/"
HTML = Reply(b"<!doctype html><title>log in</title>", content_type="text/html")


def new_experiment() -> str:
    """The name of an experiment that nobody has used."""
    return f"aigate-{uuid.uuid4().hex}"


def writer_at(uri: str, *, seconds: float = 60) -> RegistryWriter:
    """A writer to the registry at `uri`."""
    return open_writer(access({}, Path("/nonexistent"), uri=uri), Deadline(seconds))


def tracking_at(uri: str, *, seconds: float = 60) -> Tracking:
    """What the ledger in MLflow rests on."""
    place = access({}, Path("/nonexistent"), uri=uri)
    deadline = Deadline(seconds)
    if place.place.by_client:
        from aigate.enforce.client import ClientTracking

        return ClientTracking(uri, uri, deadline)
    from aigate.collect.mlflow.wire import Wire
    from aigate.enforce.rest import RestTracking

    return RestTracking(Wire(open_fetcher(place, deadline), uri, uri))


def store_at(
    uri: str, experiment: str, *, seconds: float = 60, patience: float = 2.0, segment: int = 500
) -> MlflowStore:
    """A ledger in `experiment`."""
    return MlflowStore(
        tracking_at(uri, seconds=seconds),
        Deadline(seconds),
        experiment=experiment,
        patience=patience,
        segment=segment,
    )


def opened_at(uri: str, experiment: str) -> MlflowStore:
    """A ledger, by the front door."""
    store = open_store(access({}, Path("/nonexistent"), uri=uri), Deadline(600), experiment=experiment)
    assert isinstance(store, MlflowStore)
    return store


Forward = Callable[[Asked], Reply]
Fault = Callable[[Asked, Forward], Reply]


class Proxy(WebServer):
    """Passes everything on to an MLflow server, but for the faults it was told of, each of which strikes once."""

    def __init__(self, target: str) -> None:
        super().__init__(default=self._pass)
        self._target = urlsplit(target).netloc
        self._faults: list[tuple[str, Fault]] = []

    def fail(self, place: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next requests for a place meet a fault."""
        self._faults += [(API + place, fault)] * times

    def count(self, *places: str) -> int:
        """How often these places were asked."""
        return sum(asked.path in [API + place for place in places] for asked in self.asked)

    def _pass(self, asked: Asked) -> Reply:
        for number, (path, fault) in enumerate(self._faults):
            if path == asked.path:
                del self._faults[number]
                return fault(asked, self._forward)
        return self._forward(asked)

    def _forward(self, asked: Asked) -> Reply:
        line = http.client.HTTPConnection(self._target, timeout=30)
        path = asked.path + ("?" + urlencode(asked.query, doseq=True) if asked.query else "")
        line.request(asked.method, path, asked.body or None, {"Content-Type": "application/json"})
        answer = line.getresponse()
        body = answer.read()
        line.close()
        return Reply(body, answer.status, content_type=answer.getheader("content-type"))


def answers(reply: Reply) -> Fault:
    """Answer so, and pass nothing on."""
    return lambda asked, forward: reply


def commits_and(reply: Reply) -> Fault:
    """Pass it on, and answer so."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        forward(asked)
        return reply

    return fault


def cuts(length: int) -> Fault:
    """Pass it on with its value cut, as MLflow does with what is too long."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        body = asked.json()
        body["value"] = body["value"][:length]
        return forward(Asked(asked.method, asked.path, asked.query, asked.headers, json.dumps(body).encode()))

    return fault


def waits(release: threading.Event) -> Fault:
    """Say nothing until the test is over."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        release.wait(30)
        return json_reply({})

    return fault


def error(code: str, status: int, message: str = "no") -> Reply:
    """An error of MLflow's."""
    return json_reply({"error_code": code, "message": message}, status)


def without_params(reply: Reply) -> Reply:
    """The answer of a replica that has not yet heard of a run's params."""
    body: dict[str, Any] = json.loads(reply.body)
    body["run"]["data"].pop("params", None)
    return json_reply(body)


def lags(asked: Asked, forward: Forward) -> Reply:
    """A fault: a replica that has not yet heard of a run's params."""
    return without_params(forward(asked))
