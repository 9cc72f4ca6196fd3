"""An exported history, verified by its own verifier in a process that has nothing but Python's library."""

import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aigate.decision import Actor
from aigate.digest import canonical, digest_bytes
from aigate.history import Audited, audited
from aigate.ledger import Adopt, Halt, Head, next_entry, written
from aigate.report.bundle import COLUMNS, bundle, write_bundle, zipped
from aigate.report.file import ReportError
from aigate.report.json import decision_id, record
from aigate.report.verify import verify
from story import KAI, Story, forge, result, told


def exported(story: Story) -> dict[str, bytes]:
    return files_of(audited(story.sight(), "champion", "production", keep=True))


def files_of(found: Audited, *span: datetime) -> dict[str, bytes]:
    return bundle(found.audit, found.chain, found.lines, found.documents, *span)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return exported(told())


def laid(files: dict[str, bytes], folder: Path) -> Path:
    write_bundle(folder, files, folder=True)
    return folder


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "verify.py", *args]
    return subprocess.run(
        command, cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_verifier_says_ok(files: dict[str, bytes], tmp_path: Path) -> None:
    done = run(laid(files, tmp_path / "x"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("8 entries, 5 anchors, 6 records and snapshots, 13 files\n")
    assert done.stdout.endswith("OK\n")
    assert f"MANIFEST  {digest_bytes(files['MANIFEST'])}\n" in done.stdout


def test_a_zip_verifies_where_it_is_unpacked(files: dict[str, bytes], tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path / "deep" / "q1.zip", files, folder=False)
    with zipfile.ZipFile(tmp_path / "deep" / "q1.zip") as archive:
        archive.extractall(tmp_path / "out")
    assert run(tmp_path / "out", "--manifest", manifest).returncode == 0
    assert run(tmp_path / "out", "--manifest", "sha256:" + "0" * 64).returncode == 1
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "q1.zip"]


def test_anchors_from_elsewhere_are_held_against_it(files: dict[str, bytes], tmp_path: Path) -> None:
    folder = laid(files, tmp_path / "x")
    second = digest_bytes(files["entries.jsonl"].split(b"\n")[1])
    assert run(folder, "--anchor", f"2:{second}").returncode == 0
    assert run(folder, "--anchor", f"3:{second}").returncode == 1
    assert run(folder, "--anchor", f"9:{second}").returncode == 1
    assert run(folder, "--anchor", "nonsense").returncode == 1
    assert run(folder, "--surprise").returncode == 1


def test_the_same_history_gives_the_same_bytes() -> None:
    one, other = exported(told()), exported(told())
    assert one == other
    assert zipped(one) == zipped(other)


def test_what_is_listed_is_chosen_and_what_is_verified_is_not() -> None:
    found = audited(told().sight(), "champion", "production", keep=True)
    some = files_of(
        found, datetime.fromisoformat("2026-11-08T00:00:00Z"), datetime.fromisoformat("2026-11-09T00:00:00Z")
    )
    whole = files_of(found)
    assert [row["entry"] for row in table(some)] == ["3", "4"]
    assert "2 of 8 entries are listed" in some["index.html"].decode()
    assert some["entries.jsonl"] == whole["entries.jsonl"]
    assert {n for n in some if "/" in n} == {n for n in whole if "/" in n}


def table(files: dict[str, bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files["ledger.csv"].decode(), newline="")))


# ---- tampering


def sealed(files: dict[str, bytes]) -> dict[str, bytes]:
    """Make MANIFEST anew, as somebody would who knows how the bundle is made."""
    rest = {name: data for name, data in files.items() if name != "MANIFEST"}
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(rest.items()))
    return {**rest, "MANIFEST": lines.encode()}


def names(files: dict[str, bytes]) -> list[str]:
    return sorted(files)


@pytest.mark.parametrize("at", range(13))
@pytest.mark.parametrize("how", ["flip", "cut", "grow", "drop"])
def test_every_file_that_is_changed_is_found(
    files: dict[str, bytes], at: int, how: str, tmp_path: Path
) -> None:
    changed = dict(files)
    name = names(files)[at]
    data = files[name]
    if how == "drop":
        del changed[name]
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        changed[name] = {"flip": flipped, "cut": data[:-1], "grow": data + b"\n"}[how]
    changed.setdefault("MANIFEST", b"")
    broken, _ = verify(laid(changed, tmp_path / "x"), [], None)
    assert broken


def test_a_file_that_was_added_is_found(files: dict[str, bytes], tmp_path: Path) -> None:
    broken, _ = verify(laid({**files, "records/more.json": b"{}"}, tmp_path / "x"), [], None)
    assert any("it was added" in line for line in broken)


def _lines(files: dict[str, bytes]) -> list[bytes]:
    return files["entries.jsonl"].split(b"\n")[:-1]


