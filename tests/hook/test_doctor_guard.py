"""`aigate doctor` asks a server whether it is guarded, by a move that cannot happen, and believes no yes."""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.cli import run
from aigate.collect.access import access
from aigate.collect.deadline import Deadline
from aigate.enforce.keys import FILE_VARIABLE, VARIABLE, generate, private_pem
from aigate.enforce.probe import probe
from aigate.guarded import NO_VERSION, Heard, State, told
from aigate.ticket import GUARD_HEADER, GuardSays, guard_header
from cli.test_doctor import CHURN, MANIFEST
from fakes import Asked, Reply, WebServer
from hook.conftest import GuardedServer, serving
from servers import MlflowServer
from standard_pack import infos

KEY = generate()
ALIAS = "/api/2.0/mlflow/registered-models/alias"
NOT_FOUND = {
    "error_code": "RESOURCE_DOES_NOT_EXIST",
    "message": "Model Version (name=churn, version=0) not found",
}
REFUSED = {
    "error_code": "PERMISSION_DENIED",
    "message": "aigate: @champion is protected; run: aigate promote",
}


def says(mode: Any = "enforce", *keys: str) -> str:
    return guard_header(GuardSays(mode, keys))


def answer(status: int, body: object, says: str = "", at: timedelta = timedelta(0)) -> Reply:
    """What a server says, dated when it is sent; with `at`, by a clock that is so far off."""
    date = {"Date": format_datetime(datetime.now(UTC) + at, usegmt=True)} if at else {}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    return Reply(content, status, {**date, GUARD_HEADER: says}, kind)


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A registry as far as the doctor asks it, with the model that the manifest names."""
    base = "/api/2.0/mlflow/"
    routes: dict[str, Any] = {
        "/version": Reply(b"3.17.2", content_type="text/plain"),
        "/api/3.0/mlflow/server-info": Reply(b'{"workspaces_enabled": false}'),
        f"{base}registered-models/search": Reply(json.dumps({"registered_models": [CHURN]}).encode()),
    }
    with WebServer(routes) as server:
        yield server


Row = Mapping[str, str]
Look = Callable[..., tuple[int, dict[str, Row]]]


@pytest.fixture
def look(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Look:
    """Run the doctor beside a manifest; return its exit code, and what it says of the guard."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_REGISTRY_URI", VARIABLE, FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("aigate.examine.catalogue", lambda loaded, environment: infos())
    monkeypatch.setattr("aigate.examine.read_each", lambda loaded, now, environ, deadline: ())
    (tmp_path / "runbook.md").write_text("# what to do\n")

    def ask(uri: str | None = None, *, key: bool = False, model: str = "churn") -> tuple[int, dict[str, Row]]:
        text = MANIFEST.format(url=web.url()).replace("name: churn}", f"name: {model}}}")
        (tmp_path / "aigate.yaml").write_text(text)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri or web.url())
        if key:
            monkeypatch.setenv(VARIABLE, private_pem(KEY).decode())
        code = run(["doctor", "--format", "json", "--deadline", "20"])
        said = capsys.readouterr().out
        assert "PRIVATE" not in said
        rows = json.loads(said)["checks"]
        found = {row["check"]: row for row in rows if row["check"].startswith("guard")}
        others = [row["check"] for row in rows if row["state"] == "bad" and row["check"] not in found]
        assert not others, "whatever is bad here is the guard"
        return code, found

    return ask


