"""What is written for a runner is read by it as what it was: no value adds an output, a command, a summary's loss."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.action.runner import (
    MOST_MESSAGE,
    MOST_OUTPUT,
    MOST_SUMMARY,
    annotation,
    last_words,
    mask,
    write_outputs,
    write_summary,
)


def as_the_runner(content: str) -> dict[str, str]:
    """Read an output file as GitHub's runner does (`FileCommandManager.cs`): `name=value` or `name<<END`."""
    found: dict[str, str] = {}
    lines = re.split(r"\r\n|\n|\r", content)  # .NET's ReadLine
    lines = lines[:-1] if lines[-1] == "" else lines
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, _, value = line.partition("=")
            found[name] = value
            continue
        assert heredoc > 0, f"Invalid format {line!r}"
        name, _, end = line.partition("<<")
        body = []
        while True:
            assert lines, "Matching delimiter not found"
            if (line := lines.pop(0)) == end:
                break
            body.append(line)
        found[name] = "\n".join(body)
    return found


def normal(text: str) -> str:
    return re.sub(r"\r\n|\r", "\n", text)


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "yes=yes",
            "a\nyes=yes",
            "end-\n",
            "x<<y\nz\ny",
            "\r\nyes=yes\r\n",
            "::set-output name=yes::yes",
            "a\rexit-code=0",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=40),
)


@given(st.lists(HOSTILE, min_size=3, max_size=3))
def test_outputs_are_read_back_as_they_were(values: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "output"
        path.write_text("before=1\n")
        outputs = dict(zip(("verdict", "said", "record"), values, strict=True))
        write_outputs({"GITHUB_OUTPUT": str(path)}, outputs)
        with path.open("a") as file:
            file.write("exit-code=1\n")
        got = as_the_runner(path.read_bytes().decode())
    assert got == {"before": "1", "exit-code": "1"} | {name: normal(value) for name, value in outputs.items()}


def test_delimiters_are_never_the_same(tmp_path: Path) -> None:
    path = tmp_path / "output"
    for _ in range(50):
        write_outputs({"GITHUB_OUTPUT": str(path)}, {"a": "x", "b": "y"})
    ends = re.findall(r"<<(end-[0-9a-f]{32})$", path.read_text(), re.MULTILINE)
    assert len(set(ends)) == len(ends) == 100


def test_an_output_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "output"
    write_outputs({"GITHUB_OUTPUT": str(path)}, {"a": "x" * 10**6})
    assert len(as_the_runner(path.read_text())["a"]) == MOST_OUTPUT


def test_without_a_runner_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_outputs({}, {"a": "b"})
    write_summary({"GITHUB_STEP_SUMMARY": ""}, "text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sign", ["x", "é", "🛑"])
def test_a_summary_that_github_would_drop_whole_is_replaced(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "summary"
    size = len(sign.encode())
    write_summary({"GITHUB_STEP_SUMMARY": str(path)}, sign * (MOST_SUMMARY // size))
    assert path.stat().st_size > MOST_SUMMARY - 10
    path.unlink()
    write_summary({"GITHUB_STEP_SUMMARY": str(path)}, sign * (MOST_SUMMARY // size + 1))
    assert path.read_text().startswith("The report is too long")


def test_a_summary_holds_no_command(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    write_summary({"GITHUB_STEP_SUMMARY": str(path)}, "a\n  ::error::x\n##[add-path]/x\n")
    assert not re.search(r"^\s*::|##\[", path.read_text(), re.MULTILINE)


@given(st.text(), st.text(max_size=60))
def test_an_annotation_is_one_line_and_one_command(message: str, title: str) -> None:
    line = annotation("error", message, title=title)
    assert "\n" not in line
    assert "\r" not in line
    properties, _, data = line.removeprefix("::error ").partition("::")
    assert "," not in properties
    assert properties.startswith("title=")
    assert ":" not in properties

    def plain(text: str) -> str:
        return (
            text.replace("%0D", "\r")
            .replace("%0A", "\n")
            .replace("%3A", ":")
            .replace("%2C", ",")
            .replace("%25", "%")
        )

    assert plain(properties.removeprefix("title=")) == title
    assert data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") == message[:MOST_MESSAGE]


@given(st.text(min_size=1))
def test_a_mask_is_one_line(secret: str) -> None:
    assert re.fullmatch(r"::add-mask::[^\r\n]*", mask(secret))


@pytest.mark.parametrize("content", [b"", b"\n \n", None])
def test_nothing_said_is_no_last_word(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run.txt"
    if content is not None:
        path.write_bytes(content)
    assert last_words(path) == ""


def test_last_words_are_the_last_and_short(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes(b"first\n" * 9 + b"\xff\xfe end\n" + b"x" * 10_000 + b"\nlast\n")
    assert last_words(path).endswith("x last")
    assert len(last_words(path)) == 2_000
    assert last_words(tmp_path) == ""
