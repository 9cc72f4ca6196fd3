"""`aigate evaluate` as a process, against a real MLflow server and real endpoints."""

import json
import socket
import sys
import time
from typing import Any

import pytest

from cli.conftest import System
from fakes import RawServer, Reply, WebServer, drip, json_reply, silent

pytestmark = pytest.mark.server


def outcomes(out: str) -> dict[str, str]:
    """Return each policy's outcome from a record."""
    return {j["info"]["id"]: j["result"]["outcome"] for j in json.loads(out)["judgements"]}


def why(out: str) -> str:
    """Return every reason and finding of a record in one text."""
    results = [j["result"] for j in json.loads(out)["judgements"]]
    return "\n".join(r["reason"] for r in results) + "\n".join(
        f["message"] for r in results for f in r["findings"]
    )


def test_a_worse_model_is_denied_with_reasons(system: System) -> None:
    system = system.apart()
    done = system.aigate(
        "evaluate", "-o", "text", "-o", "json:record.json", "--save-snapshot", "snapshot.json"
    )
    assert done.code == 1, done.err
    assert done.out.startswith("DENY  cli-churn v2 → @champion")
    assert "0.71" in done.out
    assert "set by m.ito 2026-08-02" in done.out
    assert "runbook.md" in done.out
    found = outcomes((system.folder / "record.json").read_text())
    failed = sorted(id for id, outcome in found.items() if outcome == "fail")
    assert failed == ["evaluation.floor", "evaluation.regression"]


def test_late_data_are_denied_and_the_owner_is_named(system: System) -> None:
    system.loaded(features=12)
    done = system.aigate("evaluate", "--format", "json")
    assert outcomes(done.out)["freshness.stage"] == "fail"
    assert "data-eng" in done.out


def test_the_good_version_is_allowed(system: System) -> None:
    """The champion's own twin: the same evidence, asked for by number, under another alias."""
    system = system.apart()
    done = system.aigate("evaluate", f"{system.churn.name}@1", "--to", "production")
    assert (done.code, done.out.split()[0]) == (0, "ALLOW"), done.out + done.err


def test_the_same_snapshot_gives_the_same_bytes(system: System) -> None:
    system = system.apart()
    first = system.aigate("evaluate", "--save-snapshot", "snapshot.json", "--format", "json")
    again = [
        system.aigate("evaluate", "--snapshot", "snapshot.json", "--format", "json").out for _ in range(2)
    ]
    assert again == [first.out, first.out]


def test_offline_asks_nobody(system: System) -> None:
    system.aigate("evaluate", "--save-snapshot", "snapshot.json")
    before = len(system.web.asked)
    done = system.aigate("evaluate", "--snapshot", "snapshot.json", uri="")
    assert done.code == 1
    assert len(system.web.asked) == before


def test_a_snapshot_of_another_manifest_is_refused(system: System) -> None:
    system.aigate("evaluate", "--save-snapshot", "snapshot.json")
    manifest = system.folder / "aigate.yaml"
    manifest.write_text(manifest.read_text().replace("0.92", "0.10"))
    done = system.aigate("evaluate", "--snapshot", "snapshot.json")
    assert done.code == 2
    assert "another manifest" in done.err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"name":"accuracy"', '"name":"accuracy","name":"accuracy"', "twice"),
        ('"schema":"aigate.snapshot/v1"', '"schema":"aigate.snapshot/v2"', "not a snapshot"),
        ('"question":"promote"', '"question":"allow"', "not a snapshot"),
        ("{", "", "snapshot.json"),
    ],
    ids=["duplicate-key", "other-schema", "other-question", "broken"],
)
def test_a_snapshot_that_is_none_is_refused(system: System, old: str, new: str, says: str) -> None:
    system.aigate("evaluate", "--save-snapshot", "snapshot.json")
    path = system.folder / "snapshot.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    done = system.aigate("evaluate", "--snapshot", "snapshot.json")
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_a_dead_registry_is_a_hold_that_names_it(system: System) -> None:
    system = system.apart()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}"
    done = system.aigate("evaluate", "--format", "json", uri=dead)
    assert done.code == 3
    assert dead in why(done.out)


