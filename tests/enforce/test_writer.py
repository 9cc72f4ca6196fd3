"""What aigate writes to a registry: one contract by REST and by MLflow's library, and what each makes of trouble."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mlflow_seed
from aigate.collect.access import access
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow.reader import RegistryError, RegistryReader
from aigate.enforce.mlflow import open_writer
from aigate.enforce.present import Entered
from aigate.enforce.tracking import NOT_WRITTEN, TakenError
from aigate.enforce.writer import RegistryWriter, Shown
from aigate.ticket import GuardSays, TicketError
from enforce.contract import fresh
from enforce.mlflow_places import (
    HTML,
    Proxy,
    answers,
    commits_and,
    error,
    new_experiment,
    tracking_at,
    writer_at,
)
from fake_alias import intent
from fakes import Asked, Reply, WebServer, json_reply
from reading import reader_of
from servers import MlflowServer


def failure(ask: Callable[[], Any]) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        ask()
    return caught.value


def tags(found: Any) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in found.get("tags", [])}


@pytest.mark.server
class TestContract:
    """Both writers, against one real server, read back by a reader that has nothing to do with them."""

    @pytest.fixture(params=["url", "store"])
    def uri(self, request: pytest.FixtureRequest, mlflow_server: MlflowServer) -> str:
        return str(getattr(mlflow_server, request.param))

    @pytest.fixture
    def writer(self, uri: str) -> RegistryWriter:
        return writer_at(uri)

    @pytest.fixture
    def reader(self, mlflow_server: MlflowServer) -> RegistryReader:
        return reader_of(mlflow_server.url)

    @pytest.fixture
    def model(self, mlflow_server: MlflowServer) -> str:
        """A model of two versions."""
        client, name = mlflow_seed.connect(mlflow_server.url), fresh('o\'neill "ü" {}')
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, "s3://nowhere/model")
        return name

    def test_an_alias_is_set_and_moved(
        self, writer: RegistryWriter, reader: RegistryReader, model: str
    ) -> None:
        for number in ("1", "2", "2", "1"):
            writer.set_alias(model, "champion", number)
            found = reader.version_by_alias(model, "champion")
            assert found is not None
            assert found["version"] == number

    def test_a_versions_tags_come_and_go(
        self, writer: RegistryWriter, reader: RegistryReader, model: str
    ) -> None:
        text = '{"a":"Łódź \\" 🚀"}'
        writer.set_version_tag(model, "1", "aigate.receipt", "first")
        writer.set_version_tag(model, "1", "aigate.receipt", text)
        assert tags(reader.version(model, "1")) == {"aigate.receipt": text}
        assert tags(reader.version(model, "2")) == {}
        for _ in range(2):  # one that is not there is no error
            writer.delete_version_tag(model, "1", "aigate.receipt")
            assert tags(reader.version(model, "1")) == {}

    def test_a_models_tag_is_set(self, writer: RegistryWriter, reader: RegistryReader, model: str) -> None:
        writer.set_model_tag(model, "aigate.ledger", "first")
        writer.set_model_tag(model, "aigate.ledger", '{"seq":2}')
        assert tags(reader.registered_model(model)) == {"aigate.ledger": '{"seq":2}'}

    def test_what_is_not_there_is_not_found(self, writer: RegistryWriter, model: str) -> None:
        other = fresh()
        for ask in (
            lambda: writer.set_alias(model, "champion", "7"),
            lambda: writer.set_alias(other, "champion", "1"),
            lambda: writer.set_version_tag(model, "7", "k", "v"),
            lambda: writer.delete_version_tag(model, "7", "k"),
            lambda: writer.set_model_tag(other, "k", "v"),
        ):
            assert failure(ask).code == "not_found"

    @pytest.mark.parametrize("alias", ["v1", "latest", "a b", ""])
    def test_an_alias_that_mlflow_refuses_is_refused(
        self, writer: RegistryWriter, model: str, alias: str
    ) -> None:
        assert failure(lambda: writer.set_alias(model, alias, "1")).code == "refused"

    @pytest.mark.parametrize("version", ["01", " 1", "1.0", "", "latest", "１"])
    def test_a_version_that_is_no_number_is_not_asked_for(
        self, writer: RegistryWriter, model: str, version: str
    ) -> None:
        for ask in (
            lambda: writer.set_alias(model, "champion", version),
            lambda: writer.set_version_tag(model, version, "k", "v"),
            lambda: writer.delete_version_tag(model, version, "k"),
        ):
            assert "not a version number" in failure(ask).message

    def test_taken_is_told_from_refused(self, uri: str) -> None:
        tracking, name = tracking_at(uri), new_experiment()
        tracking.create_experiment(name, {"a": "b"})
        assert isinstance(failure(lambda: tracking.create_experiment(name, {})), TakenError)
        found = tracking.experiment(name)
        assert found is not None
        assert tags(found) == {"a": "b"}
        run_id = tracking.create_run(found["experiment_id"], "a run", {"c": "d"})
        tracking.log_param(run_id, "k", "v")
        tracking.log_param(run_id, "k", "v")
        tracking.log_params(run_id, {"k": "v", "l": "w"})
        for taken in (
            lambda: tracking.log_param(run_id, "k", "other"),
            lambda: tracking.log_params(run_id, {"l": "other"}),
        ):
            assert isinstance(failure(taken), TakenError)
        refused = failure(lambda: tracking.log_param(run_id, "../k", "v"))
        assert (refused.code, isinstance(refused, TakenError)) == ("refused", False)
        assert failure(lambda: tracking.log_param("0" * 32, "k", "v")).code == "not_found"
        assert failure(lambda: tracking.run("0" * 32)).code == "not_found"
        assert tracking.experiment(new_experiment()) is None
        tracking.finish_run(run_id)
        run = tracking.run(run_id)
        assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", "a run")
        assert {p["key"]: p["value"] for p in run["data"]["params"]} == {"k": "v", "l": "w"}
        assert tags(run["data"])["c"] == "d"


WRITES: dict[str, tuple[str, str, Callable[[RegistryWriter], object]]] = {
    "alias": ("POST", "registered-models/alias", lambda w: w.set_alias("m", "champion", "1")),
    "version tag": ("POST", "model-versions/set-tag", lambda w: w.set_version_tag("m", "1", "k", "v")),
    "no version tag": (
        "DELETE",
        "model-versions/delete-tag",
        lambda w: w.delete_version_tag("m", "1", "k"),
    ),
    "model tag": ("POST", "registered-models/set-tag", lambda w: w.set_model_tag("m", "k", "v")),
}

BODIES = {
    "alias": {"name": "m", "alias": "champion", "version": "1"},
    "version tag": {"name": "m", "version": "1", "key": "k", "value": "v"},
    "no version tag": {"name": "m", "version": "1", "key": "k"},
    "model tag": {"name": "m", "key": "k", "value": "v"},
}

ANSWERS: dict[str, tuple[Reply, str]] = {
    "401": (Reply(b"", 401), "denied"),
    "403": (error("PERMISSION_DENIED", 403), "denied"),
    "403 page": (Reply(b"<html>", 403, content_type="text/html"), "denied"),
    "404": (error("RESOURCE_DOES_NOT_EXIST", 404), "not_found"),
    "400": (error("INVALID_PARAMETER_VALUE", 400), "refused"),
    "404 page": (Reply(b"<html>", 404, content_type="text/html"), "unsupported"),
    "404 of another kind": (error("ENDPOINT_NOT_FOUND", 404), "broken"),
    "400 of a failed commit": (error("BAD_REQUEST", 400), "broken"),
    "400 page": (Reply(b"<html>", 400, content_type="text/html"), "broken"),
    "500": (error("INTERNAL_ERROR", 500), "broken"),
    "500 with a word of refusal": (error("INVALID_PARAMETER_VALUE", 500), "broken"),
    "503": (error("TEMPORARILY_UNAVAILABLE", 503), "unreachable"),
    "429": (error("REQUEST_LIMIT_EXCEEDED", 429), "unreachable"),
    "200 page": (HTML, "broken"),
    "200 half": (Reply(b'{"a'), "broken"),
    "200 list": (Reply(b"[]"), "broken"),
    "redirect": (Reply(b"", 307, {"Location": "/elsewhere"}), "unreachable"),
    "broken off": (Reply(b"{}", 200, {"Content-Length": "20"}), "unreachable"),
    "too much": (Reply(b" " * 5_000_000), "limit"),
}


class TestRest:
    @pytest.fixture
    def web(self) -> Iterator[WebServer]:
        with WebServer(default=json_reply({})) as web:
            yield web

    @pytest.mark.parametrize("what", WRITES)
    def test_it_is_sent_once_with_its_body(self, web: WebServer, what: str) -> None:
        method, place, ask = WRITES[what]
        ask(writer_at(web.url()))
        (asked,) = web.asked
        assert (asked.method, asked.path, asked.query) == (method, f"/api/2.0/mlflow/{place}", {})
        assert asked.json() == BODIES[what]
        assert asked.headers["content-type"] == "application/json"

    def test_each_write_goes_with_its_ticket(self, web: WebServer) -> None:
        class Made:
            def move(self, model: str, entered: Entered) -> str:
                return f"{model} {entered.seq}"

            def tag(self, model: str, version: str | None, key: str, value: str | None) -> str:
                if key == "none":
                    raise TicketError("the ticket has 9000 characters")
                return f"{model} {version} {key} {value}"

        way = access({}, Path("/nonexistent"), uri=web.url())
        writer = open_writer(way, Deadline(60), tickets=Made())
        entered = Entered(intent(1), 4)
        assert writer.set_alias("m", "champion", "1", entered) == Shown(ticket=True, guard=None)
        web.default = json_reply({}, X_Aigate_Guard="observe; keys=")
        assert writer.set_alias("m", "champion", "1") == Shown(ticket=False, guard=GuardSays("observe"))
        writer.set_version_tag("m", "1", "k", "v")
        writer.delete_version_tag("m", "1", "k")
        writer.set_model_tag("m", "k", "v")
        shown = ["m 4", None, "m 1 k v", "m 1 k None", "m None k v"]
        assert [asked.headers.get("x-aigate-ticket") for asked in web.asked] == shown
        assert [asked.json() for asked in web.asked] == [BODIES["alias"], *BODIES.values()]
        found = failure(lambda: writer.set_model_tag("m", "none", "v"))
        assert (found.code, len(web.asked)) == ("refused", 5), "nothing is sent without its ticket"
        assert "9000 characters" in found.message

    @pytest.mark.parametrize("what", WRITES)
    @pytest.mark.parametrize(("reply", "code"), ANSWERS.values(), ids=ANSWERS.keys())
    def test_every_answer_has_its_code_and_nothing_is_repeated(
        self, web: WebServer, what: str, reply: Reply, code: str
    ) -> None:
        web.default = reply
        assert failure(lambda: WRITES[what][2](writer_at(web.url()))).code == code
        assert len(web.asked) == 1

    def test_nothing_secret_or_long_is_repeated(self, web: WebServer) -> None:
        web.default = error("INVALID_PARAMETER_VALUE", 400, "x" * 10_000)
        assert len(failure(lambda: WRITES["alias"][2](writer_at(web.url()))).message) < 500

    def test_a_server_that_is_gone_was_not_written_to(self) -> None:
        with WebServer() as web:
            pass
        for _, _, ask in WRITES.values():
            found = failure(lambda ask=ask: ask(writer_at(web.url())))  # type: ignore[misc]
            assert (found.code, "so nothing was written" in found.message) == ("refused", True)

    def test_silence_ends_with_the_deadline_and_nobody_knows(self, web: WebServer) -> None:
        release = threading.Event()

        def silence(_: Asked) -> Reply:
            release.wait(30)
            return json_reply({})

        web.default = silence
        started = time.monotonic()
        try:
            found = failure(lambda: writer_at(web.url(), seconds=0.5).set_alias("m", "champion", "1"))
        finally:
            release.set()
        assert found.code == "deadline"
        assert found.code not in NOT_WRITTEN
        assert time.monotonic() - started < 1.5

    def test_after_the_deadline_nothing_is_sent(self, web: WebServer) -> None:
        writer = writer_at(web.url(), seconds=0.05)
        time.sleep(0.1)
        assert failure(lambda: writer.set_alias("m", "champion", "1")).code == "refused"
        assert web.asked == []

    def test_a_workspace_the_server_does_not_have_is_not_written_to(self, web: WebServer) -> None:
        """Where it cannot even be asked for, nothing was written either."""
        from aigate.collect.access import access
        from aigate.collect.deadline import Deadline
        from aigate.enforce.mlflow import open_writer

        web.routes["/api/3.0/mlflow/server-info"] = json_reply({"workspaces_enabled": False})
        place = access({"MLFLOW_WORKSPACE": "blue"}, Path("/nonexistent"), uri=web.url())
        assert failure(lambda: open_writer(place, Deadline(5)).set_model_tag("m", "k", "v")).code == "refused"
        web.routes["/api/3.0/mlflow/server-info"] = error("INTERNAL_ERROR", 500)
        assert failure(lambda: open_writer(place, Deadline(5)).set_model_tag("m", "k", "v")).code == "refused"
        web.routes["/api/3.0/mlflow/server-info"] = json_reply({"workspaces_enabled": True})
        open_writer(place, Deadline(5)).set_model_tag("m", "k", "v")
        assert [asked.method for asked in web.asked] == ["GET", "GET", "GET", "POST"]
        assert web.asked[-1].headers["x-mlflow-workspace"] == "blue"


@pytest.mark.server
class TestClient:
    """MLflow's library repeats a failed write by itself; not when aigate writes."""

    @pytest.fixture
    def model(self, mlflow_server: MlflowServer) -> str:
        """A model of one version: MLflow's library looks it up before it writes."""
        client, name = mlflow_seed.connect(mlflow_server.url), fresh()
        client.create_registered_model(name)
        client.create_model_version(name, "s3://nowhere/model")
        return name

    @pytest.mark.parametrize("reader_first", [True, False])
    def test_nothing_is_repeated(self, mlflow_server: MlflowServer, model: str, reader_first: bool) -> None:
        from aigate.collect.deadline import Deadline
        from aigate.collect.mlflow.client import ClientReader
        from aigate.enforce.client import ClientTracking, ClientWriter

        with Proxy(mlflow_server.url) as proxy:
            reader = ClientReader(proxy.url(), proxy.url(), Deadline(60))
            writer = ClientWriter(proxy.url(), proxy.url(), Deadline(60))
            tracking = ClientTracking(proxy.url(), proxy.url(), Deadline(60))
            if not reader_first:
                failure(lambda: writer.set_model_tag(fresh(), "k", "v"))
            failure(lambda: reader.registered_model(fresh()))
            for place, ask in (
                ("registered-models/alias", lambda: writer.set_alias(model, "champion", "1")),
                ("registered-models/set-tag", lambda: writer.set_model_tag(model, "k", "v")),
                ("runs/log-parameter", lambda: tracking.log_param("0" * 32, "k", "v")),
            ):
                before = proxy.count(place)
                proxy.fail(place, commits_and(error("TEMPORARILY_UNAVAILABLE", 503)), times=9)
                assert failure(ask).code not in NOT_WRITTEN
                assert proxy.count(place) == before + 1

    def test_a_redirect_is_refused(self, mlflow_server: MlflowServer, model: str) -> None:
        from aigate.collect.deadline import Deadline
        from aigate.enforce.client import ClientWriter

        with WebServer(default=json_reply({})) as thief, Proxy(mlflow_server.url) as proxy:
            for status in (302, 307):
                moved = Reply(b"", status, {"Location": thief.url("/api/2.0/mlflow/x")})
                proxy.fail("registered-models/set-tag", answers(moved))
                writer = ClientWriter(proxy.url(), proxy.url(), Deadline(30))
                assert failure(lambda w=writer: w.set_model_tag(model, "k", "v")).code not in NOT_WRITTEN  # type: ignore[misc]
            assert thief.asked == []

    def test_a_database_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        found = failure(lambda: writer_at(f"sqlite:///{tmp_path}/none.db").set_model_tag("m", "k", "v"))
        assert (found.code, "no database file" in found.message) == ("not_found", True)
        assert list(tmp_path.iterdir()) == []

    def test_a_store_that_cannot_be_opened_was_not_written_to(self) -> None:
        found = failure(
            lambda: writer_at("postgresql://me:s3cr3t@127.0.0.1:1/mlflow").set_model_tag("m", "k", "v")
        )
        assert found.code == "refused"
        assert "s3cr3t" not in found.message
