"""MLflow's own settings for reaching a server, read from the environment that a door hands in.

aigate sends what MLflow's client would send, so that whoever can use MLflow
can use the gate. Where it will not (unverified TLS), it says so instead of
doing something else.
"""

import configparser
from collections.abc import Mapping
from pathlib import Path

from aigate.collect.credential import Credential
from aigate.errors import UsageError

WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"

_CLIENT_ONLY = ("MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH")
_TRUE = ("true", "1")
_FALSE = ("false", "0", "")


def needs_client(environment: Mapping[str, str]) -> str | None:
    """Return the setting that only MLflow's own library can honour (request signing, plugins), if there is one."""
    sigv4, plugin = _CLIENT_ONLY
    if _flag(environment, sigv4):
        return sigv4
    return plugin if environment.get(plugin) else None


def credential_for(uri: str, environment: Mapping[str, str], *, credentials_file: str = "") -> Credential:
    """Return what MLflow's settings give to the origin of `uri`, bound to it.

    `credentials_file` is the content of `~/.mlflow/credentials`; the
    environment wins over it. As in MLflow, a user name with a password wins
    over a token. Raises UsageError for settings that cannot be honoured;
    messages name variables and never their values.
    """
    if _flag(environment, "MLFLOW_TRACKING_INSECURE_TLS"):
        raise UsageError(
            "MLFLOW_TRACKING_INSECURE_TLS is set: whoever sits between could answer in the registry's name, "
            "and a decision would rest on that",
            fix="unset it, and give the server's CA bundle in MLFLOW_TRACKING_SERVER_CERT_PATH",
        )
    user, password = _user(environment, credentials_file)
    token = environment.get("MLFLOW_TRACKING_TOKEN") or None
    workspace = environment.get("MLFLOW_WORKSPACE", "").strip()
    client_cert = environment.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
    ca_file = environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None
    basic = (user, password) if user and password else None
    return Credential.of(
        uri,
        basic=basic,
        bearer=None if basic else token,
        headers=((WORKSPACE_HEADER, workspace),) if workspace else (),
        ca_file=Path(ca_file) if ca_file else None,
        client_cert=Path(client_cert) if client_cert else None,
    )


def _user(environment: Mapping[str, str], credentials_file: str) -> tuple[str | None, str | None]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(credentials_file)
        stored = dict(parser["mlflow"]) if "mlflow" in parser else {}
    except configparser.Error:
        # Its message would quote the line, and a password with it.
        raise UsageError(
            "MLflow's credentials file cannot be read",
            fix="write [mlflow] with mlflow_tracking_username and mlflow_tracking_password below it, "
            "a percent sign doubled",
        ) from None
    user = environment.get("MLFLOW_TRACKING_USERNAME") or stored.get("mlflow_tracking_username")
    password = environment.get("MLFLOW_TRACKING_PASSWORD") or stored.get("mlflow_tracking_password")
    return user, password


def _flag(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in _TRUE + _FALSE:
        raise UsageError(f"{name} is neither true nor false", fix=f"set {name} to true or false")
    return value in _TRUE
