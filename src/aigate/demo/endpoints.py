"""Real HTTP endpoints on loopback: what each team publishes about its own part."""

import contextlib
import http.client
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from aigate.demo.server import LOOPBACK
from aigate.errors import AigateError


class Endpoints:
    """JSON documents by path, served over HTTP; `publish` changes what is answered from then on."""

    def __init__(self, port: int = 0) -> None:
        """Bind a port; 0 takes one that is free. Raises OSError where the port is taken."""
        self._documents: dict[str, bytes] = {}
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.documents = self._documents
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def publish(self, documents: Mapping[str, object]) -> None:
        """Answer with these documents at their paths, from the next request on."""
        self._documents.update(
            {path: json.dumps(document, indent=1).encode() for path, document in documents.items()}
        )

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering and give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    documents: Mapping[str, bytes]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        body = self.server.documents.get(self.path)
        found = body is not None
        body = body if body is not None else b'{"error": "no such document"}'
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing: the story has the screen."""


def get(url: str) -> dict[str, Any]:
    """Return the JSON object at a loopback address; raises AigateError where there is none."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", f"/{path}")
            answer = connection.getresponse()
            found = json.loads(answer.read()) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise AigateError(f"/{path} of the demonstration does not answer: {type(e).__name__}") from e
    if not isinstance(found, dict):
        raise AigateError(f"/{path} of the demonstration has no document")
    return found