@pytest.mark.parametrize(
    "answer",
    [
        json_reply({}),
        json_reply([]),
        Reply(b"<html>login</html>", content_type="text/html"),
        Reply(b"", 302, {"Location": "http://169.254.169.254/latest/meta-data"}),
        json_reply({"error_code": "INVALID_PARAMETER_VALUE", "message": "unsupported URI"}, 400),
        json_reply({"registered_model": {}, "model_version": {}, "run": {}, "model": {}}),
    ],
    ids=["empty-object", "list", "login-page", "metadata-redirect", "other-400", "hollow"],
)
def test_a_lying_registry_is_a_hold(system: System, answer: Reply) -> None:
    with WebServer(default=answer) as liar:
        done = system.aigate("evaluate", "--format", "json", "--deadline", "5", uri=liar.url())
    assert done.code == 3, done.out
    assert liar.url() in why(done.out)


@pytest.mark.parametrize(
    "handler",
    [
        silent,
        drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", b"X-A: b\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" "),
    ],
    ids=["silence", "dripping-headers", "dripping-body"],
)
def test_a_hostile_endpoint_ends_in_a_hold_within_the_deadline(system: System, handler: Any) -> None:
    system = system.apart()
    with RawServer(handler) as server:
        manifest = system.folder / "aigate.yaml"
        manifest.write_text(
            manifest.read_text().replace(system.web.url("/features.json"), server.url("/f.json"))
        )
        started = time.monotonic()
        done = system.aigate(
            "evaluate", f"{system.churn.name}@1", "--to", "x", "--format", "json", "--deadline", "2"
        )
        took = time.monotonic() - started
    assert done.code == 3, done.out
    assert outcomes(done.out)["freshness.stage"] == "unknown"
    assert server.url("/f.json") in why(done.out)
    assert took < 2 + 0.5 + START, took


START = 4.0
"""Seconds granted for two interpreters to start on a busy machine; the deadline itself is held tighter in collect's tests."""


def test_secrets_are_in_no_output(system: System) -> None:
    system = system.apart()
    token, key = "canary-token-7f3a", "canary-key-91bc"
    seen = []

    def echo(asked: Any) -> Reply:
        seen.append(asked.headers.get("x-api-key"))
        return json_reply({"loaded_at": f"{asked.headers.get('x-api-key')} {token}"})

    system.web.routes["/features.json"] = echo
    manifest = system.folder / "aigate.yaml"
    manifest.write_text(
        manifest.read_text().replace(
            "max_age: 6h,", "max_age: 6h, auth: {header: X-Api-Key, value: DATA_KEY},"
        )
    )
    environ = {"MLFLOW_TRACKING_TOKEN": token, "DATA_KEY": key}
    done = system.aigate(
        "evaluate",
        "-v",
        "-o",
        "text",
        "-o",
        "json:r.json",
        "-o",
        "markdown:r.md",
        "--save-snapshot",
        "s.json",
        **environ,
    )
    assert done.code in (1, 3)
    assert key in seen
    everything = (
        done.out
        + done.err
        + "".join((system.folder / name).read_text() for name in ("r.json", "r.md", "s.json"))
    )
    assert token not in everything
    assert key not in everything


def test_a_credential_that_is_not_set_is_a_gap_that_names_the_variable(system: System) -> None:
    manifest = system.folder / "aigate.yaml"
    manifest.write_text(
        manifest.read_text().replace("max_age: 6h,", "max_age: 6h, auth: {bearer: DATA_TOKEN},")
    )
    done = system.aigate("evaluate", f"{system.churn.name}@1", "--to", "x", "--format", "json")
    assert done.code == 3
    assert "DATA_TOKEN" in why(done.out)


def test_an_untrusted_manifest_reaches_no_private_address(system: System) -> None:
    done = system.aigate("evaluate", "--untrusted-manifest", "--format", "json")
    assert done.code == 3
    assert system.web.asked == []


