"""Deliveries as MLflow signs and sends them, and everything a stranger may send in their place."""

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import time
import uuid
from typing import Any

SECRET = b"a-secret-of-the-tests-only-7fd1"
MODEL = "churn"


def body(
    name: object = MODEL, *, entity: str = "model_version_alias", action: str = "created", **data: object
) -> bytes:
    """What MLflow sends of an event."""
    told = {"name": name, "alias": "champion", "version": "3", **data}
    at = "2026-11-21T12:00:00+00:00"
    return json.dumps({"entity": entity, "action": action, "timestamp": at, "data": told}).encode()


def signature(secret: bytes, id: str, sent: str, content: bytes) -> str:
    """As `mlflow/webhooks/delivery.py` makes it."""
    mac = hmac.new(secret, f"{id}.{sent}.".encode() + content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()


def request(
    content: bytes | None = None,
    *,
    secret: bytes = SECRET,
    id: str | None = None,
    sent: float | str | None = None,
    method: str = "POST",
    path: str = "/mlflow",
    drop: tuple[str, ...] = (),
    version: str = "HTTP/1.1",
    **headers: str,
) -> bytes:
    """A delivery's bytes; `headers` (with `_` for `-`) replace or add, `drop` leaves out."""
    content = body() if content is None else content
    id = id or str(uuid.uuid4())
    sent = str(int(time.time())) if sent is None else str(sent)
    fields = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": str(len(content)),
        "x-mlflow-delivery-id": id,
        "x-mlflow-timestamp": sent,
        "x-mlflow-signature": signature(secret, id, sent, content),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{method} {path} {version}", *(f"{n}: {v}" for n, v in fields.items() if n not in drop)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def connect(address: tuple[str, int]) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(address, timeout=10)


def answer(sock: socket.socket) -> tuple[int, Any]:
    """Read an answer to its end: its status and its JSON; 0 where there was none."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := sock.recv(65536):
            data += piece
    if not data:
        return 0, None
    head, _, content = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(content)


def send(address: tuple[str, int], data: bytes) -> tuple[int, Any]:
    """Send bytes on a connection of their own, and return the answer."""
    with connect(address) as sock:
        with contextlib.suppress(OSError):  # it may answer and close before it has read all
            sock.sendall(data)
        return answer(sock)
