"""The formats through the command: what `aigate evaluate` hands them, and what it prints."""

import json
from pathlib import Path

import pytest
from click import Context
from click.testing import CliRunner, Result

from aigate.cli.evaluate import command, reported
from aigate.report import FORMATS
from report.readers import obeyed, refused

_STORY = Path(__file__).parent.parent.parent / "examples" / "three-green-teams"


def _ask(*arguments: str) -> Result:
    manifest, snapshot = str(_STORY / "aigate.yaml"), str(_STORY / "snapshot.json")
    return CliRunner().invoke(
        command, ["--manifest", manifest, "--snapshot", snapshot, *arguments], standalone_mode=False
    )


def test_every_format_is_a_choice_and_named_in_the_help() -> None:
    shape = next(option for option in command.params if option.name == "shape")
    assert set(shape.type.choices) == set(FORMATS)  # type: ignore[attr-defined]
    said = " ".join(command.get_help(Context(command)).split())
    assert all(name in said for name in FORMATS)


def test_annotations_lie_at_the_manifests_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_STORY.parent)
    done = _ask("--format", "github")
    assert done.return_value == 1, done.output
    found = [obeyed(line) for line in done.output.splitlines()]
    assert found
    lines = (_STORY / "aigate.yaml").read_text().splitlines()
    for annotation in found:
        assert annotation is not None
        assert annotation.properties["file"] == f"{_STORY.name}/aigate.yaml"
        if annotation.properties["title"].startswith("evaluation.floor"):
            line = lines[int(annotation.properties["line"]) - 1]
            assert line[int(annotation.properties["col"]) - 1 :].startswith("accuracy")


def test_several_reports_come_of_one_decision(tmp_path: Path) -> None:
    kinds = ("sarif", "junit", "codequality", "github", "json")
    done = _ask(*(word for kind in kinds for word in ("-o", f"{kind}:{tmp_path / kind}")))
    assert done.return_value == 1, done.output
    text = (tmp_path / "sarif").read_text()
    log = json.loads(text)
    assert refused(log, text) == []
    assert log["runs"][0]["properties"]["decision"] == json.loads((tmp_path / "json").read_text())["id"]
    assert "<failure " in (tmp_path / "junit").read_text()
    assert {entry["check_name"] for entry in json.loads((tmp_path / "codequality").read_text())} == {
        result["ruleId"] for result in log["runs"][0]["results"]
    }


def test_the_path_is_the_one_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "repository"
    here.mkdir()
    monkeypatch.chdir(here)
    for given, shown in (
        ("aigate.yaml", "aigate.yaml"),
        ("./ml/aigate.yaml", "ml/aigate.yaml"),
        ("ml/../aigate.yaml", "aigate.yaml"),
        (str(here / "ml" / "a.yaml"), "ml/a.yaml"),
        ("../other/a.yaml", "../other/a.yaml"),
        (str(tmp_path / "a.yaml"), str(tmp_path / "a.yaml")),
    ):
        assert reported(Path(given)) == shown