OTHER = "0123456789abcdef"
NOBODY: dict[str, tuple[Reply, str, str, str, str]] = {
    "guarded": (answer(403, REFUSED, says("enforce", OTHER)), "ok", "mode enforce", "bad", "does not trust"),
    "guarded, our key": (
        answer(403, REFUSED, says("enforce", OTHER, KEY.id)),
        "ok",
        "no signing key is set here",
        "ok",
        f"your signing key {KEY.id} is one it trusts",
    ),
    "guarded, no keys": (answer(403, REFUSED, says()), "ok", "mode enforce", "bad", "it trusts none"),
    "guarded, header lost": (
        answer(403, REFUSED),
        "ok",
        "does not arrive here",
        "warn",
        "does not arrive here",
    ),
    "guarded, header of nobody": (
        answer(403, REFUSED, "enforce; keys=x"),
        "ok",
        "does not arrive here",
        "warn",
        "does not arrive here",
    ),
    "observed": (
        answer(404, NOT_FOUND, says("observe", KEY.id)),
        "warn",
        "is told of in its log, and done",
        "warn",
        "observes",
    ),
    "observed, not our key": (
        answer(404, NOT_FOUND, says("observe", OTHER)),
        "warn",
        "observes",
        "warn",
        f"it does not trust your signing key {KEY.id}",
    ),
    "broken": (answer(403, REFUSED, "broken"), "bad", "guard is broken", "bad", "guard is broken"),
    "plain": (
        answer(404, NOT_FOUND),
        "warn",
        "anyone who may edit the model can move it",
        "bad",
        "it would move it without a ticket",
    ),
    "yes to anything": (answer(200, {}), "bad", "to version 0", "bad", "to version 0"),
    "yes to anything, guarded": (
        answer(200, {}, says("enforce", KEY.id)),
        "bad",
        "to version 0",
        "bad",
        "to version 0",
    ),
    "yes in a page": (answer(200, b"<html>"), "bad", "to version 0", "bad", "to version 0"),
    "no right": (
        answer(403, {"error_code": "PERMISSION_DENIED", "message": "Permission denied"}),
        "warn",
        "this account may not move",
        "warn",
        "cannot be told",
    ),
    "no right, in a page": (answer(403, b"<h1>no</h1>"), "warn", "may not move", "warn", "cannot be told"),
    "says aigate elsewhere": (
        answer(403, {"error_code": "PERMISSION_DENIED", "message": "by aigate: no"}),
        "warn",
        "may not move",
        "warn",
        "cannot be told",
    ),
    "guarded in its words, with 400": (answer(400, REFUSED), "warn", "cannot be told", "warn", "status 400"),
    "guarded in its words, with 404": (
        answer(404, REFUSED, says("enforce", KEY.id)),
        "warn",
        "answers with status 404",
        "warn",
        "answers with status 404",
    ),
    "plugin missing": (
        answer(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "unsupported URI"}),
        "warn",
        "unsupported URI",
        "warn",
        "unsupported URI",
    ),
    "another server": (answer(404, b"<html>"), "warn", "status 404", "warn", "status 404"),
    "trouble": (answer(500, {"error_code": "INTERNAL_ERROR"}), "warn", "status 500", "warn", "status 500"),
    "proxy trouble": (answer(502, b""), "warn", "502", "warn", "502"),
    "redirect": (Reply(b"", 307, {"Location": "/elsewhere"}), "warn", "redirect", "warn", "redirect"),
}


@pytest.mark.parametrize("key", [False, True], ids=["no key", "key"])
@pytest.mark.parametrize("name", NOBODY)
def test_what_each_answer_comes_to(look: Look, web: WebServer, name: str, key: bool) -> None:
    reply, *expected = NOBODY[name]
    web.routes[ALIAS] = reply
    code, found = look(key=key)
    state, words = expected[2:] if key else expected[:2]
    assert (found["guard"]["state"], code) == (state, 3 if state == "bad" else 0)
    assert words in found["guard"]["what"]
    assert found["guard"]["what"].count("\n") == 0
    asked = [a for a in web.asked if a.method != "GET"]
    assert [(a.path, a.json()) for a in asked] == [
        (ALIAS, {"name": "churn", "alias": "champion", "version": "0"})
    ]
    assert not any(name.startswith("x-aigate") for name in asked[0].headers), "no ticket is shown"


def test_only_a_refusal_in_the_guards_own_words_is_a_yes() -> None:
    """Every mixture of answer and header: ok, only where the server refused as a guard does."""
    headers = (
        None,
        GuardSays("enforce"),
        GuardSays("enforce", (KEY.id,)),
        GuardSays("observe"),
        GuardSays("broken"),
    )
    for status, code, message, header, key in itertools.product(
        (200, 400, 401, 403, 404, 500),
        ("", "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"),
        ("", "aigate: no", "Aigate: no"),
        headers,
        (None, KEY.id, OTHER),
    ):
        state: State = told(Heard(status, code, message, header), "churn", "champion", key).state
        if state != "ok":
            continue
        assert (status, message) == (403, "aigate: no")
        assert header is None or header.mode == "enforce"
        assert key is None or (header is not None and key in header.keys)


