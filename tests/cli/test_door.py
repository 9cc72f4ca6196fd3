"""The terminal's door as a process: exit codes, closed and full outputs, and faults of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aigate.cli import COMMANDS, run
from conftest import interruptible
from fakes import RawServer, silent

ROOT = Path(__file__).parents[2]
STORY = ROOT / "examples/silent-lag"
DENIED = ["evaluate", "--snapshot", str(STORY / "snapshot.json"), "--manifest", str(STORY / "aigate.yaml")]


def _environment(folder: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **more}


def _shell(command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `aigate` is the command under test."""
    aigate = f'aigate() {{ {sys.executable} -P -m aigate "$@"; }}'
    return subprocess.run(
        ["bash", "-c", f"{aigate}; {command}"],
        cwd=folder,
        env=_environment(folder, **environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _faulty(folder: Path, fault: str) -> subprocess.CompletedProcess[str]:
    """Run `aigate schema` with a fault put into it."""
    code = (
        "import aigate.cli.schema, aigate.manifest\n"
        f"def broken(): {fault}\n"
        "aigate.manifest.json_schema = broken\n"
        "from aigate.cli import main\n"
        "main(['schema'])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["evaluat"], "did you mean 'evaluate'?"),
        (["Doctor"], "did you mean 'doctor'?"),
        (["promote-everything-now"], "there are init, doctor,"),
        (["policies", "--frmat", "json"], "--frmat"),
        (["policies", "--format", "yaml"], "'yaml' is not one of"),
        (["schema", "extra"], "extra"),
        (["--frmat"], "--frmat"),
        (["doctor", "--deadline", "0"], "0"),
        (["doctor", "--deadline", "nan"], "nan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_is_two_and_names_the_nearest(
    args: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert "--help" in said.err


def test_without_a_command_nothing_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """`aigate $STEP` with an empty variable must not let a pipeline pass."""
    assert run([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Commands:" in said.err
    assert "Only 0 lets a pipeline pass." in said.err


@pytest.mark.parametrize("flag", ["--help", "-h", "--version"])
def test_help_and_version_are_zero(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([flag]) == 0
    assert "aigate" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"Usage: aigate {command}" in capsys.readouterr().out


def test_an_argument_with_escape_sequences_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["\x1b[31mevaluate\n::set-output name=x::y"]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith("::")]


def test_a_shell_that_asks_for_completions_cannot_turn_a_verdict_into_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_AIGATE_COMPLETE", "bash_source")
    assert run(["schema", "extra"]) == 2
    assert run([]) == 0
    assert "_aigate_completion" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("raise KeyError('canary-7f3a')", "KeyError"),
        ("raise RecursionError", "RecursionError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise SystemExit", "SystemExit"),
    ],
    ids=["error", "recursion", "exit-0", "exit"],
)
def test_a_fault_of_its_own_is_seventy_without_a_traceback(tmp_path: Path, fault: str, kind: str) -> None:
    done = _faulty(tmp_path, fault)
    assert (done.returncode, done.stdout) == (70, "")
    assert f"internal error: {kind} at broken (<string>:2)" in done.stderr
    assert "AIGATE_TRACEBACK=1" in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr


def test_the_traceback_comes_where_it_is_asked_for_and_the_code_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("why")

    monkeypatch.setenv("AIGATE_TRACEBACK", "1")
    monkeypatch.setattr("aigate.manifest.json_schema", broken)
    assert run(["schema"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(tmp_path: Path) -> None:
    """Ctrl-C while MLflow is silent: one word, and no traceback."""
    with RawServer(silent) as server:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "aigate", "doctor", "--tracking-uri", server.url().rstrip("/")],
            cwd=tmp_path,
            env=_environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=interruptible,
        )
        end = time.monotonic() + 20
        while not server.connections and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip() == "aigate: interrupted"
    assert "not shadowed" in out


def test_a_reader_that_hangs_up_changes_no_verdict(tmp_path: Path) -> None:
    """`| head -1`, and a reader that is gone before the first byte."""
    denied = " ".join(DENIED)
    done = _shell(
        f"aigate {denied} --verbose | head -1; echo code ${{PIPESTATUS[0]}}; "
        f"aigate {denied} 2>&1 | true; echo code ${{PIPESTATUS[0]}}; "
        "aigate policies | true; echo code ${PIPESTATUS[0]}",
        tmp_path,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("DENY")
    assert lines[1:] == ["code 1", "code 1", "code 0"]
    assert done.stderr == ""


@pytest.mark.parametrize("into", ["/dev/full", "&-"], ids=["full", "closed"])
def test_what_cannot_be_said_turns_a_zero_into_seventy_and_nothing_else(tmp_path: Path, into: str) -> None:
    done = _shell(
        f"aigate schema >{into}; echo code $? >&2; aigate {' '.join(DENIED)} >{into}; echo code $? >&2",
        tmp_path,
    )
    assert [line for line in done.stderr.splitlines() if line.startswith("code")] == ["code 70", "code 1"]
    assert done.stderr.count("standard output cannot be written") == 2
    assert "Traceback" not in done.stderr


def test_nothing_needs_a_standard_error(tmp_path: Path) -> None:
    done = _shell(f"aigate {' '.join(DENIED)} 2>&-; aigate nonsense >&- 2>&-; echo code $?", tmp_path)
    assert done.stdout.startswith("DENY")
    assert done.stdout.endswith("code 2\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_no_unicode_gets_none(tmp_path: Path, encoding: str) -> None:
    done = _shell("aigate doctor", tmp_path, PYTHONIOENCODING=encoding)
    assert done.stdout.startswith("+ aigate ")
    assert done.stdout.isascii()


MODULES = (
    "import sys; from aigate.cli import run; before = set(sys.modules); "
    "code = run({args!r}); assert code == 0, code; "
    "print(sorted(name for name in set(sys.modules) - before if name.startswith('aigate.')), file=sys.stderr)"
)


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        (["--version"], set()),
        (["--help"], set()),
        (["schema"], {"aigate.cli.schema"}),
        (["doctor", "--help"], {"aigate.cli.doctor", "aigate.cli.options"}),
        (["init", "--help"], {"aigate.cli.init", "aigate.cli.options"}),
        (["policies", "--help"], {"aigate.cli.policies", "aigate.cli.options"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_imports_hardly_anything(tmp_path: Path, args: list[str], allowed: set[str]) -> None:
    """What `import aigate` and the door itself import is there already; each module more is time."""
    done = subprocess.run(
        [sys.executable, "-c", MODULES.format(args=args)],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(eval(done.stderr)) == allowed


def test_the_door_itself_imports_no_more_than_the_package(tmp_path: Path) -> None:
    code = (
        "import sys, aigate; before = set(sys.modules); import aigate.cli; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(tmp_path), capture_output=True, text=True, check=True
    )
    heavy = {"pydantic.json_schema", "httpx", "httpcore", "yaml", "rich", "jmespath", "mlflow", "subprocess"}
    new = set(eval(done.stdout))
    assert not new & heavy
    assert {name for name in new if name.startswith("aigate.")} == {
        "aigate.cli",
        "aigate.cli.complain",
        "aigate.cli.terminal",
    }
