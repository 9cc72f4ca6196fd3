"""All collectors at once: one deadline, and every gap with its reason in its own place."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aigate.assemble import Asked, Collected
from aigate.collect import everything
from aigate.collect.access import Access
from aigate.collect.everything import collect, runbook_exists
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.collect.mlflow.reader import Json, RegistryError
from aigate.collect.redact import Redactor
from aigate.errors import ConfigError, UsageError
from aigate.values import gap
from fake_registry import FakeRegistry, churn, run_id
from fakes import RawServer, WebServer, json_reply, silent

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def _clock() -> None:
    """Read the clock anew for each test: servers here answer with their own, and a session takes minutes."""
    global NOW
    NOW = datetime.now(UTC).replace(microsecond=0)


URI = "https://mlflow.example"

MANIFEST = """\
version: 1
system: churn
model: {{name: churn}}
metrics:
  accuracy: {{floor: 0.9, provenance: {{set_by: m.ito, set_on: 2026-08-02, run: "{run}"}}}}
stages:
  - {{name: features, freshness: {{url: "{url}/features.json", time: loaded_at, max_age: 2h{auth}}}}}
  - {{name: scoring, reads: [features]}}
runbooks: {{default: runbook.md, data: none.md, model: "https://wiki.example/x"}}
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    found = churn()
    monkeypatch.setattr(Access, "registry", lambda self, deadline: found)
    return found


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        server.routes["/features.json"] = json_reply({"loaded_at": (NOW - timedelta(hours=1)).isoformat()})
        yield server


def load(folder: Path, url: str, auth: str = "") -> LoadedManifest:
    (folder / "aigate.yaml").write_text(MANIFEST.format(url=url, auth=auth, run=run_id("1")))
    (folder / "runbook.md").write_text("# what to do\n")
    return load_manifest(folder / "aigate.yaml")


def gather(loaded: LoadedManifest, *, seconds: float = 10, **more: Any) -> tuple[Collected, Redactor]:
    asked = Asked("promote", "production", "champion", NOW, loaded.digest)
    options: dict[str, Any] = {
        "version": None,
        "candidate": "challenger",
        "tracking_uri": URI,
        "environ": {},
        "home": Path("/nonexistent"),
        "trusted": True,
    }
    return collect(loaded, asked, seconds=seconds, **options | more)


def reason(part: object) -> str:
    lost = gap(part)
    assert lost is not None, part
    return lost.missing


def test_everything_is_brought(tmp_path: Path, fake: FakeRegistry, web: WebServer) -> None:
    found, _ = gather(load(tmp_path, web.url()))
    assert gap(found.model) is None
    assert found.champion is not None
    assert (found.champion.subject.version, found.champion.subject.name) == ("1", "churn")
    assert found.freshness["features"].as_of == NOW - timedelta(hours=1)
    assert "scoring" not in found.freshness, "it promises nothing"
    assert found.runbooks == {"runbook.md": True, "none.md": False, "https://wiki.example/x": True}
    assert found.edited == {"metrics.accuracy.floor": None}, "not under version control"
    run = found.runs[run_id("1")]
    assert run is not None
    assert run.run_id == run_id("1")
    names = {source.name for source in found.sources}
    assert {"freshness:features", "mlflow:model", "mlflow:version:champion"} <= names
    assert all(source.status == "ok" for source in found.sources), found.sources


def test_a_registry_that_fails_as_nobody_foresaw(tmp_path: Path, fake: FakeRegistry, web: WebServer) -> None:
    """All that it would have told is missing, with the reason; what others told is there."""
    fake.fails["model"] = ZeroDivisionError("secret in a message")
    found, _ = gather(load(tmp_path, web.url()))
    said = "the collector failed: ZeroDivisionError"
    assert [reason(part) for part in (found.model, found.champion, found.challenger)] == [said] * 3
    assert reason(found.runs[run_id("1")]) == said
    assert gap(found.freshness["features"]) is None
    (source,) = (s for s in found.sources if s.name.startswith("mlflow"))
    assert (source.status, source.reason, source.shown) == ("missing", said, URI)


def test_a_registry_that_answers_in_part(tmp_path: Path, fake: FakeRegistry, web: WebServer) -> None:
    fake.fails[f"run {run_id('1')}"] = RegistryError("broken", "MLflow answers with status 500")
    found, _ = gather(load(tmp_path, web.url()))
    assert gap(found.model) is None
    assert "status 500" in reason(found.runs[run_id("1")])


