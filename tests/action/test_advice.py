"""What is said of a change's own manifest: what differs, that it decides nothing, and no word of it as markup."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.action.advice import Advice, compare, read_advice, render
from aigate.action.inputs import ADVICE, ADVICE_RECORD, RECORD
from aigate.report.json import record
from report.cases import allow, deny, hold, judgement, passes
from report.cases import decision as made

NONE = "This is advice. What decides is the base's manifest"
HOSTILE = "x\n::error::y\n##[add-path]/x <img src=x> @octocat `a|b` [l](http://e.example) <!-- aigate:production -->"


def test_only_what_differs_is_compared() -> None:
    assert compare(allow(), allow()) == Advice("allow", "allow", ())
    found = compare(deny(), allow())
    assert (found.now, found.ahead) == ("deny", "allow")
    assert found.changes == (
        ("evaluation.floor", "fail", "pass"),
        ("evaluation.regression", "fail", "pass"),
        ("freshness.stage", "fail", "pass"),
    )
    assert compare(deny(), None) == Advice("deny", "", ())


def test_a_policy_that_no_longer_counts_differs() -> None:
    fail = deny().judgements[0]
    id = fail.info.id
    advised = made(*passes(id), judgement(id, fail.result.outcome, *fail.result.findings, level="advise"))
    both = made(*passes(id), judgement(id, fail.result.outcome, *fail.result.findings))
    (change,) = compare(both, advised).changes
    assert change == (id, fail.result.outcome, f"{fail.result.outcome} (advice)")


def test_a_policy_that_is_gone_or_new_differs() -> None:
    less = made(*passes("freshness.stage"))
    assert compare(allow(), less).changes == (("freshness.stage", "pass", ""),)
    assert compare(less, allow()).changes == (("freshness.stage", "", "pass"),)


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        (Advice("deny", "deny", ()), "It would still be **DENY**."),
        (Advice("deny", "allow", (("a.b", "fail", "pass"),)), "It would be **ALLOW** (it is **DENY**)."),
        (Advice("allow", "", ()), "**cannot be used**."),
        (Advice("deny", "deny", ()), "No policy's outcome changes."),
        (Advice("a", "b", (("a.b", "fail", ""),)), "| `a.b` | fail | - |"),
        (
            Advice("a", "b", tuple((f"p.{n:02}", "fail", "pass") for n in range(25))),
            "5 more policies change.",
        ),
    ],
    ids=["same", "other", "unusable", "nothing", "gone", "many"],
)
def test_it_is_said_and_said_to_be_advice(advice: Advice, words: str) -> None:
    for changed in (False, True):
        text = render(advice, policies_changed=changed)
        assert words in text
        assert NONE in text
        assert ("Proposed code is not run here" in text) is changed


def harmless(text: str) -> bool:
    lines = text.splitlines()
    return (
        not any(line.lstrip().startswith("::") for line in lines)
        and "##[" not in text
        and "<img" not in text
        and "<!--" not in text
        and "[l](" not in text
        and " @octocat" not in text
    )


def test_what_an_author_writes_is_no_markup() -> None:
    assert harmless(render(Advice("deny", "", ()), policies_changed=False, trouble=HOSTILE))
    assert harmless(render(Advice("deny", "allow", ((HOSTILE, "fail", "pass"),)), policies_changed=False))


@given(st.text(max_size=200))
def test_trouble_is_a_single_paragraph(trouble: str) -> None:
    plain = render(Advice("deny", "", ()), policies_changed=False, trouble="x")
    assert len(render(Advice("deny", "", ()), policies_changed=False, trouble=trouble).splitlines()) == len(
        plain.splitlines()
    )


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    (tmp_path / RECORD).write_bytes(record(deny()))
    (tmp_path / ADVICE_RECORD).write_bytes(record(allow()))
    (tmp_path / ADVICE).write_text('{"policies_changed": false}')
    return tmp_path


def test_it_is_read_from_the_reports(reports: Path) -> None:
    assert "would be **ALLOW**" in read_advice(reports)


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"\xff", b"[" * 100_000], ids=["gone", "empty", "cut", "bytes", "deep"]
)
@pytest.mark.parametrize("file", [ADVICE, RECORD])
def test_without_its_halves_there_is_none(reports: Path, file: str, content: bytes | None) -> None:
    (reports / file).unlink() if content is None else (reports / file).write_bytes(content)
    assert read_advice(reports) == ""


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"1", b"null"])
def test_advice_of_another_shape_is_none(reports: Path, content: bytes) -> None:
    (reports / ADVICE).write_bytes(content)
    assert read_advice(reports) == ""


@pytest.mark.parametrize("content", [None, record(allow())[:-20], record(hold()).replace(b"hold", b"keep")])
def test_a_change_that_could_not_be_judged_is_told_with_its_last_words(
    reports: Path, content: bytes | None
) -> None:
    (reports / ADVICE_RECORD).unlink() if content is None else (reports / ADVICE_RECORD).write_bytes(content)
    (reports / "advise.txt").write_text(f"aigate: {HOSTILE}\n")
    text = read_advice(reports)
    assert "cannot be used" in text
    assert "ALLOW" not in text
    assert harmless(text)


def test_waivers_of_a_change_are_said_to_lift_nothing(reports: Path) -> None:
    (reports / ADVICE).write_text('{"policies_changed": false, "waivers_changed": true}')
    text = read_advice(reports)
    assert "those of the change lift nothing here" in text
    assert "Proposed code" not in text
