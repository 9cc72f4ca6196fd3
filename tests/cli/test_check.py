"""`aigate check`: every mistake is found, none is made up, and nothing is decided."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aigate.cli.locate import located, remedy
from commands import aigate_here
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
metrics: {accuracy: {range: [0, 1], floor: 0.9}}
stages: [{name: raw, freshness: {file: fresh.json, time: at, max_age: 2h}}]
"""
REST = "\n".join(MANIFEST.splitlines()[-2:]) + "\n"
"""What no manifest can do without."""

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


def check(folder: Path, *words: str, types: bool = False) -> Said:
    done = aigate_here(folder, "check", *([] if types else ["--no-types"]), *words, HOME=str(folder))
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
    write(folder, "deep/aigate.yml", "version: 1\nsystem: deep\nmodel: {name: deep}\n" + REST)
    write(folder, "deep/late.aigate.yaml", "version: 1\nsystem: late\nmodel: {name: late}\n" + REST)
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
    "no-policy": ("x = 1\n", 1, "declares no policy"),
    "ends-its-process": (
        HOUSE.replace("house.rule", "a.b")
        + "\nimport os  # aigate: allow[environment] because it ends itself\nos._exit(0)\n",
        1,
        "its process ended",
    ),
    "no-generator": (
        "from aigate import policy\n\n\n@policy('a.b')\ndef f(s):\n    '''T.'''\n",
        4,
        "is not a generator",
    ),
    "declares-another": (HOUSE.replace('"house.rule"', '"a.b"') + "\ndel rule\n", 1, "other policies"),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", BROKEN)
def test_a_policy_that_does_not_load(folder: Path, kind: str) -> None:
    source, line, says = BROKEN[kind]
    write(folder, "policies/odd.py", source)
    (error,) = errors_of(folder)
    assert error["place"] == f"policies/odd.py:{line}"
    assert says in error["message"]
    assert error["fix"]


def test_two_policies_with_one_id(folder: Path) -> None:
    write(folder, "policies/zwei.py", HOUSE)
    (error,) = errors_of(folder)
    assert "declared in policies/house.py and again in policies/zwei.py" in error["message"]
    assert error["place"] == "policies/zwei.py:7"
    assert error["fix"].startswith("give one of the two another id")


HEAD = (
    b"from aigate import policy\n\n\n@policy('a.b')\ndef f(\n    s,\n    *,\n    least=[],\n):\n    yield\n"
)


@pytest.mark.parametrize(
    ("place", "message", "found"),
    [
        ("x.py", "policy a.b has no docstring: its first line is the title", "x.py:4"),
        ("x.py", "policy a.b: parameter 'least' needs a default and one of the types …", "x.py:8"),
        ("x.py", "policy a.b, parameter least: 1.5 is not int", "x.py:8"),
        ("x.py", "policy a.c has no docstring", "x.py:1"),
        ("x.py", "declares no policy", "x.py:1"),
        ("x.py:7", "does not load: …", "x.py:7"),
        ("y.py", "policy a.b has no docstring", "y.py:1"),
        ("m.yaml", "policy a.b is declared in x.py and again in z.py", "p/z.py:4"),
        ("m.yaml", "policy a.b is declared in w.py and again in w.py", "w.py:14"),
        ("m.yaml", "policy a.b is declared in x.py and again in gone.py", "m.yaml"),
        ("m.yaml:3:1", "anything else", "m.yaml:3:1"),
    ],
)
def test_a_mistake_in_policy_code_has_its_line(place: str, message: str, found: str) -> None:
    sources = {"x.py": HEAD, "p/z.py": HEAD, "w.py": HEAD + HEAD, "y.py": b"def f(:"}
    assert located(place, message, sources) == found
    assert remedy(message)


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
    write(
        folder,
        "aigate.yaml",
        MANIFEST.replace("staging", "production").replace("0.5", "often").replace('"*"', "house"),
    )
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
    probe = "\nimport os  # aigate: allow[environment] because it shows that there is none\nassert not os.environ\n"
    write(folder, "policies/house.py", HOUSE + probe)
    assert check(folder).code == 0


