"""`aigate doctor`: what is missing, who can go round the gate, and the next step for each."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from aigate.cli import run
from cli.conftest import System
from fakes import Asked, RawServer, Reply, WebServer, json_reply, silent
from servers import MlflowServer
from standard_pack import infos

MANIFEST = """\
version: 1
system: churn
owner: {{team: retention-platform, contact: "#churn-oncall"}}
model: {{name: churn}}
metrics:
  accuracy: {{floor: 0.9, provenance: {{set_by: m.ito, set_on: 2026-08-02, environment: production, run: r1}}}}
stages:
  - name: features
    owner: data-eng
    freshness: {{url: "{url}/features.json", time: loaded_at, max_age: 2h, provenance: {{rationale: agreed}}}}
runbooks: {{default: runbook.md}}
"""

CHURN: dict[str, Any] = {
    "name": "churn",
    "creation_timestamp": 1_790_000_000_000,
    "aliases": [{"alias": "champion", "version": "1"}, {"alias": "challenger", "version": "2"}],
    "tags": [{"key": "owner", "value": "retention-platform"}],
}


class Registry:
    """An MLflow server as far as the doctor asks it, to be changed by a test."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = [dict(CHURN)]
        self.token: str | None = None
        self.clock = timedelta(0)
        self.version: Reply = Reply(b"3.17.2", content_type="text/plain")

    def answer(self, asked: Asked) -> Reply:
        date = {"Date": format_datetime(datetime.now(UTC) + self.clock, usegmt=True)}
        if asked.path == "/version":
            return Reply(self.version.body, self.version.status, date, self.version.content_type)
        if self.token is not None and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(b"You are not authenticated.", 401, date, "text/html")
        if asked.path == "/api/3.0/mlflow/server-info":
            return Reply(
                json.dumps({"store_type": "SqlStore", "workspaces_enabled": False}).encode(), 200, date
            )
        if asked.path == "/api/2.0/mlflow/registered-models/search":
            return Reply(json.dumps({"registered_models": self.models}).encode(), 200, date)
        if asked.path == "/api/2.0/mlflow/registered-models/alias":
            return Reply(b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no version 0"}', 404, date)
        return Reply(b'{"error_code": "ENDPOINT_NOT_FOUND"}', 404, date)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def web(registry: Registry) -> Iterator[WebServer]:
    with WebServer(default=registry.answer) as server:
        server.routes["/features.json"] = loaded(hours=1)
        yield server


@pytest.fixture
def folder(tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose manifest lacks nothing, and the environment that belongs to it."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web.url())
    (tmp_path / "aigate.yaml").write_text(MANIFEST.format(url=web.url()))
    (tmp_path / "runbook.md").write_text("# what to do\n")
    return tmp_path


def loaded(**ago: float) -> Reply:
    """Half a minute more than asked for, so that the age reads the same while the test runs."""
    at = datetime.now(UTC) - timedelta(**ago) - timedelta(seconds=30)
    return json_reply({"loaded_at": at.isoformat()})


Row = Mapping[str, str]
Look = Callable[..., tuple[int, dict[str, list[Row]]]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the process that loads the policies, in tests of something else."""
    monkeypatch.setattr("aigate.examine.catalogue", lambda loaded, environment: infos())


@pytest.fixture
def look(folder: Path, capsys: pytest.CaptureFixture[str]) -> Look:
    """Run the doctor; return its exit code and its checks by name."""

    def ask(*args: str) -> tuple[int, dict[str, list[Row]]]:
        code = run(["doctor", "--format", "json", *args])
        said = capsys.readouterr()
        found = json.loads(said.out)
        assert found["schema"] == "aigate.doctor/v1"
        assert found["ready"] is (code == 0)
        checks: dict[str, list[Row]] = {}
        for row in found["checks"]:
            assert set(row) == {"check", "state", "what", "fix"}
            assert row["state"] != "bad" or row["fix"], row
            checks.setdefault(row["check"], []).append(row)
        return code, checks

    return ask


def only(checks: Mapping[str, list[Row]], name: str) -> Row:
    (row,) = checks[name]
    return row


def test_where_nothing_is_missing_it_says_so(look: Look, web: WebServer) -> None:
    code, checks = look()
    assert code == 0
    states = {name: rows[0]["state"] for name, rows in checks.items()}
    assert states == {
        "installation": "ok",
        "mlflow": "ok",
        "mlflow:access": "warn",
        "mlflow:alias:champion": "ok",
        "mlflow:alias:challenger": "ok",
        "guard": "warn",
        "policies": "ok",
        "freshness:features": "ok",
    }
    assert f"MLflow 3.17.2 at {web.url()} answers (" in only(checks, "mlflow")["what"]
    assert "SqlStore · 1 registered model" in only(checks, "mlflow")["what"]
    assert only(checks, "mlflow:alias:champion")["what"] == "churn@champion → v1 (in service)"
    assert "1h old, promised 2h" in only(checks, "freshness:features")["what"]
    assert "in force in production" in only(checks, "policies")["what"]


@pytest.mark.usefixtures("quick")
def test_every_source_is_asked_once_and_nothing_is_written(look: Look, web: WebServer) -> None:
    look()
    paths = [asked.path for asked in web.asked]
    assert len(paths) == len(set(paths))
    (moved,) = (asked for asked in web.asked if asked.method != "GET")
    assert moved.json() == {"name": "churn", "alias": "champion", "version": "0"}, "a move that cannot happen"


@pytest.mark.usefixtures("quick")
def test_without_a_manifest_it_lists_the_models(look: Look, folder: Path, registry: Registry) -> None:
    (folder / "aigate.yaml").unlink()
    registry.models += [
        {"name": "up\nsell\x1b[31m", "creation_timestamp": 1},
        {
            "name": "ask",
            "creation_timestamp": 1,
            "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}],
        },
    ]
    code, checks = look()
    assert code == 0
    assert only(checks, "mlflow:model")["what"] == "models: churn, 'up\\nsell\\x1b[31m'"
    assert "2 registered models" in only(checks, "mlflow")["what"]
    assert "aigate init" in only(checks, "manifest")["fix"]


def test_a_manifest_that_is_named_must_be_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "aigate.yaml").unlink()
    assert run(["doctor", "--manifest", "aigate.yaml"]) == 2
    assert "there is no manifest here" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_not_there(look: Look) -> None:
    code, checks = look("--tracking-uri", "http://127.0.0.1:9")
    assert code == 3
    found = only(checks, "mlflow")
    assert "http://127.0.0.1:9" in found["what"]
    assert "connection refused" in found["what"]
    assert "check MLFLOW_TRACKING_URI" in found["fix"]
    assert "freshness:features" in checks, "the rest is looked at all the same"


@pytest.mark.usefixtures("quick")
def test_no_address_at_all(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    code, checks = look()
    assert code == 3
    assert "MLFLOW_TRACKING_URI" in only(checks, "mlflow")["fix"]
    assert "freshness:features" in checks


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_none(look: Look, web: WebServer, registry: Registry) -> None:
    registry.models = []
    web.routes["/api/2.0/mlflow/registered-models/search"] = Reply(b"<html>", content_type="text/html")
    code, checks = look()
    assert code == 3
    assert "log-in page" in only(checks, "mlflow")["what"]


@pytest.mark.usefixtures("quick")
def test_a_server_that_refuses(look: Look, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.token = "s3cr3t-token"
    code, checks = look()
    assert code == 3
    refused = only(checks, "mlflow")
    assert "401" in refused["what"]
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        assert name in refused["fix"]
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cr3t-token")
    code, checks = look()
    assert code == 0
    assert "everyone with EDIT" in only(checks, "mlflow:access")["what"]
    assert "s3cr3t" not in json.dumps(checks)


@pytest.mark.usefixtures("quick")
def test_a_server_that_asks_for_nothing_is_said_to(
    look: Look, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a token is given: the server does not look at it."""
    for token, asked in (("", 1), ("unneeded-token", 2)):
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
        web.asked.clear()
        _, checks = look()
        found = only(checks, "mlflow:access")
        assert "asks for no credentials: everyone who reaches it can move the alias" in found["what"]
        assert "basic-auth" in found["fix"]
        searches = [a for a in web.asked if a.path.endswith("registered-models/search")]
        assert len(searches) == asked
        assert "authorization" not in searches[-1].headers


@pytest.mark.usefixtures("quick")
def test_it_says_when_it_cannot_tell_who_may_move(
    look: Look, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    whole = web.default

    def moody(asked: Asked) -> Reply:
        if "authorization" not in asked.headers and asked.path.endswith("registered-models/search"):
            return Reply(b"{}", 418)
        assert callable(whole)
        return whole(asked)

    web.default = moody
    _, checks = look()
    assert "is not known" in only(checks, "mlflow:access")["what"]


@pytest.mark.parametrize(("hours", "words"), [(3, "3h ahead of"), (-3, "3h behind")], ids=["ahead", "behind"])
@pytest.mark.usefixtures("quick")
def test_clocks_apart(look: Look, registry: Registry, hours: int, words: str) -> None:
    registry.clock = timedelta(hours=hours)
    code, checks = look()
    assert code == 3
    found = only(checks, "mlflow:clock")
    assert words in found["what"].replace("2h 59m", "3h")
    assert "NTP" in found["fix"]


@pytest.mark.usefixtures("quick")
def test_clocks_a_minute_apart_are_no_matter(look: Look, registry: Registry) -> None:
    registry.clock = timedelta(seconds=60)
    assert "mlflow:clock" not in look()[1]


@pytest.mark.usefixtures("quick")
def test_the_version_is_told_where_it_is_known(look: Look, registry: Registry) -> None:
    registry.version = Reply(b"<html>", content_type="text/html")
    code, checks = look()
    assert code == 0
    assert only(checks, "mlflow")["what"].startswith("MLflow at http://")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["chrun", "upsell"], "did you mean 'chrun'? (it has chrun, upsell)"),
        (["Churn"], "did you mean 'Churn'?"),
        (["fraud"], "there is no model churn in the registry (it has fraud)"),
    ],
    ids=["near", "case", "none-near"],
)
@pytest.mark.usefixtures("quick")
def test_another_model(look: Look, registry: Registry, names: list[str], says: str) -> None:
    registry.models = [{**CHURN, "name": name} for name in names]
    code, checks = look()
    assert code == 3
    assert says in only(checks, "mlflow:model")["what"]
    assert "aigate.yaml:4:" in only(checks, "mlflow:model")["fix"]


@pytest.mark.usefixtures("quick")
def test_an_empty_store(look: Look, registry: Registry, web: WebServer) -> None:
    registry.models = []
    code, checks = look()
    assert code == 3
    assert only(checks, "mlflow:model")["what"] == f"{web.url()} holds no registered model"
    assert "MLFLOW_TRACKING_URI" in only(checks, "mlflow:model")["fix"]


@pytest.mark.usefixtures("quick")
def test_an_alias_that_is_not_set(look: Look, registry: Registry) -> None:
    registry.models[0]["aliases"] = []
    code, checks = look()
    assert code == 0
    assert "churn@champion is not set: nothing is in service" in only(checks, "mlflow:alias:champion")["what"]
    assert "name a version instead" in only(checks, "mlflow:alias:challenger")["what"]
    assert only(checks, "mlflow:alias:champion")["state"] == "warn"


@pytest.mark.usefixtures("quick")
def test_an_alias_with_a_twin(look: Look, registry: Registry) -> None:
    registry.models[0]["aliases"] = [*CHURN["aliases"], {"alias": "Champion", "version": "2"}]
    code, checks = look()
    assert code == 3, "the gate cannot decide either: which one serving reads nobody knows"
    held, twin = checks["mlflow:alias:champion"]
    assert held["state"] == "ok"
    assert "Champion beside @champion" in twin["what"]


@pytest.mark.usefixtures("quick")
def test_a_model_without_an_owner_tag(look: Look, registry: Registry) -> None:
    registry.models[0]["tags"] = []
    code, checks = look()
    assert code == 0
    assert "tag `owner`" in only(checks, "mlflow:owner")["fix"]


@pytest.mark.parametrize(
    ("old", "new", "check", "fix"),
    [
        (
            'owner: {team: retention-platform, contact: "#churn-oncall"}',
            "",
            "manifest:owner",
            "owner: {team:",
        ),
        (', contact: "#churn-oncall"', "", "manifest:owner", "contact:"),
        ("retention-platform, contact", "<team>, contact", "manifest:owner", "owner: {team:"),
        ("floor: 0.9, ", "range: [0, 1], ", "manifest:metrics", "metrics: {accuracy:"),
        ("freshness: {", "freshnes: {", None, None),
        (", provenance: {rationale: agreed}", "", "manifest:provenance", "rationale: <why>"),
        ("runbooks: {default: runbook.md}", "", "manifest:runbooks", "runbooks: {default:"),
        ("runbook.md", "other.md", "runbook:default", "aigate.yaml:11:"),
    ],
    ids=["owner", "contact", "placeholder", "metrics", "typo", "provenance", "runbooks", "runbook"],
)
@pytest.mark.usefixtures("quick")
def test_what_a_manifest_lacks(
    look: Look,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    check: str | None,
    fix: str | None,
) -> None:
    path = folder / "aigate.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if check is None:
        assert run(["doctor"]) == 2
        assert "did you mean 'freshness'?" in capsys.readouterr().err
        return
    code, checks = look()
    assert code == 3
    found = only(checks, check)
    assert found["state"] == "bad"
    assert fix is not None
    assert fix in found["fix"]


@pytest.mark.usefixtures("quick")
def test_a_manifest_without_stages(look: Look, folder: Path) -> None:
    path = folder / "aigate.yaml"
    before, _, rest = path.read_text().partition("stages:")
    path.write_text(before + rest[rest.index("runbooks:") :])
    code, checks = look()
    assert code == 3
    assert "stages: [{name: <stage>" in only(checks, "manifest:stages")["fix"]
    assert "provenance" in only(checks, "manifest:stages")["fix"]


@pytest.mark.usefixtures("quick")
def test_an_address_as_a_runbook_is_not_opened(look: Look, folder: Path, web: WebServer) -> None:
    path = folder / "aigate.yaml"
    path.write_text(path.read_text().replace("runbook.md", web.url("/runbook")))
    assert look()[0] == 0
    assert "/runbook" not in [asked.path for asked in web.asked]


@pytest.mark.usefixtures("quick")
def test_late_data_are_worth_knowing(look: Look, web: WebServer) -> None:
    web.routes["/features.json"] = loaded(hours=12)
    code, checks = look()
    found = only(checks, "freshness:features")
    assert (code, found["state"]) == (0, "warn")
    assert "features is 12h old, promised 2h" in found["what"]
    assert "ask data-eng" in found["fix"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(b"{}", 503), "503"),
        (Reply(b'{"loaded_at": "soon"}'), "loaded_at"),
        (json_reply({"loaded_at": "2099-01-01T00:00:00Z"}), "future"),
    ],
    ids=["down", "nonsense", "future"],
)
@pytest.mark.usefixtures("quick")
def test_a_source_that_tells_nothing(look: Look, web: WebServer, reply: Reply, says: str) -> None:
    web.routes["/features.json"] = reply
    code, checks = look()
    found = only(checks, "freshness:features")
    assert (code, found["state"]) == (3, "bad")
    assert says in found["what"]
    assert "aigate.yaml:" in found["fix"]


