"""Policies run apart: whatever one of them does, every policy asked for gets one answer, and never a false yes."""

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from aigate.collect.policy_files import declared, read_policies
from aigate.decision import Finding, PolicyInfo, PolicyResult
from aigate.digest import digest_bytes
from aigate.errors import AigateError, PolicyCodeError
from aigate.isolate import Answer, Answers, Isolate, Limits, _settle, linux, nursery
from aigate.isolate.child import _compile, _load
from aigate.policy import PolicyFile
from aigate.snapshot import Snapshot
from aigate.testing import change, missing, passing_snapshot
from attacks import DEEP, HARMLESS, PATCHES, QUICK, SLOW, source

AMPLE = Limits(seconds=20, memory=512 << 20)
"""Enough for what ends by itself, however busy the machine is."""

HONEST = {
    "honest.passes": "if s.owner.team == 'nobody': yield deny('no')",
    "honest.fails": "yield deny('it is bad', key='k', fix='mend it')",
    "honest.skips": "raise Skip('it does not apply')",
    "honest.unknown": "try: s.model.name\nexcept Exception: pass",
}
EXPECTED = {
    "honest.passes": "pass",
    "honest.fails": "fail",
    "honest.skips": "skip",
    "honest.unknown": "unknown",
}
SNAPSHOT = change(passing_snapshot(), "/model", missing("MLflow answered 503", "registry"))


def slug(name: str) -> str:
    return "attack." + re.sub("[^a-z0-9]+", "_", name.lower())


def made(shown: str, text: bytes | str, *, standard: bool = False) -> PolicyFile:
    data = text.encode() if isinstance(text, str) else text
    return PolicyFile(shown, data, digest_bytes(data), declared(data, shown), standard)


def honest() -> tuple[PolicyFile, ...]:
    return tuple(made(f"{id}.py", source(id, body)) for id, body in HONEST.items())


def attack(name: str, body: str, top: str = "", folder: Path = Path("/nowhere")) -> PolicyFile:
    text = source(slug(name), body, top).replace(b"{folder}", os.fsencode(folder))
    return made(f"{slug(name)}.py", text)


@dataclass(frozen=True)
class Round:
    """One question put to many files at once."""

    answers: Answers
    seconds: float
    """From the question until everything was cleared away."""
    pids: tuple[int, ...]

    def __getitem__(self, id: str) -> PolicyResult:
        return self.answers.results[id]

    @property
    def honest(self) -> dict[str, str]:
        return {id: self[id].outcome for id in HONEST}


def ask(
    files: tuple[PolicyFile, ...],
    limits: Limits = AMPLE,
    params: Mapping[str, Mapping[str, object]] | None = None,
    snapshot: Snapshot = SNAPSHOT,
) -> Round:
    isolate = Isolate(files, params or {}, limits=limits)
    with isolate:
        isolate._read_pids = timed = _Timed(isolate._read_pids)  # type: ignore[method-assign]
        answers = isolate.run(snapshot)
    return Round(answers, time.monotonic() - timed.at, (isolate._child.pid, *isolate._pids))


class _Timed:
    """Notes when the policies were let go: the machine's own slowness until then is not theirs."""

    def __init__(self, call: Callable[[float], list[int]]) -> None:
        self._call = call
        self.at = 0.0

    def __call__(self, until: float) -> list[int]:
        pids = self._call(until)
        self.at = time.monotonic()
        return pids


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def surviving(pids: tuple[int, ...] | list[int], patience: float = 0.5) -> list[int]:
    """Those that still run. One that was killed a moment ago may take another to be gone."""
    end = time.monotonic() + patience
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def left_behind(folder: Path, patience: float = 0.5) -> list[int]:
    """Processes that wrote down their number and still run."""
    return surviving([int(path.name[4:]) for path in folder.glob("pid-*")], patience)


# --- attacks that end by themselves, all in one round ----------------------------------------------------


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Round:
    folder = tmp_path_factory.mktemp("quick")
    files = tuple(attack(name, body, top, folder) for name, (body, top, _) in QUICK.items())
    done = ask((*files, *honest()))
    assert [path for path in folder.iterdir() if path.stat().st_size] == []
    return done


