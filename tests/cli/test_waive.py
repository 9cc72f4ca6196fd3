"""`aigate waive`: the finding at hand, written down so that it counts, or refused with the reason."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aigate.cli import run, waive
from aigate.cli.options import world
from aigate.cli.waive_file import NotWrittenError, refuse_unwritable, replace_file, with_entry
from aigate.collect.manifest_file import load_manifest
from aigate.collect.waiver_file import parse_waivers
from aigate.decision import Waiver
from aigate.digest import canonical
from aigate.errors import ConfigError, UsageError
from aigate.testing import NOW, change, missing, passing_snapshot
from cli.conftest import System

MANIFEST = """\
version: 1
system: churn
owner: retention-platform
model: {name: churn}
environments:
  production:
    levels: {ownership: require}
"""
WRITTEN = NOW - timedelta(minutes=1)
"""When the waiver is written: a minute before the decision that it is for."""

COMMENTED = """\
# what we let stand

version: 1
waivers:   # the list
    -   policy: freshness.cache   # an old one
        key: a/b
        registry: https://mlflow.example
        model: churn
        version: 1
        reason: "was #so"
        approver: user:kai
        approved_on: 2026-08-01
        expires: 2026-08-05
    # the end"""


_RECORDS: dict[bytes, bytes] = {}
"""Records that were made in this session, by their evidence."""


