"""The action's scripts as the processes that they are, on a machine that is not kind to them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from action.runner import ROOT
from action.test_runner_files import as_the_runner

SCRIPTS = ROOT / "scripts/action"
EXAMPLE = ROOT / "examples/three-green-teams"


@dataclass(frozen=True)
class Ended:
    code: int
    log: str
    outputs: dict[str, str]


class Step:
    """A runner's machine: a workspace, a folder for files of the job, and an output file for each step."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temp, self.output = folder / "workspace", folder / "temp", folder / "output"
        self.workspace.mkdir()
        self.temp.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.output),
            "RUNNER_TEMP": str(self.temp),
            "AIGATE_ACTION_PYTHON": sys.executable,
            "AIGATE_ACTION_PACKAGES": "",
        }

    def python(self, body: str) -> None:
        """Let the interpreter be a script."""
        path = self.temp.parent / "python"
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        self.environ["AIGATE_ACTION_PYTHON"] = str(path)

    def run(self, script: str, **more: str) -> Ended:
        self.output.write_text("")
        done = subprocess.run(
            [str(SCRIPTS / script)],
            cwd=self.workspace,
            env=self.environ | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, as_the_runner(self.output.read_text()))

    def enforce(self, outputs: dict[str, str]) -> Ended:
        """Enforce what a run's outputs say, as action.yml hands them on."""
        names = {
            "AIGATE_ACTION_EXIT_CODE": "exit-code",
            "AIGATE_ACTION_YES": "yes",
            "AIGATE_ACTION_SAID": "said",
        }
        return self.run("enforce.sh", **{name: outputs.get(output, "") for name, output in names.items()})


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


GARBAGE = [
    "",
    " ",
    "0 ",
    " 0",
    "00",
    "-0",
    "+0",
    "0\n",
    "0\n1",
    "0x0",
    "0.0",
    "256",
    "512",
    "999",
    "65536",
    "1e0",
    "null",
]
GARBAGE += [
    "false",
    "٠",
    "0;exit 0",
    "$(exit 0)",
    "a[$(touch pwned)0]",
    "x=0",
    "1 || true",
    "-1",
    "08",
    "1" * 400,
]


@pytest.mark.parametrize("code", GARBAGE, ids=lambda code: repr(code)[:20])
@pytest.mark.parametrize("yes", ["yes", ""])
def test_only_a_plain_zero_is_a_zero(step: Step, code: str, yes: str) -> None:
    said = "ALLOW, decision 1234" if yes else ""
    ended = step.enforce({"exit-code": code, "yes": yes, "said": said})
    assert 1 <= ended.code <= 255, ended.log
    assert not list(step.workspace.iterdir())


@pytest.mark.parametrize(
    "yes", ["", "Yes", "true", "1", "yes ", " yes", "no", "yes\nyes", "*", "y?s", "[y]es", "0"]
)
def test_a_zero_without_the_files_yes_is_no_yes(step: Step, yes: str) -> None:
    ended = step.enforce({"exit-code": "0", "yes": yes, "said": "ALLOW"})
    assert ended.code == 3


@pytest.mark.parametrize("code", range(1, 256, 7))
def test_a_yes_with_another_code_fails_with_it(step: Step, code: int) -> None:
    assert step.enforce({"exit-code": str(code), "yes": "yes"}).code == code


def test_a_yes_said_twice_passes(step: Step) -> None:
    ended = step.enforce({"exit-code": "0", "yes": "yes", "said": "ALLOW, decision 1234"})
    assert (ended.code, ended.log) == (0, "aigate: ALLOW, decision 1234\n")


@pytest.mark.parametrize("code", ["", "2", "137", "0\n::error::x", "::set-output name=x::y"])
def test_no_decision_is_said_in_one_command(step: Step, code: str) -> None:
    ended = step.enforce({"exit-code": code})
    (line,) = ended.log.splitlines()
    assert line.startswith("::error title=aigate::no decision was reached")
    assert line.count("::") == 2


# --- run.sh


SAYS_YES = """printf 'yes=yes\\nsaid=ALLOW\\n' >>"$GITHUB_OUTPUT"; exit "${CODE:-0}" """


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 70, 255])
def test_the_exit_code_is_an_output_and_the_step_is_green(step: Step, code: int) -> None:
    step.python(SAYS_YES)
    ended = step.run("run.sh", CODE=str(code))
    assert (ended.code, ended.outputs["exit-code"]) == (0, str(code))
    assert step.enforce(ended.outputs).code == code