def _with(files: dict[str, bytes], lines: list[bytes]) -> dict[str, bytes]:
    return {**files, "entries.jsonl": b"".join(line + b"\n" for line in lines)}


def _drop(files: dict[str, bytes]) -> dict[str, bytes]:
    lines = _lines(files)
    return _with(files, lines[:2] + lines[3:])


def _truncate(files: dict[str, bytes]) -> dict[str, bytes]:
    return _with(files, _lines(files)[:-2])


def _swap(files: dict[str, bytes]) -> dict[str, bytes]:
    lines = _lines(files)
    lines[2], lines[3] = lines[3], lines[2]
    return _with(files, lines)


def _double(files: dict[str, bytes]) -> dict[str, bytes]:
    lines = _lines(files)
    return _with(files, [*lines, lines[-1]])


def _edit(files: dict[str, bytes]) -> dict[str, bytes]:
    return _with(files, [line.replace(b"d.silva", b"m.silva") for line in _lines(files)])


def _unanchored(files: dict[str, bytes]) -> dict[str, bytes]:
    """An entry that no anchor names: only the link of the next one tells."""
    lines = _lines(files)
    lines[1] = lines[1].replace(b'"nonce":"0', b'"nonce":"1')
    return _with(files, lines)


def _spaces(files: dict[str, bytes]) -> dict[str, bytes]:
    return _with(files, [line.replace(b'":', b'": ', 1) for line in _lines(files)])


def _twice(files: dict[str, bytes]) -> dict[str, bytes]:
    return _with(files, [line.replace(b'{"actor"', b'{"actor":{},"actor"', 1) for line in _lines(files)])


def _rewrite(files: dict[str, bytes]) -> dict[str, bytes]:
    return _with(files, forge(_lines(files), 1, lambda e: e.model_copy(update={"nonce": "f" * 16})))


def _record(files: dict[str, bytes]) -> dict[str, bytes]:
    name = next(name for name in files if name.startswith("records/"))
    return {**files, name: files[name].replace(b'"allow"', b'"deny!"')}


def _renamed_record(files: dict[str, bytes]) -> dict[str, bytes]:
    """An edited record with an id and a name that fit it."""
    name = next(name for name in files if name.startswith("records/"))
    fields = json.loads(files[name])
    fields["reason"] = "because"
    fields.pop("id")
    import rfc8785

    fields["id"] = digest_bytes(rfc8785.dumps(fields))
    data = rfc8785.dumps(fields)
    changed = {key: value for key, value in files.items() if key != name}
    return {**changed, f"records/{hashlib.sha256(data).hexdigest()}.json": data}


def _anchors(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "anchors.json": files["anchors.json"].replace(b'"seq":7', b'"seq":6')}


def _no_anchors(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**_truncate(files), "anchors.json": b'{"anchors":[],"at":"x","head":null,"model":"churn"}\n'}


def _garbage(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "anchors.json": b"[]"}


def _floats(files: dict[str, bytes]) -> dict[str, bytes]:
    return _with(files, [line.replace(b'"seq":1}', b'"seq":1.0}') for line in _lines(files)])


@pytest.mark.parametrize(
    "change",
    [
        _drop,
        _truncate,
        _swap,
        _double,
        _edit,
        _unanchored,
        _spaces,
        _twice,
        _rewrite,
        _record,
        _renamed_record,
        _anchors,
        _no_anchors,
        _garbage,
        _floats,
    ],
)
def test_tampering_that_makes_the_manifest_fit_is_found(
    files: dict[str, bytes], change: Callable[[dict[str, bytes]], dict[str, bytes]], tmp_path: Path
) -> None:
    changed = sealed(change(files))
    assert changed != files
    done = run(laid(changed, tmp_path / "x"))
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
    assert done.stderr == ""


def test_a_broken_ledger_is_exported_as_it_is_and_found(tmp_path: Path) -> None:
    story = told()
    story.lines[3] = story.lines[3].replace(b"applied", b"refused")
    files = exported(story)
    assert files["entries.jsonl"].count(b"\n") == 8
    assert run(laid(files, tmp_path / "x")).returncode == 1


# ---- the record of a halt


def _halted() -> Story:
    """A story that ends in a halt for which a decision called."""
    story = told()
    _, decision = story.evidence("3", result("fail"))
    kept = story.ledger.keep(record(decision))
    halt = Halt(reason="accuracy 0.71", role="watch", decision=decision_id(decision), record=kept)
    story.write(halt)
    return story


def test_the_record_of_a_halt_is_in_the_bundle_and_verified(tmp_path: Path) -> None:
    files = exported(_halted())
    assert sum(name.startswith("records/") for name in files) == 4
    done = run(laid(files, tmp_path / "x"))
    assert done.returncode == 0, done.stdout
    assert "7 records and snapshots" in done.stdout


