"""Credentials from MLflow's own settings: the same that MLflow's client would send, and nothing unverified."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigate.collect.mlflow.auth import credential_for, needs_client
from aigate.collect.mlflow.reader import RegistryError
from aigate.errors import UsageError
from fakes import Asked, Reply, WebServer, json_reply
from reading import reader_of

URI = "https://mlflow.example"
RUN = "a" * 32

SETTINGS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a token": {"MLFLOW_TRACKING_TOKEN": "t0ken"},
    "a user": {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "l0ve"},
    "both": {
        "MLFLOW_TRACKING_TOKEN": "t0ken",
        "MLFLOW_TRACKING_USERNAME": "ada",
        "MLFLOW_TRACKING_PASSWORD": "l0ve",
    },
    "a user without a password": {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_TOKEN": "t0ken"},
    "a workspace": {"MLFLOW_WORKSPACE": " team-a "},
    "an empty workspace": {"MLFLOW_WORKSPACE": " "},
}


@pytest.fixture
def web() -> Iterator[WebServer]:
    run = {"info": {"run_id": RUN, "lifecycle_stage": "active", "status": "FINISHED"}, "data": {}}
    routes = {"/api/3.0/mlflow/server-info": json_reply({"workspaces_enabled": True})}
    with WebServer(routes, default=json_reply({"run": run})) as server:
        yield server


def sent(asked: Asked) -> dict[str, str | None]:
    return {name: asked.headers.get(name) for name in ("authorization", "x-mlflow-workspace")}


@pytest.mark.slow
@pytest.mark.parametrize("case", SETTINGS)
def test_the_server_is_shown_what_mlflow_would_show(
    web: WebServer, case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """MLflow's own client is the judge."""
    from mlflow import MlflowClient

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*SETTINGS["both"], "MLFLOW_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in SETTINGS[case].items():
        monkeypatch.setenv(name, value)
    MlflowClient(tracking_uri=web.url()).get_run(RUN)
    theirs = [sent(asked) for asked in web.asked if asked.path.endswith("runs/get")]
    web.asked.clear()
    reader_of(web.url(), environment=SETTINGS[case]).run(RUN)
    assert [sent(asked) for asked in web.asked if asked.path.endswith("runs/get")] == theirs


@pytest.mark.parametrize(
    "answer",
    [
        json_reply({"workspaces_enabled": False}),
        json_reply({}),
        json_reply({"workspaces_enabled": "true"}),
        Reply(b"<html>", 404, content_type="text/html"),
    ],
)
def test_a_server_without_workspaces_is_not_asked_for_one(web: WebServer, answer: Reply) -> None:
    """It would ignore the header and answer from all it has."""
    web.routes["/api/3.0/mlflow/server-info"] = answer
    reader = reader_of(web.url(), environment={"MLFLOW_WORKSPACE": "team-a"})
    with pytest.raises(RegistryError, match="MLFLOW_WORKSPACE"):
        reader.run(RUN)
    assert [asked.path for asked in web.asked] == ["/api/3.0/mlflow/server-info"]


def test_a_user_and_password_come_from_the_credentials_file_too() -> None:
    file = "[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = l0ve\n"
    credential = credential_for(URI, {}, credentials_file=file)
    assert credential.authorization == f"Basic {base64.b64encode(b'ada:l0ve').decode()}"


def test_a_user_and_password_win_over_a_token_as_in_mlflow() -> None:
    credential = credential_for(URI, SETTINGS["both"])
    assert credential.authorization == f"Basic {base64.b64encode(b'ada:l0ve').decode()}"


def test_the_environment_wins_over_the_credentials_file() -> None:
    file = "[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = l0ve\n"
    credential = credential_for(URI, {"MLFLOW_TRACKING_USERNAME": "eve"}, credentials_file=file)
    assert credential.authorization == f"Basic {base64.b64encode(b'eve:l0ve').decode()}"


@pytest.mark.parametrize("file", ["no section", "[mlflow]\nx = %(s3cr3t", "[mlflow]\n[mlflow]\n"])
def test_a_credentials_file_that_cannot_be_read_is_not_quoted(file: str) -> None:
    with pytest.raises(UsageError) as caught:
        credential_for(URI, {}, credentials_file=file)
    assert "s3cr3t" not in str(caught.value) + caught.value.fix
    assert caught.value.__cause__ is None


def test_a_file_without_mlflows_section_gives_nothing() -> None:
    assert credential_for(URI, {}, credentials_file="[other]\na = b\n").authorization is None


@pytest.mark.parametrize("value", ["true", "1", "TRUE"])
def test_unverified_tls_is_refused_with_a_reason(value: str) -> None:
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_INSECURE_TLS") as caught:
        credential_for(URI, {"MLFLOW_TRACKING_INSECURE_TLS": value})
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in caught.value.fix


@pytest.mark.parametrize("value", ["false", "0", ""])
def test_verified_tls_may_be_asked_for(value: str) -> None:
    credential_for(URI, {"MLFLOW_TRACKING_INSECURE_TLS": value})


def test_a_switch_is_true_or_false() -> None:
    with pytest.raises(UsageError, match="neither true nor false"):
        credential_for(URI, {"MLFLOW_TRACKING_INSECURE_TLS": "no"})


def test_certificates_are_taken_by_path() -> None:
    credential = credential_for(
        URI,
        {
            "MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/ca.pem",
            "MLFLOW_TRACKING_CLIENT_CERT_PATH": "/etc/me.pem",
        },
    )
    assert (credential.ca_file, credential.client_cert) == (Path("/etc/ca.pem"), Path("/etc/me.pem"))


def test_the_credential_is_bound_to_its_origin() -> None:
    credential = credential_for("https://mlflow.example:8443/base", {"MLFLOW_TRACKING_TOKEN": "t"})
    assert str(credential.origin) == "https://mlflow.example:8443"


def test_a_token_that_cannot_stand_in_a_header_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        credential_for(URI, {"MLFLOW_TRACKING_TOKEN": "s3cr3t\n"})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "setting"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_AWS_SIGV4": "true"}, "MLFLOW_TRACKING_AWS_SIGV4"),
        ({"MLFLOW_TRACKING_AUTH": "kubernetes"}, "MLFLOW_TRACKING_AUTH"),
        ({"MLFLOW_TRACKING_AUTH": ""}, None),
    ],
)
def test_what_only_mlflow_can_honour_is_named(environment: dict[str, str], setting: str | None) -> None:
    assert needs_client(environment) == setting


def test_a_token_never_follows_a_redirect(web: WebServer) -> None:
    with WebServer(default=Reply(b"{}")) as thief:
        web.default = Reply(b"", 307, {"Location": thief.url("/api/2.0/mlflow/runs/get")})
        with pytest.raises(Exception, match="another origin"):
            reader_of(web.url(), environment={"MLFLOW_TRACKING_TOKEN": "t0ken"}).run(RUN)
        assert thief.asked == []