def test_text_from_outside_is_harmless(folder: Path) -> None:
    write(folder, "policies/house.py", HOUSE + '\nraise ValueError("\\x1b[31m\\n::set-output name=x::y")\n')
    said = check(folder)
    assert said.code == 2
    assert "\x1b" not in said.err
    assert not [line for line in said.err.splitlines() if line.startswith("::")]


# --- what loads and means nothing ----------------------------------------------------------------------------------------


def test_a_manifest_that_asks_for_nothing_is_told_so_and_does_not_fail(tmp_path: Path) -> None:
    """The gate itself will deny: here it is only said beforehand."""
    write(tmp_path, "aigate.yaml", "version: 1\nsystem: churn\nmodel: {name: churn}\n")
    said = check(tmp_path)
    assert (said.code, said.out) == (0, f"ok  aigate.yaml  churn: {IN_FORCE} policies, 1 environment\n")
    assert [line for line in said.err.splitlines() if not line.startswith("  fix: add metrics: {")] == [
        "aigate: warning: aigate.yaml:1:1: no metric has a limit: evaluation.limits will deny every version",
        "aigate: warning: aigate.yaml:1:1: no stage promises how fresh its data is: "
        "freshness.promised will deny every version",
        "  fix: add stages: [{name: <stage>, owner: <team>, freshness: {url: https://<host>/freshness.json, "
        "time: <field>, max_age: 2h}}]",
    ]


def test_what_is_without_effect_is_a_mistake_with_its_place(folder: Path) -> None:
    text = MANIFEST.replace("floor: 0.9", "floor: 0").replace("max_age: 2h", "max_age: 20h")
    text += "objectives: {end_to_end_age: 12h}\n"
    write(folder, "aigate.yaml", text.replace("staging:", "production:"))
    found = {error["place"]: error for error in errors_of(folder)}
    assert sorted(found) == ["aigate.yaml:10:30", "aigate.yaml:6:13", "aigate.yaml:8:44"]
    assert "every policy only advises in production" in found["aigate.yaml:6:13"]["message"]
    assert "floor 0 of accuracy can never fail" in found["aigate.yaml:8:44"]["message"]
    assert "raw add up to 20h" in found["aigate.yaml:10:30"]["message"]
    assert all(error["fix"] for error in found.values())


def test_recorded_evidence_says_on_how_few_rows_a_margin_is_to_be_shown(story: Path) -> None:
    text = (story / "aigate.yaml").read_text()
    tight = text.replace(
        "    max_drop:\n      value: 0.02", "    confidence: 0.95\n    max_drop:\n      value: 0.00001"
    )
    assert tight != text
    (story / "aigate.yaml").write_text(tight)
    assert check(story).code == 0, "nobody knows the rows yet"
    (error,) = errors_of(story, "--snapshot", "snapshot.json")
    assert "can never be shown on" in error["message"]
    assert error["place"].startswith("aigate.yaml:")


def test_a_hidden_input_is_a_mistake_and_one_that_is_allowed_is_told(folder: Path) -> None:
    house = HOUSE.replace("    if s.owner", "    now = datetime.now()\n    if s.owner")
    write(folder, "policies/house.py", house.replace("import timedelta", "import datetime, timedelta"))
    said = check(folder)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "aigate: policies/house.py:10:11: datetime.datetime.now reads the clock, and a replay would read another "
        "time (clock)\n  fix: use s.now: the one time of the decision, recorded with it\n"
    )
    text = house.replace(
        "now = datetime.now()", "import uuid  # aigate: allow[random] because its version is shown"
    )
    write(folder, "policies/house.py", text)
    said = check(folder)
    assert (said.code, said.out[:4]) == (0, "ok  ")
    assert said.err.startswith("aigate: warning: policies/house.py:10:5: uuid differs from run to run")
    assert said.err.endswith("and is allowed: its version is shown\n")
    found = json.loads(check(folder, "--format", "json").out)
    assert [problem["place"] for problem in found["warnings"]] == ["policies/house.py:10:5"]


