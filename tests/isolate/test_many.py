"""Many questions to the same policies: the same answers as the gate's, and nothing remembered between them."""

import os
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from aigate.collect.policy_files import declared
from aigate.decision import PolicyResult
from aigate.digest import digest_bytes
from aigate.errors import AigateError, PolicyCodeError
from aigate.isolate import Isolate, Limits
from aigate.isolate.many import Crew, Many, Question, plain
from aigate.policy import PolicyFile
from aigate.rules import read_standard
from aigate.snapshot import Snapshot
from aigate.testing import change, missing, passing_snapshot
from attacks import QUICK, source
from isolate.test_isolate import surviving

PASSING = passing_snapshot()
LATE = change(PASSING, "/stages/features/age", timedelta(hours=12))
GONE = change(PASSING, "/model", missing("MLflow answered 503"))


def made(shown: str, text: bytes | str) -> PolicyFile:
    data = text.encode() if isinstance(text, str) else text
    return PolicyFile(shown, data, digest_bytes(data), declared(data, shown))


HONEST = made("honest.py", source("house.honest", "if s.owner.team == 'nobody': yield deny('no')"))


def alone(files: tuple[PolicyFile, ...], snapshot: Snapshot) -> dict[str, PolicyResult]:
    with Isolate(files, {}) as isolate:
        return dict(isolate.run(snapshot).results)


def test_its_answers_are_the_gate_s() -> None:
    files = (*read_standard(), HONEST)
    with Many(files, {}) as many:
        for snapshot in (PASSING, LATE, GONE, PASSING):
            heard = many.run(snapshot)
            assert dict(heard.results) == alone(files, snapshot)
            assert len(heard.infos) == len(heard.results)


def test_a_policy_remembers_nothing() -> None:
    body = "asked.append(1)\nif s.owner and len(asked) > 1: yield deny('again')"
    file = made("counts.py", source("house.counts", body, "asked = []"))
    with Many((file,), {}) as many:
        assert [many.run(PASSING).results["house.counts"].outcome for _ in range(3)] == ["pass"] * 3


def test_a_policy_finds_here_what_it_finds_in_the_gate_s_process() -> None:
    body = (
        "names = [name for name in sys.modules if 'many' in name or name in ('pytest', '_pytest', 'httpx')]\n"
        "yield deny(f'{sorted(names)} {deny.__name__} {deny.__module__} {sorted(os.environ)} {os.getcwd()} "
        '{os.listdir("/proc/self/fd")[:4]}\')'
    )
    file = made("looks.py", source("house.looks", body))
    with Many((file,), {}) as many:
        (seen,) = many.run(PASSING).results["house.looks"].findings
    (known,) = alone((file,), PASSING)["house.looks"].findings
    assert seen == known
    assert seen.message.startswith("[] deny aigate.policy []")


def test_only_the_files_of_those_who_are_asked_answer() -> None:
    with Many((*read_standard(), HONEST), {}) as many:
        assert list(many.run(PASSING, {"house.honest"}).results) == ["house.honest"]
        assert "ownership.stages" in many.run(PASSING, {"ownership.registry"}).results


def test_an_attack_is_an_error_every_time_and_spoils_nobody(tmp_path: Path) -> None:
    files = []
    for number, (body, top, _) in enumerate(QUICK.values()):
        text = source(f"attack.n{number}", body, top).replace(b"{folder}", os.fsencode(tmp_path))
        files.append(made(f"attack{number}.py", text))
    with Many((*files, HONEST), {}, limits=Limits(seconds=20, memory=512 << 20)) as many:
        for _ in range(2):
            results = dict(many.run(PASSING).results)
            assert results.pop("house.honest").outcome == "pass"
            assert {id: result.outcome for id, result in results.items() if result.outcome != "error"} == {}
            assert len(results) == len(QUICK)


def test_one_that_hangs_costs_its_time_and_no_more() -> None:
    file = made("hangs.py", source("house.hangs", "if s.owner is None:\n    while True: pass\ns.owner.team"))
    with Many((file, HONEST), {}, limits=Limits(seconds=0.5)) as many:
        many.run(PASSING)
        began = time.monotonic()
        heard = many.run(change(PASSING, "/owner", None))
        assert time.monotonic() - began < 3
        assert heard.results["house.hangs"].reason == "it took longer than 0.5 s"
        assert many.run(PASSING).results["house.hangs"].outcome == "pass"