def test_a_server_that_falls_silent(look: Look, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigate.enforce.probe.WRITE", 0.5)

    def hang(asked: Asked) -> Reply:
        released.wait(5)
        return answer(404, NOT_FOUND)

    import threading

    released = threading.Event()
    web.routes[ALIAS] = hang
    code, found = look(key=True)
    released.set()
    assert (code, found["guard"]["state"]) == (0, "warn")
    assert "cannot be told" in found["guard"]["what"]


@pytest.mark.parametrize(
    ("value", "words"), [("nonsense", "holds no private key"), (" ", "")], ids=["nonsense", "blank"]
)
def test_a_key_that_is_none(
    look: Look, web: WebServer, monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    web.routes[ALIAS] = answer(404, NOT_FOUND)
    monkeypatch.setenv(VARIABLE, value)
    code, found = look()
    assert code == (3 if words else 0)
    assert words in found["guard"]["what"]


@pytest.mark.parametrize(
    ("apart", "words"),
    [(0, None), (-50, None), (110, None), (-65, "behind"), (125, "ahead of")],
    ids=lambda value: str(value),
)
def test_a_clock_by_which_no_ticket_arrives_in_time(
    look: Look, web: WebServer, apart: int, words: str | None
) -> None:
    """A server that is a minute behind takes a ticket of now for one of the future."""
    web.routes[ALIAS] = lambda asked: answer(403, REFUSED, says("enforce", KEY.id), timedelta(seconds=apart))
    code, found = look(key=True)
    assert code == (3 if words else 0)
    if words is None:
        assert "guard:clock" not in found
    else:
        assert words in found["guard:clock"]["what"]
        assert "NTP" in found["guard:clock"]["fix"]
    assert found["guard"]["state"] == "ok"


def test_clocks_do_not_matter_to_whoever_signs_nothing(look: Look, web: WebServer) -> None:
    web.routes[ALIAS] = lambda asked: answer(403, REFUSED, says(), timedelta(hours=5))
    assert set(look()[1]) == {"guard"}


@pytest.mark.server
def test_a_registry_without_a_server(look: Look, mlflow_server: MlflowServer) -> None:
    name = _model(mlflow_server)
    code, found = look(mlflow_server.store, model=name)
    assert (code, found["guard"]["state"]) == (0, "ok")
    assert "there is no server to ask" in found["guard"]["what"]
    code, found = look(mlflow_server.store, key=True, model=name)
    assert (code, found["guard"]["state"]) == (0, "warn")


def _model(server: MlflowServer) -> str:
    client = mlflow_seed.connect(server.url)
    name = f"doctor-guard-{os.urandom(4).hex()}"
    client.create_registered_model(name)
    client.create_model_version(name, f"s3://nowhere/{name}")
    client.set_registered_model_alias(name, "champion", "1")
    return name


@pytest.mark.server
def test_a_real_server_without_a_guard_changes_nothing(look: Look, mlflow_server: MlflowServer) -> None:
    """Whether the alias is there or not, and even where the model is not."""
    name = _model(mlflow_server)
    client = mlflow_seed.connect(mlflow_server.url)
    before = dict(client.get_registered_model(name))
    code, found = look(mlflow_server.url, model=name)
    assert (code, found["guard"]["state"]) == (0, "warn")
    assert f"does not guard @champion of {name}" in found["guard"]["what"]
    assert dict(client.get_registered_model(name)) == before
    way = access({"MLFLOW_TRACKING_URI": mlflow_server.url}, Path("/nowhere"))
    for model, alias in ((name, "champion"), (name, "nobody"), ("no-such-model", "champion")):
        heard = probe(way, Deadline(20), model, alias)
        assert (heard.status, heard.code, heard.says) == (404, "RESOURCE_DOES_NOT_EXIST", None)
        assert NO_VERSION in heard.message
    assert dict(client.get_registered_model(name)) == before
    code, found = look(mlflow_server.url, key=True, model=name)
    assert (code, found["guard"]["state"]) == (3, "bad")


@pytest.mark.server
def test_a_real_guarded_server(look: Look, guarded: GuardedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name = guarded.model("prod-doctor-")
    code, found = look(guarded.url, model=name)
    assert (code, found["guard"]["state"]) == (0, "ok")
    monkeypatch.setenv(FILE_VARIABLE, str(guarded.key_file))
    code, found = look(guarded.url, model=name)
    assert code == 0, found
    assert f"(mode enforce); your signing key {guarded.key.id} is one it trusts" in found["guard"]["what"]
    free = guarded.model("free-doctor-")
    code, found = look(guarded.url, model=free)
    assert (code, found["guard"]["state"]) == (3, "bad")
    assert f"does not guard @champion of {free}" in found["guard"]["what"]
    monkeypatch.delenv(FILE_VARIABLE)
    code, found = look(guarded.url, key=True, model=name)
    assert (code, found["guard"]["state"]) == (3, "bad")
    assert "does not trust your signing key" in found["guard"]["what"]
    assert guarded.aliases(name) == guarded.aliases(free) == {"champion": "1"}


OBSERVES = "version: 1\nmode: observe\nregistry: [any]\nprotected: [{model: 'prod*'}]\n"


@pytest.mark.server
@pytest.mark.slow
def test_a_real_server_that_observes(look: Look, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "own.yaml").write_text(OBSERVES)
    with serving(tmp_path / "server", environ={"AIGATE_GUARD": str(tmp_path / "own.yaml")}) as server:
        name = "prod-doctor"
        server.send("POST", "registered-models/create", {"name": name})
        code, found = look(server.url, model=name)
    assert (code, found["guard"]["state"]) == (0, "warn")
    assert "observes" in found["guard"]["what"]
