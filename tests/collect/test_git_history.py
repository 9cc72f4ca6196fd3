"""When a value last changed, asked of real repositories."""

import os
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aigate.collect import git_history
from aigate.collect.deadline import Deadline
from aigate.collect.git_history import MOST_COMMITS, edited_on, value_at
from aigate.collect.strict_yaml import load_yaml
from aigate.values import Missing

FLOOR = ("metrics", "accuracy", "floor")
AGE = ("stages", "features", "freshness", "max_age")
START = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
NAME = "aigate.yaml"


def day(number: int) -> datetime:
    return START + timedelta(days=number)


LATER = day(300)


class Repo:
    """A repository whose commits are made on numbered days."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / NAME
        root.mkdir(parents=True, exist_ok=True)

    def git(self, *args: str, at: datetime = START, stdin: bytes | None = None) -> str:
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _ME.items()}
        dates = {f"GIT_{role}_DATE": f"{int(at.timestamp())} +0000" for role in ("AUTHOR", "COMMITTER")}
        config = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        environment = {"PATH": os.environ["PATH"], **who, **dates, **config}
        done = subprocess.run(
            ["git", "-C", str(self.root), *args],
            env=environment,
            input=stdin,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()

    def start(self) -> "Repo":
        self.git("init", "-q", "-b", "main")
        return self

    def commit(self, text: str, at: datetime) -> None:
        self.manifest.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change", at=at)

    def ask(self, keys: tuple[str, ...] = FLOOR, *, seconds: float = 30, now: datetime = LATER) -> object:
        """Say when the value in the file changed, as the gate asks."""
        return self.ask_all({"it": keys}, seconds=seconds, now=now)["it"]

    def ask_all(
        self, wanted: Mapping[str, tuple[str, ...]], *, seconds: float = 30, now: datetime = LATER
    ) -> dict[str, object]:
        data = load_yaml(self.manifest.read_bytes(), source=NAME).data
        values = {name: (keys, value_at(data, keys)) for name, keys in wanted.items()}
        return dict(edited_on(self.manifest, values, now, Deadline(seconds)))


_ME = {"NAME": "Somebody", "EMAIL": "somebody@example.org"}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo").start()


def floor(written: str, more: str = "") -> str:
    return f"metrics:\n  accuracy: {{floor: {written}}}\n{more}"


def age(written: str) -> str:
    return f"stages:\n  - {{name: features, freshness: {{url: https://x.example, max_age: {written}}}}}\n"


def why(answer: object) -> str:
    assert isinstance(answer, Missing), answer
    return answer.missing


def test_a_value_that_never_changed_is_as_old_as_its_first_commit(repo: Repo) -> None:
    repo.commit(floor("0.92"), day(1))
    repo.commit(floor("0.92", "system: churn\n"), day(5))
    assert repo.ask() == day(1)


def test_a_changed_value_is_as_old_as_its_last_change(repo: Repo) -> None:
    for number, value in enumerate(["0.90", "0.92", "0.90", "0.92", "0.92"]):
        repo.commit(floor(value, f"system: s{number}\n"), day(number))
    assert repo.ask() == day(3)


def test_every_value_has_its_own_date(repo: Repo) -> None:
    repo.commit(floor("0.9") + age("2h"), day(1))
    repo.commit(floor("0.9") + age("3h"), day(2))
    repo.commit(floor("0.8") + age("3h"), day(3))
    answers = repo.ask_all({"floor": FLOOR, "age": AGE})
    assert answers == {"floor": day(3), "age": day(2)}


SAME = {
    "provenance edited on the same line": (
        "{value: 0.92, provenance: {set_by: m.ito}}",
        "{value: 0.92, provenance: {set_by: b.lind, set_on: 2026-08-02}}",
    ),
    "a bare value was given provenance": ("0.92", "{value: 0.92, provenance: {set_by: m.ito}}"),
    "provenance was taken away": ("{value: 0.92, provenance: {set_by: m.ito}}", "0.92"),
    "a zero more": ("0.92", "0.920"),
    "quotes": ("0.92", '"0.92"'),
    "an exponent": ("0.92", "92e-2"),
}


@pytest.mark.parametrize(("before", "after"), SAME.values(), ids=SAME)
def test_what_is_not_a_change_of_value(repo: Repo, before: str, after: str) -> None:
    repo.commit(floor(before), day(1))
    repo.commit(floor(after), day(2))
    assert repo.ask() == day(1)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("120m", "2h", False),
        ("PT2H", "2h", False),
        ("{value: 2h, provenance: {set_by: m.ito}}", "7200s", False),
        ("2h", "121m", True),
        ("2", "2h", True),
    ],
)
def test_a_span_written_otherwise_is_the_same_span(
    repo: Repo, before: str, after: str, changed: bool
) -> None:
    repo.commit(age(before), day(1))
    repo.commit(age(after), day(2))
    assert repo.ask(AGE) == day(2 if changed else 1)


def test_an_uncommitted_edit_was_made_now(repo: Repo) -> None:
    repo.commit(floor("0.92"), day(1))
    repo.manifest.write_text(floor("0.5"))
    assert repo.ask(now=day(9)) == day(9)
    repo.git("add", "-A")
    assert repo.ask(now=day(9)) == day(9)


def test_an_uncommitted_edit_beside_a_value_changes_nothing(repo: Repo) -> None:
    repo.commit(floor("0.92"), day(1))
    repo.manifest.write_text(floor("0.92", "system: churn\n"))
    assert repo.ask() == day(1)


def test_a_manifest_that_was_added_and_never_committed_was_made_now(repo: Repo) -> None:
    repo.manifest.write_text(floor("0.92"))
    repo.git("add", "-A")
    assert repo.ask(now=day(9)) == day(9)


def test_a_file_that_git_does_not_keep_has_no_date(repo: Repo) -> None:
    repo.manifest.write_text(floor("0.92"))
    assert repo.ask() is None
    (repo.root / "other").write_text("x")
    repo.git("add", "other")
    repo.git("commit", "-q", "-m", "other")
    assert repo.ask() is None


def test_without_a_repository_there_is_no_date(tmp_path: Path) -> None:
    plain = Repo(tmp_path)
    plain.manifest.write_text(floor("0.92"))
    assert plain.ask() is None


def test_a_shallow_clone_says_how_to_fetch_more(repo: Repo, tmp_path: Path) -> None:
    repo.commit(floor("0.92") + age("2h"), day(1))
    repo.commit(floor("0.92") + age("3h"), day(2))
    repo.commit(floor("0.92") + age("4h"), day(3))
    clone = Repo(tmp_path / "clone")
    repo.git("clone", "-q", "--depth", "2", f"file://{repo.root}", str(clone.root))
    answers = clone.ask_all({"floor": FLOOR, "age": AGE})
    assert answers["age"] == day(3)  # seen to change within what is there
    assert "fetch-depth: 0" in why(answers["floor"])


def test_a_stage_keeps_its_history_when_stages_are_put_in_another_order(repo: Repo) -> None:
    one = "  - {name: features, freshness: {max_age: 2h}}\n"
    two = "  - {name: raw, freshness: {max_age: 5h}}\n"
    repo.commit(f"stages:\n{one}{two}", day(1))
    repo.commit(f"stages:\n{two}{one}", day(2))
    repo.commit(f"stages:\n  - {{name: newest}}\n{two}{one}", day(3))
    raw = ("stages", "raw", "freshness", "max_age")
    assert repo.ask_all({"a": AGE, "b": raw}) == {"a": day(1), "b": day(1)}


def test_a_value_moved_to_another_stage_is_new_there(repo: Repo) -> None:
    repo.commit("stages: [{name: raw, freshness: {max_age: 2h}}]\n", day(1))
    repo.commit("stages: [{name: features, freshness: {max_age: 2h}}]\n", day(2))
    assert repo.ask(AGE) == day(2)


@pytest.mark.parametrize("broken", ["a: b: c\n", "- 1\n", "metrics: [a]\n", "x" * 300_000], ids=len)
def test_a_commit_that_cannot_be_read_had_another_value(repo: Repo, broken: str) -> None:
    repo.commit(floor("0.92"), day(1))
    repo.commit(broken, day(2))
    repo.commit(floor("0.92"), day(3))
    repo.commit(floor("0.92", "system: churn\n"), day(4))
    assert repo.ask() == day(3)


def test_a_manifest_deleted_and_written_again_is_new(repo: Repo) -> None:
    repo.commit(floor("0.92"), day(1))
    repo.git("rm", "-q", NAME)
    repo.git("commit", "-q", "-m", "gone", at=day(2))
    repo.commit(floor("0.92"), day(3))
    assert repo.ask() == day(3)


@pytest.mark.parametrize("follow", ["true", "false"])
def test_a_renamed_manifest_is_followed(repo: Repo, follow: str) -> None:
    old = repo.root / "sub folder" / "gäte.yaml"
    old.parent.mkdir()
    old.write_text(floor("0.92", "# a line\n" * 20))
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "first", at=day(1))
    repo.git("mv", str(old), NAME)
    repo.git("commit", "-q", "-m", "moved", at=day(2))
    repo.git("config", "log.follow", follow)
    assert repo.ask() == day(1)


def test_a_manifest_once_named_with_a_line_break_has_no_known_date(repo: Repo) -> None:
    (repo.root / "a\nb").write_text(floor("0.92", "# a line\n" * 20))
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "first", at=day(1))
    repo.git("mv", "a\nb", NAME)
    repo.git("commit", "-q", "-m", "moved", at=day(2))
    assert "line break" in why(repo.ask())


def test_a_manifest_in_a_folder_and_through_a_link(repo: Repo, tmp_path: Path) -> None:
    repo.manifest = repo.root / "models" / NAME
    repo.manifest.parent.mkdir()
    repo.commit(floor("0.92"), day(1))
    assert repo.ask() == day(1)
    link = Repo(tmp_path / "elsewhere")
    link.manifest.symlink_to(repo.manifest)
    assert link.ask() == day(1)


def _hide_git(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    monkeypatch.setitem(git_history._ENVIRONMENT, "PATH", str(folder))


def test_without_git_and_without_a_repository_there_is_no_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Repo(tmp_path / "plain")
    plain.manifest.write_text(floor("0.92"))
    _hide_git(monkeypatch, tmp_path / "empty")
    assert plain.ask() is None


def test_without_git_in_a_repository_the_date_is_not_known(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(floor("0.92"), day(1))
    _hide_git(monkeypatch, tmp_path / "empty")
    assert "git is not installed" in why(repo.ask())


def test_the_git_of_the_callers_path_is_not_run(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `git` that a checkout brings, in front of the path, would run with the gate's rights."""
    repo.commit(floor("0.92"), day(1))
    mark = _fake_git(tmp_path / "bin", f"touch {tmp_path}/ran")
    monkeypatch.setenv("PATH", f"{mark.parent}:{os.environ['PATH']}")
    assert repo.ask() == day(1)
    assert not (tmp_path / "ran").exists()


