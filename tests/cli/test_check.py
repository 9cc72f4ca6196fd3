"""`aigate check`: every mistake is found, none is made up, and nothing is decided."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from standard_pack import pack

STORY = Path(__file__).parents[2] / "examples/three-green-teams"

MANIFEST = """\
version: 1
system: churn
model: {name: churn}
environments:
  staging:
    levels: {"*": advise}
    params: {house.rule: {least: 0.5}}
"""
HOUSE = '''\
from datetime import timedelta
from decimal import Decimal

from aigate import Findings, Snapshot, deny, policy


@policy("house.rule", severity="low", blames="process")
def rule(s: Snapshot, *, least: Decimal = Decimal("0.1"), grace: timedelta = timedelta(0)) -> Findings:
    """The owner is known."""
    if s.owner is None:
        yield deny("no", key="x")
'''
IN_FORCE = len(pack())


@dataclass(frozen=True)
class Said:
    """A check that came to its end."""

    code: int
    out: str
    err: str


def check(folder: Path, *words: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "aigate", "check", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def errors_of(folder: Path, *words: str) -> list[dict[str, Any]]:
    """Return what is wrong, as a program reads it."""
    said = check(folder, "--format", "json", *words)
    found = json.loads(said.out)
    assert said.err == ""
    assert said.out == json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    assert found["schema"] == "aigate.check/v1"
    assert said.code == (2 if found["errors"] else 0)
    errors: list[dict[str, Any]] = found["errors"]
    return errors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound manifest, and a policy of one's own beside it."""
    write(tmp_path, "aigate.yaml", MANIFEST)
    write(tmp_path, "policies/house.py", HOUSE)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_sound_is_a_line_a_manifest(folder: Path) -> None:
    said = check(folder)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"ok  aigate.yaml  churn: {IN_FORCE + 1} policies, 2 environments\n"


def test_a_policy_file_stands_for_its_manifest_and_each_manifest_is_looked_at_once(folder: Path) -> None:
    write(folder, "deep/aigate.yml", "version: 1\nsystem: deep\nmodel: {name: deep}\n")
    write(folder, "deep/late.aigate.yaml", "version: 1\nsystem: late\nmodel: {name: late}\n")
    write(folder, "deep/policies/_shared.py", "")
    words = ("policies/house.py", "./aigate.yaml", str(folder / "aigate.yaml"), "deep/policies/_shared.py")
    said = check(folder, *words)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"ok  aigate.yaml  churn: {IN_FORCE + 1} policies, 2 environments",
        f"ok  deep/aigate.yml  deep: {IN_FORCE} policies, 1 environment",
        f"ok  deep/late.aigate.yaml  late: {IN_FORCE} policies, 1 environment",
    ]


@pytest.mark.parametrize(
    ("name", "says"),
    [("a/policies/x.py", "no manifest beside this file's folder"), ("a/x.py", "in no folder `policies`")],
)
def test_a_policy_file_without_a_manifest(folder: Path, name: str, says: str) -> None:
    write(folder, name, HOUSE)
    (error,) = errors_of(folder, name, "aigate.yaml")
    assert error["place"] == name
    assert says in error["message"]
    assert "aigate.yaml" in error["fix"]


