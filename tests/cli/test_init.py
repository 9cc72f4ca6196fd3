"""`aigate init`: from a registry to a first decision, by the lines that the messages name."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mlflow_seed
from aigate.cli import run
from aigate.collect.access import Access
from aigate.collect.manifest_file import load_manifest
from aigate.collect.mlflow.reader import RegistryError
from cli.conftest import System, record
from fake_registry import FakeRegistry, churn
from servers import MlflowServer

WRITTEN = [
    "aigate.yaml",
    "policies/description.py",
    "runbooks/churn.md",
    "tests/policies/test_description.py",
]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRegistry:
    """The churn story in memory, behind whatever address is named; the working folder is empty."""
    found = churn()
    found.models["churn"]["aliases"] = [
        {"alias": alias, "version": version} for (_, alias), version in found.aliases.items()
    ]
    monkeypatch.setattr(Access, "registry", lambda self, deadline: found)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture
def fresh(system: System, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The system without a manifest: what somebody has on the first day."""
    return replace(system, folder=tmp_path_factory.mktemp("first-day"))


@pytest.mark.server
def test_from_nothing_to_a_decision(fresh: System) -> None:
    name = fresh.churn.name
    made = fresh.aigate("init", "--model", name)
    assert made.code == 0, made.err
    assert tree(fresh.folder) == [path.replace("churn.md", f"{name}.md") for path in WRITTEN]
    assert "accuracy at least 0.92, and at most 0.02 below" in made.out
    assert fresh.churn.champion.evaluation_run in made.out
    manifest = fresh.folder / "aigate.yaml"
    assert load_manifest(manifest).manifest.model.name == name

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=fresh.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(fresh.folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "3 passed" in tested.stdout

    # The version in service, asked about under another alias: what it lacks are lines that only people can write.
    good = ("evaluate", f"{name}@1", "--to", "next", "--format", "json")
    denied = fresh.aigate(*good)
    assert denied.code == 1
    failed = {j["info"]["id"]: j for j in record(denied)["judgements"] if j["result"]["outcome"] == "fail"}  # type: ignore[attr-defined]
    blocking = sorted(id for id, judgement in failed.items() if judgement["level"] != "advise")
    assert blocking == ["freshness.promised", "ownership.accountable"]
    assert (
        "owner: {team: retention-platform" in failed["ownership.accountable"]["result"]["findings"][0]["fix"]
    )
    assert "stages:" in failed["freshness.promised"]["result"]["findings"][0]["fix"]

    text = manifest.read_text()
    manifest.write_text(filled_in(text, fresh))
    allowed = fresh.aigate(*good)
    assert allowed.code == 0, allowed.out
    challenged = fresh.aigate("evaluate", "--format", "json")
    assert challenged.code == 1
    blamed = [
        j["info"]["id"]
        for j in record(challenged)["judgements"]  # type: ignore[attr-defined]
        if j["result"]["outcome"] == "fail" and j["level"] != "advise"
    ]
    assert blamed == ["evaluation.floor", "evaluation.regression"]


def filled_in(text: str, system: System) -> str:
    """Do what the manifest's own comments say: the contact, and the stages without their comment marks."""
    said = {
        '}  # and where to ask: contact: "#<channel>"': ', contact: "#churn-oncall"}',
        "# stages:": "stages:",
        "#   - {name: <stage>": "  - {name: features",
        "#       provenance": "      provenance",
        "owner: <team>": "owner: data-eng",
        "https://<host>/<path>.json": system.web.url("/features.json"),
        "time: <field>": "time: loaded_at",
        "rationale: <why 2h>": "rationale: offers go out every two hours",
    }
    for old, new in said.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    assert "<" not in text
    return text


@pytest.mark.server
def test_a_real_registry_with_an_odd_name_in_it(fresh: System, mlflow_server: MlflowServer) -> None:
    """MLflow takes names that YAML, a terminal and a path would stumble over."""
    client = mlflow_seed.connect(mlflow_server.url)
    name = "odd #\"name' {x} & 😀"
    client.create_registered_model(name)
    made = fresh.aigate("init", "--model", name, "--owner", "a: b", "--contact", "#odd")
    assert made.code == 0, made.err
    assert load_manifest(fresh.folder / "aigate.yaml").manifest.model.name == name
    assert (fresh.folder / "runbooks/odd-name-x.md").is_file()
    assert "no limit is proposed: the model has no version yet" in made.out
    client.delete_registered_model(name)


def test_nothing_is_overwritten(
    fake: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init"]) == 0
    (tmp_path / "policies/description.py").write_text("mine")
    for path in WRITTEN[2:]:
        (tmp_path / path).unlink()
    before = (tmp_path / "aigate.yaml").read_text()
    capsys.readouterr()
    assert run(["init"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "already there: aigate.yaml, policies/description.py" in said.err
    assert tree(tmp_path) == WRITTEN[:2]
    assert (tmp_path / "aigate.yaml").read_text() == before
    assert (tmp_path / "policies/description.py").read_text() == "mine"


def test_what_it_wrote_for_a_program(fake: FakeRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "churn"
    assert sorted(told["wrote"]) == sorted(WRITTEN)
    assert "proposed: accuracy" in told["notes"][0]


def test_another_folder_and_the_schema(
    fake: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--folder", "sub/project", "--schema"]) == 0
    assert tree(tmp_path / "sub/project") == sorted([*WRITTEN, "aigate.schema.json"])
    assert "wrote sub/project/aigate.schema.json" in capsys.readouterr().out


def test_a_failure_half_way_leaves_nothing(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policies").write_text("a file where a folder should be")
    assert run(["init"]) == 4
    said = capsys.readouterr()
    assert "nothing was written" in said.err
    assert said.out == ""
    assert tree(tmp_path) == ["policies"]


HOSTILE = [
    "a\nsystem: evil",
    "a\r\nb",
    "\x1b[2Jcleared",
    "\x1b]0;title\x07",
    "\x00",
    "tab\there",
    "\u202eleft-to-right",
    "\ufeffbom",
    "\ud800",
    "x" * 201,
    "",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_name_that_no_manifest_can_hold_is_refused(
    fake: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fake.models = {name: {**fake.models["churn"], "name": name}}
    assert run(["init"]) == 2
    said = capsys.readouterr()
    assert "cannot stand in a manifest" in said.err
    assert_harmless(said.out + said.err)
    assert tree(tmp_path) == []


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_listed_harmlessly(
    fake: FakeRegistry, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fake.models[name] = {"name": name, "creation_timestamp": 1}
    assert run(["init"]) == 2
    assert run(["init", "--model", "none"]) == 2
    said = capsys.readouterr().err
    assert_harmless(said)
    assert said.count("which model?") == 1


@pytest.mark.parametrize("name", [*HOSTILE[:-1], "ok: # {team}"], ids=ascii)
def test_an_owner_tag_of_any_kind(
    fake: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """One that a manifest cannot hold is as good as none, and said to be unlike it."""
    fake.models["churn"]["tags"] = [{"key": "owner", "value": name}]
    assert run(["init"]) == 0
    said = capsys.readouterr()
    assert_harmless(said.out + said.err)
    owner = load_manifest(tmp_path / "aigate.yaml").manifest.owner
    if name.startswith("ok"):
        assert owner is not None
        assert owner.team == name
    else:
        assert owner is None
        assert "the registry's owner tag does not say the same" in said.out


def test_a_metric_that_no_manifest_can_hold_is_not_proposed(fake: FakeRegistry, tmp_path: Path) -> None:
    for logged in fake.points_of("1"):
        logged["key"] = logged["key"].replace("accuracy", "\u202e accuracy")
    assert run(["init"]) == 0
    assert load_manifest(tmp_path / "aigate.yaml").manifest.metrics == {}


def assert_harmless(said: str) -> None:
    assert all(line.isprintable() for line in said.splitlines())
    assert not any(line.startswith(("system:", "::")) for line in said.splitlines())


@pytest.mark.parametrize("option", ["--owner", "--contact"])
def test_an_option_that_no_manifest_can_hold(
    fake: FakeRegistry, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", option, "a\nb"]) == 2
    assert "cannot stand in a manifest" in capsys.readouterr().err
    assert tree(tmp_path) == []


@pytest.mark.parametrize("who", ["dependabot[bot]", ""])
def test_a_robot_signs_nothing(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_ACTOR", who)
    assert run(["init"]) == 0
    floor = load_manifest(tmp_path / "aigate.yaml").manifest.metrics["accuracy"].floor
    assert floor is not None
    assert floor.provenance is not None
    assert floor.provenance.set_by == "<your name>"


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (
            lambda fake: fake.fails.update({"version churn": RegistryError("broken", "status 500")}),
            "status 500",
        ),
        (lambda fake: fake.models["churn"].update(aliases=[]), "the model has no version yet"),
        (
            lambda fake: fake.model_of("1")["data"].update(metrics=[]),
            "on version 1 no share such as accuracy",
        ),
    ],
    ids=["unreadable", "no-version", "no-share"],
)
def test_it_says_why_no_limit_is_proposed(
    fake: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str], break_it: object, says: str
) -> None:
    assert callable(break_it)
    break_it(fake)
    assert run(["init"]) == 0
    assert says in capsys.readouterr().out
    assert load_manifest(tmp_path / "aigate.yaml").manifest.metrics == {}


def test_without_an_address_nothing_is_asked(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert run(["init"]) == 2
    assert "MLFLOW_TRACKING_URI" in capsys.readouterr().err
    assert tree(tmp_path) == []


def test_a_silent_registry_is_a_hold(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent() -> None:
        raise RegistryError("unreachable", "connection refused")

    monkeypatch.setattr(fake, "registered_models", silent)
    assert run(["init"]) == 3
    said = capsys.readouterr().err
    assert "MLflow at https://mlflow.example: connection refused" in said
    assert "aigate doctor" in said
    assert tree(tmp_path) == []


def test_the_day_is_that_of_the_clock(fake: FakeRegistry, tmp_path: Path) -> None:
    before = datetime.now(UTC).date()
    assert run(["init"]) == 0
    floor = load_manifest(tmp_path / "aigate.yaml").manifest.metrics["accuracy"].floor
    assert floor is not None
    assert floor.provenance is not None
    assert floor.provenance.set_on in (before, datetime.now(UTC).date())
