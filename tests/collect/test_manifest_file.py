"""The manifest on disk: what is wrong with it, where, and what was probably meant."""

import re
from pathlib import Path

import pytest

from aigate.collect.manifest_file import MOST_SHOWN, load_manifest, parse_manifest
from aigate.collect.strict_yaml import MAX_YAML_BYTES
from aigate.digest import digest_bytes
from aigate.errors import ConfigError
from aigate.sources import FRESHNESS, JsonFreshness
from declared import DESIGN, FULL, SMALL

README = Path(__file__).parents[2] / "README.md"
STAGE = "stages:\n  - name: features\n    freshness: "


def mistake(text: str) -> str:
    """Return what is said about a manifest that must be refused, without the fix."""
    with pytest.raises(ConfigError) as caught:
        parse_manifest(text.encode(), "aigate.yaml")
    assert caught.value.exit_code == 2
    assert caught.value.fix
    return str(caught.value)


MISTAKES: dict[str, tuple[str, str]] = {
    "a key of the whole": ("sytem: x\n", "4:1: unknown key 'sytem': did you mean 'system'?"),
    "a key near nothing": (
        "policies: {zzz: 1}\n",
        "4:12: unknown key 'zzz': known here are standard, path",
    ),
    "a key of a metric": (
        "metrics:\n  accuracy:\n    flor: 0.9\n",
        "6:5: unknown key 'flor': did you mean 'floor'?",
    ),
    "a key of a limit": (
        "metrics:\n  a:\n    floor: {value: 0.9, provenence: {}}\n",
        "6:25: unknown key 'provenence': did you mean 'provenance'?",
    ),
    "a key of a provenance": (
        "metrics:\n  a:\n    floor: {value: 0.9, provenance: {set_bye: m}}\n",
        "6:38: unknown key 'set_bye': did you mean 'set_by'?",
    ),
    "a key of a slice": (
        "metrics: {a: {slices: {new: {metric: m, flor: 1}}}}\n",
        "4:41: unknown key 'flor': did you mean 'floor'?",
    ),
    "a key of a stage": ("stages: [{name: a, owns: x}]\n", "4:20: unknown key 'owns': did you mean 'owner'?"),
    "a key of a JSON freshness": (
        STAGE + "{url: https://x.example, time: t, max_age: 2h, unti: s}\n",
        "6:63: unknown key 'unti': did you mean 'unit'?",
    ),
    "a key of another adapter": (
        STAGE + "{headers: https://x.example, max_age: 2h, is_age: true}\n",
        "6:58: unknown key 'is_age': did you mean 'max_age'?",
    ),
    "a key of an age limit": (
        STAGE + "{dbt: f, source: s, max_age: {value: 2h, vlue: 3h}}\n",
        "6:57: unknown key 'vlue': did you mean 'value'?",
    ),
    "a key of auth": (
        STAGE + "{dbt: f, source: s, max_age: 2h, auth: {beerer: X}}\n",
        "6:56: unknown key 'beerer': did you mean 'bearer'?",
    ),
    "a key of an objective": (
        "objectives: {end_to_end: 2h}\n",
        "4:14: unknown key 'end_to_end': did you mean 'end_to_end_age'?",
    ),
    "a key of a threshold": (
        "thresholds: {c: {value: 1, aplied: {param: c}}}\n",
        "4:28: unknown key 'aplied': did you mean 'applied'?",
    ),
    "a key of an environment": (
        "environments: {production: {level: {}}}\n",
        "4:29: unknown key 'level': did you mean 'levels'?",
    ),
    "a key of an owner": ("owner: {team: a, esc: b}\n", "4:18: unknown key 'esc'"),
    "a runbook's cause": ("runbooks: {dta: x}\n", "4:12: runbooks.dta: must be 'default', 'model', 'data'"),
    "a policy's id": (
        "environments: {production: {params: {Freshness: {}}}}\n",
        "4:38: environments.production.params.Freshness: must be a policy's id, such as freshness.stage",
    ),
    "an empty key": ('metrics: {"": {floor: 1}}\n', "4:11: metrics.: must not be empty"),
    "words for a number": (
        "metrics: {a: {floor: high}}\n",
        "4:22: metrics.a.floor: not a number: write it in digits, such as 0.92 (it says 'high')",
    ),
    "a comma in a number": ('metrics: {a: {floor: "0,92"}}\n', "4:22: metrics.a.floor: not a number"),
    "true for a number": ("thresholds: {c: true}\n", "4:17: thresholds.c: not a number"),
    "words for a span": (
        STAGE + "{dbt: f, source: s, max_age: 2 hours}\n",
        "6:45: stages.0.freshness.max_age: not a duration: write 90s, 15m, 2h, 7d or PT12H (it says '2 hours')",
    ),
    "a span without a unit": (
        STAGE + "{dbt: f, source: s, max_age: 2}\n",
        "6:45: stages.0.freshness.max_age: not a duration",
    ),
    "no span at all": (
        STAGE + "{dbt: f, source: s, max_age: 0s}\n",
        "6:45: stages.0.freshness.max_age: an age limit must be longer than nothing",
    ),
    "no such day": (
        "thresholds: {c: {value: 1, provenance: {set_on: 2026-13-01}}}\n",
        "4:49: thresholds.c.provenance.set_on: month must be in 1..12 (it says '2026-13-01')",
    ),
    "no day": (
        "thresholds: {c: {value: 1, provenance: {set_on: soon}}}\n",
        "4:49: thresholds.c.provenance.set_on: not a date: write 2026-08-02 (it says 'soon')",
    ),
    "a key that is required": (
        "thresholds: {c: {applied: {param: c}}}\n",
        "4:17: the key 'value' is required in thresholds.c",
    ),
    "freshness without a limit": (
        STAGE + "{dbt: f, source: s}\n",
        "6:16: the key 'max_age' is required in stages.0.freshness",
    ),
    "freshness without a source": (
        STAGE + "{max_age: 2h}\n",
        "6:16: stages.0.freshness: needs the source of the time: one of url, file, headers",
    ),
    "freshness that is no mapping": (STAGE + "yes\n", "6:16: stages.0.freshness: needs the source"),
    "two sources": (
        STAGE + "{url: https://x.example, time: t, max_age: 2h, dbt: f}\n",
        "6:63: 'dbt' is a second source: a stage has one of url, file",
    ),
    "url and file": (
        STAGE + "{url: https://x.example, file: f, time: t, max_age: 2h}\n",
        "6:16: stages.0.freshness: give either url or file",
    ),
    "no address": (
        STAGE + "{url: x.example, time: t, max_age: 2h}\n",
        "6:22: stages.0.freshness.url: must be an address that begins with http:// or https://",
    ),
    "no mapping": ("metrics: {a: 0.9}\n", "4:14: metrics.a must be a mapping of keys to values"),
    "nothing at all": ("metrics: {a: }\n", "4:11: metrics.a must be a mapping of keys to values"),
    "no list": ("stages: [{name: a, reads: b}]\n", "4:27: stages.0.reads: must be a list: [...]"),
    "a mapping for a list": ("stages: {a: b}\n", "4:9: stages: must be a list: [...]"),
    "too few": ("metrics: {a: {range: [0]}}\n", "4:22: metrics.a.range: it has too few values"),
    "too many": ("metrics: {a: {range: [0, 1, 2]}}\n", "4:22: metrics.a.range: it has too many values"),
    "a number for a name": ("stages: [{name: 7}]\n", "4:17: stages.0.name: must be text: put it in quotes"),
    "no for false": (
        "policies: {standard: no}\n",
        "4:22: policies.standard: must be true or false (it says 'no')",
    ),
    "half a row": ("metrics: {a: {rows: 1.5}}\n", "4:21: metrics.a.rows: must be a whole number"),
    "a level": (
        "environments: {production: {levels: {x: warn}}}\n",
        "4:41: environments.production.levels.x: must be 'advise', 'block' or 'require' (it says 'warn')",
    ),
    "a parameter": (
        "environments: {production: {params: {freshness.stage: {grace: {a: 1}}}}}\n",
        "4:63: environments.production.params.freshness.stage.grace: must be text, a number, true or false",
    ),
    "two directions": (
        "metrics:\n  a: {floor: 0.9, ceiling: 1}\n",
        "5:6: metrics.a: floor and max_drop say higher is better",
    ),
    "an unknown upstream": (
        "stages: [{name: a, reads: [b]}]\n",
        "4:28: stage 'a' reads 'b', which is not a stage",
    ),
    "one name twice": ("stages: [{name: a}, {name: a}]\n", "4:28: two stages are named 'a'"),
    "a circle": (
        "stages: [{name: a, reads: [b]}, {name: b, reads: [a]}]\n",
        "4:27: stages read in a circle: a → b → a",
    ),
    "one key twice": ("system: x\n", "4:1: the key 'system' comes twice; the first is in line 2"),
    "an alias": ("objectives: {end_to_end_age: *x}\n", "4:30: anchors and aliases are not allowed"),
    "no YAML": ("a: b: c\n", "4:5: not YAML: mapping values are not allowed"),
    "no finite number": ("metrics: {a: {floor: .inf}}\n", "4:22: .inf is not a finite number"),
}


