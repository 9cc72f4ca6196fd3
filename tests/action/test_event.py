"""Whose rules are in force: for each event and each thing that may be checked out, the base's, ours, or nobody's."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.action.event import (
    Checkout,
    Event,
    UntrustedError,
    base_in_force,
    read_event,
    refuse_brought_evidence,
    refuse_credentials,
    refuse_to_act,
)
from aigate.action.inputs import Command, Inputs

MERGE, HEAD, BASE, TIP, EVIL = (sign * 40 for sign in "abcde")
PULLS = ("pull_request", "pull_request_review", "pull_request_review_comment")
PULL = {"pull_request": {"number": 7, "head": {"sha": HEAD}, "base": {"sha": BASE}}}
GROUP = {"merge_group": {"head_sha": MERGE, "base_sha": BASE}}
REFUSED = "refused"


def decided(event: Event, checkout: Checkout | None) -> str | None:
    try:
        return base_in_force(event, checkout)
    except UntrustedError:
        return REFUSED


@pytest.mark.parametrize("name", PULLS)
@pytest.mark.parametrize(
    ("checkout", "expected"),
    [
        pytest.param(Checkout(MERGE, (TIP, HEAD), True), TIP, id="githubs-merge"),
        pytest.param(Checkout(MERGE, (TIP, HEAD), False), TIP, id="githubs-merge-with-a-stale-base"),
        pytest.param(Checkout(HEAD, (BASE,), True), BASE, id="the-head"),
        pytest.param(Checkout(HEAD, (BASE,), False), REFUSED, id="the-head-without-the-base"),
        pytest.param(Checkout(MERGE, (), True), BASE, id="shallow-but-the-base-was-fetched"),
        pytest.param(Checkout(MERGE, (), False), REFUSED, id="shallow"),
        pytest.param(Checkout(MERGE, (HEAD,), False), REFUSED, id="only-the-head-is-there"),
        pytest.param(Checkout(EVIL, (EVIL, HEAD), False), REFUSED, id="a-merge-of-the-attackers-own"),
        pytest.param(
            Checkout(EVIL, (EVIL, HEAD), True), BASE, id="a-merge-of-the-attackers-own-beside-the-base"
        ),
        pytest.param(Checkout(HEAD, (EVIL, HEAD), True), BASE, id="a-head-that-is-a-merge"),
        pytest.param(Checkout(MERGE, (HEAD, TIP), True), BASE, id="parents-the-wrong-way-round"),
        pytest.param(Checkout(MERGE, (EVIL, EVIL), False), REFUSED, id="a-merge-of-something-else"),
        pytest.param(None, REFUSED, id="no-git"),
    ],
)
def test_a_pull_request_is_judged_by_its_base(name: str, checkout: Checkout | None, expected: str) -> None:
    assert decided(Event(name, MERGE, PULL), checkout) == expected


@pytest.mark.parametrize("name", [*PULLS, "merge_group"])
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"pull_request": None, "merge_group": []},
        {"pull_request": {"head": HEAD, "base": BASE}},
        {"pull_request": {"head": {"sha": 1}, "base": {"sha": [BASE]}}},
        {"pull_request": {"head": {"sha": ""}, "base": {"sha": ""}}},
        {"pull_request": [PULL]},
    ],
    ids=["empty", "null", "no-objects", "no-texts", "empty-texts", "a-list"],
)
def test_a_payload_that_names_nothing_trusts_nothing(name: str, payload: dict[str, Any]) -> None:
    event = Event(name, MERGE, payload)
    for checkout in (
        Checkout(MERGE, (TIP, HEAD), False),
        Checkout("", (), False),
        Checkout(MERGE, (), False),
    ):
        assert decided(event, checkout) == REFUSED
    assert event.number is None


def test_an_empty_sha_is_no_agreement() -> None:
    """Nothing said by anybody is not the same said twice."""
    assert decided(Event("pull_request", "", {}), Checkout("", (EVIL, ""), False)) != EVIL


def test_a_merge_queue_is_judged_by_its_base() -> None:
    assert decided(Event("merge_group", MERGE, GROUP), Checkout(MERGE, (BASE, HEAD), True)) == BASE
    assert decided(Event("merge_group", MERGE, GROUP), Checkout(MERGE, (EVIL, HEAD), False)) == REFUSED


@pytest.mark.parametrize(
    "name", ["push", "schedule", "workflow_dispatch", "repository_dispatch", "release", ""]
)
def test_what_a_writer_sets_off_is_judged_by_what_is_checked_out(name: str) -> None:
    for checkout in (None, Checkout(MERGE, (TIP,), False)):
        assert decided(Event(name, MERGE, {}), checkout) is None
    refuse_to_act(Event(name, MERGE, {}), Inputs("promote"))


FOREIGN = [
    Event("pull_request_target", BASE, PULL),
    Event("issue_comment", BASE, {"issue": {"pull_request": {}}}),
    *(
        Event("workflow_run", BASE, {"workflow_run": {"event": cause}})
        for cause in (*PULLS, "pull_request_target", "issue_comment", "merge_group", "workflow_run", "")
    ),
    Event("workflow_run", BASE, {}),
    Event("workflow_run", BASE, {"workflow_run": {"event": ["push"]}}),
]


@pytest.mark.parametrize("event", FOREIGN, ids=lambda e: f"{e.name}-{e.payload.get('workflow_run')}")
def test_with_the_bases_secrets_only_the_base_may_be_checked_out(event: Event) -> None:
    assert decided(event, Checkout(BASE, (), False)) == BASE, "as git has it, not as it lies there"
    for checkout in (
        None,
        Checkout(HEAD, (BASE,), True),
        Checkout(MERGE, (BASE, HEAD), True),
        Checkout("", (), True),
    ):
        assert decided(event, checkout) == REFUSED
    assert decided(Event(event.name, "", event.payload), Checkout("", (), False)) == REFUSED


def test_a_workflow_after_a_push_is_a_writers() -> None:
    event = Event("workflow_run", BASE, {"workflow_run": {"event": "push"}})
    assert decided(event, Checkout(HEAD, (), False)) is None


@pytest.mark.parametrize("command", ["promote", "watch", "rollback"])
@pytest.mark.parametrize(
    "event",
    [Event("pull_request", MERGE, PULL), Event("merge_group", MERGE, GROUP), *FOREIGN],
    ids=lambda e: e.name,
)
def test_nothing_is_changed_for_what_is_only_proposed(event: Event, command: Command) -> None:
    with pytest.raises(UntrustedError, match=command):
        refuse_to_act(event, Inputs(command))
    refuse_to_act(event, Inputs(command, dry_run=True))
    refuse_to_act(event, Inputs("evaluate"))
    refuse_to_act(event, Inputs("check"))


@pytest.mark.parametrize(
    "environ",
    [
        {"MLFLOW_TRACKING_TOKEN": "x"},
        {"MLFLOW_TRACKING_PASSWORD": "x"},
        {"DATABRICKS_TOKEN": "x"},
        {"PGPASSWORD": "x"},
        {"AIGATE_LEDGER": "postgresql://a:b@host/db"},
        {"MLFLOW_TRACKING_URI": "https://a:b@host"},
        {"MLFLOW_TRACKING_URI": "https://a:b@[host"},
    ],
    ids=lambda e: next(iter(e)),
)
def test_proposed_code_is_not_run_beside_a_credential(environ: dict[str, str]) -> None:
    with pytest.raises(UntrustedError, match=next(iter(environ))) as caught:
        refuse_credentials(Event("pull_request", MERGE, PULL), environ)
    assert "a:b" not in str(caught.value)
    refuse_credentials(Event("push", MERGE, {}), environ)
    refuse_credentials(
        Event("pull_request", MERGE, PULL), {"MLFLOW_TRACKING_URI": "https://host", "PGPASSWORD": " "}
    )


BROKEN = {
    "not-json": b"{",
    "empty": b"",
    "a-list": b"[]",
    "a-text": b'"pull_request"',
    "null": b"null",
    "not-utf-8": b'{"a": "\xff"}',
    "deep": b"[" * 200_000,
    "huge": b'{"a": "' + b"x" * (17 * 1024 * 1024) + b'"}',
    "a-long-number": b"1" * 10_000,
}


@pytest.mark.parametrize(
    "name", [*PULLS, "merge_group", "pull_request_target", "issue_comment", "workflow_run"]
)
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_payload_that_cannot_be_read_is_no_decision(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "event.json"
    path.write_bytes(content)
    with pytest.raises(UntrustedError, match="cannot be read"):
        read_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)})
    with pytest.raises(UntrustedError, match="cannot be read"):
        read_event({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(tmp_path / "gone")})
    assert read_event({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(path)}).payload == {}


def test_without_a_payload_a_pull_request_trusts_nothing() -> None:
    event = read_event({"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": MERGE})
    assert decided(event, Checkout(MERGE, (EVIL, HEAD), False)) == REFUSED


def test_an_event_is_read(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(PULL))
    event = read_event(
        {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_SHA": MERGE, "GITHUB_EVENT_PATH": str(path)}
    )
    assert (event.number, event.head, event.base, event.is_pull, event.privileged) == (
        7,
        HEAD,
        BASE,
        True,
        False,
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([MERGE, HEAD, BASE, EVIL]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["pull_request", "head", "base", "sha", "merge_group", "base_sha", "workflow_run", "event", "number"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(
    st.sampled_from([*PULLS, "merge_group"]),
    st.dictionaries(st.sampled_from(["pull_request", "merge_group", "workflow_run"]), JSON),
    st.sampled_from([MERGE, HEAD, EVIL, ""]),
    st.lists(st.sampled_from([TIP, HEAD, EVIL, BASE]), max_size=3),
    st.booleans(),
)
def test_a_change_is_never_in_force_for_itself(
    name: str, payload: dict[str, Any], head: str, parents: list[str], has_base: bool
) -> None:
    """Whatever the payload: what is in force is a parent of GitHub's own merge, or the base that it names."""
    event = Event(name, MERGE, payload)
    found = decided(event, Checkout(head, tuple(parents), has_base))
    assert found is not None
    if found != REFUSED:
        merged = head == MERGE and len(parents) > 1 and parents[1] == event.head and found == parents[0]
        assert merged or (has_base and found == event.base and found)


@pytest.mark.parametrize(
    "event", [Event("pull_request", MERGE, PULL), Event("merge_group", MERGE, GROUP), *FOREIGN]
)
def test_a_change_brings_no_evidence_of_its_own(event: Event) -> None:
    with pytest.raises(UntrustedError, match="may be the change's own"):
        refuse_brought_evidence(event, Inputs("evaluate", snapshot="snapshot.json"))
    refuse_brought_evidence(event, Inputs("evaluate"))
    refuse_brought_evidence(Event("push", BASE, {}), Inputs("evaluate", snapshot="snapshot.json"))
