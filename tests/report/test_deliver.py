"""`-o`: what it takes, and what becomes of a report that cannot be written."""

import errno
import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from aigate.decision import Decision
from aigate.errors import UsageError
from aigate.report import (
    FORMATS,
    Delivery,
    Output,
    ReportContext,
    ReportError,
    deliver,
    parse_output,
    parse_outputs,
)
from aigate.report.file import write_file
from aigate.report.json import read_record
from report.cases import CASES

_DENY = CASES["deny"].decision
_CTX = ReportContext()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("text", Output("text")),
        ("json:decision.json", Output("json", Path("decision.json"))),
        ("markdown:a/b c.md", Output("markdown", Path("a/b c.md"))),
        ("json:C:decision", Output("json", Path("C:decision"))),
        ("json:-", Output("json")),
        ("json:/dev/stdout", Output("json")),
    ],
)
def test_an_output_is_a_format_and_maybe_a_file(spec: str, wanted: Output) -> None:
    assert parse_output(spec) == wanted


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("yaml", "there is no report format 'yaml'"),
        ("jsn:x", "'jsn'; did you mean 'json'?"),
        ("TEXT", "did you mean 'text'?"),
        ("", "there is no report format ''"),
        ("decision.json", "there is no report format"),
        ("json:", "-o json: names no file"),
        ("json:a\nb", "a path with control characters"),
        ("\x1b[31m", "there is no report format"),
    ],
)
def test_a_wrong_output_is_refused_with_the_way_to_write_it(spec: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(spec)
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.exit_code == 2


def test_the_fix_names_every_format() -> None:
    with pytest.raises(UsageError) as caught:
        parse_output("yaml")
    assert all(name in caught.value.fix for name in FORMATS)


def test_without_any_output_the_text_goes_to_the_terminal() -> None:
    assert parse_outputs([]) == (Output("text"),)
    assert parse_outputs([], default="json") == (Output("json"),)
    assert parse_outputs(["json:x", "text"]) == (Output("json", Path("x")), Output("text"))


@pytest.mark.parametrize(
    ("specs", "where"),
    [
        (["text", "json"], "text and json would both go to standard output"),
        (["text", "json:-"], "standard output"),
        (["json:x", "markdown:./x"], "json and markdown would both go to x"),
    ],
)
def test_two_reports_do_not_share_a_place(specs: list[str], where: str) -> None:
    with pytest.raises(UsageError, match=where):
        parse_outputs(specs)


def test_several_reports_at_once(tmp_path: Path) -> None:
    outputs = parse_outputs(["text", f"json:{tmp_path}/new/folder/d.json", f"markdown:{tmp_path}/d.md"])
    done = deliver(_DENY, outputs, ReportContext(color=True, unicode=False))
    assert done.shown.startswith("\x1b[1;31mDENY")
    assert done.troubles == ()
    assert read_record((tmp_path / "new/folder/d.json").read_bytes()) == _DENY
    assert (tmp_path / "d.md").read_text(encoding="utf-8").startswith("## ⛔ DENY")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.md", "new"]


def test_a_file_has_no_colour_and_needs_no_terminal(tmp_path: Path) -> None:
    deliver(_DENY, [Output("text", tmp_path / "x")], ReportContext(color=True, unicode=False, columns=60))
    assert (tmp_path / "x").read_text(encoding="utf-8") == FORMATS["text"](_DENY, _CTX)


@pytest.mark.parametrize(("decided", "left"), [(0, 70), (1, 1), (2, 2), (3, 3), (4, 4), (70, 70)])
def test_a_lost_report_turns_only_a_zero(decided: int, left: int) -> None:
    assert Delivery("", (ReportError("x"),)).exit_code(decided) == left
    assert Delivery("").exit_code(decided) == decided


def test_one_lost_report_does_not_cost_the_others(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    outputs = [
        Output("markdown", tmp_path / "file" / "d.md"),
        Output("json", tmp_path),
        Output("json", tmp_path / "d.json"),
        Output("text"),
    ]
    done = deliver(_DENY, outputs, _CTX)
    assert [trouble.message.rpartition(": ")[2] for trouble in done.troubles] == [
        "Not a directory",
        "Is a directory",
    ]
    assert done.shown.startswith("DENY")
    assert read_record((tmp_path / "d.json").read_bytes()) == _DENY
    assert all(isinstance(trouble.__cause__, OSError) for trouble in done.troubles)


def test_a_fault_in_a_format_is_trouble_of_that_report_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(decision: Decision, ctx: ReportContext) -> NoReturn:
        raise KeyError("\x1b[31msecret\n")

    monkeypatch.setitem(FORMATS, "markdown", broken)
    done = deliver(_DENY, [Output("markdown"), Output("text")], _CTX)
    assert done.shown.startswith("DENY")
    assert "the markdown report could not be made: KeyError" in done.troubles[0].message
    assert done.troubles[0].message.isprintable()
    assert done.exit_code(0) == 70


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.json"
    path.write_text("old", encoding="utf-8")

    def full(descriptor: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="No space left on device"):
        write_file(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "d"
    whole = {"a" * 400_000, "b" * 400_000}
    write_file(path, min(whole))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for text in whole:
                write_file(path, text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {path.read_text(encoding="utf-8") for _ in range(60)} <= whole
    finally:
        stop.set()
        writer.join()


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "d")
    write_file(link, "x")
    assert link.is_symlink()
    assert (tmp_path / "there" / "d").read_text(encoding="utf-8") == "x"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(path.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    write_file(path, "x")
    reader.join(timeout=10)
    assert got == ["x"]
    assert path.is_fifo()


def test_a_report_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "d", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o640
