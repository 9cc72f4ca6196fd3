"""Real clones, as runners and attackers make them: what git is asked, and what it must not do."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aigate.action.checkout import checkout_of, differs, files_of, has, root_of
from aigate.action.event import Checkout, Event, UntrustedError
from aigate.action.inputs import Inputs
from aigate.action.run import changes_rules, in_force
from aigate.collect.waiver_file import load_waivers
from aigate.waiver import WaiverBook

STRICT, LAX = "floor: strict\n", "floor: lax\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.invalid", "-c", "protocol.file.allow=always")
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, **files: str | None) -> str:
    """Commit these files (`__` in a name is a slash, a lone `_` a dot) and return the commit."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "x")
    return git(folder, "rev-parse", "HEAD")


class Pull:
    """A pull request whose merge, as GitHub makes it, is checked out in `folder`."""

    def __init__(self, folder: Path, manifest: str = "aigate.yaml") -> None:
        folder.mkdir(parents=True)
        self.folder, self.manifest, self.temp = folder, manifest, folder.parent / "temp"
        self.temp.mkdir()
        git(folder, "init", "--quiet", "--initial-branch=main")
        path = folder / manifest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STRICT)
        commit(folder, policies__own_py="base\n")
        self.base = commit(folder)
        git(folder, "checkout", "--quiet", "-b", "change")
        path.write_text(LAX)
        self.head = commit(folder)

    def merge(self) -> None:
        """Check out what GitHub would: the change's files, in a commit whose first parent is the base."""
        self.head = git(self.folder, "rev-parse", "change")
        git(self.folder, "checkout", "--quiet", "change")
        parents = ("-p", self.base, "-p", self.head)
        made = git(self.folder, "commit-tree", "-m", "Merge", *parents, "change^{tree}")
        git(self.folder, "checkout", "--quiet", "--detach", made)

    @property
    def event(self) -> Event:
        payload = {"pull_request": {"number": 7, "head": {"sha": self.head}, "base": {"sha": self.base}}}
        return Event("pull_request", git(self.folder, "rev-parse", "HEAD"), payload)

    def judged_by(self, folder: Path | None = None, event: Event | None = None) -> str:
        """Return the text of the manifest that is in force."""
        environ = {"RUNNER_TEMP": str(self.temp)}
        inputs = Inputs("evaluate", manifest=self.manifest)
        with in_force(event or self.event, (folder or self.folder).resolve(), inputs, environ) as rules:
            return (rules.root / rules.manifest).read_text()


@pytest.fixture
def pull(tmp_path: Path) -> Pull:
    made = Pull(tmp_path / "clone")
    made.merge()
    return made


def clean(pull: Pull) -> bool:
    """Whether nothing is left of the base's files."""
    listed = git(pull.folder, "worktree", "list", "--porcelain")
    return list(pull.temp.iterdir()) == [] and listed.count("worktree ") == 1


NAMES = ["clone", "with space", "línea-ü", "new\nline", "-dash", "quo'te\"", "$(touch pwned)", "a:b", "%s%n"]


@pytest.mark.parametrize("name", NAMES)
def test_the_bases_manifest_is_in_force_wherever_the_clone_is(tmp_path: Path, name: str) -> None:
    pull = Pull(tmp_path / name / "clone", manifest=f"{name}/aigate.yaml")
    pull.merge()
    assert (pull.folder / pull.manifest).read_text() == LAX
    assert pull.judged_by() == STRICT
    assert clean(pull)
    assert not list(tmp_path.rglob("pwned"))


def test_the_tip_of_the_base_is_taken_where_github_merged_into_it(pull: Pull) -> None:
    """`base.sha` may be older than the commit that the merge was made with."""
    git(pull.folder, "checkout", "--quiet", "main")
    (pull.folder / "waivers.yaml").write_text("newer\n")
    tip = commit(pull.folder)
    git(pull.folder, "checkout", "--quiet", "--detach", tip)
    git(pull.folder, "merge", "--quiet", "--no-ff", "--message", "Merge", "change")
    event, inputs = pull.event, Inputs("evaluate")
    assert event.base != tip
    with in_force(event, pull.folder, inputs, {"RUNNER_TEMP": str(pull.temp)}) as rules:
        assert rules.base == tip
        assert (rules.root / "waivers.yaml").read_text() == "newer\n"
        assert changes_rules(rules)