@pytest.mark.parametrize("name", QUICK)
def test_an_attack_ends_as_an_error(name: str, quick: Round) -> None:
    result = quick[slug(name)]
    assert result.outcome == "error", result
    assert re.search(QUICK[name][2], result.reason), result.reason


def test_attacks_spoil_their_own_files_only(quick: Round) -> None:
    assert quick.honest == EXPECTED
    assert [finding.message for finding in quick["honest.fails"].findings] == ["it is bad"]


def test_every_policy_asked_for_gets_one_answer(quick: Round) -> None:
    asked = sorted([slug(name) for name in QUICK] + list(HONEST))
    assert sorted(quick.answers.results) == asked
    assert sorted(info.id for info in quick.answers.infos) == asked


def test_attacks_leave_no_process(quick: Round) -> None:
    assert surviving(quick.pids) == []


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> tuple[Round, Path]:
    folder = tmp_path_factory.mktemp("harmless")
    files = tuple(attack(name, body, top, folder) for name, (body, top) in HARMLESS.items())
    return ask((*files, *honest())), folder


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_policy_does_beside_changes_nothing(name: str, harmless: tuple[Round, Path]) -> None:
    result = harmless[0][slug(name)]
    assert (result.outcome, result.reason) == ("pass", "")


def test_a_daemon_does_not_outlive_the_question(harmless: tuple[Round, Path]) -> None:
    done, folder = harmless
    assert len(list(folder.glob("pid-*"))) == 1
    assert left_behind(folder) == []
    assert done.honest == EXPECTED


# --- attacks that never end ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Round, Path]:
    folder = tmp_path_factory.mktemp("slow")
    files = tuple(attack(name, body, top, folder) for name, (body, top) in SLOW.items())
    return ask((*honest(), *files, attack("recurses", DEEP)), Limits(seconds=1.5)), folder


@pytest.mark.parametrize("name", SLOW)
def test_what_never_ends_is_ended(name: str, slow: tuple[Round, Path]) -> None:
    assert slow[0][slug(name)] == PolicyResult(
        policy=slug(name), outcome="error", reason="it took longer than 1.5 s"
    )


def test_recursion_without_limit_is_ended(slow: tuple[Round, Path]) -> None:
    assert slow[0][slug("recurses")].outcome == "error"


def test_the_limit_is_kept_and_nothing_is_left(slow: tuple[Round, Path]) -> None:
    done, folder = slow
    assert 1.5 <= done.seconds < 2.7
    assert len(list(folder.glob("pid-*"))) == 101
    assert left_behind(folder) == []
    assert surviving(done.pids) == []


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGSTOP"])
def test_ending_or_stopping_its_parent_takes_no_other_policy_along(sign: str) -> None:
    """Nor does it save the one that did it: the gate has its process group and ends it, too."""
    body = f"os.kill(os.getppid(), signal.{sign})\nos.fork()\ntime.sleep(600)"
    name = slug("turns on its parent")
    done = ask((attack("turns on its parent", body), *honest()), Limits(seconds=1))
    assert (done[name].outcome, done[name].reason) == ("error", "it took longer than 1 s")
    assert done.honest == EXPECTED
    assert surviving(done.pids) == []


