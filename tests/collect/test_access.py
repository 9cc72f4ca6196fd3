"""Where MLflow is, what may be reached, and what must not be repeated."""

from pathlib import Path

import pytest

from aigate.collect.access import Access, access, credentials_file, network_rule, secrets_of
from aigate.collect.mlflow import Address
from aigate.collect.network import BlockedAddressError
from aigate.errors import UsageError

HOME = Path("/nonexistent")


def test_both_of_mlflows_hosts_may_be_private() -> None:
    """The registry may be another server than the one that holds the runs."""
    environ = {
        "MLFLOW_TRACKING_URI": "http://runs.internal",
        "MLFLOW_REGISTRY_URI": "http://registry.internal:8080",
    }
    rule = access(environ, HOME, urls=["https://data.internal/x.json"]).rule
    for host in ("runs.internal", "registry.internal", "data.internal"):
        rule.check(host, "10.0.0.7")
    with pytest.raises(BlockedAddressError):
        rule.check("elsewhere.internal", "10.0.0.7")


def test_for_a_manifest_under_review_no_host_is_private() -> None:
    rule = access({}, HOME, uri="http://127.0.0.1:5000", urls=["http://10.0.0.7/x"], trusted=False).rule
    for host in ("127.0.0.1", "10.0.0.7"):
        with pytest.raises(BlockedAddressError):
            rule.check(host, host)


def test_the_operator_narrows() -> None:
    rule = network_rule(["http://10.0.0.7/x"], {"AIGATE_NETWORK": "public"})
    with pytest.raises(BlockedAddressError, match="AIGATE_NETWORK"):
        rule.check("10.0.0.7", "10.0.0.7")
    with pytest.raises(UsageError, match="AIGATE_NETWORK"):
        network_rule([], {"AIGATE_NETWORK": "all"})


def test_the_address_on_the_command_line_wins() -> None:
    way = access({"MLFLOW_TRACKING_URI": "http://a.example"}, HOME, uri="http://b.example")
    assert way.place.shown == "http://b.example"
    with pytest.raises(UsageError, match="no MLflow address"):
        access({}, HOME)


def test_the_credentials_file(tmp_path: Path) -> None:
    assert credentials_file(tmp_path) == ""
    (tmp_path / ".mlflow").mkdir()
    path = tmp_path / ".mlflow/credentials"
    path.mkdir()
    assert credentials_file(tmp_path) == "", "a folder in its place"
    path.rmdir()
    path.write_bytes(b"\xff\xfe")
    assert credentials_file(tmp_path) == "", "not text"
    path.write_text("[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = s3cr3t\n")
    way = access({}, tmp_path, uri="https://mlflow.example")
    assert "s3cr3t" in set(secrets_of(way.place, {}))
    assert "s3cr3t" not in repr(way)


@pytest.mark.parametrize(
    ("uri", "secrets"),
    [
        ("postgresql://me:s%40cret@db.example/mlflow", {"s%40cret", "s@cret"}),
        ("sqlite:////srv/mlflow.db", set()),
        ("mssql+pyodbc://me:pa:ss@[bad/db", set()),
        ("databricks", set()),
    ],
)
def test_secrets_that_mlflows_own_library_uses(uri: str, secrets: set[str]) -> None:
    place = Address(uri, uri, by_client=True)
    environ = {"DATABRICKS_TOKEN": "dapi-1", "MLFLOW_TRACKING_PASSWORD": "", "PATH": "/usr/bin"}
    assert set(secrets_of(place, environ)) == secrets | {"dapi-1"}


def test_a_servers_secrets_are_its_credentials() -> None:
    way: Access = access(
        {
            "MLFLOW_TRACKING_URI": "https://mlflow.example",
            "MLFLOW_TRACKING_TOKEN": "token-1",
            "DATABRICKS_TOKEN": "x",
        },
        HOME,
    )
    assert set(secrets_of(way.place, {"DATABRICKS_TOKEN": "x"})) == {"token-1"}