def test_a_yes_before_a_crash_is_no_yes(step: Step) -> None:
    step.python('echo yes=yes >>"$GITHUB_OUTPUT"; kill -9 $$')
    ended = step.run("run.sh")
    assert ended.outputs["exit-code"] == "137"
    assert step.enforce(ended.outputs).code == 137


@pytest.mark.parametrize("python", ["/nonexistent/python", "/bin/false", ""])
def test_without_a_python_there_is_no_yes(step: Step, python: str) -> None:
    ended = step.run("run.sh", AIGATE_ACTION_PYTHON=python)
    assert ended.outputs.get("exit-code") != "0"
    assert step.enforce(ended.outputs).code != 0


@pytest.mark.parametrize(
    "folder",
    ["r\nexit-code=0\nyes=yes\nsaid=ALLOW", "r\ryes=yes", "x\n", "\x1b[2Jr", "r\nreport-dir<<E\n"],
    ids=repr,
)
def test_a_folders_name_adds_no_output(step: Step, folder: str) -> None:
    step.python("exit 1")
    ended = step.run("run.sh", AIGATE_INPUT_REPORT_DIR=folder)
    assert ended.code == 1
    assert ended.outputs == {}
    assert step.enforce(ended.outputs).code == 3


@pytest.mark.parametrize(
    "folder", ["reports", "-", "--help", "-p", "a b/c", "é", "$(touch pwned)", "`id`", "*", "a=b", "x<<E"]
)
def test_a_folder_is_made_where_it_is_named(step: Step, folder: str) -> None:
    step.python("echo x >&2; exit 1")
    (step.temp / "reports").mkdir()
    ended = step.run("run.sh", AIGATE_INPUT_REPORT_DIR=folder, CDPATH=str(step.temp), OLDPWD=str(step.temp))
    assert ended.outputs == {"exit-code": "1", "report-dir": str(step.workspace / folder)}
    assert (step.workspace / folder / "run.txt").read_text() == "x\n"
    assert not (step.workspace / "pwned").exists()


def test_without_a_folder_a_new_one_is_made_for_each_run(step: Step) -> None:
    step.python("exit 1")
    first, second = (step.run("run.sh").outputs["report-dir"] for _ in range(2))
    assert first != second
    assert Path(first).parent == step.temp
    assert Path(first).stat().st_mode & 0o077 == 0


def test_a_change_leads_no_report_elsewhere(step: Step) -> None:
    """A link of the folder's name would have the runner's own files uploaded, or written over."""
    step.python("echo evil >&2; exit 1")
    target = step.temp / "precious"
    target.write_text("precious")
    for link in (step.temp, step.workspace / ".git"):
        link.mkdir(exist_ok=True)
        (step.workspace / "reports").symlink_to(link)
        for folder in ("reports", str(step.workspace / "reports"), "reports/deeper", "./reports/../reports"):
            ended = step.run("run.sh", AIGATE_INPUT_REPORT_DIR=folder)
            assert (ended.code, ended.outputs) == (1, {}), folder
            assert "leads over a link" in ended.log
        (step.workspace / "reports").unlink()
    reports = step.workspace / "reports"
    reports.mkdir()
    (reports / "run.txt").symlink_to(target)
    assert step.run("run.sh", AIGATE_INPUT_REPORT_DIR="reports").outputs["exit-code"] == "1"
    assert target.read_text() == "precious"
    assert (reports / "run.txt").read_text() == "evil\n"


def test_commands_are_off_while_aigate_speaks(step: Step) -> None:
    step.python(
        'echo "::stop-commands::$AIGATE_ACTION_TOKEN"; echo "::error::out"; echo "::error::err" >&2; printf "no end"; exit 1'
    )
    tokens = set()
    for _ in range(3):
        lines = step.run("run.sh").log.splitlines()
        token = lines[0].removeprefix("::stop-commands::")
        assert len(token) == 32
        assert lines[-1] == f"::{token}::"
        assert lines.index("::error::out") > 0
        tokens.add(token)
    assert len(tokens) == 3, "it cannot be known beforehand"


def test_a_callers_token_is_not_taken(step: Step) -> None:
    step.python('echo "$AIGATE_ACTION_TOKEN"; exit 1')
    assert "known" not in step.run("run.sh", AIGATE_ACTION_TOKEN="known").log


def test_without_random_numbers_nothing_is_run(step: Step, tmp_path: Path) -> None:
    step.python(f"touch {tmp_path}/ran")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "od").symlink_to("/bin/true")
    ended = step.run("run.sh", PATH=f"{tools}:{os.environ['PATH']}")
    assert (ended.code, ended.outputs) == (1, {})
    assert not (tmp_path / "ran").exists()


