"""The whole of it against MLflow's own webhooks: a process that serves, an alias that is moved by hand."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, cast

import pytest

from act.conftest import Shop
from aigate.audit import Audit
from aigate.errors import AigateError
from aigate.listen.ungated import Asked, Audits, Judged, check

pytestmark = [pytest.mark.server, pytest.mark.slow]

SECRET = "a-secret-for-mlflow-itself-0c4e"
AUTO = "environments: {production: {rollback: {mode: auto}}}\n"


class Served:
    """A process `aigate hook serve`, and every line it says, with the moment."""

    def __init__(self, shop: Shop, *words: str) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(shop.folder),
            "MLFLOW_TRACKING_URI": shop.uri,
            "AIGATE_LEDGER": shop.ledger or "mlflow",
            "AIGATE_WEBHOOK_SECRET": SECRET,
        }
        command = [sys.executable, "-P", "-m", "aigate", "hook", "serve", "--port", "0", "--format", "json"]
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=shop.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[tuple[float, dict[str, Any]]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("{"):
                self._lines.put((time.monotonic(), json.loads(line)))

    def line(self, schema: str) -> tuple[float, dict[str, Any]]:
        """Wait for the next line of a kind; return its moment and what it says."""
        end = time.monotonic() + 60
        while True:
            try:
                at, line = self._lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no line of {schema}:\n{''.join(self.said)}")
            if line["schema"] == schema:
                return at, line

    def end(self) -> int:
        """Tell it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self._reader.join(10)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def two(shop: Shop) -> Iterator[list[Served]]:
    """Receivers that are ended."""
    served: list[Served] = []
    yield served
    for one in served:
        one.close()


def _get(url: str) -> tuple[int, dict[str, Any]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status, cast("dict[str, Any]", json.load(answer))
    except urllib.error.HTTPError as e:
        with e:
            return e.code, cast("dict[str, Any]", json.load(e))


def test_a_move_by_hand_is_undone_when_mlflow_tells_of_it_and_found_when_it_does_not(
    shop: Shop, two: list[Served], capsys: pytest.CaptureFixture[str]
) -> None:
    shop.extend(AUTO)
    polls = Served(shop, "--every", "10s", "--on-ungated", "tell")
    two.append(polls)
    woken = Served(shop, "--every", "1h", "--on-ungated", "revert", "--pause", "0s")
    two.append(woken)
    _, listening = woken.line("aigate.hook/v1")
    events = ["model_version_alias.created", "model_version_alias.deleted"]
    shop.client.create_webhook(name=shop.name, url=listening["listening"], events=events, secret=SECRET)
    for one in two:
        assert one.line("aigate.tick/v1")[1]["drift"] == ""
    assert _get(listening["listening"].replace("/mlflow", "/healthz"))[0] == 200
    time.sleep(1.1)  # for so long MLflow may not know of the webhook

    began = time.monotonic()
    shop.client.set_registered_model_alias(shop.name, "champion", "2")
    answered = time.monotonic()
    told, found = woken.line("aigate.ungated/v1")
    assert (found["done"], found["live"], found["expected"], found["woken"]) == ("reverted", "2", "1", True)
    assert shop.holder == "1"
    assert shop.kinds() == ["adopt", "intent", "applied"]
    took = float(found["act"]["seconds"])
    _, audit = woken.line("aigate.audit/v1")
    [remark] = audit["remarks"]
    assert (remark["code"], "in between it was moved without an entry" in remark["what"]) == ("ungated", True)
    assert woken.line("aigate.tick/v1")[1]["drift"] == ""
    deliveries = woken.line("aigate.deliveries/v1")[1]
    assert deliveries["taken"] == {"accepted": 1}, "its own move, which it looked after too"
    assert deliveries["refused"] == {}

    # The alias is moved once more: the cool-down forbids another revert, and nobody tells the other one.
    assert woken.end() == 0
    lost = time.monotonic()
    shop.client.set_registered_model_alias(shop.name, "champion", "2")
    while True:
        at, found = polls.line("aigate.ungated/v1")
        if at >= lost and found["state"] == "ungated":
            break
    assert (found["done"], found["woken"], shop.holder) == ("told", False, "2")
    assert found["next"][0].startswith(f"aigate rollback {shop.name}")
    assert polls.end() == 0
    everything = "".join(polls.said + woken.said)
    assert SECRET not in everything
    assert "Traceback" not in everything
    with capsys.disabled():
        print(
            f"\nMLflow answered the move after {answered - began:.2f} s; found after {told - began - took:.2f} s, "
            f"put back and told after {told - began:.2f} s; without a webhook found after {at - lost:.2f} s of 10 s"
        )


def test_an_audit_is_made_once_for_each_move(shop: Shop) -> None:
    def look() -> Any:
        return check(shop.loaded, Asked(), shop.acting(), Judged())

    audits = Audits()
    assert audits.after(look(), shop.loaded, shop.acting()) is None
    shop.client.set_registered_model_alias(shop.name, "champion", "2")
    found = look()
    audit = audits.after(found, shop.loaded, shop.acting())
    assert isinstance(audit, Audit)
    assert ("broken", "drift") in {(remark.gravity, remark.code) for remark in audit.remarks}
    assert {remark.gravity for remark in audit.remarks} <= {"broken", "unseen"}
    assert audits.after(look(), shop.loaded, shop.acting()) is None
    shop.uri = "no address"
    lost = audits.after(found.model_copy(update={"live": "7"}), shop.loaded, shop.acting())
    assert isinstance(lost, AigateError)