@pytest.mark.parametrize(("written", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_place(written: str, said: str) -> None:
    assert mistake(SMALL + written).startswith(f"aigate.yaml:{said}")


@pytest.mark.parametrize("written", [text for text, _ in MISTAKES.values()], ids=MISTAKES)
def test_a_mistake_is_told_in_the_words_of_people(written: str) -> None:
    foreign = r"pydantic|Input|Value error|[Tt]uple|dictionary|instance|Extra inputs|\bunion\b|validat"
    assert not re.search(foreign, mistake(SMALL + written))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the manifest must be a mapping"),
        ("[]", "1:1: the manifest must be a mapping"),
        ("system: x\nmodel: {name: x}\n", "1:1: the key 'version' is required"),
        ("version: 2\nsystem: x\nmodel: {name: x}\n", "1:10: version: must be 1 (it says 2)"),
        ("version: true\nsystem: x\nmodel: {name: x}\n", "1:10: version: must be 1 (it says true)"),
        ("version: 1.0\nsystem: x\nmodel: {name: x}\n", "1:10: version: must be 1"),
        ("version: 1\nsystem: x\n", "1:1: the key 'model' is required"),
        ('version: 1\nsystem: "a\\nb"\nmodel: {name: x}\n', "2:9: system: must be text on one line"),
        ("version: 1\nsystem: x\nmodel: {name: x, champion: a, challenger: A}\n", "3:8: model: champion and"),
    ],
    ids=range(9),
)
def test_a_mistake_in_what_every_manifest_has(text: str, said: str) -> None:
    assert mistake(text).startswith(f"aigate.yaml:{said}")


