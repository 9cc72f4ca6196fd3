"""Policies from elsewhere: exactly the bytes that the manifest requires are in force, or nothing is."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aigate.action.event import Event
from aigate.action.inputs import Inputs
from aigate.action.run import in_force
from aigate.cli import run
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.collect.policy_packages import GROUP, files_digest, find
from aigate.decision import Actor
from aigate.errors import AigateError, ConfigError, PolicyCodeError
from aigate.gate import evaluate_under, judges
from aigate.isolate import Isolate, Limits
from aigate.manifest import PolicyPackage
from aigate.rules import check_rules, policies_digest, policies_in_force
from aigate.testing import passing_snapshot

RULE = '''\
from aigate import Findings, Snapshot, deny, policy


@policy("{id}", severity="low", blames="process")
def rule(s: Snapshot) -> Findings:
    """The owner can be reached."""
    if s.owner is None or s.owner.contact is None:
        yield deny("no way to reach the owner", key="owner")
'''
NOTHING = f"sha256:{'0' * 64}"


@dataclass
class Project:
    """A manifest, and policies from elsewhere."""

    folder: Path
    site: Path
    """Where packages are installed."""

    def require(self, **wanted: str) -> LoadedManifest:
        """Write the manifest with one package, and load it."""
        entry = ", ".join(f"{key}: {value}" for key, value in wanted.items())
        text = f"version: 1\nsystem: churn\nmodel: {{name: churn}}\npolicies: {{packages: [{{{entry}}}]}}\n"
        (self.folder / "aigate.yaml").write_text(text)
        return load_manifest(self.folder / "aigate.yaml")

    def install(self, files: dict[str, str], *, entry: str = "", listed: bool = True) -> None:
        """Install `acme-rules`, whose code must never be imported."""
        package = self.site / "acme_rules"
        (package / "gate").mkdir(parents=True, exist_ok=True)
        bomb = "raise SystemExit('it was imported')\n"
        (package / "__init__.py").write_text(bomb)
        (package / "gate/__init__.py").write_text(bomb)
        for name, text in files.items():
            (package / f"{name}.py").write_text(text)
        info = self.site / "acme_rules-1.2.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.2.0\n")
        if entry:
            (info / "entry_points.txt").write_text(f"[{GROUP}]\npolicies = {entry}\n")
        paths = [
            path.relative_to(self.site).as_posix()
            for path in sorted(self.site.rglob("*.*"))
            if path.is_file()
        ]
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in paths if listed))

    def vendor(self, **files: str) -> Path:
        """Put policies into a folder of the checkout."""
        folder = self.folder / "vendor/rules"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    def digest(self, **wanted: str) -> str:
        """Return the digest that is there now."""
        files, errors = find(PolicyPackage.model_validate({**wanted, "digest": NOTHING}), self.folder)
        assert not errors
        return files_digest(files)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path / "project", tmp_path / "site")
    made.folder.mkdir()
    made.site.mkdir()
    monkeypatch.syspath_prepend(str(made.site))
    monkeypatch.chdir(made.folder)
    return made


def own(loaded: LoadedManifest) -> dict[str, tuple[str, ...]]:
    return {file.shown: file.policies for file in policies_in_force(loaded) if not file.standard}


def refused(loaded: LoadedManifest) -> AigateError:
    """Return why the policies are refused, the same by the gate and by the check."""
    with pytest.raises((ConfigError, PolicyCodeError)) as caught:
        policies_in_force(loaded)
    assert caught.value.exit_code == 2
    assert str(caught.value) in [str(error) for error in check_rules(loaded).errors]
    return caught.value


# --- what is in force ----------------------------------------------------------------------------------------------------


def test_a_folder_with_the_required_digest_is_in_force(project: Project) -> None:
    project.vendor(reach=RULE.format(id="acme.reach"), _helpers="x = 1\n")
    loaded = project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    assert own(loaded) == {"vendor/rules/reach.py": ("acme.reach",)}
    decision = evaluate_under(loaded, passing_snapshot(), Actor(name="user:kai")).decision
    outcomes = [j.result.outcome for j in decision.judgements if j.info.id == "acme.reach"]
    assert outcomes == ["fail"], "this manifest names no owner"


def test_a_package_is_found_without_being_imported(project: Project) -> None:
    project.install({"gate/reach": RULE.format(id="acme.reach"), "other": "x = 1\n"}, entry="acme_rules.gate")
    before = set(sys.modules)
    loaded = project.require(package="acme-rules", digest=project.digest(package="acme-rules"))
    assert own(loaded) == {"acme-rules/reach.py": ("acme.reach",)}
    with Isolate(policies_in_force(loaded), {}) as isolate:
        assert "acme.reach" in {info.id for info in isolate.describe().infos}
    assert not {name for name in set(sys.modules) - before if name.startswith("acme")}


def test_the_only_folder_of_a_package_needs_no_entry_point(project: Project) -> None:
    project.install({"reach": RULE.format(id="acme.reach")})
    shutil.rmtree(project.site / "acme_rules/gate")
    loaded = project.require(package="Acme.Rules", digest=project.digest(package="acme_rules"))
    assert own(loaded) == {"Acme.Rules/reach.py": ("acme.reach",)}


def test_the_digest_is_what_sha256sum_says(project: Project) -> None:
    folder = project.vendor(b=RULE.format(id="acme.b"), a=RULE.format(id="acme.a"))
    done = subprocess.run(
        "LC_ALL=C; sha256sum *.py | sha256sum",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert project.digest(folder="vendor/rules") == f"sha256:{done.stdout.split()[0]}"


def test_the_bytes_that_were_hashed_are_the_ones_that_run(project: Project) -> None:
    folder = project.vendor(reach=RULE.format(id="acme.reach"))
    loaded = project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    files = policies_in_force(loaded)
    (folder / "reach.py").write_text("raise SystemExit('edited')\n")
    with Isolate(files, {}) as isolate:
        assert isolate.run(passing_snapshot()).results["acme.reach"].outcome == "pass"


# --- what is refused -----------------------------------------------------------------------------------------------------


def _one_byte(folder: Path) -> None:
    path = folder / "reach.py"
    path.write_text(path.read_text().replace("is None or", "is None  or"))


def _link(folder: Path) -> None:
    (folder / "second.py").unlink()
    (folder / "second.py").symlink_to(folder / "reach.py")


HARM: dict[str, Callable[[Path], object]] = {
    "one-byte": _one_byte,
    "a-file-more": lambda folder: (folder / "more.py").write_text(RULE.format(id="acme.more")),
    "a-file-less": lambda folder: (folder / "second.py").unlink(),
    "another-name": lambda folder: (folder / "reach.py").rename(folder / "reached.py"),
    "two-change-places": lambda folder: [
        (folder / "reach.py").rename(folder / "x"),
        (folder / "second.py").rename(folder / "reach.py"),
        (folder / "x").rename(folder / "second.py"),
    ],
    "a-link": _link,
}


@pytest.mark.parametrize("kind", HARM)
@pytest.mark.parametrize("where", ["folder", "package"])
def test_other_bytes_than_the_required_ones_are_refused(project: Project, kind: str, where: str) -> None:
    rules = {"reach": RULE.format(id="acme.reach"), "second": RULE.format(id="acme.second")}
    if where == "folder":
        at, wanted = project.vendor(**rules), {"folder": "vendor/rules"}
    else:
        project.install({f"gate/{name}": text for name, text in rules.items()}, entry="acme_rules.gate")
        at, wanted = project.site / "acme_rules/gate", {"package": "acme-rules"}
    required = project.digest(**wanted)
    loaded = project.require(**wanted, digest=required)
    policies_in_force(loaded)
    HARM[kind](at)
    error = refused(loaded)
    found = project.digest(**wanted)
    assert found != required
    assert required in error.message
    assert found in error.message
    assert error.message.startswith(f"{project.folder / 'aigate.yaml'}:4:")
    assert f"--digest {next(iter(wanted.values()))}" in error.fix


def test_what_is_not_there_is_refused_and_both_are_named(project: Project) -> None:
    error = refused(project.require(package="acme-rules", digest=NOTHING))
    assert "'acme-rules' is not installed beside aigate" in error.message
    assert NOTHING in error.message
    error = refused(project.require(folder="vendor/rules", digest=NOTHING))
    assert "no folder 'vendor/rules'" in error.message
    assert NOTHING in error.message
    (project.folder / "vendor/rules").mkdir(parents=True)
    assert "no policy in it" in refused(project.require(folder="vendor/rules", digest=NOTHING)).message


def test_a_package_that_does_not_say_where_its_policies_are(project: Project) -> None:
    project.install({"reach": RULE.format(id="acme.reach")})
    (project.site / "tests").mkdir()
    (project.site / "tests/test_x.py").write_text("")
    project.install({})
    assert (
        "cannot be told (acme_rules, tests)"
        in refused(project.require(package="acme-rules", digest=NOTHING)).message
    )
    project.install({}, listed=False)
    assert (
        "is it installed as editable?"
        in refused(project.require(package="acme-rules", digest=NOTHING)).message
    )
    project.install({}, entry="acme_rules.gone")
    assert (
        "has no folder 'acme_rules/gone'"
        in refused(project.require(package="acme-rules", digest=NOTHING)).message
    )


MANGLED = {
    "an entry point without a value": ("entry_points.txt", f"[{GROUP}]\npolicies\n".encode()),
    "entry points in no encoding": ("entry_points.txt", b"\xff\xfe\x00"),
    "an entry point without end": ("entry_points.txt", f"[{GROUP}]\np = {'a' * 5000}\n".encode()),
    "a list of files in no encoding": ("RECORD", b"\xff\xfe,,\n"),
    "a size that is no number": ("RECORD", b"acme_rules/reach.py,,big\n"),
}


@pytest.mark.parametrize(("name", "content"), MANGLED.values(), ids=MANGLED.keys())
def test_a_package_whose_metadata_are_mangled_is_refused(project: Project, name: str, content: bytes) -> None:
    project.install({"reach": RULE.format(id="acme.reach")})
    (project.site / "acme_rules-1.2.0.dist-info" / name).write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        policies_in_force(project.require(package="acme-rules", digest=NOTHING))


def test_a_folder_of_which_nobody_can_tell_is_not_left_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for whoever may not look into a folder on the way to it."""
    rule = project.folder / "policies/reach.py"
    rule.parent.mkdir()
    rule.write_text(RULE.format(id="acme.reach"))
    (project.folder / "aigate.yaml").write_text("version: 1\nsystem: churn\nmodel: {name: churn}\n")
    loaded = load_manifest(project.folder / "aigate.yaml")
    is_dir = Path.is_dir

    def shut(path: Path) -> bool:
        if path == rule.parent:
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", shut)
    with pytest.raises(ConfigError, match="policies: cannot be read: Permission denied"):
        policies_in_force(loaded)