def test_no_manifest_is_a_mistake(tmp_path: Path) -> None:
    said = check(tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("aigate: aigate.yaml: there is no manifest here\n  fix: ")


@pytest.mark.parametrize(
    ("manifest", "places", "says"),
    [
        ("version: 1\nsystem: a: b\n", ["aigate.yaml:2:10"], "not YAML"),
        ("version: 1\nversion: 1\n", ["aigate.yaml:2:1"], "version"),
        (
            "version: 1\nsystem: churn\nmodl: {name: churn}\nowner: 5\n",
            ["aigate.yaml:1:1", "aigate.yaml:3:1", "aigate.yaml:4:8"],
            "did you mean 'model'",
        ),
        (MANIFEST.replace("house.rule", "house.rul"), ["aigate.yaml:7:14"], "did you mean 'house.rule'"),
        (MANIFEST.replace('"*"', "frshness"), ["aigate.yaml:6:14"], "did you mean 'freshness'"),
        (MANIFEST.replace("least: 0.5", "lest: 0.5"), ["aigate.yaml:7:27"], "has no parameter 'lest'"),
        (MANIFEST.replace("least: 0.5", "least: often"), ["aigate.yaml:7:34"], "parameter least"),
        (
            MANIFEST.replace("least: 0.5", "least: often, grace: 7"),
            ["aigate.yaml:7:34", "aigate.yaml:7:48"],
            "parameter grace",
        ),
    ],
    ids=[
        "yaml",
        "twice",
        "shape",
        "idle-params",
        "idle-level",
        "unknown-param",
        "type-in-one-environment",
        "two-types",
    ],
)
def test_mistakes_of_a_manifest_have_their_places(
    folder: Path, manifest: str, places: list[str], says: str
) -> None:
    write(folder, "aigate.yaml", manifest)
    errors = errors_of(folder)
    assert [_near(error["place"]) for error in errors] == [_near(place) for place in places]
    assert says in " ".join(error["message"] for error in errors)
    assert {error["manifest"] for error in errors} == {"aigate.yaml"}


def _near(place: str) -> str:
    """Leave out the column: another test holds it."""
    return place.rpartition(":")[0]


def test_a_place_is_file_line_and_column(folder: Path) -> None:
    write(
        folder,
        "deep/aigate.yaml",
        MANIFEST.replace("house.rule: {least: 0.5}", "freshness.stage: {grace: soon}"),
    )
    said = check(folder, "deep/aigate.yaml")
    assert said.code == 2
    place, _, _ = said.err.removeprefix("aigate: ").partition(": ")
    name, line, column = place.split(":")
    text = (folder / name).read_text().splitlines()[int(line) - 1]
    assert text[int(column) - 1 :].startswith("soon")


BROKEN = {
    "not-python": ("@policy('a.b')\ndef f(s:\n", 2, "not Python"),
    "does-not-compile": (
        "from aigate import policy\nreturn 1\n@policy('a.b')\ndef f(s): yield\n",
        2,
        "not Python",
    ),
    "does-not-load": (HOUSE.replace("house.rule", "a.b") + "\nimport nonsense_7f\n", 13, "does not load"),
    "raises-at-import": (HOUSE.replace("house.rule", "a.b") + "\n1 / 0\n", 13, "ZeroDivisionError"),
    "no-policy": ("x = 1\n", 0, "declares no policy"),
    "ends-its-process": (
        HOUSE.replace("house.rule", "a.b") + "\nimport os\nos._exit(0)\n",
        0,
        "its process ended",
    ),
    "no-generator": (
        "from aigate import policy\n\n\n@policy('a.b')\ndef f(s):\n    '''T.'''\n",
        0,
        "is not a generator",
    ),
    "declares-another": (HOUSE.replace('"house.rule"', '"a.b"') + "\ndel rule\n", 0, "other policies"),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", BROKEN)
def test_a_policy_that_does_not_load(folder: Path, kind: str) -> None:
    source, line, says = BROKEN[kind]
    write(folder, "policies/odd.py", source)
    (error,) = errors_of(folder)
    assert error["place"] == ("policies/odd.py" + (f":{line}" if line else ""))
    assert says in error["message"]


def test_two_policies_with_one_id(folder: Path) -> None:
    write(folder, "policies/zwei.py", HOUSE)
    (error,) = errors_of(folder)
    assert "declared in policies/house.py and again in policies/zwei.py" in error["message"]


def test_everything_that_is_wrong_is_listed(folder: Path) -> None:
    write(folder, "policies/a_broken.py", "def f(:\n")
    write(folder, "policies/b_broken.py", HOUSE.replace("house.rule", "b.b") + "\nimport nonsense_7f\n")
    write(folder, "policies/zwei.py", HOUSE)
    write(folder, "aigate.yaml", MANIFEST.replace("0.5", "often"))
    write(folder, "deep/aigate.yaml", "version: 2\n")
    said = check(folder, "aigate.yaml", "deep/aigate.yaml", "nowhere.yaml")
    assert (said.code, said.out) == (2, "")
    for words in (
        "policies/a_broken.py:1: not Python",
        "policies/b_broken.py:13: does not load",
        "again in policies/zwei.py",
        "parameter least",
        "deep/aigate.yaml:1:1",
        "nowhere.yaml: there is no manifest here",
    ):
        assert said.err.count(words) >= 1, (words, said.err)


def test_production_counts_where_nobody_lists_it(folder: Path) -> None:
    assert "production" in json.loads(check(folder, "--format", "json").out)["checked"][0]["environments"]
    write(folder, "aigate.yaml", MANIFEST.replace("staging", "production").replace("0.5", "often"))
    assert len(errors_of(folder)) == 1


def test_one_bad_manifest_leaves_the_others_said(folder: Path) -> None:
    write(folder, "deep/aigate.yaml", "version: 2\n")
    said = check(folder, "aigate.yaml", "deep/aigate.yaml")
    assert said.code == 2
    assert said.out.startswith("ok  aigate.yaml")
    assert said.err.startswith("aigate: deep/aigate.yaml")


def test_the_result_is_a_file_too(folder: Path) -> None:
    said = check(folder, "--result", "made/result.json", "--format", "json")
    assert (folder / "made/result.json").read_text() == said.out
    (folder / "locked").write_text("")
    said = check(folder, "--result", "locked/result.json")
    assert said.code == 70
    assert "cannot write the report" in said.err


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """An example, with its recorded evidence."""
    shutil.copytree(STORY, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_recorded_evidence_shows_every_outcome_and_fails_nothing(story: Path) -> None:
    said = check(story, "--snapshot", "snapshot.json")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[1].startswith("on  snapshot.json  production: ")
    assert "  fail  evaluation.floor  1 finding" in lines
    rows = [line for line in lines if line.startswith("  ")]
    assert len(rows) == IN_FORCE
    assert "note:" not in said.out
    counted = dict(part.split(" ")[::-1] for part in lines[1].partition(": ")[2].split(", "))
    assert sum(map(int, counted.values())) == IN_FORCE


def test_evidence_of_another_manifest_is_judged_with_a_note(story: Path) -> None:
    text = (story / "aigate.yaml").read_text()
    (story / "aigate.yaml").write_text(text.replace("value: 0.92", "value: 0.5"))
    said = check(story, "--snapshot", "snapshot.json", "--snapshot", str(STORY / "snapshot.json"))
    assert said.code == 0
    assert said.out.count("  pass  evaluation.floor") == 2
    assert said.out.count("  fail  freshness.stage  1 finding") == 2, "what was read for a stage counts"
    assert said.out.count("note:  this evidence was collected under another manifest") == 2


def test_evidence_of_another_system_is_refused(story: Path) -> None:
    text = (story / "aigate.yaml").read_text()
    (story / "aigate.yaml").write_text(text.replace("system: churn", "system: fraud"))
    (error,) = errors_of(story, "--snapshot", "snapshot.json")
    assert "about the system 'churn', not 'fraud'" in error["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('    yield deny("no", key=s.nonsense)', "AttributeError"),
        ("    return\n    yield", "read no"),
    ],
    ids=["crash", "reads-nothing"],
)
def test_a_policy_that_cannot_be_run_on_the_evidence_is_a_mistake(story: Path, body: str, says: str) -> None:
    head = HOUSE[: HOUSE.index("    if s.owner")]
    write(story, "policies/house.py", f"{head}{body}\n")
    assert check(story).code == 0, "it loads"
    said = check(story, "--snapshot", "snapshot.json")
    assert said.code == 2
    assert "  error  house.rule" in said.out
    assert said.err.startswith("aigate: policies/house.py: house.rule could not be run on snapshot.json: ")
    assert says in said.err


def test_a_file_that_is_no_snapshot(story: Path) -> None:
    write(story, "broken.json", "{")
    said = check(story, "--snapshot", "broken.json", "--snapshot", "nowhere.json")
    assert said.code == 2
    assert "broken.json:" in said.err
    assert "nowhere.json: cannot be read" in said.err


def test_a_snapshot_goes_with_one_manifest(story: Path) -> None:
    write(story, "other.aigate.yaml", "version: 1\nsystem: deep\nmodel: {name: deep}\n")
    said = check(story, "aigate.yaml", "other.aigate.yaml", "--snapshot", "snapshot.json")
    assert (said.code, said.out) == (2, "")
    assert "--snapshot goes with one manifest" in said.err


def test_policies_get_no_credentials(folder: Path) -> None:
    """It runs what a change proposes: the environment stays with the gate."""
    probe = "\nimport os\nassert not os.environ, sorted(os.environ)\n"
    write(folder, "policies/house.py", HOUSE + probe)
    assert check(folder).code == 0


def test_text_from_outside_is_harmless(folder: Path) -> None:
    write(folder, "policies/house.py", HOUSE + '\nraise ValueError("\\x1b[31m\\n::set-output name=x::y")\n')
    said = check(folder)
    assert said.code == 2
    assert "\x1b" not in said.err
    assert not [line for line in said.err.splitlines() if line.startswith("::")]
