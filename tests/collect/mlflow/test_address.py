"""Where MLflow is and who is asked: the choice of reader, and what is refused."""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping

import pytest

from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import address, open_registry
from aigate.collect.mlflow.client import ClientReader
from aigate.collect.mlflow.rest import RestReader
from aigate.collect.network import NetworkRule
from aigate.errors import AigateError, UsageError
from fakes import Reply, WebServer


def opened(environment: Mapping[str, str]) -> object:
    return open_registry(address(environment), deadline=Deadline(5), rule=NetworkRule.build(trusted=True))


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"}, RestReader),
        ({"MLFLOW_TRACKING_URI": "HTTPS://mlflow.example/base/"}, RestReader),
        ({"MLFLOW_TRACKING_URI": "sqlite:////data/mlflow.db"}, ClientReader),
        ({"MLFLOW_TRACKING_URI": "postgresql+psycopg2://u:p@db.example/mlflow"}, ClientReader),
        ({"MLFLOW_TRACKING_URI": "databricks"}, ClientReader),
        ({"MLFLOW_TRACKING_URI": "databricks://profile"}, ClientReader),
        (
            {"MLFLOW_TRACKING_URI": "databricks", "MLFLOW_REGISTRY_URI": "databricks-uc"},
            ClientReader,
        ),
        (
            {"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_REGISTRY_URI": "https://b.example"},
            RestReader,
        ),
        (
            {"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_REGISTRY_URI": "sqlite:////data/r.db"},
            ClientReader,
        ),
        ({"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_TRACKING_AWS_SIGV4": "true"}, ClientReader),
        ({"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_TRACKING_AUTH": "kubernetes"}, ClientReader),
        ({"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_TRACKING_AWS_SIGV4": "false"}, RestReader),
    ],
)
def test_the_scheme_chooses_the_reader(environment: dict[str, str], kind: type) -> None:
    assert type(opened(environment)) is kind


@pytest.mark.parametrize("environment", [{}, {"MLFLOW_TRACKING_URI": ""}, {"MLFLOW_TRACKING_URI": "  "}])
def test_no_address_is_an_error_and_never_an_empty_database(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no MLflow address") as caught:
        address(environment)
    assert "MLFLOW_TRACKING_URI" in caught.value.fix


def test_a_given_address_wins_over_the_environment() -> None:
    assert (
        address({"MLFLOW_TRACKING_URI": "https://a.example"}, uri="https://b.example").shown
        == "https://b.example"
    )


@pytest.mark.parametrize(
    "uri", ["file:///mlruns", "./mlruns", "/mlruns", "mlruns", "C:\\mlruns", "file:mlruns"]
)
def test_a_file_store_is_refused_with_a_way_out(uri: str) -> None:
    with pytest.raises(UsageError, match="file store") as caught:
        address({}, uri=uri)
    assert "migrate-filestore" in caught.value.fix


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:pass@mlflow.example",
        "https://mlflow.example?token=s3cr3t",
        "https://mlflow.example#s3cr3t",
        "http://2130706433/",
        "https://mlflow.example:0",
        "https://",
    ],
)
@pytest.mark.parametrize("by_client", [False, True])
def test_an_address_is_plain_and_holds_no_secrets(uri: str, by_client: bool) -> None:
    environment = {"MLFLOW_TRACKING_AWS_SIGV4": "true"} if by_client else {}
    with pytest.raises(AigateError) as caught:
        address(environment, uri=uri)
    assert caught.value.exit_code == 2
    assert "s3cr3t" not in caught.value.message
    assert "pass@" not in caught.value.message


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:////data/mlflow.db"}, "sqlite:"),
        ({"MLFLOW_TRACKING_URI": "databricks"}, "databricks"),
        (
            {"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_TRACKING_AWS_SIGV4": "1"},
            "MLFLOW_TRACKING_AWS_SIGV4",
        ),
        (
            {"MLFLOW_TRACKING_URI": "https://a.example", "MLFLOW_TRACKING_AUTH": "mine"},
            "MLFLOW_TRACKING_AUTH",
        ),
    ],
)
def test_without_mlflow_the_extra_is_named(
    environment: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        address(environment)
    assert named in caught.value.message
    assert "[mlflow]" in caught.value.fix


def test_the_address_shown_has_no_password() -> None:
    place = address({}, uri="postgresql://me:s3cr3t@db.example/mlflow?sslmode=x")
    assert place.shown == "postgresql://db.example/mlflow"


def test_two_servers_get_a_credential_each_and_one_server_gets_one() -> None:
    environment = {
        "MLFLOW_TRACKING_URI": "https://a.example",
        "MLFLOW_REGISTRY_URI": "https://b.example/registry",
        "MLFLOW_TRACKING_TOKEN": "t",
    }
    assert [str(c.origin) for c in address(environment).credentials] == [
        "https://b.example",
        "https://a.example",
    ]
    environment["MLFLOW_REGISTRY_URI"] = "https://a.example/registry"
    assert [str(c.origin) for c in address(environment).credentials] == ["https://a.example"]


_CHILD = """
import sys
from aigate.collect.deadline import Deadline
from aigate.collect.mlflow import address, open_registry
from aigate.collect.network import NetworkRule
uri = sys.argv[1]
rule = NetworkRule.build(tracking_uri=uri, trusted=True)
reader = open_registry(address({"MLFLOW_TRACKING_URI": uri}), deadline=Deadline(10), rule=rule)
assert reader.server().version == "3.17.2"
heavy = {"mlflow", "sqlalchemy", "requests", "pandas", "jmespath", "rich"} & set(sys.modules)
assert not heavy, heavy
print("done")
"""


def test_the_http_path_never_imports_mlflow() -> None:
    with WebServer({"/version": Reply(b"3.17.2", content_type="text/html")}) as web:
        web.default = Reply(b"<html>", 404, content_type="text/html")
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, web.url()], capture_output=True, text=True, check=False
        )
    assert (done.stdout.strip(), done.returncode) == ("done", 0), done.stderr