def test_waivers_that_the_change_brings_along_are_not_in_force(pull: Pull) -> None:
    """The gate reads those beside the manifest that is in force: the base's, or none where it has none."""
    change = "version: 1\nwaivers: [{policy: a.b}]\n"
    git(pull.folder, "checkout", "--quiet", "change")
    (pull.folder / "waivers.yaml").write_text(change)
    commit(pull.folder)
    pull.merge()
    assert (pull.folder / "waivers.yaml").read_text() == change
    inputs, environ = Inputs("evaluate"), {"RUNNER_TEMP": str(pull.temp)}
    with in_force(pull.event, pull.folder, inputs, environ) as rules:
        assert load_waivers((rules.root / rules.manifest).parent) == WaiverBook()
        assert changes_rules(rules)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shallow_clone_is_judged_by_the_base_or_not_at_all(pull: Pull, tmp_path: Path, depth: int) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", f"--depth={depth}", f"file://{pull.folder}", str(shallow))
    event = pull.event
    if depth == 1:
        assert checkout_of(shallow, event) == Checkout(event.sha, (), False)
        with pytest.raises(UntrustedError, match="not in this clone") as caught:
            pull.judged_by(shallow, event)
        assert "fetch-depth: 0" in str(caught.value.fix)
    else:
        assert checkout_of(shallow, event) == Checkout(event.sha, (event.base, event.head), True)
        assert pull.judged_by(shallow, event) == STRICT


