"""`aigate drill` at its door."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from commands import aigate_here
from recorded import Project

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "three-green-teams"


def aigate(folder: Path, *args: object) -> CompletedProcess[str]:
    return aigate_here(folder, "drill", *args, HOME="/nowhere")


def test_the_story_is_drilled() -> None:
    """Its threshold is from dev already; nobody recorded what the files of v2 ought to be."""
    done = aigate(EXAMPLE, "--snapshot", "snapshot.json", "--format", "json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["schema"], told["verdict"]) == ("aigate.drill/v1", "deny")
    states = {one["name"]: one["status"] for one in told["drilled"]}
    assert [name for name, status in states.items() if status == "missed"] == ["artifact-overwritten"]
    assert states["judge-fails"] == "not_applicable"
    assert states["cache-stale"] == states["alias-moved"] == states["registry-down"] == "caught"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_text_and_markdown(project: Project) -> None:
    project.decided(project.snapshot(), "v2")
    done = aigate(project.folder, "--snapshot", "kept/v2.snapshot.json")
    assert done.returncode == 1
    assert "We believe that" in done.stdout
    assert "nothing catches owner-gone" in done.stdout
    done = aigate(project.folder, "--snapshot", "kept/v2.snapshot.json", "--format", "markdown")
    assert done.stdout.startswith("## Drill: ")


def test_another_manifest_is_refused(project: Project) -> None:
    project.decided(project.snapshot(), "v2")
    with (project.folder / "aigate.yaml").open("a") as file:
        file.write("# another\n")
    done = aigate(project.folder, "--snapshot", "kept/v2.snapshot.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "under another manifest" in done.stderr


def test_another_question_is_refused(project: Project) -> None:
    project.decided(project.snapshot(), "v2")
    done = aigate(project.folder, "--snapshot", "kept/v2.snapshot.json", "--question", "retain")
    assert (done.returncode, done.stdout) == (2, "")
    assert "answers the question 'promote', not 'retain'" in done.stderr


def test_without_a_registry_there_is_nothing_to_drill(project: Project) -> None:
    done = aigate(project.folder, "--tracking-uri", "http://127.0.0.1:9", "--deadline", "5")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the version in question is not known" in done.stderr
