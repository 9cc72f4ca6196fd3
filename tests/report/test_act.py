"""An act as text and as JSON: what came of it first, nothing hidden, nothing that commands a terminal."""

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigate.ledger import Head
from aigate.plan import Act, ActName, ActResult, Blocker, Effect, move_effects
from aigate.report.act import render, render_json
from aigate.report.context import ReportContext
from aigate.report.layout import width
from aigate.target import Check
from histories import NOW, digest_of, identity
from report.hostile import HOSTILE, commands, name, unseen

_CTX = ReportContext()
_ASCII = ReportContext(unicode=False)
_VERBOSE = ReportContext(verbose=True)
V1, V2 = identity(1), identity(2)
HEAD = Head(seq=12, digest=digest_of("c"))

WORDS: dict[str, str] = {
    "done": "DONE",
    "already": "ALREADY",
    "planned": "PLAN",
    "refused": "REFUSED",
    "denied": "DENIED",
    "changed": "NOT DONE",
    "unconfirmed": "UNCONFIRMED",
}
GREEN, RED, YELLOW = "32", "31", "33"
COLORS = {
    "done": GREEN,
    "already": GREEN,
    "planned": YELLOW,
    "refused": RED,
    "denied": RED,
    "changed": YELLOW,
    "unconfirmed": RED,
}
_RESULTS = pytest.mark.parametrize("result", get_args(ActResult))


def act(result: str = "done", **changes: Any) -> Act:
    """A rollback with something in every place."""
    fields: dict[str, Any] = {
        "act": "rollback",
        "model": "churn",
        "alias": "champion",
        "result": result,
        "exit_code": 0,
        "reason": "v2 → v1, read back",
        "now": NOW,
        "from": V2,
        "to": V1,
        "given": "INC-2291 accuracy 0.71",
        "automatic": True,
        "decision": digest_of("d"),
        "verdict": "rollback",
        "seq": 11,
        "head": HEAD,
        "blockers": (Blocker(code="unknown_holder", message="@champion is on v9", fix="aigate adopt churn"),),
        "effects": move_effects("rollback", "churn", "champion", V2, V1),
        "checks": (
            Check(name="status", state="ok", words="READY"),
            Check(name="soak", state="warn", words="served only 2h"),
            Check(name="artifact", state="unknown", words="not read"),
            Check(name="signature", state="bad", words="they differ"),
        ),
        "warnings": ("v1 could not be given its tag",),
        "next": ("v2 is quarantined", "servers that cached the model are not told"),
        "ledger": "sqlite at ledger.db",
        "seconds": Decimal("1.25"),
    }
    return Act.model_validate(fields | changes)


def bare(result: str = "done", **changes: Any) -> Act:
    """The least that an act says."""
    return Act.model_validate(
        {
            "act": "halt",
            "model": "churn",
            "alias": None,
            "result": result,
            "exit_code": 0,
            "reason": "so",
            "now": NOW,
        }
        | changes
    )


# --- text --------------------------------------------------------------------------------------------------------


def test_every_result_has_its_word() -> None:
    assert set(WORDS) == set(COLORS) == set(get_args(ActResult))


@_RESULTS
def test_what_came_of_it_comes_first(result: str) -> None:
    text = render(act(result), _CTX)
    assert text.splitlines()[0] == f"{WORDS[result]}  rollback churn@champion"
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "v2 → v1, read back" in text.splitlines()[1]
    assert render(bare(result), _CTX).splitlines()[0] == f"{WORDS[result]}  halt churn"


@_RESULTS
@pytest.mark.parametrize("named", get_args(ActName))
def test_every_act_of_every_result_has_a_report(result: str, named: str) -> None:
    for ctx in (_CTX, _ASCII, _VERBOSE, ReportContext(color=True)):
        assert named in render(act(result, act=named), ctx).splitlines()[0]
        assert json.loads(render_json(act(result, act=named), ctx))["act"] == named


@_RESULTS
def test_where_nothing_moved_it_says_what_was_to_move(result: str) -> None:
    second = render(act(result, reason="nothing moved"), _CTX).splitlines()[1].strip()
    wanted = result in ("refused", "denied", "changed")
    assert second == ("v2 → v1: nothing moved" if wanted else "nothing moved")
    first = render(act(result, reason="nothing moved", **{"from": None}), _CTX).splitlines()[1].strip()
    assert first == ("no version → v1: nothing moved" if wanted else "nothing moved")
    nowhere = render(act(result, reason="nothing moved", to=None), _CTX).splitlines()[1].strip()
    assert nowhere == "nothing moved"