def test_a_clone_without_its_files_fetches_nothing(pull: Pull, tmp_path: Path) -> None:
    """A partial clone would ask its remote, with what credentials the runner has."""
    git(pull.folder, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(
        tmp_path,
        "clone",
        "--quiet",
        "--no-checkout",
        "--filter=blob:none",
        f"file://{pull.folder}",
        str(partial),
    )
    with pytest.raises(UntrustedError, match=r"cannot lay out|not in this clone"):
        pull.judged_by(partial, pull.event)
    assert list(pull.temp.iterdir()) == []


def test_a_linked_worktree_is_a_checkout_like_others(pull: Pull, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(pull.folder, "worktree", "add", "--quiet", "--detach", str(linked), "HEAD")
    assert root_of(linked, linked) == linked
    assert pull.judged_by(linked, pull.event) == STRICT
    assert list(pull.temp.iterdir()) == []


def test_a_clone_below_the_workspace_is_found(pull: Pull, tmp_path: Path) -> None:
    pull.manifest = "clone/aigate.yaml"
    assert pull.judged_by(tmp_path) == STRICT
    pull.manifest = "temp/aigate.yaml"
    with pytest.raises(UntrustedError, match="no git work tree"):
        pull.judged_by(tmp_path)


def test_a_workspace_inside_of_a_clone_belongs_to_it(pull: Pull) -> None:
    inside = pull.folder / "policies"
    assert root_of(inside, inside) == pull.folder
    pull.manifest = "../aigate.yaml"
    assert pull.judged_by(inside) == STRICT


@pytest.mark.parametrize("manifest", ["../outside/aigate.yaml", "x/../../outside/aigate.yaml"])
def test_a_manifest_outside_of_the_clone_has_no_base(pull: Pull, tmp_path: Path, manifest: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/aigate.yaml").write_text(LAX)
    pull.manifest = manifest
    with pytest.raises(UntrustedError):
        pull.judged_by()


def test_dots_in_a_path_lead_nowhere_else(pull: Pull) -> None:
    pull.manifest = "policies/../aigate.yaml"
    assert pull.judged_by() == STRICT


def test_a_link_in_the_change_does_not_lead_the_bases_manifest_astray(tmp_path: Path) -> None:
    pull = Pull(tmp_path / "clone", manifest="teams/churn/aigate.yaml")
    (pull.folder / "evil").mkdir()
    (pull.folder / "evil/aigate.yaml").write_text(LAX)
    for file in (pull.folder / "teams/churn").iterdir():
        file.unlink()
    (pull.folder / "teams/churn").rmdir()
    (pull.folder / "teams/churn").symlink_to("../evil")
    commit(pull.folder)
    pull.merge()
    assert (pull.folder / pull.manifest).read_text() == LAX
    assert pull.judged_by() == STRICT


def test_what_looks_like_a_bare_repository_in_the_change_is_none(tmp_path: Path) -> None:
    """HEAD, objects, refs and config can all be committed; git would take their settings and their history for its own."""
    pull = Pull(tmp_path / "clone", manifest="teams/churn/aigate.yaml")
    evil = commit(pull.folder, churn__aigate_yaml=LAX)
    embedded = pull.folder / "teams"
    (embedded / "objects/info").mkdir(parents=True)
    (embedded / "objects/info/alternates").write_text("../../.git/objects\n")
    (embedded / "refs/replace").mkdir(parents=True)
    (embedded / "refs/replace" / pull.base).write_text(f"{evil}\n")
    (embedded / "HEAD").write_text(f"{pull.base}\n")
    (embedded / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n"
    )
    commit(pull.folder)
    pull.merge()
    # The attack works against a git that is asked from there, or this test would show nothing.
    assert Path(git(embedded / "churn", "rev-parse", "--show-toplevel")) == embedded
    assert git(embedded / "churn", "show", f"{pull.base}:churn/aigate.yaml") == LAX.strip()
    assert root_of(embedded / "churn", pull.folder) == pull.folder
    assert root_of(embedded / "churn", embedded / "churn") != embedded
    assert pull.judged_by() == STRICT
    assert clean(pull)


def test_a_submodule_of_the_change_is_not_the_base(tmp_path: Path) -> None:
    """Its history holds the base's commits too, and another manifest at the same place in it."""
    pull = Pull(tmp_path / "clone", manifest="team/aigate.yaml")
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(pull.folder), str(other))
    git(other, "checkout", "--quiet", pull.base)
    (other / "aigate.yaml").write_text(LAX)
    commit(other)
    git(pull.folder, "rm", "--quiet", "-r", "team")
    git(pull.folder, "submodule", "--quiet", "add", str(other), "team")
    commit(pull.folder)
    pull.merge()
    assert (pull.folder / "team/.git").exists()
    assert root_of(pull.folder / "team", pull.folder) == pull.folder
    assert pull.judged_by() == STRICT


def test_an_object_that_stands_for_another_is_not_the_base(pull: Pull) -> None:
    git(pull.folder, "replace", pull.base, pull.head)
    assert pull.judged_by() == STRICT


def test_all_files_of_the_base_are_in_force_in_a_sparse_checkout(pull: Pull) -> None:
    git(pull.folder, "sparse-checkout", "set", "--no-cone", "/aigate.yaml")
    assert not (pull.folder / "policies").exists()
    with in_force(pull.event, pull.folder, Inputs("evaluate"), {"RUNNER_TEMP": str(pull.temp)}) as rules:
        assert (rules.root / "policies/own.py").read_text() == "base\n"
    assert clean(pull)


def test_a_file_named_head_confuses_nobody(pull: Pull) -> None:
    git(pull.folder, "checkout", "--quiet", "change")
    (pull.folder / "HEAD").write_text("x")
    commit(pull.folder)
    pull.merge()
    assert pull.judged_by() == STRICT


def traps(pull: Pull, mark: Path) -> dict[str, str]:
    """Return settings of a clone each of which would run a program."""
    script = pull.folder.parent / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    script.chmod(0o755)
    hooks = pull.folder.parent / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).symlink_to(script)
        (pull.folder / ".git/hooks" / name).unlink(missing_ok=True)
        (pull.folder / ".git/hooks" / name).symlink_to(script)
    command = str(script)
    return {
        "core.fsmonitor": command,
        "core.hooksPath": str(hooks),
        "core.pager": command,
        "core.sshCommand": command,
        "core.askPass": command,
        "credential.helper": f"!{command}",
        "diff.external": command,
        "diff.evil.textconv": command,
        "diff.evil.command": command,
        "filter.evil.smudge": command,
        "filter.evil.clean": command,
        "filter.evil.required": "true",
        "filter.e=v.il.process": command,
        "filter.e=v.il.required": "true",
    }


def test_nothing_that_a_clones_settings_name_is_run(pull: Pull, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    attributes = "*.yaml filter=evil diff=evil\n*.py filter=e=v.il\n"
    (pull.folder / ".git/info").mkdir(exist_ok=True)
    (pull.folder / ".git/info/attributes").write_text(attributes)
    event = pull.event
    for key, value in traps(pull, mark).items():
        git(pull.folder, "config", key, value)
    # They are traps: git itself falls into them.
    subprocess.run(["git", "-C", str(pull.folder), "status"], capture_output=True, check=False)
    assert mark.exists()
    mark.unlink()
    assert pull.judged_by(event=event) == STRICT
    assert differs(pull.folder, pull.base, pull.head, ("aigate.yaml",))
    assert root_of(pull.folder, pull.folder) == pull.folder
    assert not mark.exists()
    assert list(pull.temp.iterdir()) == []


def test_attributes_of_the_change_do_not_reach_the_bases_files(pull: Pull, tmp_path: Path) -> None:
    git(pull.folder, "checkout", "--quiet", "change")
    rules = (
        "aigate.yaml export-ignore export-subst ident eol=crlf working-tree-encoding=UTF-16LE filter=evil\n"
    )
    (pull.folder / ".gitattributes").write_text(rules)
    (pull.folder / "aigate.yaml").write_bytes(LAX.encode("utf-16-le"))
    commit(pull.folder)
    pull.merge()
    assert (pull.folder / "aigate.yaml").read_bytes() != LAX.encode()
    assert pull.judged_by() == STRICT


def test_the_files_are_gone_also_when_the_body_fails(pull: Pull) -> None:
    at = pull.temp / "files"

    def fail(files: Path) -> None:
        (files / "new").write_text("x")
        git(pull.folder, "worktree", "lock", str(at))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), files_of(pull.folder, pull.base, at) as files:
        fail(files)
    assert clean(pull)


def test_the_files_are_gone_also_when_git_no_longer_knows_them(pull: Pull) -> None:
    with files_of(pull.folder, pull.base, pull.temp / "files") as files:
        (files / ".git").unlink()
    assert list(pull.temp.iterdir()) == []


@pytest.mark.parametrize("wrong", ["0" * 40, "HEAD~99", "--orphan", "-h", ""])
def test_a_commit_that_cannot_be_laid_out_leaves_nothing(pull: Pull, wrong: str) -> None:
    with pytest.raises(UntrustedError), files_of(pull.folder, wrong, pull.temp / "files"):
        pytest.fail("there are no files")
    assert clean(pull)


@pytest.mark.parametrize(
    "commit", ["", "HEAD", "main", "0" * 40, "a" * 39, "A" * 40, "--all", "g" * 40, "0" * 64]
)
def test_only_a_whole_id_names_a_commit(pull: Pull, commit: str) -> None:
    assert not has(pull.folder, commit)
    assert has(pull.folder, pull.base)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("aigate.yaml",), True),
        (("policies", "waivers.yaml"), False),
        (("*",), False),  # a name, not a pattern
        ((":(top)aigate.yaml",), False),
    ],
)
def test_what_a_change_touches(pull: Pull, paths: tuple[str, ...], expected: bool) -> None:
    assert differs(pull.folder, pull.base, pull.head, paths) is expected


