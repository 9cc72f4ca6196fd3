"""`aigate policies`: what is in force, at which level, with which parameters."""

import json
from pathlib import Path
from typing import Any

import pytest

from aigate.cli import run
from standard_pack import pack

MANIFEST = """\
version: 1
system: churn
model: {name: churn}
environments:
  production:
    levels: {ownership: require, ownership.registry: advise}
    params: {freshness.stage: {grace: 5m}}
  staging:
    levels: {"*": advise}
    params: {freshness.stage: {grace: 1h}, house.rule: {words: [a, b], least: 0.5}}
"""

HOUSE = '''\
from decimal import Decimal

from aigate import Findings, Snapshot, deny, policy


@policy("house.rule", severity="low", blames="process")
def rule(s: Snapshot, *, words: tuple[str, ...] = (), least: Decimal = Decimal("0.1")) -> Findings:
    """The house\x1b[31m rule.

    With more to say.
    """
    if s.owner is None:
        yield deny("no", key="x")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest and a policy of one's own beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aigate.yaml").write_text(MANIFEST)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/house.py").write_text(HOUSE)
    return tmp_path


def listed(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, dict[str, Any]]:
    assert run(["policies", "--format", "json", *args]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "aigate.policies/v1"
    return {row["id"]: row for row in found["policies"]}


def test_without_a_manifest_it_is_the_standard_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = listed(capsys)
    assert list(rows) == sorted(pack())
    assert {row["level"] for row in rows.values()} == {"block"}
    assert all(row["title"] and row["file_digest"].startswith("sha256:") for row in rows.values())
    assert run(["policies"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"{len(rows)} policies are in force in production (no manifest here: the standard pack)"
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(rows)


def test_levels_and_parameters_are_those_of_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production = listed(capsys)
    assert production["ownership.accountable"]["level"] == "require"
    assert production["ownership.registry"]["level"] == "advise"
    assert production["freshness.stage"]["level"] == "block"
    assert production["freshness.stage"]["params"] == [{"key": "grace", "value": "5m"}]
    assert {p["key"]: p["value"] for p in production["house.rule"]["params"]} == {"words": "", "least": "0.1"}
    staging = listed(capsys, "-e", "staging")
    assert {row["level"] for row in staging.values()} == {"advise"}
    assert staging["freshness.stage"]["params"] == [{"key": "grace", "value": "1h"}]
    assert {p["key"]: p["value"] for p in staging["house.rule"]["params"]} == {
        "words": "a, b",
        "least": "0.5",
    }


def test_the_text_says_the_same_and_is_harmless(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "aigate.yaml").open("a") as file:
        file.write('policies: {standard: false, path: "policies"}\n')
    (folder / "aigate.yaml").write_text(
        (folder / "aigate.yaml")
        .read_text()
        .replace("levels: {ownership: require, ownership.registry: advise}", "levels: {house: require}")
        .replace("params: {freshness.stage: {grace: 5m}}", "params: {}")
    )
    assert run(["policies"]) == 0
    assert capsys.readouterr().out == (
        "house.rule  require  low       process  The house�[31m rule.\n"
        "            · least = 0.1\n"
        "            · words = (empty)\n"
        "1 policy is in force in production (aigate.yaml)\n"
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-e", "stagin"], "did you mean 'staging'?"),
        (["-e", "qa"], "known here are production, staging"),
        (["-m", "none.yaml"], "there is no manifest here"),
        (["-m", "."], "cannot be read"),
    ],
    ids=["near", "unknown", "no-file", "folder"],
)
def test_what_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    assert run(["policies", *args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err


def test_an_environment_without_a_manifest_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["policies", "-e", "staging"]) == 2
    assert "'staging'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("policies/house.py", "def f(:\n", "not Python"),
        ("policies/house.py", HOUSE.replace("house.rule", "freshness.stage"), "freshness.stage"),
        ("policies/empty.py", "X = 1\n", "declares no policy"),
        ("policies/house.py", HOUSE.replace("from decimal", "1 / 0\nfrom decimal"), "ZeroDivisionError"),
    ],
    ids=["syntax", "twice", "empty", "crash"],
)
def test_policies_that_cannot_be_listed(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, says: str
) -> None:
    (folder / file).write_text(text)
    assert run(["policies"]) == 2
    said = capsys.readouterr()
    assert (said.out, says in said.err) == ("", True), said.err