def evidence(step: Step) -> dict[str, str]:
    for name in ("aigate.yaml", "snapshot.json"):
        shutil.copy(EXAMPLE / name, step.workspace)
    return {"AIGATE_INPUT_SNAPSHOT": "snapshot.json", "AIGATE_INPUT_REPORT_DIR": "reports"}


HOOK = "import os; open(os.environ['MARK'], 'w').write('x'); raise SystemExit(0)\n"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PYTHONPATH": "."},
        {"PYTHONHOME": "."},
        {"PYTHONSTARTUP": "evil.py", "PYTHONINSPECT": "1"},
        {"PYTHONUSERBASE": "."},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONPLATLIBDIR": "."},
        {"PYTHONPYCACHEPREFIX": "."},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONSAFEPATH": "", "PYTHONNOUSERSITE": ""},
        {"AIGATE_ACTION_YES": "yes", "AIGATE_ACTION_EXIT_CODE": "0", "AIGATE_ACTION_SAID": "ALLOW"},
        {"AIGATE_EVALUATE_SNAPSHOT": "x", "AIGATE_VERDICT": "allow"},
        {"HOME": "/nonexistent", "LANG": "xx", "LC_ALL": "C", "TERM": "x", "COLUMNS": "1"},
    ],
    ids=lambda v: next(iter(v), "none"),
)
def test_the_callers_environment_does_not_change_what_is_decided(
    step: Step, variables: dict[str, str]
) -> None:
    given = evidence(step)
    for name in (
        "yaml.py",
        "click.py",
        "aigate.py",
        "sitecustomize.py",
        "usercustomize.py",
        "evil.py",
        "json.py",
    ):
        (step.workspace / name).write_text(HOOK)
    mark = step.temp / "mark"
    ended = step.run("run.sh", **given, **variables, MARK=str(mark))
    assert (ended.outputs["verdict"], ended.outputs["exit-code"], ended.outputs["yes"]) == (
        "deny",
        "1",
        "",
    ), ended.log
    assert not mark.exists()
    assert step.enforce(ended.outputs).code == 1


def test_files_that_were_there_before_are_not_about_this_run(step: Step) -> None:
    """Old reports, or those that a change brought along, do not outlive the beginning of a run."""
    given = evidence(step) | {"AIGATE_INPUT_SNAPSHOT": "nowhere.json"}
    reports, target = step.workspace / "reports", step.temp / "target"
    reports.mkdir()
    names = ["record.json", "result.json", "report.md", "snapshot.json", "aigate.sarif", "junit.xml"]
    names += ["annotations.txt", "advice.json", "advice-record.json"]
    target.write_text("untouched")
    for name in names:
        (reports / name).symlink_to(target)
    ended = step.run("run.sh", **given)
    assert (ended.outputs["exit-code"], ended.outputs["yes"], ended.outputs["record"]) == ("2", "", "")
    assert not any((reports / name).exists() for name in names)
    assert target.read_text() == "untouched"


def test_a_folder_in_the_way_of_a_report_is_a_fault_and_no_denial(step: Step) -> None:
    given = evidence(step)
    (step.workspace / "reports/record.json").mkdir(parents=True)
    ended = step.run("run.sh", **given)
    assert ended.outputs["exit-code"] == "70"
    assert "Traceback" not in ended.log
    assert step.enforce(ended.outputs).code == 70


# --- publish.sh, advise.sh


@pytest.mark.parametrize("python", ["", "/bin/false", "/nonexistent"])
def test_telling_people_fails_nothing(step: Step, python: str) -> None:
    ended = step.run("publish.sh", AIGATE_ACTION_PYTHON=python)
    assert ended.code == 0
    assert ended.outputs == {}
    assert ("::warning" in ended.log) is bool(python)


def test_advice_that_crashes_fails_nothing(step: Step) -> None:
    reports, target = step.workspace / "reports", step.temp / "target"
    reports.mkdir()
    target.write_text("untouched")
    (reports / "advise.txt").symlink_to(target)
    step.python('echo "::error::x" >&2; kill -9 $$')
    ended = step.run("advise.sh", AIGATE_ACTION_REPORTS=str(reports))
    assert (ended.code, ended.outputs, target.read_text()) == (0, {}, "untouched")
    lines = [line for line in ended.log.splitlines() if line]
    assert lines[0].startswith("::stop-commands::")
    assert lines[-1] == f"::{lines[0].removeprefix('::stop-commands::')}::"