def test_several_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = SMALL + "metrics:\n  a: {flor: 1, rows: x}\nstages:\n  - {nme: a}\nrunbok: {}\n"
    assert mistake(text).splitlines() == [
        "aigate.yaml:5:7: unknown key 'flor': did you mean 'floor'?",
        "aigate.yaml:5:22: metrics.a.rows: must be a whole number (it says 'x')",
        "aigate.yaml:7:5: the key 'name' is required in stages.0",
        "aigate.yaml:7:6: unknown key 'nme': did you mean 'name'?",
        "aigate.yaml:8:1: unknown key 'runbok': did you mean 'runbooks'?",
    ]


def test_no_more_mistakes_are_shown_than_help() -> None:
    text = SMALL + "metrics:\n" + "".join(f"  m{n:02}: {{flor: 1}}\n" for n in range(MOST_SHOWN + 3))
    lines = mistake(text).splitlines()
    assert len(lines) == MOST_SHOWN + 1
    assert lines[-1] == "and 3 more"
    assert lines[0].startswith("aigate.yaml:5:")
    assert [line.split(":")[1] for line in lines[:-1]] == [str(n) for n in range(5, 5 + MOST_SHOWN)]


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("metrics:\n  a:\n    provenance: {set_bye: m}\n    floor: 0.9\n    max_drop: 1\n", 1),
        ("metrics:\n  a:\n    provenance: {set_bye: m}\n    floor: {value: 1, provenance: {set_on: x}}\n", 2),
        (STAGE + "{dbt: f, source: s, max_age: 2h, max_evidence_age: 1h, provenance: {set_on: soon}}\n", 1),
    ],
)
def test_a_provenance_that_serves_many_limits_is_wrong_once(written: str, count: int) -> None:
    assert len(mistake(SMALL + written).splitlines()) == count


@pytest.mark.parametrize("name", FRESHNESS)
def test_what_is_called_like_an_adapter_keeps_its_name(name: str) -> None:
    assert f": metrics.{name}.rows: " in mistake(SMALL + f"metrics: {{{name}: {{rows: x}}}}\n")
    slices = f"metrics: {{a: {{slices: {{{name}: {{metric: 1}}}}}}}}\n"
    assert f": metrics.a.slices.{name}.metric: " in mistake(SMALL + slices)
    assert f": thresholds.{name}: " in mistake(SMALL + f"thresholds: {{{name}: x}}\n")
    params = f"environments: {{{name}: {{params: {{freshness.stage: {{{name}: {{a: 1}}}}}}}}}}\n"
    assert f": environments.{name}.params.freshness.stage.{name}: " in mistake(SMALL + params)


ADAPTED = {
    "url": "url: https://x.example, time: t",
    "headers": "headers: https://x.example",
    "dbt": "dbt: f, source: s",
    "prometheus": "prometheus: https://x.example, query: q",
    "airflow": "airflow: https://x.example, asset: a",
}


