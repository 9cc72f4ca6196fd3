"""The waivers' file: strict where it is a file, and where an entry is malformed it lifts nothing and is shown."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.collect.manifest_file import load_manifest
from aigate.collect.waiver_file import MOST, NAME, load_waivers, parse_waivers
from aigate.digest import digest_bytes
from aigate.errors import ConfigError
from aigate.gate import judges
from aigate.isolate import Limits

ENTRY = """\
  - policy: freshness.stage
    key: features
    registry: https://mlflow.example
    model: churn
    version: 2
    reason: the backfill runs on Monday
    approver: user:kai
    approved_on: 2026-11-21
    expires: 2026-12-01
"""
FILE = f"version: 1\nwaivers:\n{ENTRY}"


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(FILE)
    book = load_waivers(tmp_path)
    (entry,) = book.entries
    assert entry.waiver is not None
    assert (entry.nth, entry.line, entry.waiver.version) == (1, 3, "2")
    assert book.digest == digest_bytes(FILE.encode())


def test_none_is_none(tmp_path: Path) -> None:
    book = load_waivers(tmp_path)
    assert (book.entries, book.digest) == ((), None)


def test_it_is_named_as_it_lies_beside_its_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/aigate.yaml").write_text("version: 1\nsystem: churn\nmodel: {name: churn}\n")
    (tmp_path / "deep/waivers.yaml").write_text("version: 2\n")
    with (
        pytest.raises(ConfigError) as caught,
        judges(load_manifest(Path("deep/aigate.yaml")), "production", Limits()),
    ):
        pass
    assert str(caught.value).startswith("deep/waivers.yaml:1:1: ")


@pytest.mark.parametrize(
    "text", ["", "# none yet\n", "version: 1\n", "version: 1\nwaivers:\n", "version: 1\nwaivers: []\n"]
)
def test_an_empty_file_waives_nothing(text: str) -> None:
    book = parse_waivers(text.encode())
    assert (book.entries, book.digest) == ((), digest_bytes(text.encode()))


def test_one_byte_more_is_another_file() -> None:
    assert parse_waivers(FILE.encode()).digest != parse_waivers(f"{FILE}\n".encode()).digest


WRONG = {
    "a list": ("- a\n", "must be a mapping"),
    "a word": ("yes\n", "must be a mapping"),
    "no version": ("waivers: []\n", "version must be 1"),
    "another version": ("version: 2\nwaivers: []\n", "version must be 1"),
    "version true": ("version: true\nwaivers: []\n", "version must be 1"),
    "a misspelt key": ("version: 1\nwaiver: []\n", "did you mean 'waivers'"),
    "a mapping of waivers": ("version: 1\nwaivers: {a: 1}\n", "must be a list"),
    "a key twice": (FILE.replace("    key: features\n", "    key: features\n    key: embeddings\n"), "comes twice"),
    "the list twice": (f"{FILE}waivers: []\n", "comes twice"),
    "an anchor": (FILE.replace("key: features", "key: &a features"), "anchors"),
    "a merge key": (FILE.replace("key: features", "<<: {key: features}"), "merge keys"),
    "a tag": (FILE.replace("2026-12-01", "!!timestamp 2026-12-01"), "tags are not allowed"),
    "a second document": (f"{FILE}---\nversion: 1\n", "second document"),
    "not UTF-8": ("version: 1\n#\x80", "UTF-8"),
    "text turned round": (FILE.replace("Monday", "Mon\u202eday"), "U+202E"),
    "a bomb": ("version: 1\nwaivers: " + "[" * 60 + "]" * 60, "nested deeper"),
    "too large": (FILE + "#" * 300_000, "bytes"),
    "too many": ("version: 1\nwaivers:\n" + "  - {}\n" * (MOST + 1), f"at most {MOST}"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG.keys())
def test_a_file_that_is_no_list_of_waivers_stops_the_gate(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_waivers(text.encode("latin-1" if "\x80" in text else "utf-8"))
    assert says in str(caught.value), caught.value
    assert str(caught.value).startswith("waivers.yaml:")


MALFORMED = {
    "no mapping": ("  - features\n", "must be a mapping"),
    "nothing": ("  -\n", "must be a mapping"),
    "no expiry": (ENTRY.replace("    expires: 2026-12-01\n", ""), "'expires' is required"),
    "no key": (ENTRY.replace("    key: features\n", ""), "'key' is required"),
    "a key that is null": (ENTRY.replace("key: features", "key:"), "key: "),
    "no registry": (ENTRY.replace("    registry: https://mlflow.example\n", ""), "'registry' is required"),
    "no version": (ENTRY.replace("    version: 2\n", ""), "give the version"),
    "any version": (ENTRY.replace("version: 2", 'version: "*"'), "one version's number"),
    "a version with a nought": (ENTRY.replace("version: 2", "version: 02"), "one version's number"),
    "a version that is true": (ENTRY.replace("version: 2", "version: true"), "version: "),
    "any policy": (ENTRY.replace("freshness.stage", '"*"'), "one policy's id"),
    "a misspelt key": (ENTRY.replace("expires", "expiry"), "did you mean 'expires'"),
    "an expiry that is no date": (ENTRY.replace("2026-12-01", "2026-13-01"), "expires: "),
    "an expiry in a hundred days' time": (ENTRY.replace("2026-12-01", "100d"), "expires: "),
    "an expiry without a zone": (ENTRY.replace("2026-12-01", "2026-12-01T00:00:00"), "expires: "),
    "an expiry with a blank for the T": (ENTRY.replace("2026-12-01", "2026-12-01 00:00:00Z"), "expires: "),
    "never": (ENTRY.replace("2026-12-01", "~"), "expires: "),
    "a list of policies": (ENTRY.replace("freshness.stage", "[a.b, c.d]"), "policy: "),
    "covers errors": (ENTRY.replace("    version: 2\n", "    version: 2\n    covers: error\n"), "covers: "),
    "leave for no end of findings": (ENTRY + "    findings: 1000000\n", "findings: "),
}


@pytest.mark.parametrize(("text", "says"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_entry_is_expired_and_says_why(text: str, says: str) -> None:
    book = parse_waivers(f"version: 1\nwaivers:\n{text}{ENTRY}".encode())
    broken, sound = book.entries
    assert sound.waiver is not None
    assert broken.waiver is None
    assert broken.malformed is not None
    assert broken.malformed.until is None
    assert broken.malformed.why.startswith("malformed: ")
    assert says in broken.malformed.why, broken.malformed.why
    assert (broken.nth, broken.line) == (1, 3)


def test_what_can_be_told_of_a_malformed_entry_is_told() -> None:
    (entry,) = parse_waivers(FILE.replace("expires: 2026-12-01", "expires: soon").encode()).entries
    assert entry.malformed is not None
    use = entry.malformed
    assert (use.policy, use.key, use.who) == ("freshness.stage", "features", "user:kai")


def test_two_entries_for_the_same_are_refused() -> None:
    later = ENTRY.replace("2026-12-01", "2026-12-08").replace("user:kai", "user:ana")
    with pytest.raises(ConfigError, match=r"waivers.yaml:12: the entry in line 3 waives the same already"):
        parse_waivers(f"{FILE}{later}".encode())
    for other in ("key: embeddings", "key: ''"):
        parse_waivers(f"{FILE}{ENTRY.replace('key: features', other)}".encode())


@pytest.mark.parametrize("kind", ["folder", "pipe", "unreadable"])
def test_what_is_no_file_stops_the_gate_and_never_hangs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"waivers\.yaml"):
        load_waivers(tmp_path)


def _lines() -> Iterator[str]:
    yield from ENTRY.splitlines()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*_lines(), "  - {}", "  - 1", "    key: 7", "x: y", "\t", "  ]"]), max_size=14)
)
def test_whatever_lines_there_are_it_is_read_or_refused(lines: list[str]) -> None:
    text = "\n".join(["version: 1", "waivers:", *lines])
    try:
        book = parse_waivers(text.encode())
    except ConfigError:
        return
    for entry in book.entries:
        assert (entry.waiver is None) != (entry.malformed is None)