def test_the_facts_stand_on_one_line() -> None:
    line = render(act(), _CTX).splitlines()[2].strip()
    assert line == "2026-11-21T12:00:00Z · entry 11 · decision dddddddddddd · automatic · 1.25 s"
    assert render(bare(), _CTX).splitlines()[2].strip() == "2026-11-21T12:00:00Z"


def test_the_least_is_three_lines() -> None:
    assert render(bare(), _CTX).splitlines() == [
        "DONE  halt churn",
        f"{' ' * 16}so",
        f"{' ' * 16}2026-11-21T12:00:00Z",
    ]


def test_everything_has_its_place_and_its_mark() -> None:
    assert render(act("planned"), _CTX).splitlines() == [
        "PLAN  rollback churn@champion",
        "                v2 → v1, read back",
        "                2026-11-21T12:00:00Z · entry 11 · decision dddddddddddd · automatic · 1.25 s",
        "  reason        INC-2291 accuracy 0.71",
        "",
        "  ✓ status      READY",
        "  ! soak        served only 2h",
        "  ? artifact    not read",
        "  ✗ signature   they differ",
        "",
        "  ✗ unknown     @champion is on v9",
        "    fix         aigate adopt churn",
        "",
        "   1 intent     write into the ledger: rollback churn@champion v2 → v1",
        "   2 recheck    read again what holds the alias",
        "   3 alias      set churn@champion to v1",
        "   4 read_back  read it back",
        "   5 receipt    tag v1 aigate.receipt",
        "   6 quarantine tag v2 aigate.quarantine",
        "   7 outcome    write the outcome into the ledger, and its head to the model's tag aigate.ledger",
        "",
        "  ! warning     v1 could not be given its tag",
        "",
        "  Next          v2 is quarantined",
        "                servers that cached the model are not told",
    ]


@_RESULTS
@pytest.mark.parametrize("verbose", [False, True], ids=["short", "verbose"])
def test_what_is_shown_depends_on_what_came_of_it(result: str, verbose: bool) -> None:
    text = render(act(result), ReportContext(verbose=verbose))
    assert ("1 intent" in text) is (verbose or result == "planned")
    assert (f"12:{HEAD.digest}" in text) is (verbose or result in ("done", "unconfirmed"))
    for words in (
        "INC-2291",
        "served only 2h",
        "@champion is on v9",
        "aigate adopt churn",
        "could not be given",
    ):
        assert words in text, "never hidden"
    assert "not told" in text


def test_a_blocker_without_a_fix_has_none() -> None:
    text = render(act(blockers=(Blocker(code="halted", message="halted"),)), _CTX)
    assert "✗ halted      halted" in text
    assert "  fix" not in text


@_RESULTS
def test_colour_only_where_it_is_wanted(result: str) -> None:
    text = render(act(result), ReportContext(color=True))
    assert text.startswith(f"\x1b[1;{COLORS[result]}m{WORDS[result]}\x1b[0m  rollback")
    assert f"\x1b[1;{YELLOW}m! warning\x1b[0m" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == render(act(result), _CTX)
    assert "\x1b" not in render(act(result), _CTX)


def test_ascii_where_the_reader_has_no_more() -> None:
    text = render(act("planned", given="prüfen → jetzt…"), _ASCII)
    assert text.isascii()
    for line in ("  + status", "  x signature", "  ? artifact", "  ! soak", "  x unknown"):
        assert line in text
    assert "v2 -> v1, read back" in text
    assert "pr\\xfcfen -> jetzt..." in text
    assert " - entry 11 - decision" in text


@pytest.mark.parametrize("columns", [0, 60, 80, 100, 160])
def test_lines_keep_to_the_page(columns: int) -> None:
    long = "a reason that goes on and on " * 12
    made = act("planned", reason=long, given=long, warnings=(long,), next=(long,))
    lines = render(made, ReportContext(columns=columns, unicode=columns != 80)).splitlines()
    assert max(map(width, lines)) <= max(columns, 60)


