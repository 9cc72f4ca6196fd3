"""What policy files declare is known before any of them runs, and none is left out in silence."""

import os
from pathlib import Path

import pytest

from aigate.collect.policy_files import MAX_BYTES, check_unique, declared, read_policies, standard_folder
from aigate.digest import digest_bytes
from aigate.errors import ConfigError, PolicyCodeError
from aigate.policy import PolicyFile

GOOD = b"""
from aigate import policy

@policy("a.b")
def b(s):
    "B."
    yield
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one policy."""
    (tmp_path / "good.py").write_bytes(GOOD)
    return tmp_path


def test_a_file_is_its_bytes_and_their_digest(folder: Path) -> None:
    (file,) = read_policies(folder, shown="policies")
    assert file == PolicyFile("policies/good.py", GOOD, digest_bytes(GOOD), ("a.b",))
    (standard,) = read_policies(folder, shown="standard", standard=True)
    assert standard.standard


def test_files_come_in_the_order_of_their_names(folder: Path) -> None:
    for name in ("z.py", "B.py", "10.py", "9.py"):
        (folder / name).write_bytes(GOOD)
    shown = [file.shown for file in read_policies(folder, shown="p")]
    assert shown == ["p/10.py", "p/9.py", "p/B.py", "p/good.py", "p/z.py"]


@pytest.mark.parametrize(
    "name", ["_helpers.py", "test_good.py", "conftest.py", "README.md", "notes.txt", "x.pyi"]
)
def test_what_is_no_policy_file_is_not_read(folder: Path, name: str) -> None:
    (folder / name).write_text("this is no Python, and no policy")
    assert [file.shown for file in read_policies(folder, shown="p")] == ["p/good.py"]


def test_a_file_in_capitals_is_read_too(folder: Path) -> None:
    (folder / "LOUD.PY").write_bytes(GOOD.replace(b"a.b", b"a.c"))
    assert [file.policies for file in read_policies(folder, shown="p")] == [("a.c",), ("a.b",)]


def test_an_empty_folder_has_no_policies(tmp_path: Path) -> None:
    """Whether that is allowed is the gate's question: the standard pack may be in force."""
    assert read_policies(tmp_path, shown="p") == ()


# --- what would be left out in silence --------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["team/late.py", "team/deeper/late.py", "x.py/late.py"])
def test_a_policy_in_a_folder_below_is_refused(folder: Path, path: str) -> None:
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(GOOD)
    with pytest.raises(ConfigError, match=r"late\.py would not be read") as caught:
        read_policies(folder, shown="policies")
    assert caught.value.place == f"policies/{path.partition('/')[0]}"


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_x.py",
        "tests/x.py",
        "test/x.py",
        "_lib/x.py",
        ".cache/x.py",
        "__pycache__/x.py",
        "data/x.json",
        "team/_x.py",
    ],
)
def test_folders_that_hold_something_else_are_passed_over(folder: Path, path: str) -> None:
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_bytes(b"no policy")
    assert len(read_policies(folder, shown="p")) == 1


def test_a_file_without_a_policy_is_refused(folder: Path) -> None:
    (folder / "helpers.py").write_text("LIMIT = 5\n")
    with pytest.raises(PolicyCodeError, match=r"^p/helpers\.py: declares no policy") as caught:
        read_policies(folder, shown="p")
    assert "begin the file's name with `_`" in caught.value.fix


def test_an_empty_file_is_refused(folder: Path) -> None:
    (folder / "empty.py").touch()
    with pytest.raises(PolicyCodeError, match="declares no policy"):
        read_policies(folder, shown="p")


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        read_policies(tmp_path / "nowhere", shown="policies")
    assert caught.value.place == "policies"


def test_a_file_that_is_too_large(folder: Path) -> None:
    (folder / "large.py").write_bytes(GOOD + b"#" * MAX_BYTES)
    with pytest.raises(PolicyCodeError, match=r"^p/large\.py: larger than 1000000 bytes"):
        read_policies(folder, shown="p")


