"""The catalogue says what the code does: ids, titles, severities, parameters and their defaults."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aigate.collect.manifest_file import parse_manifest
from aigate.collect.strict_yaml import load_yaml
from aigate.manifest import Manifest
from aigate.policy import CONTEXT, Policy, show_params
from aigate.testing import passing_snapshot
from standard_pack import files, pack

README = Path(__file__).parent.parent.parent / "policies" / "README.md"
_KINDS = {
    "timedelta": "duration",
    "Decimal": "number",
    "int": "whole number",
    "bool": "yes or no",
    "str": "text",
}


def entries() -> dict[str, str]:
    """Each policy's part of the catalogue, by its id."""
    parts = re.split(r"^### `([a-z_.]+)`$", README.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def kind(policy: Policy, parameter: str) -> str:
    return _KINDS.get(getattr(policy.kinds[parameter], "__name__", ""), "list of texts")


def test_every_policy_is_in_the_catalogue_once_and_in_the_order_of_its_file() -> None:
    listed = re.findall(r"^### `([a-z_.]+)`$", README.read_text(), flags=re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(pack())
    for file in files():
        assert [id for id in listed if id in file.policies] == list(file.policies), file.shown


@pytest.mark.parametrize("id", sorted(pack()))
def test_an_entry_agrees_with_the_code(id: str) -> None:
    policy, entry = pack()[id], entries()[id]
    assert f"\n**{policy.title}**\n" in entry
    assert f"\n- Severity: {policy.severity}\n" in entry
    assert f"\n- Blames: {policy.blames}\n" in entry
    documented = re.findall(
        r"^  - `(\w+)` \(([a-z ]+), default `([^`]*)`\): .+\.$", entry, flags=re.MULTILINE
    )
    shown = {tag.key: tag.value for tag in show_params(policy.defaults)}
    assert documented == [(name, kind(policy, name), shown[name]) for name in policy.defaults]
    assert ("\n- Parameters: none\n" in entry) == (not policy.defaults)
    for part in ("Evidence", "Outcomes", "Fix"):
        assert re.search(rf"^- {part}: \S", entry, flags=re.MULTILINE), part
    before, _, after = entry.partition("- After:")
    assert before.count("```") == 2
    assert after.count("```") == 2


@pytest.mark.parametrize("id", sorted(pack()))
def test_the_list_at_the_top_agrees_with_the_code(id: str) -> None:
    policy = pack()[id]
    anchor = id.replace(".", "")
    row = f"| [`{id}`](#{anchor}) | {policy.title} | {policy.severity} | {policy.blames} |"
    assert row in README.read_text().splitlines()


@pytest.mark.parametrize("id", sorted(pack()))
def test_a_policy_explains_itself(id: str) -> None:
    """The title is a sentence that holds when the policy passes."""
    policy = pack()[id]
    assert policy.title.endswith(".")
    assert len(policy.title) <= 110
    assert id.partition(".")[0] in {file.shown.removesuffix(".py").rpartition("/")[2] for file in files()}


_NAMED = {
    "challenger": "version|challenger|measurement",
    "champion": "version|champion|measurement",
    "comparisons": "per-row",
    "end_to_end": "end_to_end",
    "metrics": "metrics|measurement|version",
    "model": "registered model",
    "owner": "",  # whose a finding is
    "runbooks": "runbooks",
    "stages": "stages",
    "thresholds": "limit|provenance|threshold|value",
}
"""What the catalogue calls each part of a snapshot."""


@pytest.mark.parametrize("id", sorted(pack()))
def test_the_evidence_that_is_named_is_the_evidence_that_is_read(id: str) -> None:
    """A part that is read goes by one of its names, and a part that is named as in the snapshot is read."""
    (evidence,) = re.findall(r"^- Evidence: (.+)$", entries()[id], flags=re.MULTILINE)
    results = [pack()[id].run(passing_snapshot(question)) for question in ("promote", "retain")]
    read = {path.split("/")[1] for result in results for path in result.reads if path not in CONTEXT}
    owners_only = {"stages"} if id == "provenance.measured_with" else set()
    for part in read - owners_only:
        assert re.search(_NAMED[part], evidence), (part, evidence)
    for part in set(re.findall(r"`(\w+)\b", evidence)) & set(_NAMED) - {"model"}:  # provenance has one, too
        assert part in read, (part, read)


def manifests() -> Iterator[str]:
    """The catalogue's examples of YAML, whole manifests and parts of one."""
    for block in re.findall(
        r"^( *)```yaml\n(.*?)^\1```$", README.read_text(), flags=re.MULTILINE | re.DOTALL
    ):
        yield "".join(line.removeprefix(block[0]) for line in block[1].splitlines(keepends=True))


@pytest.mark.parametrize("text", list(manifests()), ids=lambda text: text.split("\n")[0][:40])
def test_the_examples_are_yaml_and_parts_of_a_manifest_are_valid(text: str) -> None:
    data = load_yaml(text.encode(), source="README.md").data
    assert isinstance(data, dict)
    if set(data) <= set(Manifest.model_fields):
        rest = {"version": "1", "system": "churn", "model": "{name: churn}"}
        lines = [f"{key}: {value}" for key, value in rest.items() if key not in data]
        parse_manifest(("\n".join(lines) + "\n" + text).encode(), "README.md")