# --- install.sh


def fake_uv(step: Step, tmp_path: Path, body: str = 'mkdir -p "$TARGET"') -> str:
    """Return a PATH with a uv that notes its words, and does what it is told."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    uv = tools / "uv"
    words = f'echo "$*" >>"{tmp_path}/words"; while [[ $1 != --target ]]; do shift; done; TARGET=$2\n'
    uv.write_text(f"#!/bin/bash\n{words}{body}\n")
    uv.chmod(0o755)
    return f"{tools}:{os.environ['PATH']}"


def test_every_package_is_installed_by_its_hash_and_once(step: Step, tmp_path: Path) -> None:
    path = fake_uv(step, tmp_path)
    first = step.run("install.sh", PATH=path)
    assert first.code == 0, first.log
    second = step.run("install.sh", PATH=path)
    assert second.outputs == first.outputs
    (words,) = (tmp_path / "words").read_text().splitlines()
    for word in ("--require-hashes", "--no-deps", "--only-binary :all:", "--no-config"):
        assert word in words
    assert Path(first.outputs["packages"]).parent == step.temp


@pytest.mark.parametrize("variable", ["AIGATE_SIGNING_KEY", "AIGATE_SIGNING_KEY_FILE"])
def test_who_signs_gets_what_signs(step: Step, tmp_path: Path, variable: str) -> None:
    path = fake_uv(step, tmp_path)
    plain = step.run("install.sh", PATH=path, **{variable: ""})
    signing = step.run("install.sh", PATH=path, **{variable: "a key"})
    assert plain.outputs["packages"] != signing.outputs["packages"]
    used = [words.split(" -r ")[1].split()[0] for words in (tmp_path / "words").read_text().splitlines()]
    assert [Path(name).name for name in used] == ["base.txt", "sign.txt"]
    assert "a key" not in signing.log


def test_what_an_installer_prints_is_no_command_and_its_failure_is_no_decision(
    step: Step, tmp_path: Path
) -> None:
    path = fake_uv(step, tmp_path, 'echo "::error::evil"; mkdir -p "$TARGET"; exit 7')
    ended = step.run("install.sh", PATH=path)
    assert (ended.code, ended.outputs) == (1, {})
    lines = ended.log.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert lines[1:3] == ["::error::evil", f"::{token}::"]
    assert "exit 7" in lines[3]
    assert step.run("install.sh", PATH=path).code == 1, "what is half installed is not taken for whole"


@pytest.mark.parametrize("forged", ["a-link", "another-owner"])
def test_packages_that_somebody_else_laid_there_are_not_used(step: Step, tmp_path: Path, forged: str) -> None:
    path = fake_uv(step, tmp_path)
    packages = Path(step.run("install.sh", PATH=path).outputs["packages"])
    if forged == "a-link":
        packages.rename(step.temp / "elsewhere")
        packages.symlink_to(step.temp / "elsewhere")
    else:
        if os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(packages, 12345, 12345)
    (packages / "forged.py").write_text("x")
    assert step.run("install.sh", PATH=path).outputs["packages"] == str(packages)
    assert not packages.is_symlink()
    assert not (packages / "forged.py").exists()
    assert len((tmp_path / "words").read_text().splitlines()) == 2


def test_without_a_folder_for_the_job_no_name_can_be_known_beforehand(step: Step, tmp_path: Path) -> None:
    path = fake_uv(step, tmp_path)
    del step.environ["RUNNER_TEMP"]
    found = {step.run("install.sh", PATH=path, TMPDIR=str(step.temp)).outputs["packages"] for _ in range(2)}
    assert len(found) == 2
    assert all(Path(each).parent.parent == step.temp for each in found)


@pytest.mark.parametrize("installer", ["poetry", "uv;id", "$(id)", "auto ", "--help"])
def test_an_installer_nobody_knows_is_refused(step: Step, installer: str) -> None:
    ended = step.run("install.sh", AIGATE_INSTALLER=installer)
    assert (ended.code, ended.outputs) == (1, {})
    assert "the input installer is auto, uv, pip or none" in ended.log


def test_an_old_python_is_none(step: Step, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "od", "tr", "sha256sum", "mktemp", "rm", "env", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "python3").write_text("#!/bin/bash\nexit 1\n")
    (tools / "python3").chmod(0o755)
    ended = step.run("install.sh", PATH=str(tools))
    assert (ended.code, ended.outputs) == (1, {})
    assert "there is no Python 3.11 or newer" in ended.log