def test_the_operator_can_narrow_the_network(system: System) -> None:
    done = system.aigate("evaluate", "--format", "json", AIGATE_NETWORK="public")
    assert done.code == 3
    assert system.web.asked == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["evaluate", "other@2"], "not 'other'"),
        (["evaluate", "cli-churn@01"], "not a version's number"),
        (["evaluate", "cli-churn@"], "nothing stands after @"),
        (["evaluate", "cli-churn@latest"], "latest"),
        (["evaluate", "-e", "prodution"], "did you mean 'production'"),
        (["evaluate", "-o", "jsn"], "did you mean 'json'"),
        (["evaluate", "-m", "none.yaml"], "there is no manifest"),
        (["evaluate", "--snapshot", "none.json"], "none.json"),
        (["evaluate", "--snapshot", "x", "--to", "y"], "do not go with --snapshot"),
        (["evaluat"], "evaluate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_is_two_and_says_what_to_do(system: System, args: list[str], says: str) -> None:
    done = system.aigate(*args)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_without_an_address_nothing_is_asked(system: System) -> None:
    done = system.aigate("evaluate", uri="")
    assert done.code == 2
    assert "MLFLOW_TRACKING_URI" in done.err
    assert not list(system.folder.glob("*.db"))


@pytest.mark.parametrize(
    ("addition", "says"),
    [
        ("policies: {standard: false}\n", "no policy is in force"),
        ("environments: {production: {levels: {ownershp: advise}}}\n", "did you mean 'ownership'"),
        (
            "environments: {production: {params: {freshness.stages: {grace: 1h}}}}\n",
            "did you mean 'freshness.stage'",
        ),
        ("environments: {production: {params: {freshness.stage: {grac: 1h}}}}\n", "grace"),
        ("environments: {production: {params: {freshness.stage: {grace: soon}}}}\n", "grace"),
        ("policies: {path: nowhere}\n", "nowhere"),
    ],
    ids=["empty-set", "level-selects-nothing", "params-select-nothing", "parameter", "value", "folder"],
)
def test_configuration_that_selects_nothing_is_refused(system: System, addition: str, says: str) -> None:
    with (system.folder / "aigate.yaml").open("a") as file:
        file.write(addition)
    done = system.aigate("evaluate")
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_an_own_policy_is_added_and_can_block(system: System) -> None:
    folder = system.folder / "policies"
    folder.mkdir()
    (folder / "house.py").write_text(
        "from aigate import Findings, Snapshot, deny, policy\n\n\n"
        '@policy("house.rule")\n'
        "def rule(s: Snapshot) -> Findings:\n"
        '    """The house rule."""\n'
        "    if s.owner is not None:\n"
        '        yield deny("the house says no", key="house")\n'
    )
    done = system.aigate("evaluate", f"{system.churn.name}@1", "--to", "x", "--format", "json")
    assert done.code == 1
    assert outcomes(done.out)["house.rule"] == "fail"


def test_all_advisory_says_so(system: System) -> None:
    with (system.folder / "aigate.yaml").open("a") as file:
        file.write('environments: {staging: {levels: {"*": advise}}}\n')
    done = system.aigate("evaluate", "-e", "staging")
    assert done.code == 0
    assert "advice" in done.out


def test_nothing_in_all_of_it_imports_mlflow(system: System) -> None:
    code = (
        "import sys; from aigate.cli import run; code = run(['evaluate', '--format', 'json']); "
        "assert code == 1, code; assert not {'mlflow', 'pandas', 'numpy', 'sqlalchemy'} & set(sys.modules)"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=system.folder,
        env={"MLFLOW_TRACKING_URI": system.uri, "HOME": str(system.folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_client_reader_decides_the_same(system: System, mlflow_server: Any) -> None:
    """Through MLflow's own library on the same database: the same outcomes."""
    over_http = system.aigate("evaluate", "--format", "json")
    directly = system.aigate("evaluate", "--format", "json", uri=mlflow_server.store)
    assert directly.code == over_http.code == 1
    known = {id: o for id, o in outcomes(over_http.out).items() if not id.startswith("pipeline.")}
    assert {id: o for id, o in outcomes(directly.out).items() if id in known} == known