def test_types_are_checked_with_their_places(folder: Path) -> None:
    house = HOUSE.replace("s.owner is None", "s.ownr is None")
    write(folder, "policies/house.py", house)
    said = check(folder, types=True)
    assert said.code == 2
    assert (
        'policies/house.py:10:8: "Snapshot" has no attribute "ownr"; maybe "owner"? (attr-defined)'
        in said.err
    )
    write(
        folder,
        "policies/house.py",
        HOUSE.replace("\n\n\n@policy", "\n\n\ndef helper(x):\n    return x\n\n\n@policy"),
    )
    said = check(folder, types=True)
    assert said.code == 0
    assert "warning: policies/house.py:7:1: Function is missing" in said.err
    write(folder, "policies/house.py", HOUSE)
    assert check(folder, types=True) == check(folder)


def test_a_configuration_of_mypy_in_the_checkout_is_not_read(folder: Path) -> None:
    """It may name a plug-in, which would run with the gate's environment."""
    write(
        folder,
        "plug.py",
        "from pathlib import Path\nPath('was-run').touch()\ndef plugin(v): raise SystemExit\n",
    )
    for name, head in (("mypy.ini", "[mypy]"), ("setup.cfg", "[mypy]"), ("pyproject.toml", "[tool.mypy]")):
        plugins = '["plug.py"]' if name.endswith("toml") else "plug.py"
        write(folder, name, f"{head}\nplugins = {plugins}\n")
    write(folder, "mypy/__main__.py", "from pathlib import Path\nPath('was-run').touch()\n")
    write(folder, "mypy/__init__.py", "")
    said = check(folder, types=True)
    assert (said.code, said.err) == (0, "")
    assert not list(folder.rglob("was-run"))


WAIVER = """\
version: 1
waivers:
  - policy: house.rule
    key: x
    registry: https://mlflow.example
    model: churn
    version: 2
    created_at: 2026-11-20T12:00:00Z
    reason: retraining is due
    approver: user:r.okoye
    approved_on: 2026-11-20T12:00:00Z
    expires: 2026-11-27T12:00:00Z
"""


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        (WAIVER, "", ""),
        (WAIVER.replace("house.rule", "house.rul"), "waivers.yaml:3", "did you mean 'house.rule'"),
        (
            WAIVER.replace("    key", "    environment: stagin\n    key"),
            "waivers.yaml:3",
            "did you mean 'staging'",
        ),
        (
            WAIVER.replace("house.rule", "ownership.stages"),
            "waivers.yaml:3",
            "at level require in production",
        ),
        (WAIVER.replace("    key: x\n", ""), "waivers.yaml:3", "the key 'key' is required"),
        (WAIVER.replace("waivers:", "waivrs:"), "waivers.yaml:2:1", "did you mean 'waivers'"),
        (WAIVER + WAIVER[WAIVER.index("  - ") :], "waivers.yaml:13", "waives the same already"),
    ],
    ids=["sound", "policy", "environment", "require", "malformed", "unreadable", "twice"],
)
def test_a_waiver_that_can_lift_nothing_is_a_mistake(folder: Path, text: str, place: str, says: str) -> None:
    write(
        folder,
        "aigate.yaml",
        MANIFEST.replace("  staging:", "  production: {levels: {ownership: require}}\n  staging:"),
    )
    write(folder, "waivers.yaml", text)
    errors = errors_of(folder)
    assert [error["place"] for error in errors] == ([place] if place else [])
    assert all(says in error["message"] and error["fix"] for error in errors)