def test_a_crew_gives_a_file_up_once_it_hangs() -> None:
    file = made("hangs.py", source("house.hangs", "if s.owner:\n    while True: pass\ns.model.name"))
    asked = [Question(PASSING.model_dump_json(by_alias=True))] * 20
    began = time.monotonic()
    with Crew((file, HONEST), {}, limits=Limits(seconds=1), workers=2) as crew:
        heard = crew.answer(asked)
    assert time.monotonic() - began < 12
    assert {one.results["house.hangs"].outcome for one in heard if one} == {"error"}
    assert {one.results["house.honest"].outcome for one in heard if one} == {"pass"}


def test_what_is_no_snapshot_is_refused_and_nothing_else() -> None:
    with Crew((HONEST,), {}, workers=2) as crew:
        good = PASSING.model_dump_json(by_alias=True)
        told: list[int] = []
        heard = crew.answer(
            [Question("{}"), Question(good), Question(good.replace('"2"', '"x"'))], lambda: told.append(1)
        )
    assert [one is None for one in heard] == [True, False, True]
    assert len(told) == 3


def test_parameters_can_be_others_for_one_question() -> None:
    with Many(read_standard(), {"freshness.stage": {"grace": "1h"}}) as many:
        id = "freshness.stage"
        assert many.run(LATE).results[id].outcome == "fail"
        text = LATE.model_dump_json(by_alias=True)
        heard = many.ask(text, {id}, {id: {"grace": timedelta(hours=9)}})
        assert heard is not None
        assert heard.results[id].outcome == "pass"
        with pytest.raises(PolicyCodeError, match="no parameter 'grave'"):
            many.ask(text, {id}, {id: {"grave": "9h"}})
        assert many.run(LATE).results[id].outcome == "fail"


def test_parameters_keep_their_types_on_the_way() -> None:
    given = {"a": Decimal("0.10"), "b": timedelta(minutes=90), "c": ("x",), "d": True, "e": 3, "f": "t"}
    assert plain(given) == {
        "a": {"number": "0.10"},
        "b": "PT5400.000000S",
        "c": ["x"],
        "d": True,
        "e": 3,
        "f": "t",
    }


def test_it_says_in_which_lines_findings_were_made() -> None:
    text = """\
from aigate import Findings, Snapshot, deny, policy


def helper(s):
    return deny("no owner",
        key="owner")


@policy("house.two", severity="low")
def two(s: Snapshot) -> Findings:
    \"\"\"Two.\"\"\"
    if s.owner is None:
        yield helper(s)
    if not s.stages:
        yield deny("no stages")
"""
    with Many((made("two.py", text),), {}) as many:
        assert many.run(PASSING).sites == {"house.two": ()}
        assert many.run(change(PASSING, "/owner", None)).sites == {"house.two": (5,)}
        both = change(change(PASSING, "/owner", None), "/stages", ())
        assert many.run(both).sites == {"house.two": (5, 15)}


def test_a_child_that_is_killed_is_started_again() -> None:
    with Many((HONEST,), {}) as many:
        many.run(PASSING)
        many._child.kill()
        assert many.run(PASSING).results["house.honest"].outcome == "error"
        assert many.run(PASSING).results["house.honest"].outcome == "pass"


def test_closing_twice_is_once_and_leaves_no_process() -> None:
    many = Many((HONEST,), {})
    many.run(PASSING)
    pid = many._child.pid
    many.close()
    many.close()
    assert pid
    assert surviving([pid]) == []


def test_a_file_that_does_not_load_is_said() -> None:
    file = made("broken.py", source("house.broken", "s.model", "import nothing_of_this_name"))
    with Many((file,), {}) as many, pytest.raises(PolicyCodeError, match=r"broken\.py:\d+: does not load"):
        many.run(PASSING)
    with Crew((file,), {}) as crew, pytest.raises(PolicyCodeError, match="does not load"):
        crew.answer([Question(PASSING.model_dump_json(by_alias=True))])


def test_an_interpreter_that_cannot_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(AigateError, match="cannot be started"):
        Many((HONEST,), {})
