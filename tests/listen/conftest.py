"""An MLflow server that sends webhooks to this machine, and models on it that are promoted for real."""

import base64
import os
from collections.abc import Iterator

import pytest

from act.conftest import empty as empty  # fixtures
from act.conftest import ledger as ledger
from act.conftest import shop as shop
from servers import MlflowServer, mlflow_serving


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One real `mlflow server` that may send to loopback, keeps its secrets, and looks for webhooks each second."""
    folder = tmp_path_factory.mktemp("mlflow-hooks")
    environ = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    }
    with mlflow_serving(folder, environ=environ) as server:
        yield server