def test_a_source_that_fails_as_nobody_foresaw(
    tmp_path: Path, fake: FakeRegistry, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("an adapter's fault")

    monkeypatch.setattr("aigate.collect.stages.read_freshness", broken)
    found, _ = gather(load(tmp_path, web.url()))
    assert reason(found.freshness["features"]) == "the collector failed: AttributeError"
    assert gap(found.model) is None


@pytest.mark.parametrize(
    "failure", [RuntimeError("x"), SystemExit(0), RecursionError()], ids=lambda e: type(e).__name__
)
def test_a_history_that_fails_as_nobody_foresaw(
    tmp_path: Path,
    fake: FakeRegistry,
    web: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:
    def broken(*_: object) -> None:
        raise failure

    monkeypatch.setattr(everything, "edited_on", broken)
    found, _ = gather(load(tmp_path, web.url()))
    said = {name: reason(edited) for name, edited in found.edited.items()}
    assert said == {
        "metrics.accuracy.floor": f"the collector failed: {type(failure).__name__}",
        "stages.features.freshness.max_age": f"the collector failed: {type(failure).__name__}",
    }


def test_what_the_user_must_mend_is_raised(tmp_path: Path, fake: FakeRegistry, web: WebServer) -> None:
    loaded = load(tmp_path, web.url())
    with pytest.raises(UsageError, match="no MLflow address"):
        gather(loaded, tracking_uri=None)
    with pytest.raises(UsageError, match="AIGATE_NETWORK"):
        gather(loaded, environ={"AIGATE_NETWORK": ""})
    with pytest.raises(UsageError, match="'latest' is no alias"):
        gather(loaded, candidate="latest")
    (tmp_path / "aigate.yaml").write_text(
        (tmp_path / "aigate.yaml").read_text().replace("time: loaded_at", 'time: "loaded_at["')
    )
    with pytest.raises(ConfigError):
        gather(load_manifest(tmp_path / "aigate.yaml"))


def test_a_variable_that_is_not_set(tmp_path: Path, fake: FakeRegistry, web: WebServer) -> None:
    found, _ = gather(load(tmp_path, web.url(), ", auth: {bearer: DATA_TOKEN}"))
    assert "DATA_TOKEN" in reason(found.freshness["features"])
    assert web.asked == []


def test_a_manifest_under_review_has_no_credential_sent_and_nothing_private_reached(
    tmp_path: Path, fake: FakeRegistry, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(tmp_path, web.url(), ", auth: {bearer: PATH}")
    ways: list[Access] = []

    def registry(way: Access, deadline: object) -> FakeRegistry:
        ways.append(way)
        return fake

    monkeypatch.setattr(Access, "registry", registry)
    found, _ = gather(loaded, environ={"PATH": "canary"}, trusted=False)
    assert [way.rule.private_hosts for way in ways] == [frozenset()]
    assert "not trusted" in reason(found.freshness["features"])
    assert web.asked == []


def test_the_redactor_knows_every_secret(tmp_path: Path, fake: FakeRegistry, web: WebServer) -> None:
    loaded = load(tmp_path, web.url(), ", auth: {bearer: DATA_TOKEN}")
    environ = {"DATA_TOKEN": "canary-data", "MLFLOW_TRACKING_TOKEN": "canary-mlflow"}
    _, redactor = gather(loaded, environ=environ)
    assert redactor.without_secrets("a canary-data b canary-mlflow c") == "a [redacted] b [redacted] c"
    assert web.asked[0].headers["authorization"] == "Bearer canary-data"


def test_one_deadline_for_all(tmp_path: Path, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three that hang take the time once, and each says why it brought nothing."""

    def hang(*_: object) -> Json:
        time.sleep(5)
        return {}

    monkeypatch.setattr(fake, "registered_model", hang)
    monkeypatch.setattr(everything, "edited_on", hang)
    with RawServer(silent) as server:
        loaded = load(tmp_path, server.url().rstrip("/"))
        started = time.monotonic()
        found, _ = gather(loaded, seconds=0.5)
        took = time.monotonic() - started
    assert took < 0.5 + 0.5
    for part in (found.model, found.freshness["features"], found.edited["metrics.accuracy.floor"]):
        assert "deadline" in reason(part)


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("a.md", True),
        ("sub/b.md", True),
        ("none.md", False),
        (".", False),
        ("a.md/x", False),
        ("http://x", True),
    ],
)
def test_a_runbook_is_there(tmp_path: Path, path: str, there: bool) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.md", "sub/b.md"):
        (tmp_path / name).write_text("# what to do\n")
    assert runbook_exists(tmp_path, path) is there


def test_a_runbook_that_cannot_be_looked_for(tmp_path: Path) -> None:
    assert "cannot be looked for: File name too long" in reason(runbook_exists(tmp_path, "x" * 300))