@pytest.mark.parametrize("how", ["gone", "edited"])
def test_a_halt_whose_record_is_not_what_was_kept_is_found(how: str, tmp_path: Path) -> None:
    files = exported(_halted())
    name = (set(files) - set(exported(told()))).pop()
    assert name.startswith("records/")
    rest = {key: data for key, data in files.items() if key != name}
    changed = rest if how == "gone" else {**rest, name: files[name].replace(b"0.71", b"0.95", 1)}
    done = run(laid(sealed(changed), tmp_path / "x"))
    assert done.returncode == 1
    assert f"entry 9, {name}" in done.stdout


# ---- junk between the entries


def _littered() -> Story:
    """Somebody puts junk where an entry should be, and then a line that looks like an entry and is given up."""
    story = told()
    story.lines.append(b"junk")
    story.ledger.refresh()
    story.halt()
    story.lines.append(story.lines[4])
    given_up = next_entry(
        Head(seq=11, digest=digest_bytes(story.lines[-1])),
        "churn",
        Adopt(alias="champion", from_=None, to=story.identity("3"), reason="junk", role="approver", void=11),
        at=story.now,
        actor=KAI,
        nonce="f" * 16,
    )
    story.lines.append(written(given_up))
    return story


def test_junk_is_void_in_the_bundle_too(tmp_path: Path) -> None:
    story = _littered()
    found = audited(story.sight(), "champion", "production", keep=True)
    files = files_of(found)
    assert [r.where for r in found.audit.remarks if r.code == "void"] == ["entry 9", "entry 11"]
    done = run(laid(files, tmp_path / "x"))
    assert done.returncode == 0, done.stdout
    assert [line[10:18] for line in done.stdout.splitlines() if line.startswith("VOID")] == [
        "entry 9:",
        "entry 11",
    ]
    assert [row["kind"] for row in table(files)][8:] == ["void", "halt", "void", "adopt"]
    assert "junk" in files["index.html"].decode()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: [*lines[:8], b"other", *lines[9:]], id="junk that was changed"),
        pytest.param(lambda lines: [*lines[:8], *lines[9:]], id="junk that was taken away"),
        pytest.param(lambda lines: lines[:11], id="an entry out of place that nobody gave up"),
        pytest.param(lambda lines: [*lines[:4], b"junk", *lines[5:]], id="junk in place of an entry"),
    ],
)
def test_junk_hides_no_tampering(change: Callable[[list[bytes]], list[bytes]], tmp_path: Path) -> None:
    files = exported(_littered())
    done = run(laid(sealed(_with(files, change(_lines(files)))), tmp_path / "x"))
    assert done.returncode == 1, done.stdout


def test_an_empty_ledger(tmp_path: Path) -> None:
    story = Story()
    files = exported(story)
    assert files["entries.jsonl"] == b""
    done = run(laid(files, tmp_path / "x"))
    assert done.returncode == 0, done.stdout


def test_names_beyond_the_basic_plane_are_sorted_as_the_standard_says(tmp_path: Path) -> None:
    from aigate.report.verify import canonical as form

    assert form({"\U0001f600": 1, "\ufb33": 2}) == '{"\U0001f600":1,"\ufb33":2}'


# ---- what people read


def test_no_cell_is_a_formula() -> None:
    story = told()
    for reason in ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1", " =1"):
        story.write(Halt(reason=reason, role="owner"), Actor(name=f"={reason.strip()}", run="=x"))
    rows = table(exported(story))
    assert list(rows[0]) == list(COLUMNS)
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝")) for cell in row.values()), row
    assert rows[8]["reason"] == "'=1+1"
    assert "\n" not in rows[8]["by"]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_is_static_and_escaped() -> None:
    story = told()
    evil = "<script>alert(1)</script><img src=x onerror=y>\"'&"
    story.write(Halt(reason=evil, role="owner"), Actor(name=evil, run=evil))
    text = exported(story)["index.html"].decode()
    page = _Page()
    page.feed(text)
    kinds = {tag for tag, _ in page.tags}
    assert kinds <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "p",
        "code",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
    }
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on") or a in ("href", "src")]
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_the_style_is_the_one_that_the_policy_names() -> None:
    import base64

    text = exported(told())["index.html"].decode()
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in text


def test_a_folder_with_something_in_it_is_left_alone(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(ReportError, match="is not empty"):
        write_bundle(tmp_path, files, folder=True)
    with pytest.raises(ReportError, match="cannot write"):
        write_bundle(tmp_path / "mine" / "q1.zip", files, folder=False)


def test_the_documents_of_the_bundle_are_those_of_the_ledger(files: dict[str, bytes]) -> None:
    found = audited(told().sight(), "champion", "production", keep=True)
    assert len(found.documents) == 6
    for digest, data in found.documents.items():
        assert digest_bytes(data) == digest
        assert data in files.values()
    assert not audited(told().sight(), "champion", "production").documents
    assert replace(found, documents={}).audit == found.audit
    assert canonical(found.audit) == canonical(audited(told().sight(), "champion", "production").audit)