@pytest.mark.usefixtures("quick")
def test_a_credential_that_is_not_set(look: Look, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "aigate.yaml"
    path.write_text(path.read_text().replace("max_age: 2h", "max_age: 2h, auth: {bearer: DATA_TOKEN}"))
    monkeypatch.delenv("DATA_TOKEN", raising=False)
    code, checks = look()
    assert code == 3
    assert "DATA_TOKEN" in only(checks, "freshness:features")["what"]


@pytest.mark.usefixtures("quick")
def test_a_setting_that_cannot_work_is_a_finding(
    look: Look, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "aigate.yaml"
    path.write_text(path.read_text().replace("time: loaded_at", "time: 'loaded_at['"))
    monkeypatch.setenv("AIGATE_NETWORK", "everything")
    code, checks = look()
    assert code == 3
    assert "AIGATE_NETWORK" in only(checks, "mlflow")["what"]
    assert "freshness" in checks


def test_policies_that_do_not_load_are_a_finding(look: Look, folder: Path) -> None:
    (folder / "policies").mkdir()
    (folder / "policies/house.py").write_text("def f(:\n")
    code, checks = look()
    assert code == 3
    assert "policies/house.py:1: not Python" in only(checks, "policies")["what"]
    assert "freshness:features" in checks


def test_the_environment_is_looked_at(look: Look, folder: Path) -> None:
    with (folder / "aigate.yaml").open("a") as file:
        file.write("environments: {staging: {levels: {ownershp: advise}}}\n")
    assert look()[0] == 0
    code, checks = look("-e", "staging")
    assert code == 3
    assert "did you mean 'ownership'?" in only(checks, "policies")["what"]
    code, checks = look("-e", "stagin")
    assert "did you mean 'staging'?" in only(checks, "policies")["what"]


@pytest.mark.parametrize("installed", ["aigate-1.4.0.dist-info", "Aigate-1.4.0.dist-info"])
def test_the_stranger_of_our_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, installed: str
) -> None:
    """Another project's package is called aigate on the index; whoever installs it has two in one place."""
    site = tmp_path_factory.mktemp("site")
    (site / installed).mkdir()
    (site / installed / "METADATA").write_text("Metadata-Version: 2.1\nName: aigate\nVersion: 1.4.0\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aigate", "doctor"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    first, fix, *_ = done.stdout.splitlines()
    assert first.startswith("✗ the unrelated package 'aigate' (1.4.0) is installed here too")
    assert "pip uninstall aigate aigate-mlops" in fix


def test_lines_appear_as_they_are_known(folder: Path, web: WebServer) -> None:
    """A source that takes long keeps nothing else waiting, not even another source."""
    answered = threading.Event()

    def slow(asked: Asked) -> Reply:
        answered.wait(20)
        return loaded(minutes=1)

    web.routes["/slow.json"] = slow
    path = folder / "aigate.yaml"
    stage = f'  - {{name: slow, owner: x, freshness: {{url: "{web.url("/slow.json")}", time: loaded_at, max_age: 1h, provenance: {{rationale: x}}}}}}\n'
    path.write_text(path.read_text().replace("stages:\n", f"stages:\n{stage}"))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "aigate", "doctor"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "MLFLOW_TRACKING_URI": web.url()},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if "features is 1h old" in line:
            break
    assert not any("slow" in line for line in seen)
    assert any("churn@champion" in line for line in seen)
    answered.set()
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(20) == 0
    assert rest.startswith("✓ slow is ")
    assert rest.endswith("ready to decide\n")


@pytest.mark.usefixtures("quick")
def test_all_of_it_shares_one_deadline(look: Look, folder: Path) -> None:
    """Silence at the registry and at a source: together they take the time once."""
    with RawServer(silent) as server:
        silence = server.url().rstrip("/")
        (folder / "aigate.yaml").write_text(MANIFEST.format(url=silence))
        started = time.monotonic()
        code, checks = look("--tracking-uri", silence, "--deadline", "2")
        took = time.monotonic() - started
    assert code == 3
    assert "deadline" in only(checks, "mlflow")["what"]
    assert "deadline" in only(checks, "freshness:features")["what"]
    assert took < 2 + 1.5


@pytest.mark.server
def test_a_real_server_and_its_store(system: System, mlflow_server: MlflowServer) -> None:
    served = system.aigate("doctor")
    assert served.code == 0, served.out
    assert f"✓ MLflow 3.17.2 at {mlflow_server.url} answers (" in served.out
    assert f"✓ {system.churn.name}@champion → v1 (in service)" in served.out
    assert served.out.endswith("ready to decide\n")
    opened = system.aigate("doctor", uri=mlflow_server.store)
    assert opened.code == 0, opened.out
    assert f"at {mlflow_server.store} answers (" in opened.out
    assert "whoever can write to this store can move the alias" in opened.out
    assert f"✓ {system.churn.name}@challenger → v2" in opened.out
    absent = system.aigate("doctor", uri=f"sqlite:///{system.folder}/none.db")
    assert absent.code == 3
    assert f"there is no database file at sqlite:///{system.folder}/none.db" in absent.out
