"""The guard in a server with MLflow's own accounts and workspaces: neither opens it, and it opens neither."""

import base64
import importlib.util
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hook.conftest import Answer, GuardedServer, serving

pytestmark = pytest.mark.server

PASSWORD = "correct-horse-battery"
WORKSPACES = "/api/3.0/mlflow/workspaces"
SETTINGS = f"""\
[mlflow]
default_permission = READ
database_uri = sqlite:///{{folder}}/accounts.db
admin_username = admin
admin_password = {PASSWORD}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""  # who was recognised stays so for a minute: to hash a password takes as long as everything else
ACCOUNTS = importlib.util.find_spec("flask_wtf") is not None
"""Whether MLflow's accounts can be had: they need what comes with `mlflow[auth]`."""


def account(name: str, password: str = PASSWORD) -> dict[str, str]:
    """The header of a request by somebody."""
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    """A guarded server with accounts and workspaces; requests are the administrator's, in the default workspace."""
    folder = tmp_path_factory.mktemp("company")
    (folder / "auth.ini").write_text(SETTINGS.format(folder=folder))
    environ = {
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "s" * 32,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
    }
    options = ("--enable-workspaces", *(("--app-name", "basic-auth") if ACCOUNTS else ()))
    with serving(folder, options=options, environ=environ) as server:
        server.headers |= account("admin")
        assert server.send("POST", WORKSPACES, {"name": "team"}).status == 201
        yield server


@pytest.fixture(params=["default", "team"])
def there(request: pytest.FixtureRequest, company: GuardedServer) -> GuardedServer:
    """The server as it is seen from a workspace."""
    return replace(
        company, headers=company.headers | {"X-MLFLOW-WORKSPACE": request.param}, workspace=request.param
    )


def test_an_administrator_passes_by_a_ticket_and_not_without(there: GuardedServer) -> None:
    model = there.model("prod-")
    refused: list[Answer] = [
        there.set_alias(model, "2"),
        there.set_alias(model, "2", alias="Champion"),
        there.send("DELETE", "registered-models/alias", {"name": model, "alias": "champion"}),
        there.send("POST", "registered-models/rename", {"name": model, "new_name": "x"}),
        there.send("DELETE", "registered-models/delete", {"name": model}),
        there.tag(model, "2", "aigate.receipt", "forged"),
        there.tag(model, "1", "aigate.artifact_digest", None),
    ]
    assert [(answer.status, answer.message[:7]) for answer in refused] == [(403, "aigate:")] * 7
    assert {answer.guard for answer in refused} == {f"enforce; keys={there.key.id}"}
    assert there.aliases(model) == {"champion": "1"}
    assert there.set_alias(model, "2", there.signed(model, 2)).status == 200
    ticket = there.tag_ticket(model, "2", "aigate.receipt", "r")
    assert there.tag(model, "2", "aigate.receipt", "r", ticket).status == 200
    assert there.aliases(model) == {"champion": "2"}
    free = there.model("free-")
    assert there.set_alias(free, "2").status == 200
    assert there.aliases(free) == {"champion": "2"}


def test_a_ticket_of_another_workspace_moves_nothing(there: GuardedServer) -> None:
    other = {"default": "team", "team": "default"}[there.workspace]
    model = there.model("prod-")
    before = there.tags(model)
    moved = there.set_alias(model, "2", there.signed(model, 2, workspace=other))
    tagged = there.tag(
        model,
        "2",
        "aigate.receipt",
        "r",
        there.tag_ticket(model, "2", "aigate.receipt", "r", workspace=other),
    )
    for answer in (moved, tagged):
        assert answer.status == 403
        assert f"for workspace '{other}', not '{there.workspace}'" in answer.message
    assert (there.aliases(model), there.tags(model)) == ({"champion": "1"}, before)


@pytest.mark.skipif(not ACCOUNTS, reason="MLflow's accounts need Flask-WTF, which is not installed")
def test_a_ticket_is_no_account(there: GuardedServer) -> None:
    """Whoever MLflow does not know, or allows nothing, moves nothing with a good ticket."""
    model = there.model("prod-")
    user = {"username": f"u-{there.workspace}", "password": PASSWORD}
    assert there.send("POST", "users/create", user).status == 200
    ticket = there.signed(model, 2)
    stranger = replace(there, headers={"X-MLFLOW-WORKSPACE": there.workspace})
    reader = replace(there, headers=stranger.headers | account(user["username"]))
    assert stranger.set_alias(model, "2", ticket).status == 401
    answer = reader.set_alias(model, "2", ticket)
    assert (answer.status, "aigate" in answer.body) == (403, False)
    assert there.aliases(model) == {"champion": "1"}
    assert there.set_alias(model, "2", ticket).status == 200