@pytest.mark.parametrize("kind", ["pipe", "endless", "dangling"])
def test_what_is_no_file_is_refused_and_not_waited_for(folder: Path, kind: str) -> None:
    path = folder / "odd.py"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "endless" else folder / "nowhere.py")
    with pytest.raises(ConfigError, match="is not a file") as caught:
        read_policies(folder, shown="p")
    assert caught.value.place == "p/odd.py"


def test_a_link_to_a_file_is_a_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "rules.txt"
    elsewhere.write_bytes(GOOD.replace(b"a.b", b"a.c"))
    (folder / "link.py").symlink_to(elsewhere)
    assert [file.policies for file in read_policies(folder, shown="p")] == [("a.b",), ("a.c",)]


@pytest.mark.parametrize("name", [b"a\xff.py", b"a\n.py", b"a\x1b[31m.py", "a\u202e.py".encode()], ids=ascii)
def test_a_name_that_cannot_be_shown_is_refused(folder: Path, name: bytes) -> None:
    (folder / os.fsdecode(name)).write_bytes(GOOD)
    with pytest.raises(ConfigError, match="must be plain text") as caught:
        read_policies(folder, shown="p")
    assert caught.value.place.isascii()


# --- what is not Python -----------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[bytes, str]] = {
    "a syntax error": (b"import os\n\ndef f(:\n", "x.py:3: not Python: invalid syntax"),
    "a wrong indent": (b"if True:\npass\n", "x.py:2: not Python: expected an indented block"),
    "a null byte": (b"a = 1\x00\n", "x.py:1: not Python: "),
    "not its encoding": (b"# coding: utf-8\na = '\xff'\n", "x.py:2: not Python: (unicode error)"),
    "an unknown encoding": (b"# coding: nowhere\n", "x.py:1: not Python: "),
    "brackets without end": (b"(" * 10_000, "x.py:1: not Python: "),
    "signs without end": (b"a = " + b"-" * 100_000 + b"1\n", "x.py:1: not Python: "),
    "a chain without end": (b"a" + b".b" * 100_000 + b"\n", "x.py:1: not Python: "),
}