def _fake_git(folder: Path, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    fake = folder / "git"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    return fake


def test_a_repository_cannot_make_git_run_anything(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(floor("0.9"), day(1))
    ran = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\necho $0 $* >> {ran}\ncat\n")
    evil.chmod(0o755)
    (repo.root / ".gitattributes").write_text("* diff=evil filter=evil merge=evil\n")
    repo.commit(floor("0.92"), day(2))
    _sign(repo)
    hooks = repo.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (hooks / hook).symlink_to(evil)
    settings = {
        "core.fsmonitor": evil,
        "core.pager": evil,
        "core.sshCommand": evil,
        "core.askPass": evil,
        "core.editor": evil,
        "diff.external": evil,
        "diff.evil.textconv": evil,
        "diff.evil.command": evil,
        "filter.evil.clean": evil,
        "filter.evil.smudge": evil,
        "filter.evil.process": evil,
        "gpg.program": evil,
        "log.showSignature": "true",
        "pager.log": evil,
        "alias.log": f"!{evil}",
        "alias.ls-files": f"!{evil}",
        "credential.helper": f"!{evil}",
        "uploadpack.packObjectsHook": evil,
    }
    for key, value in settings.items():
        repo.git("config", key, str(value))
    ran.unlink(missing_ok=True)
    repo.manifest.touch()
    assert repo.ask() == day(2)
    assert not ran.exists(), ran.read_text()
    monkeypatch.setattr(git_history, "_GIT", ("git", "-c", "safe.directory=*"))
    repo.ask()
    assert ran.exists()  # the trap was one


def _sign(repo: Repo) -> None:
    """Give the newest commit a signature, which git could be set up to have checked."""
    head, _, message = repo.git("cat-file", "commit", "HEAD").partition("\n\n")
    mark = "-----{} PGP SIGNATURE-----"
    signed = f"{head}\ngpgsig {mark.format('BEGIN')}\n \n x\n {mark.format('END')}\n\n{message}".encode()
    made = repo.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=signed).strip()
    repo.git("update-ref", "refs/heads/main", made)


def test_a_partial_clone_is_not_filled_from_elsewhere(repo: Repo, tmp_path: Path) -> None:
    repo.commit(floor("0.92"), day(1))
    repo.commit(floor("0.92", "system: churn\n"), day(2))
    repo.git("config", "uploadpack.allowFilter", "true")
    clone = Repo(tmp_path / "clone")
    repo.git("clone", "-q", "--filter=blob:none", f"file://{repo.root}", str(clone.root))
    assert "partial clone" in why(clone.ask())


@pytest.mark.parametrize("slow", ["every", "cat-file"])
def test_a_slow_git_ends_with_the_deadline(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    repo.commit(floor("0.92"), day(1))
    test = "true" if slow == "every" else f'case "$*" in *{slow}*) true;; *) false;; esac'
    path = os.environ["PATH"]
    _fake_git(
        tmp_path / "bin", f'export PATH={path}\nif {test}; then exec sleep 30; fi\nPATH={path} exec git "$@"'
    )
    monkeypatch.setitem(git_history._ENVIRONMENT, "PATH", str(tmp_path / "bin"))
    started = time.monotonic()
    assert "not in time" in why(repo.ask(seconds=0.5))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("script", ["echo boom >&2; exit 128", "kill -9 $$"])
def test_a_git_that_fails_leaves_a_gap(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    repo.commit(floor("0.92"), day(1))
    _fake_git(tmp_path / "bin", script)
    monkeypatch.setitem(git_history._ENVIRONMENT, "PATH", str(tmp_path / "bin"))
    assert "git says" in why(repo.ask())


def _long(repo: Repo, values: list[str]) -> None:
    """Commit the values, one a day, at the speed of one process."""
    stream = b""
    for number, value in enumerate(values):
        text = floor(value, f"system: s{number}\n").encode()
        at = int(day(number).timestamp())
        stream += (
            f"commit refs/heads/main\ncommitter Somebody <s@example.org> {at} +0000\ndata 1\nx\n"
            f"M 100644 inline {NAME}\ndata {len(text)}\n"
        ).encode()
        stream += text + b"\n"
    repo.git("fast-import", "--quiet", stdin=stream)
    repo.git("reset", "-q", "--hard", "main")


def test_a_history_that_is_as_long_as_is_followed(repo: Repo) -> None:
    _long(repo, ["0.92"] * MOST_COMMITS)
    assert repo.ask() == day(0)


def test_a_value_unchanged_for_longer_has_no_known_date(repo: Repo) -> None:
    _long(repo, ["0.92"] * (MOST_COMMITS + 1))
    assert f"last {MOST_COMMITS} commits" in why(repo.ask())


def test_a_change_within_a_long_history_is_found(repo: Repo) -> None:
    _long(repo, ["0.5"] * 50 + ["0.92"] * (MOST_COMMITS - 1))
    assert repo.ask() == day(50)


@pytest.mark.parametrize("claimed", ["99999999999999", "9223372036854775807"])
def test_a_commit_with_an_impossible_date_leaves_a_gap(repo: Repo, claimed: str) -> None:
    repo.commit(floor("0.92"), day(1))
    tree = repo.git("write-tree").strip()
    who = f"Somebody <s@example.org> {claimed} +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n".encode()
    made = repo.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=text).strip()
    repo.git("update-ref", "refs/heads/main", made)
    assert "calendar" in why(repo.ask())


@pytest.mark.parametrize(
    ("data", "keys", "value"),
    [
        ({"a": {"value": "x", "provenance": {}}}, ("a",), "x"),
        ({"a": {"b": "y"}}, ("a", "b"), "y"),
        ({"a": {"b": "y"}}, ("a",), None),
        ({"a": [1, {"name": "s", "b": "y"}]}, ("a", "s", "b"), "y"),
        ({"a": [{"name": "t"}]}, ("a", "s", "b"), None),
        ({"a": "text"}, ("a", "b"), None),
        (None, ("a",), None),
    ],
)
def test_what_stands_under_keys(data: object, keys: tuple[str, ...], value: object) -> None:
    assert value_at(data, keys) == value
