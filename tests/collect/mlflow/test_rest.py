"""The REST reader against servers that answer wrongly: nothing that was not asked for is believed."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aigate.collect.mlflow.reader import FOLDERS_LIMIT, ArtifactRoot, RegistryError, RegistryReader
from fakes import Asked, RawServer, Reply, WebServer, json_reply
from reading import reader_of

API = "/api/2.0/mlflow/"
RUN = "a" * 32
MODEL = f"m-{'b' * 32}"
HTML = Reply(b"<!doctype html><title>404 Not Found</title>", 404, content_type="text/html; charset=utf-8")

VERSION = {
    "name": "churn",
    "version": "3",
    "creation_timestamp": 1,
    "status": "READY",
    "source": f"models:/{MODEL}",
    "run_id": RUN,
    "aliases": ["champion"],
}
RUN_BODY = {"info": {"run_id": RUN, "lifecycle_stage": "active", "status": "FINISHED"}, "data": {}}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer(default=HTML) as server:
        yield server


@pytest.fixture
def reader(web: WebServer) -> RegistryReader:
    return reader_of(web.url(), seconds=10)


def failure(ask: Callable[[], Any]) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        ask()
    return caught.value


QUESTIONS: dict[str, tuple[str, Callable[[RegistryReader], Any]]] = {
    "model": ("registered-models/get", lambda r: r.registered_model("churn")),
    "version": ("model-versions/get", lambda r: r.version("churn", "3")),
    "alias": ("registered-models/alias", lambda r: r.version_by_alias("churn", "champion")),
    "served from": ("model-versions/get-download-uri", lambda r: r.served_from("churn", "3")),
    "run": ("runs/get", lambda r: r.run(RUN)),
    "logged model": (f"logged-models/{MODEL}", lambda r: r.logged_model(MODEL)),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b'""',
        b'{"registered_model": {}, "model_version": {}, "run": {}, "model": {}}',
        b'{"registered_model": [], "model_version": "x", "run": 1, "model": null}',
        b'{"run": {"info": {}, "data": {}}, "model": {"info": {}}}',
        b'{"model_version": {"name": "", "version": "", "creation_timestamp": 0}}',
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"\xff\xfe{}",
        b"<html>log in</html>",
    ],
)
def test_an_empty_or_odd_answer_is_broken(
    web: WebServer, reader: RegistryReader, question: str, body: bytes
) -> None:
    place, ask = QUESTIONS[question]
    web.routes[API + place] = Reply(body)
    assert failure(lambda: ask(reader)).code == "broken"


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_page_instead_of_an_answer_is_broken(web: WebServer, reader: RegistryReader, question: str) -> None:
    place, ask = QUESTIONS[question]
    web.routes[API + place] = Reply(b"<html>please log in</html>", content_type="text/html")
    error = failure(lambda: ask(reader))
    assert (error.code, "log-in page" in error.message) == ("broken", True)


OTHERS: dict[str, tuple[str, Any]] = {
    "model: name": ("model", {"registered_model": {"name": "other", "creation_timestamp": 1}}),
    "model: no time": ("model", {"registered_model": {"name": "churn"}}),
    "model: time as text": ("model", {"registered_model": {"name": "churn", "creation_timestamp": "1"}}),
    "model: aliases": (
        "model",
        {"registered_model": {"name": "churn", "creation_timestamp": 1, "aliases": [{"alias": "champion"}]}},
    ),
    "version: name": ("version", {"model_version": {**VERSION, "name": "Churn"}}),
    "version: number": ("version", {"model_version": {**VERSION, "version": "4"}}),
    "version: number as number": ("version", {"model_version": {**VERSION, "version": 3}}),
    "version: time": ("version", {"model_version": {**VERSION, "creation_timestamp": True}}),
    "version: source": ("version", {"model_version": {**VERSION, "source": 7}}),
    "version: tags": ("version", {"model_version": {**VERSION, "tags": [{"key": 1, "value": "x"}]}}),
    "alias: name": ("alias", {"model_version": {**VERSION, "name": "other"}}),
    "alias: another case": ("alias", {"model_version": {**VERSION, "aliases": ["Champion"]}}),
    "alias: not held": ("alias", {"model_version": {**VERSION, "aliases": []}}),
    "alias: number": ("alias", {"model_version": {**VERSION, "version": "03"}}),
    "alias: aliases": ("alias", {"model_version": {**VERSION, "aliases": "champion"}}),
    "run: id": ("run", {"run": {**RUN_BODY, "info": {**RUN_BODY["info"], "run_id": "c" * 32}}}),
    "run: lifecycle": ("run", {"run": {**RUN_BODY, "info": {**RUN_BODY["info"], "lifecycle_stage": "gone"}}}),
    "run: no status": ("run", {"run": {"info": {"run_id": RUN, "lifecycle_stage": "active"}}}),
    "run: step": (
        "run",
        {"run": {**RUN_BODY, "data": {"metrics": [{"key": "a", "value": 1, "timestamp": 1, "step": 0.5}]}}},
    ),
    "run: params": ("run", {"run": {**RUN_BODY, "data": {"params": {"a": "b"}}}}),
    "run: a dataset that is none": (
        "run",
        {"run": {**RUN_BODY, "inputs": {"dataset_inputs": [{"dataset": 1}]}}},
    ),
    "run: a dataset's tags": (
        "run",
        {"run": {**RUN_BODY, "inputs": {"dataset_inputs": [{"dataset": {}, "tags": [{"value": "x"}]}]}}},
    ),
    "run: inputs": ("run", {"run": {**RUN_BODY, "inputs": []}}),
    "run: data": ("run", {"run": {**RUN_BODY, "data": []}}),
    "logged model: id": ("logged model", {"model": {"info": {"model_id": f"m-{'c' * 32}"}, "data": {}}}),
    "logged model: a point without its run": (
        "logged model",
        {
            "model": {
                "info": {"model_id": MODEL},
                "data": {"metrics": [{"key": "a", "value": 1, "timestamp": 1}]},
            }
        },
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_an_answer_about_something_else_is_broken(web: WebServer, reader: RegistryReader, case: str) -> None:
    question, body = OTHERS[case]
    place, ask = QUESTIONS[question]
    web.routes[API + place] = json_reply(body)
    assert failure(lambda: ask(reader)).code == "broken"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        pytest.param(
            400,
            {
                "error_code": "INVALID_PARAMETER_VALUE",
                "message": 'Model registry functionality is unavailable; got unsupported URI "aigate+sqlite:///x"',
            },
            "broken",
            id="a registry that is out of order",
        ),
        pytest.param(
            400,
            {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias other not found."},
            "broken",
            id="another alias",
        ),
        pytest.param(
            400,
            {
                "error_code": "INVALID_PARAMETER_VALUE",
                "message": "x Registered model alias champion not found.",
            },
            "broken",
            id="more words",
        ),
        pytest.param(
            400,
            {"error_code": "BAD_REQUEST", "message": "Registered model alias champion not found."},
            "broken",
            id="another code",
        ),
        pytest.param(400, {"message": "Registered model alias champion not found."}, "broken", id="no code"),
        pytest.param(
            500,
            {
                "error_code": "INVALID_PARAMETER_VALUE",
                "message": "Registered model alias champion not found.",
            },
            "broken",
            id="another status",
        ),
        pytest.param(
            404,
            {
                "error_code": "RESOURCE_DOES_NOT_EXIST",
                "message": "Registered Model with name=churn not found",
            },
            "not_found",
            id="no such model",
        ),
        pytest.param(404, {}, "broken", id="a 404 without words"),
        pytest.param(403, {"error_code": "PERMISSION_DENIED", "message": "no"}, "denied", id="forbidden"),
        pytest.param(401, {}, "denied", id="not logged in"),
    ],
)
def test_only_the_exact_words_say_that_an_alias_is_not_set(
    web: WebServer, reader: RegistryReader, status: int, body: dict[str, str], code: str
) -> None:
    web.routes[API + "registered-models/alias"] = json_reply(body, status)
    assert failure(lambda: reader.version_by_alias("churn", "champion")).code == code


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "INVALID_PARAMETER_VALUE", "Registered model alias champion not found."),
        (404, "RESOURCE_DOES_NOT_EXIST", "Alias 'champion' does not exist."),
    ],
)
def test_the_exact_words_say_that_an_alias_is_not_set(
    web: WebServer, reader: RegistryReader, status: int, code: str, message: str
) -> None:
    web.routes[API + "registered-models/alias"] = json_reply({"error_code": code, "message": message}, status)
    assert reader.version_by_alias("churn", "champion") is None


def test_an_unknown_host_name_is_explained(web: WebServer, reader: RegistryReader) -> None:
    refusal = Reply(b"Invalid Host header - possible DNS rebinding attack", 403, content_type="text/plain")
    web.routes[API + "runs/get"] = refusal
    assert "--allowed-hosts" in failure(lambda: reader.run(RUN)).message


def test_a_server_of_mlflow_2_has_no_logged_models_and_no_traces(
    web: WebServer, reader: RegistryReader
) -> None:
    web.routes["/version"] = Reply(b"2.22.5", content_type="text/html")
    facts = reader.server()
    assert (facts.version, facts.store, facts.workspaces) == ("2.22.5", None, None)
    assert reader.logged_model(MODEL) is None
    assert failure(lambda: reader.traces("1", RUN)).code == "unsupported"


def test_a_logged_model_that_was_deleted_is_not_a_server_without_them(
    web: WebServer, reader: RegistryReader
) -> None:
    gone = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Logged model not found."}
    web.routes[f"{API}logged-models/{MODEL}"] = json_reply(gone, 404)
    assert failure(lambda: reader.logged_model(MODEL)).code == "not_found"


@pytest.mark.parametrize("answer", [b"", b"nginx", b"<html>", b"3.1 or so", b"v3.1"])
def test_what_tells_no_version_is_no_mlflow(web: WebServer, reader: RegistryReader, answer: bytes) -> None:
    web.routes["/version"] = Reply(answer, content_type="text/html")
    assert failure(reader.server).code == "broken"


def test_a_gateway_error_is_unreachable(web: WebServer, reader: RegistryReader) -> None:
    web.routes[API + "runs/get"] = Reply(b"bad gateway", 502, content_type="text/plain")
    assert failure(lambda: reader.run(RUN)).code == "unreachable"


def test_nobody_at_the_address_is_unreachable() -> None:
    with WebServer() as gone:
        address = gone.url()
    assert failure(lambda: reader_of(address, seconds=5).run(RUN)).code == "unreachable"


def test_too_large_an_answer_is_a_limit(web: WebServer, reader: RegistryReader) -> None:
    web.routes[API + "runs/get"] = Reply(b" " * (4 * 1024 * 1024 + 1))
    assert failure(lambda: reader.run(RUN)).code == "limit"


def test_the_deadline_is_the_readers(web: WebServer) -> None:
    release = threading.Event()

    def slow(_: Asked) -> Reply:
        release.wait(20)
        return json_reply({})

    web.routes[API + "runs/get"] = slow
    try:
        assert failure(lambda: reader_of(web.url(), seconds=0.5).run(RUN)).code == "deadline"
    finally:
        release.set()


def pages(items: list[Any], key: str, *, token: Callable[[int], str | None]) -> Callable[[Asked], Reply]:
    """Answer one item a page."""

    def answer(asked: Asked) -> Reply:
        given = asked.param("page_token")
        position = int(given) if given else 0
        body = {key: items[position : position + 1]}
        return json_reply(body | ({"next_page_token": token(position)} if token(position) else {}))

    return answer


def test_pages_that_repeat_end(web: WebServer, reader: RegistryReader) -> None:
    point = {"key": "a", "value": 1, "timestamp": 1, "step": 0}
    web.routes[API + "metrics/get-history"] = pages([point], "metrics", token=lambda _: "0")
    assert failure(lambda: reader.metric_history(RUN, "a")).code == "broken"


def test_a_point_of_another_metric_is_broken(web: WebServer, reader: RegistryReader) -> None:
    points = {"metrics": [{"key": "b", "value": 1, "timestamp": 1, "step": 0}]}
    web.routes[API + "metrics/get-history"] = json_reply(points)
    assert failure(lambda: reader.metric_history(RUN, "a")).code == "broken"


def test_pages_without_end_are_a_limit(
    web: WebServer, reader: RegistryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigate.collect.mlflow.wire.PAGE_LIMIT", 5)
    web.routes[API + "metrics/get-history"] = pages([], "metrics", token=lambda at: str(at + 1))
    assert failure(lambda: reader.metric_history(RUN, "a")).code == "limit"
    assert len(web.asked) == 5


def test_a_trace_of_another_experiment_is_broken(web: WebServer, reader: RegistryReader) -> None:
    trace = {
        "trace_id": "tr-1",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "2"}},
    }
    web.routes["/api/3.0/mlflow/traces/search"] = json_reply({"traces": [trace]})
    assert failure(lambda: reader.traces("1", RUN)).code == "broken"


def test_more_points_than_are_believed_are_a_limit(
    web: WebServer, reader: RegistryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigate.collect.mlflow.rest.POINTS_LIMIT", 3)
    points = [{"key": "a", "value": 1, "timestamp": at} for at in range(10)]
    web.routes[API + "metrics/get-history"] = pages(points, "metrics", token=lambda at: str(at + 1))
    assert failure(lambda: reader.metric_history(RUN, "a")).code == "limit"
    assert len(web.asked) == 4


@pytest.mark.parametrize(
    "path", ["..", "../x", "a/../b", "a//b", "/a", "a/", ".", "a\\b", "a\x00b", "a" * 1001]
)
def test_a_path_that_leads_elsewhere_is_never_asked_for(
    web: WebServer, reader: RegistryReader, path: str
) -> None:
    assert failure(lambda: reader.artifact(ArtifactRoot("run", RUN), path, 10)).code == "refused"
    assert failure(lambda: reader.artifacts(ArtifactRoot("run", RUN, path))).code == "refused"
    assert web.asked == []


LISTINGS = {
    "a climb": {"path": "../secret", "is_dir": False, "file_size": 1},
    "a climb within": {"path": "model/../../secret", "is_dir": False, "file_size": 1},
    "absolute": {"path": "/etc/passwd", "is_dir": False, "file_size": 1},
    "another folder": {"path": "other/file", "is_dir": False, "file_size": 1},
    "deeper": {"path": "model/a/b", "is_dir": False, "file_size": 1},
    "no path": {"is_dir": False, "file_size": 1},
    "the folder itself": {"path": "model", "is_dir": True},
    "a dot": {"path": "model/.", "is_dir": True},
    "two dots": {"path": "model/..", "is_dir": True},
    "a control character": {"path": "model/a\nb", "is_dir": False, "file_size": 1},
    "a size below nothing": {"path": "model/a", "is_dir": False, "file_size": -1},
    "a size that is no number": {"path": "model/a", "is_dir": False, "file_size": "1"},
}


@pytest.mark.parametrize("case", LISTINGS)
def test_a_listing_that_leads_elsewhere_is_broken(web: WebServer, reader: RegistryReader, case: str) -> None:
    web.routes[API + "artifacts/list"] = json_reply({"files": [LISTINGS[case]]})
    assert failure(lambda: reader.artifacts(ArtifactRoot("run", RUN, "model"))).code == "broken"


def test_folders_without_end_are_a_limit(web: WebServer, reader: RegistryReader) -> None:
    def deeper(asked: Asked) -> Reply:
        path = f"{asked.param('path')}/x"
        return json_reply({"files": [{"path": path, "is_dir": True}]})

    web.routes[API + "artifacts/list"] = deeper
    assert failure(lambda: reader.artifacts(ArtifactRoot("run", RUN, "model"))).code == "limit"
    assert len(web.asked) == FOLDERS_LIMIT


def test_a_file_listed_twice_is_broken(web: WebServer, reader: RegistryReader) -> None:
    file = {"path": "model/a", "is_dir": False, "file_size": 1}
    web.routes[API + "artifacts/list"] = json_reply({"files": [file, file]})
    assert failure(lambda: reader.artifacts(ArtifactRoot("run", RUN, "model"))).code == "broken"


def test_a_file_is_hashed_as_it_arrives(web: WebServer, reader: RegistryReader) -> None:
    content = b"weights " * 100_000
    web.routes["/get-artifact"] = Reply(content, content_type="application/octet-stream")
    root = ArtifactRoot("run", RUN)
    assert reader.sha256(root, "model/w", len(content)) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("listed", "code"), [(4, "limit"), (6, "broken")])
def test_a_file_of_another_size_than_listed_is_not_hashed(
    web: WebServer, reader: RegistryReader, listed: int, code: str
) -> None:
    web.routes["/get-artifact"] = Reply(b"12345", content_type="application/octet-stream")
    assert failure(lambda: reader.sha256(ArtifactRoot("run", RUN), "w", listed)).code == code


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (403, "denied"), (400, "unreachable")])
def test_an_error_is_not_hashed(web: WebServer, reader: RegistryReader, status: int, code: str) -> None:
    web.routes["/get-artifact"] = json_reply({"error_code": "X", "message": "no"}, status)
    assert failure(lambda: reader.sha256(ArtifactRoot("run", RUN), "w", 10_000)).code == code


@pytest.mark.slow
def test_a_large_file_takes_little_memory() -> None:
    """512 MiB through the digest, in a process that counts its memory."""
    size = 512 * 1024 * 1024
    piece = bytes(1024 * 1024)
    program = (
        "import resource, sys\n"
        "from reading import reader_of\n"
        "from aigate.collect.mlflow.reader import ArtifactRoot\n"
        "reader = reader_of(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"print(reader.sha256(ArtifactRoot('run', 'r'), 'w', {size}))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )

    def pour(connection: socket.socket, stop: threading.Event) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(size // len(piece)):
            connection.sendall(piece)

    expected = hashlib.sha256()
    for _ in range(size // len(piece)):
        expected.update(piece)
    with RawServer(pour) as raw:
        done = subprocess.run(
            [sys.executable, "-c", program, raw.url()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    digest, grown = done.stdout.split()
    assert digest == expected.hexdigest()
    assert int(grown) < 64 * 1024, "kilobytes"


def test_no_message_holds_a_query_or_a_token(web: WebServer) -> None:
    reader = reader_of(web.url(), environment={"MLFLOW_TRACKING_TOKEN": "s3cr3t-token"})
    web.routes[API + "registered-models/get"] = json_reply({"registered_model": {}})
    message = failure(lambda: reader.registered_model("churn")).message
    assert "s3cr3t" not in message
    assert "?" not in message
    assert web.asked[0].headers["authorization"] == "Bearer s3cr3t-token"


def test_the_registry_and_the_runs_may_be_two_servers(web: WebServer) -> None:
    with WebServer() as registry:
        registry.routes[API + "model-versions/get"] = json_reply({"model_version": VERSION})
        web.routes[API + "runs/get"] = json_reply({"run": RUN_BODY})
        reader = reader_of(web.url(), environment={"MLFLOW_REGISTRY_URI": registry.url()})
        assert reader.version("churn", "3")["version"] == "3"
        assert reader.run(RUN)["info"]["run_id"] == RUN
        assert reader.registry == registry.url()
        assert [len(registry.asked), len(web.asked)] == [1, 1]


def test_a_base_address_may_have_a_path(web: WebServer) -> None:
    web.routes["/mlflow" + API + "runs/get"] = json_reply({"run": RUN_BODY})
    assert reader_of(web.url("/mlflow/")).run(RUN)["info"]["run_id"] == RUN


def test_names_of_any_kind_reach_the_server_whole(web: WebServer, reader: RegistryReader) -> None:
    name = "a b&c=d?e#f/ü\n\u202e"
    body = {"registered_model": {"name": name, "creation_timestamp": 1}}
    web.routes[API + "registered-models/get"] = Reply(json.dumps(body).encode())
    assert reader.registered_model(name)["name"] == name
    assert web.asked[0].param("name") == name
