"""Guards on the repository itself: what must never stand in a file, and what must agree with what."""

import hashlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import aigate

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
WORKFLOWS = [*sorted((ROOT / ".github").rglob("*.yml")), *ROOT.glob("action.yml")]

APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the text of the Apache License 2.0 as its authors publish it."""

MACHINE_PATH = re.compile(r"(?<![\w.)}>~-])/(?:work|root|home/[a-z][\w-]*)(?![\w-])")
REGISTRY = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("deb", "debian", "org"))
    )
)
STRANGER = re.compile(r"(?:(?:pip3?|pipx|uv tool) install|uv add)(?: [^\n`]*)? aigate(?![\w-])")
"""An order to install `aigate`, which is another project's package; ours is aigate-mlops."""


@cache
def _files() -> tuple[tuple[str, str], ...]:
    """Return every text file that is, or is about to be, under version control: path and content."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    names = sorted(set(listed.split("\0")) - {""})
    found = []
    for name in names:
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if b"\0" not in data:
                found.append((name, data.decode(errors="replace")))
    assert len(found) > 50, "hardly a file was found, so nothing was guarded"
    return tuple(found)


def _hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for name, text in _files()
        for match in pattern.finditer(text)
    ]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY, STRANGER], ids=["path", "registry", "stranger"])
def test_no_file_says(pattern: re.Pattern[str]) -> None:
    assert _hits(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (MACHINE_PATH, "see /ro" + "ot/notes", True),
        (MACHINE_PATH, "cd /ho" + "me/kai/churn", True),
        (MACHINE_PATH, "file:///wo" + "rk/x", True),
        (MACHINE_PATH, "https://x.example/a/work", False),
        (MACHINE_PATH, "runbooks/root.md and /workflows", False),
        (REGISTRY, "https://py" + "pi.org/simple", True),
        (STRANGER, "pip install ai" + "gate", True),
        (STRANGER, "uv tool install --quiet ai" + "gate==1", True),
        (STRANGER, "pip install 'aigate-mlops[mlflow]'", False),
        (STRANGER, "pip install aigate-mlops", False),
        (STRANGER, "pip uninstall aigate", False),
    ],
)
def test_the_guards_see(pattern: re.Pattern[str], text: str, found: bool) -> None:
    assert bool(pattern.search(text)) is found


def _locked(lock: Path) -> Iterator[tuple[Requirement, str]]:
    """Yield each requirement of a lock with the options that follow it."""
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            requirement, _, options = text.partition(" --")
            yield Requirement(requirement.strip()), f"--{options}" if options else ""


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_content_and_no_place(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE), "an option: an index, a link, another file"
    rows = list(_locked(lock))
    assert rows
    for requirement, options in rows:
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", options), f"{requirement} has no hash"


@pytest.mark.parametrize(
    ("lock", "project", "extras", "groups"),
    [
        ("base.txt", True, (), ()),
        ("sign.txt", True, ("sign",), ()),
        ("dev.txt", True, ("mlflow", "sql", "sign"), ("test", "lint", "bench", "build")),
        ("dbt.txt", False, (), ("dbt",)),
        ("mlflow2.txt", True, ("sign",), ("mlflow2",)),
    ],
)
def test_a_lock_is_what_the_project_asks_for(
    lock: str, project: bool, extras: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*config["project"]["dependencies"]] if project else []
    for extra in extras:
        asked += config["project"]["optional-dependencies"][extra]
    for group in groups:
        asked += config["dependency-groups"][group]
    locked: dict[str, list[str]] = {}
    for requirement, _ in _locked(ROOT / "requirements" / lock):
        versions = locked.setdefault(canonicalize_name(requirement.name), [])
        versions += [specifier.version for specifier in requirement.specifier]
    for text in asked:
        wanted = Requirement(text)
        versions = locked.get(canonicalize_name(wanted.name), [])
        assert versions, f"{wanted.name} is not in {lock}: make lock"
        assert all(wanted.specifier.contains(v) for v in versions), (
            f"{wanted} is {versions} in {lock}: make lock"
        )


def test_the_licence_is_apache_2() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert config["project"]["license"] == "Apache-2.0"
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_the_version_stands_in_two_places_and_is_one() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert config["project"]["version"] == aigate.__version__


def _steps(node: object) -> Iterator[dict[str, object]]:
    """Yield every mapping in a workflow or an action, whatever it is nested in."""
    if isinstance(node, dict):
        yield node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _steps(item)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_scripts_take_no_expressions(path: Path) -> None:
    """A tag can be moved to other code, and `${{ }}` in a script is how a title becomes a command."""
    for step in _steps(yaml.safe_load(path.read_text())):
        used, script = str(step.get("uses", "./")), str(step.get("run", ""))
        assert used.startswith("./") or re.search(r"@[0-9a-f]{40}$", used), used
        assert "${{" not in script, script


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shell_scripts_are_clean() -> None:
    scripts = [name for name, text in _files() if re.match(r"#!.*\b(?:ba)?sh\b", text)]
    assert "scripts/setup.sh" in scripts
    assert ".ci/run" in scripts
    done = subprocess.run(
        ["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