@pytest.mark.parametrize(
    "line",
    [
        "import acme_rules.helpers",
        "from acme_rules import helpers",
        "from . import helpers",
        "    import acme_rules as a",
        "import importlib; importlib.import_module('acme_rules.helpers')",
        "from importlib import import_module; import_module('.helpers', __package__)",
        "__import__('acme_rules.helpers')",
    ],
)
def test_code_of_the_package_that_was_not_hashed_does_not_run(project: Project, line: str) -> None:
    rule = RULE.format(id="acme.reach")
    text = rule.replace('"""\n', f'"""\n{line}\n', 1) if line.startswith(" ") else f"{line}\n{rule}"
    project.install({"gate/reach": text, "helpers": "x = 1\n"}, entry="acme_rules.gate")
    error = refused(project.require(package="acme-rules", digest=NOTHING))
    assert "imports code of its own package" in error.message
    assert error.message.startswith("acme-rules/reach.py:")


def test_two_policies_with_one_id_are_refused(project: Project) -> None:
    project.vendor(reach=RULE.format(id="acme.reach"))
    (project.folder / "policies").mkdir()
    (project.folder / "policies/own.py").write_text(RULE.format(id="acme.reach"))
    loaded = project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    words = "policy acme.reach is declared in vendor/rules/reach.py and again in policies/own.py"
    assert words in refused(loaded).message
    (project.folder / "policies/own.py").write_text(RULE.format(id="own.reach"))
    project.vendor(reach=RULE.format(id="freshness.stage"))
    loaded = project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    assert "policy freshness.stage is declared in standard/freshness.py" in refused(loaded).message