@pytest.mark.parametrize("adapter", FRESHNESS)
@pytest.mark.parametrize("key", ["kind", "zone", "max_age", "auth.bearer", "provenance.set_on", "own"])
def test_the_tag_of_an_adapter_is_in_no_path(adapter: str, key: str) -> None:
    first, *_ = key.split(".")
    wrong = {
        "kind": "kind: newest",
        "zone": "zone: 7",
        "max_age": "max_age: soon",
        "auth": "auth: {bearer: 7}",
        "provenance": "provenance: {set_on: soon}",
        "own": f"{adapter}: 7",
    }[first]
    kept = ADAPTED[adapter] if first != "own" else ADAPTED[adapter].partition(", ")[2]
    limit = "max_age: 2h, " if first != "max_age" else ""
    said = mistake(SMALL + STAGE + "{" + ", ".join(filter(None, [limit + wrong, kept])) + "}\n")
    path = key if first != "own" else adapter
    assert f": stages.0.freshness.{path}: " in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "where", ["url: {}, time: t", "headers: {}", "prometheus: {}, query: q", "airflow: {}, asset: a"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(where: str) -> None:
    said = mistake(SMALL + STAGE + "{max_age: 2h, " + where.format("https://me:hunter2@x.example/") + "}\n")
    assert "without user or password" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("text", [SMALL, FULL, DESIGN], ids=["small", "full", "design"])
def test_a_manifest_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "aigate.yaml"
    path.write_text(text)
    loaded = load_manifest(path)
    assert loaded.manifest.system == "churn"
    assert loaded.digest == digest_bytes(text.encode())
    assert loaded.folder == tmp_path
    assert loaded.place("model", "name") == f"{path}:{4 if text is DESIGN else 3 if text is SMALL else 4}:15"


def test_the_design_means_what_it_says() -> None:
    manifest, _ = parse_manifest(DESIGN.encode(), "aigate.yaml")
    floor = manifest.metrics["accuracy"].floor
    assert floor is not None
    assert str(floor.value) == "0.92"
    assert floor.provenance is not None
    assert floor.provenance.set_by == "m.ito"
    assert [stage.reads for stage in manifest.stages] == [
        (),
        ("transactions",),
        ("features",),
        ("embeddings",),
    ]
    assert isinstance(manifest.stages[0].freshness, JsonFreshness)
    assert manifest.environments["staging"].levels == {"*": "advise"}
    assert manifest.policies.standard


def test_the_readme_manifest_loads() -> None:
    block = re.search(r"<!-- manifest -->\n```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    assert block
    manifest, _ = parse_manifest(block[1].encode(), "README.md")
    accuracy = manifest.metrics["accuracy"]
    for limit in (accuracy.floor, accuracy.max_drop):
        assert limit is not None
        assert limit.provenance == accuracy.provenance
    assert manifest.stages[0].freshness is not None
    assert manifest.stages[0].freshness.max_age.provenance is not None


def refused(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_manifest(path)
    return caught.value


def test_no_file(tmp_path: Path) -> None:
    error = refused(tmp_path / "aigate.yaml")
    assert error.place == str(tmp_path / "aigate.yaml")
    assert "no manifest" in error.message
    assert "aigate init" in error.fix


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in str(refused(tmp_path))


def test_a_link_to_itself_cannot_be_read(tmp_path: Path) -> None:
    """What not even root may open."""
    link = tmp_path / "aigate.yaml"
    link.symlink_to(link)
    error = refused(link)
    assert "cannot be read: " in error.message
    assert isinstance(error.__cause__, OSError)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be read: Not a directory" in str(refused(tmp_path / "file" / "aigate.yaml"))


@pytest.mark.parametrize("size", [MAX_YAML_BYTES + 1, 300 * 1024])
def test_a_file_too_large(tmp_path: Path, size: int) -> None:
    path = tmp_path / "aigate.yaml"
    path.write_text(SMALL + "#" * (size - len(SMALL)))
    assert "262144" in str(refused(path))


def test_a_file_just_not_too_large(tmp_path: Path) -> None:
    path = tmp_path / "aigate.yaml"
    path.write_text(SMALL + "#" * (MAX_YAML_BYTES - len(SMALL)))
    assert load_manifest(path).manifest.system == "churn"


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "aigate.yaml"
    path.write_bytes(SMALL.encode() + b"owner: \xff\n")
    assert refused(path).place == f"{path}:4:8"


def test_two_limits_of_one_name_are_refused() -> None:
    text = (
        "version: 1\nsystem: s\nmodel: {name: m}\nmetrics:\n"
        "  a: {slices: {b: {metric: c, floor: 0.9}}}\n"
        "  a.slices.b: {floor: 0.8}\n"
    )
    with pytest.raises(ConfigError, match=r"two limits are called metrics\.a\.slices\.b\.floor") as caught:
        parse_manifest(text.encode(), "m.yaml")
    assert caught.value.place.startswith("m.yaml:6:")
