"""What the documents say is what the code does: examples run, tables agree, links lead somewhere."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import aigate
from aigate.assemble import Asked, Collected, assemble
from aigate.cli import COMMANDS, EPILOG
from aigate.collect.manifest_file import parse_manifest
from aigate.collect.policy_files import declared
from aigate.decision import EXIT_CODES
from aigate.digest import digest
from aigate.errors import AigateError
from aigate.policy import Policy
from aigate.snapshot import FreshnessEvidence, Snapshot
from aigate.testing import NOW, passing_snapshot
from standard_pack import ask, pack

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    path
    for pattern in ("*.md", "policies/*.md", "examples/**/*.md", "bench/*.md", ".github/*.md")
    for path in sorted(ROOT.glob(pattern))
]


def _block(name: str) -> str:
    """Return what stands between a pair of markers in the README, without its code fence."""
    match = re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", README, re.DOTALL)
    assert match, name
    return re.sub(r"^```.*\n", "", match[1], flags=re.MULTILINE)


def _rows(name: str) -> list[list[str]]:
    """Return the cells of a table between markers, without its head."""
    _, _, *lines = _block(name).strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _snapshot_of_the_readme() -> Snapshot:
    """Return what the gate would see of the README's system on a day when everything is well."""
    manifest, _ = parse_manifest(_block("manifest").encode(), "README.md")
    well = passing_snapshot()
    asked = Asked(
        question="promote",
        environment="production",
        alias=manifest.model.champion,
        now=NOW,
        manifest_digest=digest(manifest),
    )
    fresh = FreshnessEvidence(kind="loaded", as_of=NOW, observed_at=NOW)
    found = Collected(
        well.model,
        well.challenger,
        well.champion,
        freshness={stage.name: fresh for stage in manifest.stages},
        runbooks=dict.fromkeys(manifest.runbooks.values(), True),
    )
    return assemble(manifest, asked, found)


def test_a_first_manifest_is_short() -> None:
    assert len(_block("manifest").splitlines()) <= 15


def test_the_readme_manifest_leaves_nothing_out_that_production_demands() -> None:
    """Its provenance names a run that no test has, so `unknown` is as good as it gets in places."""
    snapshot = _snapshot_of_the_readme()
    results = {id: ask(id, snapshot) for id in pack()}
    assert {id: r for id, r in results.items() if r.outcome not in ("pass", "skip", "unknown")} == {}
    for id in (
        "ownership.accountable",
        "evaluation.limits",
        "freshness.promised",
        "provenance.recorded",
        "pipeline.runbook",
    ):
        assert results[id].outcome == "pass", results[id]


def test_the_readme_policy_works() -> None:
    source = _block("policy")
    assert declared(source.encode(), "README.md") == ("team.model_card",)
    names: dict[str, object] = {}
    exec(source, names)
    policy = names["model_card"]
    assert isinstance(policy, Policy)
    assert policy.run(passing_snapshot()).outcome == "fail"
    assert policy.title == "The version says where its model card is."


def test_the_table_of_exit_codes_is_the_code() -> None:
    rows = {int(code): set(re.findall(r"`(\w+)`", verdicts)) for code, verdicts, _ in _rows("exit codes")}
    by_code: dict[int, set[str]] = {}
    for verdict, code in EXIT_CODES.items():
        by_code.setdefault(code, set()).add(verdict)
    assert {code: verdicts for code, verdicts in rows.items() if verdicts} == by_code
    assert set(rows) == {0, 1, 2, 3, 4, 70}
    assert [int(code) for code in re.findall(r"^ +(\d+) ", EPILOG, re.MULTILINE)] == list(rows)


def test_every_error_leaves_by_a_code_of_the_table() -> None:
    for module in pkgutil.walk_packages(aigate.__path__, "aigate."):
        if not module.name.startswith(("aigate.__main__", "aigate.demo", "aigate.standard")):
            importlib.import_module(module.name)
    kinds = [AigateError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    assert len(kinds) > 5
    codes = {int(code) for code, _, _ in _rows("exit codes")} - {0, 1}
    assert {kind.__name__: kind.exit_code for kind in kinds if kind.exit_code not in codes} == {}


def test_the_table_of_commands_is_the_command_line() -> None:
    assert _rows("commands") == [[f"`aigate {name}`", words] for name, (_, words) in COMMANDS.items()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_at_its_help_what_the_table_says(command: str) -> None:
    place, words = COMMANDS[command]
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name or "command")
    assert found.name == command
    assert inspect.cleandoc(found.help or "")
    assert words.endswith(".")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link and not link.startswith(("#", "mailto:")):
            assert (document.parent / link.partition("#")[0]).exists(), link


# The GitHub Action


def _action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return loaded


def _table(marker: str, of: str) -> str:
    head = "| input | default | |\n|---|---|---|" if of == "inputs" else "| output | |\n|---|---|"
    lines = []
    for name, about in _action()[of].items():
        words = about["description"].replace("|", "\\|")
        default = about.get("default", "")
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{name}` | {shown} | {words} |" if of == "inputs" else f"| `{name}` | {words} |")
    return "\n".join([f"<!-- {marker} -->", head, *lines, f"<!-- /{marker} -->"])


@pytest.mark.parametrize("of", ["inputs", "outputs"])
def test_the_actions_inputs_and_outputs_are_listed_as_they_are(of: str) -> None:
    assert _table(of, of) in (ROOT / "examples/github/README.md").read_text()


def test_the_readme_shows_the_action_as_the_examples_use_it() -> None:
    """One pin everywhere, and every input that a document or an example gives exists."""
    inputs = set(_action()["inputs"])
    pins = set()
    for path in (ROOT / "README.md", *sorted((ROOT / "examples/github").iterdir())):
        text = path.read_text()
        pins.update(re.findall(r"aigate-mlops/aigate@([0-9a-f]{40}) # (v[0-9.]+)", text))
        assert text.count("aigate-mlops/aigate@") == len(
            re.findall(r"aigate-mlops/aigate@(?:[0-9a-f]{40} # v|…)", text)
        ), path
    assert len(pins) == 1, pins
    for path in (ROOT / "examples/github").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("aigate-mlops/aigate@"):
                    assert set(step.get("with", {})) <= inputs, path