@pytest.mark.parametrize(("source", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_python_is_named_with_its_line(source: bytes, message: str) -> None:
    with pytest.raises(PolicyCodeError) as caught:
        declared(source, "x.py")
    assert caught.value.message.startswith(message), caught.value.message
    assert caught.value.exit_code == 2


# --- what it declares ---------------------------------------------------------------------------------------------------

DECLARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "a call": ("@policy('a.b')\ndef f(s): yield", ("a.b",)),
    "with words": ("@policy('a.b', severity='low')\ndef f(s): yield", ("a.b",)),
    "by its name": ("@policy(severity='low', id='a.b')\ndef f(s): yield", ("a.b",)),
    "through a module": ("import aigate\n@aigate.policy('a.b')\ndef f(s): yield", ("a.b",)),
    "among others": ("@cached\n@policy('a.b')\n@other(1)\ndef f(s): yield", ("a.b",)),
    "two": ("@policy('a.b')\ndef f(s): yield\n@policy('a.a')\ndef g(s): yield", ("a.b", "a.a")),
    "async": ("@policy('a.b')\nasync def f(s): pass", ("a.b",)),
    "behind a condition": ("if x:\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "in the other branch": ("if x: pass\nelse:\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "behind an error": ("try: x\nexcept E:\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "in the end": ("try: x\nfinally:\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "in a match": ("match x:\n    case 1:\n        @policy('a.b')\n        def f(s): yield", ("a.b",)),
    "in a class": ("class C:\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "in a function": ("def make():\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "in a loop": ("for n in ():\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "in a with": ("with x:\n    @policy('a.b')\n    def f(s): yield", ("a.b",)),
    "deep": ("def a():\n  class C:\n    if x:\n      @policy('a.b')\n      def f(s): yield", ("a.b",)),
    "after many branches": (
        "if x: pass\n" + "elif x: pass\n" * 1500 + "@policy('a.b')\ndef f(s): yield",
        ("a.b",),
    ),
    "one level": ("@policy('owner')\ndef f(s): yield", ("owner",)),
    "three levels": ("@policy('a.b.c_2')\ndef f(s): yield", ("a.b.c_2",)),
}


@pytest.mark.parametrize(("source", "ids"), DECLARED.values(), ids=DECLARED.keys())
def test_policies_are_found_without_running_the_file(source: str, ids: tuple[str, ...]) -> None:
    assert declared(source.encode() + b"\nraise SystemExit\n", "x.py") == ids


UNDECLARED: dict[str, tuple[str, str]] = {
    "no call": ("@policy\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "no id": ("@policy()\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "a name": ("ID = 'a.b'\n@policy(ID)\ndef f(s): yield", "x.py:2: the policy's id must be written out"),
    "an f-string": ("@policy(f'a.{x}')\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "a sum": ("@policy('a.' + 'b')\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "stars": ("@policy(*['a.b'])\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "two stars": ("@policy(**{'id': 'a.b'})\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "bytes": ("@policy(b'a.b')\ndef f(s): yield", "x.py:1: the policy's id must be written out"),
    "empty": ("@policy('')\ndef f(s): yield", "x.py:1: '' is no policy id"),
    "a space": ("@policy('a b')\ndef f(s): yield", "x.py:1: 'a b' is no policy id"),
    "capitals": ("@policy('A.b')\ndef f(s): yield", "x.py:1: 'A.b' is no policy id"),
    "a dash": ("@policy('a-b')\ndef f(s): yield", "x.py:1: 'a-b' is no policy id"),
    "an end of line": ("@policy('a.b\\n')\ndef f(s): yield", "x.py:1: 'a.b\\n' is no policy id"),
    "a star": ("@policy('*')\ndef f(s): yield", "x.py:1: '*' is no policy id"),
    "far too long": (f"@policy('{'a' * 101}')\ndef f(s): yield", "x.py:1: 'aaa"),
    "an alias": ("from aigate import policy as p\n@p('a.b')\ndef f(s): yield", "x.py: declares no policy"),
    "a call by hand": ("def f(s): yield\nf = policy('a.b')(f)", "x.py: declares no policy"),
    "a lambda": ("f = policy('a.b')(lambda s: (yield))", "x.py: declares no policy"),
    "a class": ("@policy('a.b')\nclass C: pass", "x.py: declares no policy"),
}


@pytest.mark.parametrize(("source", "message"), UNDECLARED.values(), ids=UNDECLARED.keys())
def test_a_policy_that_cannot_be_known_beforehand_is_refused(source: str, message: str) -> None:
    with pytest.raises(PolicyCodeError) as caught:
        declared(source.encode(), "x.py")
    assert caught.value.message.startswith(message)
    assert caught.value.fix


def test_two_policies_with_one_id_are_refused() -> None:
    files = [
        PolicyFile(name, b"", "", ids) for name, ids in (("p/a.py", ("a.b", "a.c")), ("p/b.py", ("a.b",)))
    ]
    with pytest.raises(PolicyCodeError, match=r"^policy a\.b is declared in p/a\.py and again in p/b\.py$"):
        check_unique(files)
    with pytest.raises(PolicyCodeError, match=r"in p/a\.py and again in p/a\.py"):
        check_unique([PolicyFile("p/a.py", b"", "", ("a.b", "a.b"))])
    check_unique(files[:1])


# --- the standard pack ----------------------------------------------------------------------------------------------------


def test_the_standard_pack_is_found_and_whole() -> None:
    files = read_policies(standard_folder(), shown="standard", standard=True)
    check_unique(files)
    assert {file.shown for file in files} == {
        f"standard/{theme}.py" for theme in ("evaluation", "freshness", "ownership", "pipeline", "provenance")
    }
    assert all(id.partition(".")[0] == Path(file.shown).stem for file in files for id in file.policies)


def test_a_gate_without_its_pack_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It never goes on with no policies at all."""
    package = tmp_path / "src/aigate/collect/policy_files.py"
    monkeypatch.setattr("aigate.collect.policy_files.__file__", str(package))
    with pytest.raises(ConfigError, match="standard policies are not installed"):
        standard_folder()
    beside = tmp_path / "policies"
    beside.mkdir()
    assert standard_folder() == beside
    within = tmp_path / "src/aigate/standard"
    within.mkdir(parents=True)
    assert standard_folder() == within