def test_what_cannot_be_told_differs(pull: Pull) -> None:
    assert differs(pull.folder, "0" * 40, pull.head, ("policies",))


def test_without_git_there_is_no_checkout(
    tmp_path: Path, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkout_of(tmp_path, pull.event) is None
    assert root_of(tmp_path, tmp_path) is None
    event = pull.event
    monkeypatch.setattr("aigate.action.checkout._ENVIRONMENT", {"PATH": str(tmp_path)})
    assert root_of(pull.folder, pull.folder) is None
    with pytest.raises(UntrustedError, match="no git work tree"):
        pull.judged_by(event=event)


def test_the_callers_variables_for_git_are_not_gits(
    pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = pull.event
    other = Pull(tmp_path / "second/clone")
    variables: dict[str, Any] = {
        "GIT_DIR": other.folder / ".git",
        "GIT_WORK_TREE": other.folder,
        "GIT_INDEX_FILE": tmp_path / "index",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_CONFIG_PARAMETERS": "'core.bare=true'",
        "GIT_OBJECT_DIRECTORY": other.folder / ".git/objects",
        "GIT_TRACE": tmp_path / "trace",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    assert pull.judged_by(event=event) == STRICT
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["push", "workflow_dispatch", "schedule"])
def test_what_is_checked_out_is_in_force_for_a_writer(pull: Pull, name: str) -> None:
    assert pull.judged_by(event=Event(name, "", {})) == LAX


def test_secrets_of_the_base_are_not_for_a_checkout_of_the_head(pull: Pull) -> None:
    target: Callable[[], Event] = lambda: Event("pull_request_target", pull.base, pull.event.payload)  # noqa: E731
    with pytest.raises(UntrustedError, match="is not the base"):
        pull.judged_by(event=target())
    git(pull.folder, "checkout", "--quiet", "--detach", pull.base)
    assert pull.judged_by(event=target()) == STRICT