def test_a_long_text_is_cut_visibly_and_whole_when_asked_for() -> None:
    long = " ".join(f"word{n}" for n in range(400))
    assert "word399" not in render(act(given=long), _CTX)
    assert re.search(r"(?m)\w…$", render(act(given=long), _CTX))
    assert re.search(r"(?m)\w\.\.\.$", render(act(given=long), _ASCII))
    assert "word399" in render(act(given=long), _VERBOSE)


# --- JSON --------------------------------------------------------------------------------------------------------


@_RESULTS
@pytest.mark.parametrize("ctx", [_CTX, _ASCII], ids=["unicode", "ascii"])
def test_a_program_reads_the_same_act(result: str, ctx: ReportContext) -> None:
    made = act(result, given="prüfen 🜲 \u202e")
    text = render_json(made, ctx)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert Act.model_validate_json(text) == made
    fields = json.loads(text)
    assert (fields["schema"], fields["result"]) == ("aigate.act/v1", result)
    assert (fields["from"]["version"], fields["to"]["version"]) == ("2", "1")
    assert "from_" not in fields
    assert list(fields) == sorted(fields)
    assert text.isascii() is (ctx is _ASCII)


def test_json_has_these_fields_and_no_others() -> None:
    """A new field is a decision about the schema's version, not an accident of the model."""
    assert set(json.loads(render_json(act(), _CTX))) == {
        "schema", "act", "model", "alias", "result", "exit_code", "reason", "now", "from", "to", "given",
        "automatic", "decision", "verdict", "seq", "head", "blockers", "effects", "checks", "warnings", "next",
        "ledger", "seconds",
    }  # fmt: skip


# --- text from outside -------------------------------------------------------------------------------------------


@cache
def everywhere(text: str, result: str) -> Act:
    """An act with one text in every place that the world can write to."""
    n, text = name(text), text[:19_000]
    return act(
        result,
        model=n,
        alias=n,
        reason=text,
        given=text,
        blockers=(Blocker(code="target", message=text, fix=text),),
        effects=(Effect(name="alias", words=text),),
        checks=(Check(name="version", state="bad", words=text),),
        warnings=(text,),
        next=(text, text),
        ledger=text,
    )


_HOSTILE = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


@_HOSTILE
@pytest.mark.parametrize("result", ["planned", "refused", "unconfirmed"])
def test_no_text_commands_a_terminal_or_a_runner(text: str, result: str) -> None:
    made = everywhere(text, result)
    for unicode in (True, False):
        for verbose in (True, False):
            shown = render(made, ReportContext(unicode=unicode, verbose=verbose))
            assert commands(shown) == []
            assert unseen(shown) == set()
            assert unicode or shown.isascii()
            assert shown.splitlines() == shown.split("\n")[:-1]


@_HOSTILE
def test_no_text_makes_lines_of_its_own(text: str) -> None:
    """Each line begins as a report's line does: with the word, or indented."""
    lines = render(everywhere(text, "refused"), _CTX).splitlines()
    assert lines[0].startswith("REFUSED  rollback ")
    assert all(line == "" or line.startswith("  ") for line in lines[1:])


@_HOSTILE
def test_colour_is_never_the_worlds(text: str) -> None:
    shown = render(everywhere(text, "done"), ReportContext(color=True))
    codes = set(re.findall(r"\x1b\[[^m]*m", shown))
    assert codes <= {"\x1b[1;32m", "\x1b[1;33m", "\x1b[0m"}
    assert unseen(re.sub(r"\x1b\[[0-9;]*m", "", shown)) == set()


@_HOSTILE
@pytest.mark.parametrize("ctx", [_CTX, _ASCII], ids=["unicode", "ascii"])
def test_json_of_any_text_is_harmless_and_the_same(text: str, ctx: ReportContext) -> None:
    made = everywhere(text, "done")
    shown = render_json(made, ctx)
    assert commands(shown) == []
    assert "\x1b" not in shown
    assert shown.count("\n") == 1
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x7f-\x9f\u2028\u2029]", shown)
    assert Act.model_validate_json(shown) == made


@given(st.text(max_size=60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_text_is_shown_harmlessly(text: str, unicode: bool) -> None:
    shown = render(everywhere(text, "denied"), ReportContext(unicode=unicode))
    assert commands(shown) == []
    assert unseen(shown) == set()


def test_the_first_line_keeps_to_the_page() -> None:
    page = render(act(model="m" * 200), ReportContext(columns=80))
    assert max(map(width, page.splitlines())) <= 80