class Place:
    """A folder with a manifest and evidence in which the features are late and nothing else is wrong."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.waivers = folder / "waivers.yaml"
        self.manifest("")
        self.spoil(("/stages/features/age", timedelta(days=3)))

    def manifest(self, more: str) -> None:
        (self.folder / "aigate.yaml").write_text(MANIFEST + more)

    def spoil(self, *changes: tuple[str, object]) -> None:
        """Write the snapshot and the record of a decision on it."""
        digest = load_manifest(self.folder / "aigate.yaml").digest
        snapshot = change(passing_snapshot(), "/manifest_digest", digest)
        for pointer, value in changes:
            snapshot = change(snapshot, pointer, value)
        content, path = canonical(snapshot), self.folder / "record.json"
        (self.folder / "snapshot.json").write_bytes(content)
        if content not in _RECORDS:  # the same evidence gives the same bytes
            self.evaluate("-o", "json:record.json")
            _RECORDS[content] = path.read_bytes()
        path.write_bytes(_RECORDS[content])

    def aigate(self, *words: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        code = run(list(words))
        out, err = self.capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    def evaluate(self, *words: str) -> tuple[int, str, str]:
        return self.aigate("evaluate", "--snapshot", "snapshot.json", *words)

    def waive(
        self, *words: str, reason: str = "the backfill runs on Monday", until: str = "14d"
    ) -> tuple[int, str, str]:
        given = ("--reason", reason, "--until", until)
        return self.aigate("waive", *words, *given, "-r", "record.json")


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(waive, "world", lambda deadline: replace(world(deadline), now=WRITTEN))
    return Place(tmp_path, capsys)


def test_the_finding_at_hand_is_waived_and_the_version_is_allowed(place: Place) -> None:
    assert place.evaluate()[0] == 1
    code, out, err = place.waive()
    assert (code, err) == (0, "")
    assert "counts once it is on the protected branch" in out
    assert 'version: "2"' in out
    (entry,) = parse_waivers(place.waivers.read_bytes()).entries
    assert entry.waiver is not None
    assert (entry.waiver.policy, entry.waiver.key, entry.waiver.environment) == (
        "freshness.stage",
        "features",
        "production",
    )
    code, out, _ = place.evaluate()
    assert code == 0
    assert re.match(r"ALLOW  churn v2 → @champion · none failed · .* · 1 waived", out), out
    assert "~ WAIVED   freshness.stage" in out
    assert "the backfill runs on Monday" in out


@pytest.mark.parametrize(
    "words", [("freshness.stage",), ("freshness.stage", "--key", "features"), ("--key", "features")]
)
def test_it_is_found_by_its_names(place: Place, words: tuple[str, ...]) -> None:
    assert place.waive(*words)[0] == 0


def test_a_dry_run_writes_nothing(place: Place) -> None:
    code, out, _ = place.waive("--dry-run")
    assert (code, place.waivers.exists()) == (0, False)
    assert "- policy: freshness.stage" in out


@pytest.mark.parametrize(
    "reason", ["backfill", "it is so: " + "very long " * 49, "  a  b::c ##[x] <d> | \\n"]
)
def test_a_dry_run_prints_all_of_what_is_to_be_put_in(place: Place, reason: str) -> None:
    _, out, _ = place.waive("--dry-run", reason=reason)
    entry, _, _ = out.partition("nothing was written")
    assert "    expires: " in entry
    (printed,) = parse_waivers(f"version: 1\nwaivers:\n{entry}".encode()).entries
    assert place.waive(reason=reason)[0] == 0
    (written,) = parse_waivers(place.waivers.read_bytes()).entries
    assert printed.waiver is not None
    assert written.waiver is not None
    assert printed.waiver.reason == written.waiver.reason == " ".join(reason.split())


def test_a_dry_run_prints_what_only_a_hand_can_put_in(place: Place) -> None:
    place.waivers.write_text("{version: 1, waivers: [{policy: a.b}]}\n")
    code, out, _ = place.waive("--dry-run")
    assert (code, "- policy: freshness.stage" in out) == (0, True)
    place.waivers.unlink()
    place.waive()
    assert place.waive("--dry-run")[0] == 2, "it stands there already"


def test_a_day_is_an_end_too(place: Place) -> None:
    day = (NOW + timedelta(days=5)).date().isoformat()
    assert place.waive(until=day)[0] == 0
    assert f"expires: {day}T00:00:00Z" in place.waivers.read_text()


def test_what_is_in_the_file_stays_as_it_is(place: Place) -> None:
    place.waivers.write_text(COMMENTED)
    place.waivers.chmod(0o640)
    assert place.waive()[0] == 0
    text = place.waivers.read_text()
    assert text.startswith(COMMENTED + "\n    - policy: freshness.stage\n      key: ")
    assert place.waivers.stat().st_mode & 0o777 == 0o640
    assert not [*place.folder.glob(".*.tmp")]
    assert len(parse_waivers(text.encode()).entries) == 2


def _ruled(authority: str) -> Callable[[Place], None]:
    """Return what puts an authority into the manifest, under which the features are late."""

    def change_rules(place: Place) -> None:
        place.manifest(f"authority: {authority}\n")
        place.spoil(("/stages/features/age", timedelta(days=9)))

    return change_rules


REFUSED: dict[str, tuple[Callable[[Place], Any], tuple[str, ...], dict[str, str], str]] = {
    "no such policy": (lambda p: None, ("freshness.stages",), {}, "freshness.stage --key features"),
    "no such key": (lambda p: None, ("--key", "embeddings"), {}, "is none of the findings"),
    "over-long": (lambda p: None, (), {"until": "31d"}, "30d is the longest there may be"),
    "over at once": (lambda p: None, (), {"until": "0s"}, "expires is not after approved_on"),
    "in the past": (lambda p: None, (), {"until": "2026-01-01"}, "expires is not after approved_on"),
    "an end in words": (lambda p: None, (), {"until": "soon"}, "neither a span nor a date"),
    "no reason": (lambda p: None, (), {"reason": "  "}, "reason"),
    "twice": (lambda p: p.waive(), (), {}, "waives the same already"),
    "a broken file": (lambda p: p.waivers.write_text("- a"), (), {}, "must be a mapping"),
    "level require": (lambda p: p.spoil(("/owner", None)), ("ownership.accountable",), {}, "ownership.accountable: level require"),
    "nothing wrong": (lambda p: p.spoil(), (), {}, "nothing keeps the gate shut"),
    "another manifest": (lambda p: p.manifest("# edited\n"), (), {}, "another manifest"),
    "not in a list of lines": (
        lambda p: p.waivers.write_text("{version: 1, waivers: [{policy: a.b}]}\n"),
        (),
        {},
        "by hand",
    ),
    "an approver who may not": (
        _ruled("{approvers: ['user:boss']}"),
        (),
        {},
        "neither an approver",
    ),
    "his own approval": (
        _ruled("{four_eyes: true}"),
        (),
        {},
        "four eyes",
    ),
    "two at hand": (
        lambda p: p.spoil(
            ("/stages/features/age", timedelta(9)), ("/challenger/measurements/accuracy/value", "0.41")
        ),
        (),
        {},
        "which finding?",
    ),
    "a version with a record": (lambda p: None, ("--version", "2"), {}, "do not go with --record"),
    "another environment": (lambda p: None, ("-e", "staging"), {}, "is about 'production'"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "words", "given", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_not_count_is_not_written(
    place: Place, before: Callable[[Place], Any], words: tuple[str, ...], given: dict[str, str], says: str
) -> None:
    before(place)
    was = place.waivers.read_bytes() if place.waivers.exists() else None
    code, out, err = place.waive(*words, **given)
    assert (code, out) == (2, ""), out
    assert says in err, err
    assert (place.waivers.read_bytes() if place.waivers.exists() else None) == was


def test_an_approver_is_named(place: Place) -> None:
    place.manifest("authority: {approvers: ['github:boss'], four_eyes: true}\n")
    place.spoil(("/stages/features/age", timedelta(days=9)))
    assert place.waive("--approver", "github:boss")[0] == 0
    assert place.evaluate()[0] == 0


def test_what_could_not_be_assessed_is_waived_as_just_that(place: Place) -> None:
    place.spoil(("/stages/features/age", missing("503", "https://data.example")))
    assert place.evaluate()[0] == 3
    assert place.waive("freshness.stage")[0] == 0
    assert "covers: unknown" in place.waivers.read_text()
    code, out, _ = place.evaluate("--format", "json")
    assert "by user:" in out
    assert code in (0, 3)  # other policies read the same age, and each needs leave of its own


def test_where_several_stand_the_others_are_counted(place: Place) -> None:
    place.spoil(("/stages/features/age", timedelta(9)), ("/challenger/measurements/accuracy/value", "0.41"))
    code, out, _ = place.waive("freshness.stage")
    assert code == 0
    assert re.search(r"[0-9]+ other findings? keeps? the gate shut", out), out


ENTRY = Waiver(
    policy="freshness.stage",
    key='a "quoted": key # with everything',
    registry="https://mlflow.example",
    model="no",
    version="2",
    reason="yes: 'no' \\ “é” 🙂 - {a}",
    approver="user:kai",
    approved_on=datetime(2026, 11, 21, 12, tzinfo=UTC),
    expires=datetime(2026, 12, 1, tzinfo=UTC),
)

FILES: dict[str, bytes | None] = {
    "none": None,
    "empty": b"",
    "a comment": b"# none yet",
    "a mark of the byte order": b"\xef\xbb\xbfversion: 1\nwaivers:\n",
    "no list": b"version: 1\n",
    "no entries": b"version: 1\nwaivers:\n",
    "an empty list": b"version: 1\nwaivers: []  # none yet\n# end\n",
    "null": b"version: 1\nwaivers: null",
    "a list at the margin": b"version: 1\nwaivers:\n- policy: a.b\n  key: ''\n",
    "lines of another system": b"version: 1\r\nwaivers:\r\n  - policy: a.b\r\n",
    "with comments": COMMENTED.encode(),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_an_entry_more_is_read_as_it_was_meant_and_nothing_else_changes(data: bytes | None) -> None:
    content, book = with_entry(data, ENTRY, "waivers.yaml")
    assert parse_waivers(content) == book
    assert book.entries[-1].waiver == ENTRY
    before = () if data is None else parse_waivers(data).entries
    assert book.entries[:-1] == before


@pytest.mark.parametrize(
    "text",
    [
        "waivers: []\nversion: 1\n",
        "version: 1\nwaivers: [{policy: a.b}]\n",
        "waivers:\n- {}\nversion: 1\n",
        "version: 1\nwaivers:\n- {}\n...\n",
    ],
)
def test_where_the_end_is_not_the_lists_end_it_is_left_to_a_person(text: str) -> None:
    with pytest.raises(UsageError, match="no entry can be put at its end") as caught:
        with_entry(text.encode(), ENTRY, "waivers.yaml")
    assert "--dry-run" in caught.value.fix


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_bytes(b"theirs")
    with pytest.raises(UsageError, match="was changed while"):
        replace_file(path, b"ours", b"new", "waivers.yaml")
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (b"theirs", [path])


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "waivers.yaml"
    with pytest.raises(NotWrittenError, match="cannot be written"):
        replace_file(path, None, b"new", "waivers.yaml")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_bytes(b"")
    path = tmp_path / "waivers.yaml"
    path.symlink_to("real.yaml")
    replace_file(path, b"", b"new", "waivers.yaml")
    assert (path.is_symlink(), (tmp_path / "real.yaml").read_bytes()) == (True, b"new")


def test_a_reader_finds_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path, seen, end = tmp_path / "waivers.yaml", set(), threading.Event()
    path.write_bytes(b"a" * 100_000)

    def look() -> None:
        while not end.is_set():
            seen.add(path.read_bytes()[:1] + path.read_bytes()[-1:])

    reader = threading.Thread(target=look)
    reader.start()
    for old, new in ((b"a", b"b"), (b"b", b"a")) * 10:
        replace_file(path, old * 100_000, new * 100_000, "waivers.yaml")
    end.set()
    reader.join()
    assert seen <= {b"aa", b"bb", b"ab", b"ba"}


def test_a_file_with_two_for_the_same_is_not_added_to() -> None:
    content, _ = with_entry(None, ENTRY, "waivers.yaml")
    with pytest.raises(ConfigError, match="waives the same already"):
        with_entry(content, ENTRY.model_copy(update={"reason": "another"}), "waivers.yaml")


@pytest.mark.server
def test_a_finding_is_evaluated_waived_and_let_stand_on_a_real_server(system: System) -> None:
    system.loaded(features=12)
    done = system.aigate(
        "waive", "freshness.stage", "--key", "features", "--reason", "the backfill runs", "--until", "7d"
    )
    assert (done.code, done.err) == (0, ""), done.err
    assert "other findings keep the gate shut" in done.out
    after = json.loads(system.aigate("evaluate", "--format", "json").out)
    assert (after["verdict"], after["counts"]["waived"]) == ("deny", 1)
    (use,) = after["waivers"]["applied"]
    assert (use["policy"], use["key"], use["waiver"]["version"]) == ("freshness.stage", "features", "2")
    other = json.loads(system.aigate("evaluate", f"{system.churn.name}@1", "--format", "json").out)
    assert (other["counts"]["waived"], len(other["waivers"]["unused"])) == (0, 1)
    assert system.aigate("promote", "--dry-run").code == 1
    kept = json.loads(system.aigate("evaluate", "--question", "retain", "--format", "json").out)
    assert kept["verdict"] == "halt", "v1 has no leave"
    # What the features were built from has been replaced, and whether that was long ago nobody knows.
    for policy in ("freshness.stage", "freshness.cache"):
        done = system.aigate(
            "waive", policy, "--question", "retain", "--reason", "the backfill runs", "--until", "7d"
        )
        assert done.code == 0, done.err
    kept = json.loads(system.aigate("evaluate", "--question", "retain", "--format", "json").out)
    assert (kept["verdict"], kept["counts"]["waived"]) == ("keep", 2), kept["reason"]
    watched = system.aigate("watch", "--once", "--dry-run")
    assert watched.code == 0, watched.out + watched.err
    assert "~ freshness.stage features waived by " in watched.out


@pytest.mark.parametrize("key", ["a\x1b[2Jb", "a\u202eb", "a\u0085b"])
def test_a_key_that_no_file_may_hold_is_said(key: str) -> None:
    begins = NOW - timedelta(minutes=1)
    given: dict[str, Any] = {"policy": "a.b", "key": key, "registry": "r", "model": "m", "version": "2"}
    one = Waiver(**given, reason="r", approver="k", approved_on=begins, expires=NOW)
    with pytest.raises(UsageError, match="cannot be written down: the character U"):
        refuse_unwritable(one)