def test_nothing_passes_for_the_standard_pack(project: Project) -> None:
    project.vendor(reach=RULE.format(id="acme.reach"))
    (project.folder / "vendor/rules").rename(project.folder / "standard")
    assert (
        "how the standard pack is shown"
        in refused(project.require(folder="standard", digest=NOTHING)).message
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"package": "acme-rules", "folder": "vendor", "digest": NOTHING}, "give one of package, folder"),
        ({"digest": NOTHING}, "give one of package, folder"),
        ({"folder": "vendor"}, "'digest' is required"),
        ({"folder": "vendor", "digest": "sha256:abc"}, "digest"),
        ({"folder": "/vendor", "digest": NOTHING}, "from the manifest's folder on"),
        ({"folder": "~/vendor", "digest": NOTHING}, "from the manifest's folder on"),
        ({"package": "../acme", "digest": NOTHING}, "package"),
        ({"package": "acme rules", "digest": NOTHING}, "package"),
        ({"packge": "acme-rules", "digest": NOTHING}, "did you mean 'package'"),
    ],
)
def test_a_manifest_that_does_not_say_exactly_what(
    project: Project, entry: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        project.require(**entry)
    assert says in str(caught.value)


# --- between decision and move, and on a pull request ---------------------------------------------------------------------


def test_a_byte_between_decision_and_move_stops_the_move(project: Project) -> None:
    """`promote` starts the policies again before the move and compares the digests; here it does not get so far."""
    folder = project.vendor(reach=RULE.format(id="acme.reach"))
    loaded = project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    before = policies_digest(policies_in_force(loaded))
    with judges(loaded, "production", Limits()) as ready:
        assert ready.policies == before
    _one_byte(folder)
    with (
        pytest.raises(ConfigError, match="not the ones that are required"),
        judges(loaded, "production", Limits()),
    ):
        pass
    changed = project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    assert policies_digest(policies_in_force(changed)) != before


def _git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.invalid")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("deep", ["", "deep/"], ids=["in-the-root", "beside-another-manifest"])
def test_on_a_pull_request_the_bases_folder_and_digest_are_in_force(
    project: Project, deep: str, tmp_path: Path
) -> None:
    """The change edits the policy and the digest together; what is judged with is the base's."""
    folder = project.vendor(reach=RULE.format(id="acme.reach"))
    wanted = {"folder": f"{'../' if deep else ''}vendor/rules"}
    (project.folder / deep).mkdir(exist_ok=True)

    def state(message: str) -> str:
        digest = project.digest(folder="vendor/rules")
        project.require(**wanted, digest=digest)
        if deep:
            (project.folder / "aigate.yaml").rename(project.folder / deep / "aigate.yaml")
        _git(project.folder, "add", "--all")
        _git(project.folder, "commit", "--quiet", "--message", message)
        return _git(project.folder, "rev-parse", "HEAD")

    _git(project.folder, "init", "--quiet", "--initial-branch=main")
    base = state("base")
    (folder / "reach.py").write_text(RULE.format(id="acme.reach").replace("is None or", "is None and"))
    head = state("change")
    payload = {"pull_request": {"head": {"sha": head}, "base": {"sha": base}}}
    event = Event("pull_request", head, payload)
    inputs = Inputs("evaluate", manifest=f"{deep}aigate.yaml")
    with in_force(event, project.folder, inputs, {"RUNNER_TEMP": str(tmp_path)}) as rules:
        loaded = load_manifest(rules.root / rules.manifest)
        (file,) = (file for file in policies_in_force(loaded) if not file.standard)
        assert b"is None or" in file.source
        (rules.root / "vendor/rules/reach.py").unlink()
        shutil.copy(folder / "reach.py", rules.root / "vendor/rules/reach.py")
        assert "not the ones that are required" in refused(loaded).message


def test_a_submodule_is_not_in_the_base_and_is_refused(project: Project, tmp_path: Path) -> None:
    """Git lays out a base without its submodules: the gate says so, and does not go on without the policies."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "reach.py").write_text(RULE.format(id="acme.reach"))
    for folder in (other, project.folder):
        _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(other, "add", "--all")
    _git(other, "commit", "--quiet", "--message", "policies")
    _git(
        project.folder,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(other),
        "vendor/rules",
    )
    project.require(folder="vendor/rules", digest=project.digest(folder="vendor/rules"))
    _git(project.folder, "add", "--all")
    _git(project.folder, "commit", "--quiet", "--message", "base")
    base = _git(project.folder, "rev-parse", "HEAD")
    _git(project.folder, "commit", "--quiet", "--allow-empty", "--message", "change")
    head = _git(project.folder, "rev-parse", "HEAD")
    event = Event("pull_request", head, {"pull_request": {"head": {"sha": head}, "base": {"sha": base}}})
    with in_force(event, project.folder, Inputs("evaluate"), {"RUNNER_TEMP": str(tmp_path)}) as rules:
        assert "no policy in it" in refused(load_manifest(rules.root / rules.manifest)).message


# --- the command that prints the digest ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["folder", "package"])
def test_what_the_command_prints_is_what_the_manifest_needs(
    project: Project, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    project.vendor(reach=RULE.format(id="acme.reach"))
    project.install({"gate/reach": RULE.format(id="acme.reach")}, entry="acme_rules.gate")
    name = {"folder": "vendor/rules", "package": "acme-rules"}[where]
    assert run(["policies", "--digest", name]) == 0
    digest, said, *lines = capsys.readouterr().out.splitlines()
    assert digest == project.digest(**{where: name})
    assert said == f"acme.reach in {name}/reach.py"
    text = "version: 1\nsystem: churn\nmodel: {name: churn}\n" + "".join(line.strip() + " " for line in lines)
    (project.folder / "aigate.yaml").write_text(text + "\n")
    assert own(load_manifest(project.folder / "aigate.yaml")) == {f"{name}/reach.py": ("acme.reach",)}
    assert run(["policies", "--digest", name, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema": "aigate.digest/v1",
        where: name,
        "digest": digest,
        "policies": ["acme.reach"],
    }


@pytest.mark.parametrize("name", ["acme-nowhere", "no/where", "/etc", "~/x", "a b"])
def test_a_digest_of_nothing(project: Project, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(["policies", "--digest", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("aigate: ")