def run_python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parent.parent.parent
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={
            **os.environ,
            "PYTHONPATH": f"{root / 'src'}:{root / 'tests'}:{root / 'tests/isolate'}",
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


GATE = """
import os, sys
from test_isolate import *
body = (
    "def parent(pid):\\n    with open('/proc/%d/stat' % pid) as f: return int(f.read().rpartition(')')[2].split()[1])\\n"
    "nurse = parent(os.getppid())\\ngate = parent(nurse)\\n"
)
folder = Path(os.environ.get("FOLDER", "/nowhere"))
"""


def test_a_policy_that_kills_the_gate_gets_no_yes_from_it(tmp_path: Path) -> None:
    """The same user's processes can be killed; what counts is that nobody takes that for a yes."""
    code = GATE + (
        "body += \"os.open(f'{folder}/pid-{os.getpid()}', os.O_CREAT)\\nos.kill(gate, signal.SIGKILL)\\ntime.sleep(600)\"\n"
        "ask((attack('kills the gate', body, folder=folder), *honest()))\n"
        "print('yes')\n"
    )
    done = run_python(code, FOLDER=str(tmp_path))
    assert done.returncode == -9, done.stderr
    assert "yes" not in done.stdout
    assert len(list(tmp_path.glob("pid-*"))) == 1
    assert left_behind(tmp_path, patience=5) == [], "the child saw that the gate had gone, and cleared up"


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGSTOP"])
def test_whoever_forks_may_be_ended_or_stopped(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has forked answers all the same; the next question finds it gone, or stuck, and gets no yes."""
    code = GATE + (
        "import aigate.isolate\n"
        "aigate.isolate.PATIENCE = 1.5\n"
        f"body += 'os.kill(nurse, signal.{sign})'\n"
        "def said():\n"
        "    try:\n"
        "        return ask(honest()).honest == EXPECTED\n"
        "    except AigateError as e:\n"
        "        return e.message\n"
        "first = ask((attack('ends the nurse', body), *honest()))\n"
        "print([first.honest == EXPECTED, said(), said()])\n"
    )
    done = run_python(code)
    second = "the process that runs the policies did not start" if sign == "SIGSTOP" else True
    assert done.stdout.strip() == str([True, second, True]), done.stderr


def test_a_question_pays_for_no_other_start() -> None:
    ask(honest())
    nurse = nursery._nursery
    assert ask(honest()).honest == EXPECTED
    assert nursery._nursery is nurse
    assert nurse is not None


def test_a_fork_of_the_gate_has_its_own() -> None:
    """Two processes that asked the same one would take each other's answers for theirs."""
    code = """
    from test_isolate import *
    print(ask(honest()).honest == EXPECTED, flush=True)
    if os.fork() == 0:
        print(ask(honest()).honest == EXPECTED, flush=True)
        sys.exit()
    os.wait()
    print(ask(honest()).honest == EXPECTED, flush=True)
    """
    done = run_python(code)
    assert done.stdout.split() == ["True"] * 3, done.stderr


def test_more_files_than_one_message_can_hand_over() -> None:
    count = nursery.MOST_FILES + 60
    files = tuple(made(f"p{n}.py", source(f"many.p{n}", "")) for n in range(count))
    done = ask(files, Limits(seconds=60))
    assert {result.outcome for result in done.answers.results.values()} == {"pass"}
    assert len(done.answers.results) == count


def test_it_ends_with_the_gate() -> None:
    code = """
    import signal
    from test_isolate import *
    ask(honest())
    print(nursery._nursery._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run_python(code)
    assert done.returncode == -9, done.stderr
    assert surviving([int(done.stdout)], patience=5) == []


# --- what is asked and what is answered: one round of files that mean no harm ------------------------------------


LOADED = {
    # name: (what follows the policy `it`, words of the reason); % stands for the file's own theme
    "deleted": ("del it", "%.it is declared and not there"),
    "conditional": (
        "if False:\n    @policy('%.c')\n    def c(s):\n        'C.'\n        yield",
        "%.c is declared and not there",
    ),
    "nested": (
        "def make():\n    @policy('%.c')\n    def c(s):\n        'C.'\n        yield",
        "%.c is declared and not there",
    ),
    "renamed": ("it.id = '%.other'", "%.it is declared and not there; %.other is there and not declared"),
    "subclassed": ("class P(type(it)): pass\nit.__class__ = P", "%.it is declared and not there"),
    "doubled": (
        "@policy('%.c')\ndef c(s):\n    'C.'\n    s.owner\n    if False: yield\nc.id = '%.it'",
        "%.c is declared and not there; %.it is there and not declared",
    ),
    "misfiled": (
        "import aigate.isolate.child as child\n"
        "info = child._info\n"
        "child._info = lambda policy, params, file: info(policy, params, {**file, 'digest': 'sha256:' + '0' * 64})",
        "its process answered for another file",
    ),
}
"""Files that define other policies than they declare."""

TYPED = """
from datetime import timedelta
from decimal import Decimal
from aigate import deny, policy
@policy("t.t", severity="low", blames="data", url="https://runbooks.example/t")
def t(s, *, span: timedelta = timedelta(hours=1), number: Decimal = Decimal("0.1"), whole: int = 1,
      yes: bool = False, text: str = "a", list_: tuple[str, ...] = ("x",)):
    \"""It is typed.

    In every way.
    \"""
    s.owner
    yield deny(repr((span, number, whole, yes, text, list_)))
"""
GIVEN: dict[str, object] = {
    "span": "90m",
    "number": Decimal("0.250"),
    "whole": 7,
    "yes": True,
    "text": "5m",
    "list_": ("p", "q"),
}
MARK = "import builtins; builtins.mark = getattr(builtins, 'mark', 0) + 1"
SHOW = "import builtins\nyield deny(str(builtins.mark))"
WALKS = "for x in {'a', 'b', 'c', 'd', 'e', 'f', 'g'}: yield deny(x)"
LOOKS = "yield deny(repr((dict(os.environ), open('/proc/self/environ', 'rb').read(), sys.argv)))"
REACHES = (
    "import socket\nwith socket.create_server(('127.0.0.1', 0)), open('/etc/passwd'): yield deny('open')"
)


def mixed_files() -> tuple[PolicyFile, ...]:
    return (
        *(
            made(f"{name}.py", source(f"{name}.it", "").decode() + more.replace("%", name))
            for name, (more, _) in LOADED.items()
        ),
        made("alias.py", source("alias.it", "").decode() + "also = it\n"),
        made("t.py", TYPED),
        *(made(f"s{n}.py", source(f"s.p{n}", SHOW, MARK), standard=True) for n in range(2)),
        *(made(f"u{n}.py", source(f"u.p{n}", SHOW, MARK)) for n in range(2)),
        *(made(f"l{n}.py", source(f"large.p{n}", "") + b"\n# " + b"x" * 900_000) for n in range(3)),
        made(
            "latin.py",
            b"# coding: latin-1\n" + source("latin.one", "yield deny('\xe9')").replace(b"\xc3\xa9", b"\xe9"),
        ),
        made("patches.py", PATCHES + source("patches.all", "").decode()),
        made("two.py", source("two.first", "").decode() + source("two.second", "os._exit(0)").decode()),
        *(attack(name, body) for name, body in (("walks", WALKS), ("looks", LOOKS), ("reaches", REACHES))),
        *honest(),
    )


@pytest.fixture(scope="module")
def mixed() -> Round:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_TOKEN", "canary-7f3a")
        return ask(mixed_files(), params={"t.t": GIVEN})


@pytest.mark.parametrize("name", LOADED)
def test_a_file_must_define_what_it_declares(name: str, mixed: Round) -> None:
    results = [result for id, result in mixed.answers.results.items() if id.startswith(f"{name}.")]
    assert {result.outcome for result in results} == {"error"}
    assert LOADED[name][1].replace("%", name) in results[0].reason


def test_a_policy_may_have_two_names(mixed: Round) -> None:
    assert mixed["alias.it"].outcome == "pass"


def test_what_the_others_do_leaves_the_honest_as_they_were(mixed: Round) -> None:
    assert mixed.honest == EXPECTED


def test_patching_what_it_finds_changes_no_other_files_answer(mixed: Round) -> None:
    """`run`, `deny`, `any`, `json`, `os.write`: each fork has its own."""
    assert mixed["patches.all"].outcome in ("error", "pass")
    assert mixed["honest.fails"].findings[0].message == "it is bad"


def test_policies_of_one_file_share_its_fate(mixed: Round) -> None:
    assert {mixed["two.first"].outcome, mixed["two.second"].outcome} == {"error"}


def test_infos_say_what_the_file_says(mixed: Round) -> None:
    (info,) = (info for info in mixed.answers.infos if info.id == "t.t")
    assert (info.title, info.detail) == ("It is typed.", "In every way.")
    assert (info.severity, info.blames, info.url) == ("low", "data", "https://runbooks.example/t")
    assert (info.file, info.file_digest) == ("t.py", digest_bytes(TYPED.encode()))


def test_parameters_arrive_typed(mixed: Round) -> None:
    assert mixed["t.t"].findings[0].message == (
        "(datetime.timedelta(seconds=5400), Decimal('0.250'), 7, True, '5m', ('p', 'q'))"
    )
    (info,) = (info for info in mixed.answers.infos if info.id == "t.t")
    assert {tag.key: tag.value for tag in info.params} == {
        "span": "1h 30m",
        "number": "0.250",
        "whole": "7",
        "yes": "True",
        "text": "5m",
        "list_": "p, q",
    }


def test_the_standard_pack_shares_a_process_and_others_do_not(mixed: Round) -> None:
    """One fork instead of six for files that are ours; a name that two of them set shows it."""
    marks = {id: mixed[id].findings[0].message for id in ("s.p0", "s.p1", "u.p0", "u.p1")}
    assert marks == {"s.p0": "1", "s.p1": "2", "u.p0": "1", "u.p1": "1"}


def test_files_larger_than_a_pipe_arrive(mixed: Round) -> None:
    assert {mixed[f"large.p{n}"].outcome for n in range(3)} == {"pass"}


def test_bytes_that_are_not_utf_8_arrive_as_they_are(mixed: Round) -> None:
    assert [finding.message for finding in mixed["latin.one"].findings] == ["é"]


def test_no_secret_of_the_gates_environment_reaches_a_policy(mixed: Round) -> None:
    (finding,) = mixed[slug("looks")].findings
    assert "canary" not in finding.message
    assert finding.message.startswith("({}, b'PYTHON")  # all that ever was in it: settings of the interpreter


def test_sockets_and_files_are_not_walled_off(mixed: Round) -> None:
    """No sandbox is claimed. If this fails, one has been built, and the words in `isolate` are out of date."""
    assert mixed[slug("reaches")].outcome == "fail"


def test_the_same_question_gives_the_same_bytes(mixed: Round) -> None:
    """Also where a policy walks through a set, whose order Python shuffles anew in each process."""
    again = ask((attack("walks", WALKS), *honest()))
    for id in (slug("walks"), *HONEST):
        assert again[id].model_dump_json() == mixed[id].model_dump_json()


def test_an_answer_survives_the_way(mixed: Round) -> None:
    (finding,) = mixed["honest.fails"].findings
    assert (finding.message, finding.key, finding.fix) == ("it is bad", "k", "mend it")
    assert mixed["honest.unknown"].reason == "MLflow answered 503 (registry)"
    assert mixed["honest.unknown"].reads == ("/model", "/owner")
    assert mixed["honest.skips"].reason == "it does not apply"


PASSED = PolicyResult(policy="a.b", outcome="pass", reads=("/owner",))
INFO = PolicyInfo(
    id="a.b",
    title="A.",
    severity="low",
    blames="data",
    file="a.py",
    file_digest=digest_bytes(source("a.b", "")),
)
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "no results": ({"results": ()}, "did not answer for each"),
    "a result twice": ({"results": (PASSED, PASSED)}, "did not answer for each"),
    "a result of another policy": (
        {"results": (PASSED.model_copy(update={"policy": "a.c"}),)},
        "did not answer for each",
    ),
    "no policies": ({"infos": ()}, "a.b is declared and not there"),
    "a policy twice": ({"infos": (INFO, INFO)}, "a.b is there and not declared"),
    "another file's name": ({"infos": (INFO.model_copy(update={"file": "b.py"}),)}, "for another file"),
    "a finding that waived itself": (
        {
            "results": (
                PolicyResult(policy="a.b", outcome="fail", findings=(Finding(message="x", waived="me"),)),
            )
        },
        "waived its own finding",
    ),
    "no reason why it is broken": ({"status": "broken"}, "it gave no answer"),
}


def test_a_right_answer_is_taken() -> None:
    answer = Answer(nonce="n", status="answered", infos=(INFO,), results=(PASSED,))
    assert _settle([made("a.py", source("a.b", ""))], answer, asked=True) == ([INFO], {"a.b": PASSED})


@pytest.mark.parametrize(("update", "reason"), WRONG.values(), ids=WRONG.keys())
def test_an_answer_to_another_question_is_an_error(update: dict[str, object], reason: str) -> None:
    answer = Answer(nonce="n", status="answered", infos=(INFO,), results=(PASSED,)).model_copy(update=update)
    infos, results = _settle([made("a.py", source("a.b", ""))], answer, asked=True)
    assert [info.id for info in infos] == ["a.b"]
    assert results["a.b"].outcome == "error"
    assert reason in results["a.b"].reason


def test_results_that_nobody_asked_for_are_an_error() -> None:
    answer = Answer(nonce="n", status="answered", infos=(INFO,), results=(PASSED,))
    (info,), results = _settle([made("a.py", source("a.b", ""))], answer, asked=False)
    assert (info.title, results["a.b"].outcome) == ("(not loaded)", "error")


# --- loading ------------------------------------------------------------------------------------------------------


BROKEN = {
    "raises at import": (
        "import os\n\nfrom aigate import policy\n1 / 0\n",
        "b.py:4: does not load: ZeroDivisionError: division by zero",
    ),
    "leaves at import": ("import sys\nsys.exit(0)\n", "b.py:2: does not load: SystemExit: 0"),
    "imports what is not there": ("import nowhere_at_all\n", "b.py:1: does not load: ModuleNotFoundError"),
    "does not compile": ("return 5\n", "b.py:1: not Python: 'return' outside function"),
    "has a parameter without a type": (
        "from aigate import policy\n@policy('x.y')\ndef f(s, *, a=1):\n    'X.'\n    yield\n",
        "b.py: policy x.y: parameter 'a' needs a default and one of the types",
    ),
    "has a default of another type": (
        "from aigate import policy\n@policy('x.y')\ndef f(s, *, a: int = 'one'):\n    'X.'\n    yield\n",
        "b.py: policy x.y, parameter a: 'one' is not int",
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_does_not_load_is_a_mistake_in_it(text: str, message: str) -> None:
    code = _compile({"source": text, "shown": "b.py"})
    with pytest.raises(PolicyCodeError) as caught:
        _load("b.py", code)
    assert caught.value.message.startswith(message)


def test_one_file_that_does_not_load_keeps_the_gate_from_answering() -> None:
    text = "from aigate import policy\n\n1 / 0\n\n@policy('x.y')\ndef f(s):\n    'X.'\n    yield\n"
    with pytest.raises(PolicyCodeError, match=r"^b\.py:3: does not load: ZeroDivisionError") as caught:
        ask((*honest(), made("b.py", text)))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spam": 1}, "policy t.t has no parameter 'spam'"),
        ({"text": Decimal("1.5")}, "policy t.t, parameter text: Decimal('1.5') is not str"),
    ],
    ids=["unknown", "a number where text stands"],
)
def test_parameters_that_do_not_fit_are_refused(given: dict[str, object], message: str) -> None:
    with (
        Isolate((made("t.py", TYPED),), {"t.t": given}, limits=AMPLE) as isolate,
        pytest.raises(PolicyCodeError) as caught,
    ):
        isolate.describe()
    assert caught.value.message == message
    if "spam" in given:
        assert caught.value.fix == "its parameters: span, number, whole, yes, text, list_"


def test_what_was_hashed_is_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    hashed = source("p.p", "yield deny('as hashed')")
    path.write_bytes(hashed)
    files = read_policies(tmp_path, shown="policies")
    path.write_bytes(source("p.p", ""))
    done = ask(files)
    assert [finding.message for finding in done["p.p"].findings] == ["as hashed"]
    assert done.answers.infos[0].file_digest == digest_bytes(hashed)


# --- the child itself -----------------------------------------------------------------------------------------------


def test_describe_runs_no_policy_and_one_process_answers_one_question() -> None:
    with Isolate(honest(), {}, limits=AMPLE) as isolate:
        answers = isolate.describe()
        assert [info.id for info in answers.infos] == list(HONEST)
        assert answers.results == {}
        with pytest.raises(AigateError, match="one question"):
            isolate.run(SNAPSHOT)


def test_a_child_that_cannot_start_is_the_gates_own_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Isolate(honest(), {}) as isolate, pytest.raises(AigateError, match="did not start") as caught:
        isolate.run(SNAPSHOT)
    assert caught.value.exit_code == 70
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(AigateError, match="cannot be started"):
        Isolate(honest(), {})


def test_a_child_that_never_gets_ready_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("aigate.isolate.PATIENCE", 0.2)
    with Isolate(honest(), {}) as isolate, pytest.raises(AigateError, match="did not start"):
        isolate.run(SNAPSHOT)
    assert isolate._child.pid == 0
    assert nursery._nursery is None, "it was ended: nothing comes of it"


def test_leaving_without_a_question_ends_the_child() -> None:
    isolate = Isolate(honest(), {})
    with isolate:
        while not (pid := isolate._child.pid):
            assert not isolate._child.wait(0.01)
        assert alive(pid)
    isolate.close()
    assert surviving([pid]) == []


HIDDEN = """
import os, sys
from aigate.isolate.linux import _prctl, hidden

def look(path):
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            text = open(path, "rb").read()
        except OSError as e:
            text = e.strerror.encode()
        os.write(write, text[:4000])
        os._exit(0)
    os.wait()
    return os.read(read, 4000)

_prctl(3)
if os.getuid() == 0:
    os.setuid(65534)  # root reads everything
_prctl(4, 1)
mine = f"/proc/{os.getpid()}/environ"
before = look(mine)
with hidden():
    with hidden():
        inside = look(mine)
    still = look(mine)
after = look(mine)
print([b"canary-7f3a" in text for text in (before, inside, still, after)], inside)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_gate_is_hidden_from_policies_while_they_run() -> None:
    """An empty environment is not enough: without this, /proc/<gate>/environ can be read by its children."""
    done = run_python(HIDDEN, CANARY="canary-7f3a")
    assert done.stdout.strip() == "[True, False, False, True] b'Permission denied'", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_gate_is_hidden_exactly_while_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    isolate = Isolate(honest(), {}, limits=AMPLE)
    read = isolate._read_answers

    def look(until: float) -> list[bytes | str]:
        seen.append(linux._prctl(3))
        return read(until)

    with isolate:
        monkeypatch.setattr(isolate, "_read_answers", look)
        before = linux._prctl(3)
        isolate.run(SNAPSHOT)
    assert (before, seen, linux._prctl(3)) == (1, [0], 1)


def test_the_child_imports_no_more_than_it_needs() -> None:
    code = """
    import sys
    import aigate.isolate.nurse
    print(sorted({"yaml", "httpx", "httpcore", "mlflow", "rich", "jmespath", "click", "jsonschema", "asyncio",
                  "subprocess", "aigate.collect", "aigate.gate", "aigate.report"} & set(sys.modules)))
    """
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stderr


CROWD = """
import os, signal, time
from pathlib import Path
from aigate.isolate.child import ROOM, _limit

running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
os.setsid()
if os.getuid() == 0:
    os.setuid(65534)  # root has no such limit
_limit(20, 1 << 30)
made = 0
try:
    while made < running + 10 * ROOM:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except BlockingIOError:
    print(made <= running + 2 * ROOM, flush=True)
os.killpg(0, signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counting the machine's tasks is Linux's")
def test_who_forks_without_end_meets_a_wall() -> None:
    """Root does not: there, only the time that a file may take ends it."""
    done = run_python(CROWD)
    assert done.stdout.strip() == "True", done.stderr


def test_limits_say_what_is_in_force() -> None:
    assert (
        str(Limits(seconds=2.5, memory=256 << 20)) == "process (time 2.5 s, memory 256 MiB, no environment)"
    )
