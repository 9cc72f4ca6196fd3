"""The GitHub client, against GitHub's own description and against everything that an answer can be."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fake_github
from aigate.enforce.github import MOST_BODY, Code, GitHub, GitHubError
from fake_github import (
    APP_TOKEN,
    DRIPS,
    DROPS,
    ENDLESS,
    HALF_JSON,
    HANGS,
    JOB_TOKEN,
    MEMBERS_TOKEN,
    READ_ONLY,
    SHORT,
    FakeGitHub,
    Fault,
    Seen,
    after_commit,
    answers,
    json_of,
    page,
    redirects,
    slow,
)

ACTIONS = "github-actions[bot]"
MARKER = "<!-- aigate:production -->"
SHA = "4b6472266afd7b471e86085a6659e8c7f2b119da"
WHERE = r"https://github\.com/acme/churn/pull/7#issuecomment-\d+"


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as running:
        yield running


def client(fake: FakeGitHub, token: str = JOB_TOKEN, **options: Any) -> GitHub:
    return GitHub(fake.url, "acme/churn", token, **({"sleep": lambda _: None} | options))


def upsert(fake: FakeGitHub, body: str = "DENY churn v2", token: str = JOB_TOKEN, **options: Any) -> str:
    with client(fake, token, **options) as github:
        return github.upsert_comment(7, MARKER, body)


def set_status(fake: FakeGitHub, **options: Any) -> None:
    with client(fake, **options) as github:
        github.set_status(SHA, "aigate/production", "failure", "3 of 9 failed", "https://example.com/run/1")


# --- the comment -----------------------------------------------------------------------------------------


def test_the_first_run_makes_the_comment(fake: FakeGitHub) -> None:
    assert re.fullmatch(f"created {WHERE}", upsert(fake))
    assert fake.bodies(7) == [f"{MARKER}\nDENY churn v2"]
    assert not fake.violations


def test_the_second_run_updates_it(fake: FakeGitHub) -> None:
    created = upsert(fake)
    assert upsert(fake, "ALLOW churn v2") == created.replace("created", "updated")
    assert fake.bodies(7) == [f"{MARKER}\nALLOW churn v2"]
    assert [seen.method for seen in fake.written] == ["POST", "PATCH"]
    assert not fake.violations


def test_the_same_again_writes_nothing(fake: FakeGitHub) -> None:
    created = upsert(fake)
    assert upsert(fake) == created.replace("created", "unchanged")
    assert len(fake.written) == 1


def test_line_ends_of_githubs_own_are_no_change(fake: FakeGitHub) -> None:
    fake.comment(7, ACTIONS, f"{MARKER}\r\nDENY\r\nchurn v2\r\n")
    assert upsert(fake, "DENY\nchurn v2").startswith("unchanged")
    assert not fake.written


def test_a_body_that_begins_with_the_marker_is_sent_as_it_is(fake: FakeGitHub) -> None:
    upsert(fake, f"{MARKER}\n\nDENY")
    assert fake.bodies(7) == [f"{MARKER}\n\nDENY"]


def test_each_marker_has_a_comment_of_its_own(fake: FakeGitHub) -> None:
    with client(fake) as github:
        for key in ("production", "production-eu", "größe/-x.yaml"):
            github.upsert_comment(7, f"<!-- aigate:{key} -->", f"about {key}")
    assert len(fake.bodies(7)) == 3


@pytest.mark.parametrize("before", [0, 49, 50, 51, 120])
def test_it_is_found_among_many(fake: FakeGitHub, before: int) -> None:
    for number in range(before):
        fake.comment(7, "dana", f"comment {number}")
    fake.comment(7, ACTIONS, f"{MARKER}\nold")
    for number in range(60):
        fake.comment(7, "dana", f"later {number}")
    assert upsert(fake).startswith("updated")
    assert fake.bodies(7, ACTIONS) == [f"{MARKER}\nDENY churn v2"]
    assert not fake.violations


def test_a_flood_of_comments_does_not_keep_ours_away(fake: FakeGitHub) -> None:
    for number in range(1_020):
        fake.comment(7, "mallory", f"{MARKER} {number}")
    assert upsert(fake).startswith("created")
    assert len(fake.requests) == 21


def test_comments_of_the_largest_size_do_not_keep_ours_away(fake: FakeGitHub) -> None:
    for _ in range(50):
        fake.comment(7, "mallory", "\U0001f600" * 65_536)
    assert upsert(fake).startswith("created")


def test_a_page_that_is_short_before_the_last_is_no_end(fake: FakeGitHub) -> None:
    """GitHub leaves comments out of a page that it holds for spam."""
    hidden = page(200, b"[]", "application/json")
    more = Fault(
        "an empty page with more to come",
        lambda h: h.raw(200, b"[]", {"Content-Type": "application/json", "Link": '<http://x/>; rel="next"'}),
    )
    fake.comment(7, ACTIONS, f"{MARKER}\nold")
    fake.fail(more)
    fake.fail(hidden)
    assert upsert(fake).startswith("created")
    assert [seen.query.get("page") for seen in fake.requests if not seen.writes] == ["1", "2"]


# --- whose comment it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "kind"),
    [
        pytest.param("mallory", None, id="a user"),
        pytest.param("mallory[bot]", None, id="another app"),
        pytest.param("github-actions", None, id="a user with the app's name"),
        pytest.param(ACTIONS, "User", id="a user by the type"),
        pytest.param("dana", None, id="a member"),
    ],
)
def test_a_strangers_marker_neither_captures_nor_suppresses(
    fake: FakeGitHub, login: str, kind: str | None
) -> None:
    forged = fake.comment(7, login, f"{MARKER}\nALLOW churn v2", kind=kind)
    same = fake.comment(7, login, f"{MARKER}\nDENY churn v2", kind=kind)
    assert upsert(fake).startswith("created")
    assert upsert(fake, "still DENY").startswith("updated")
    assert (forged["body"], same["body"]) == (f"{MARKER}\nALLOW churn v2", f"{MARKER}\nDENY churn v2")
    assert fake.bodies(7)[2:] == [f"{MARKER}\nstill DENY"]
    assert not fake.violations


def test_a_user_who_writes_through_an_app_is_that_user(fake: FakeGitHub) -> None:
    """`performed_via_github_app` is set for whoever uses an app of his own making."""
    forged = fake.comment(7, "mallory", f"{MARKER}\nALLOW")
    forged["performed_via_github_app"] = {"slug": "github-actions"}
    fake.violations.clear()
    assert upsert(fake).startswith("created")
    assert forged["body"] == f"{MARKER}\nALLOW"


def test_a_comment_of_nobody_is_passed_over(fake: FakeGitHub) -> None:
    fake.comment(7, "ghost", f"{MARKER}\nALLOW")["user"] = None
    assert upsert(fake).startswith("created")
    assert not fake.violations


def test_a_marker_further_down_is_a_quotation(fake: FakeGitHub) -> None:
    fake.comment(7, ACTIONS, f"> {MARKER}\n")
    assert upsert(fake).startswith("created")


def test_a_personal_token_is_asked_whose_it_is(fake: FakeGitHub) -> None:
    fake.comment(7, ACTIONS, f"{MARKER}\nof the job")
    assert upsert(fake, token=MEMBERS_TOKEN).startswith("created")
    assert upsert(fake, "again", token=MEMBERS_TOKEN).startswith("updated")
    assert fake.bodies(7) == [f"{MARKER}\nof the job", f"{MARKER}\nagain"]
    assert not fake.violations


def test_another_apps_token_is_told_whose_it_is(fake: FakeGitHub) -> None:
    assert "give the token's own login as author" in upsert(fake, token=APP_TOKEN)
    assert upsert(fake, "again", token=APP_TOKEN, author="gatekeeper[bot]").startswith("updated")
    assert "author" not in upsert(fake, "more", token=APP_TOKEN, author="gatekeeper[bot]")
    assert len(fake.bodies(7)) == 1


def test_a_token_of_an_unknown_form_that_may_not_ask_is_the_jobs(
    fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fake_github.LOGINS, "future_0123456789", ACTIONS)
    fake.fail(READ_ONLY)
    assert upsert(fake, token="future_0123456789").startswith("created")
    assert "(not by" not in upsert(fake, token=JOB_TOKEN)


# --- two at once ---------------------------------------------------------------------------------------------


def test_two_runs_at_once_leave_at_most_two_and_the_next_repairs(fake: FakeGitHub) -> None:
    together = threading.Barrier(2)

    def meet(seen: Seen) -> None:
        if seen.method == "POST":
            together.wait(10)

    fake.on_request = meet
    runs = [threading.Thread(target=upsert, args=(fake, f"run {n}")) for n in (1, 2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(20)
    assert sorted(fake.bodies(7)) == [f"{MARKER}\nrun 1", f"{MARKER}\nrun 2"]
    done = upsert(fake, "run 3")
    first, second = fake.bodies(7)
    assert first == f"{MARKER}\nrun 3"
    assert second == f"Superseded by {done.removeprefix('updated ')}."
    assert upsert(fake, "run 3").startswith("unchanged")
    assert not fake.violations


# --- faults ----------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[Fault, Code, str]] = [
    (answers(401, "Bad credentials"), "unauthorized", "does not accept the token"),
    (READ_ONLY, "read_only", "pull-requests: write"),
    (answers(403, "Resource not accessible by personal access token"), "read_only", "fork"),
    (answers(403, "Unable to create comment because issue is locked."), "forbidden", "is locked"),
    (answers(403, "Forbidden", x_ratelimit_remaining="0"), "rate_limited", "limits"),
    (answers(403, "You have exceeded a secondary rate limit"), "rate_limited", "limits"),
    (answers(403, "Slow down", retry_after="60"), "rate_limited", "wait 60 s"),
    (answers(429, "Too many requests"), "rate_limited", "limits"),
    (answers(404, "Not Found"), "not_found", "check the repository"),
    (answers(409, "Conflict"), "conflict", "conflict"),
    (answers(410, "Issues are disabled for this repo"), "gone", "switched off"),
    (answers(418, "I am a teapot"), "refused", "418"),
    (answers(500, "Server Error"), "server", "500"),
    (redirects(301, "https://evil.example/"), "redirect", "redirects"),
    (redirects(302, "http://169.254.169.254/"), "redirect", "redirects"),
    (redirects(307, "/repos/acme/churn2"), "redirect", "redirects"),
    (page(), "unreadable", "other than JSON"),
    (page(403), "forbidden", "forbids"),
    (page(200, b"[", "application/json"), "unreadable", "cannot be read"),
    (page(200, b"\xff\xfe[]", "application/json"), "unreadable", "cannot be read"),
    (page(200, b"[" * 200_000, "application/json"), "unreadable", "cannot be read"),
    (page(200, b'{"id": ' + b"9" * 5_000 + b"}", "application/json"), "unreadable", "cannot be read"),
    (page(204, b"", "application/json"), "refused", "204"),
    (page(304, b"", "application/json"), "redirect", "304"),
    (ENDLESS, "unreadable", "bytes"),
]


@pytest.mark.parametrize(("fault", "code", "words"), [pytest.param(*r, id=str(r[0].name)) for r in REFUSALS])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_refusal_is_told_and_not_repeated(
    fake: FakeGitHub, method: str, fault: Fault, code: Code, words: str
) -> None:
    if method == "PATCH":
        fake.comment(7, ACTIONS, f"{MARKER}\nold")
    fake.fail(fault, method=method, times=9)
    with pytest.raises(GitHubError) as caught:
        upsert(fake)
    # To a POST, a 200 is no good answer already: its body is not looked at.
    if method != "POST" or "200" not in fault.name:
        assert caught.value.code == code
        assert words in caught.value.message + caught.value.fix
    clean(caught.value, fake)
    assert len([seen for seen in fake.requests if seen.method == method]) == 1
    assert not fake.violations


def test_a_status_that_the_token_may_not_set(fake: FakeGitHub) -> None:
    fake.read_only.add(JOB_TOKEN)
    with pytest.raises(GitHubError, match="may not do this") as caught:
        set_status(fake)
    assert "statuses: write" in caught.value.fix
    assert "fork" in caught.value.fix


LIES: list[tuple[str, object]] = [
    ("nothing", None),
    ("a list", [1]),
    ("no id", {"body": MARKER}),
    ("an id in words", {"id": "1", "body": MARKER}),
    ("an id that is a truth", {"id": True, "body": MARKER}),
    ("no body", {"id": 1_001}),
    ("another body", {"id": 1_001, "body": "ALLOW"}),
    ("a body that is a number", {"id": 1_001, "body": 1}),
]


@pytest.mark.parametrize("lie", [pytest.param(value, id=name) for name, value in LIES])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_lie_is_an_error(fake: FakeGitHub, method: str, lie: object) -> None:
    if method == "PATCH":
        fake.comment(7, ACTIONS, f"{MARKER}\nold")
    status = {"GET": 200, "POST": 201, "PATCH": 200}[method]
    fake.fail(json_of(status, lie), method=method)
    with pytest.raises(GitHubError) as caught:
        upsert(fake)
    assert caught.value.code == "unreadable"


def test_another_comment_than_asked_is_a_lie(fake: FakeGitHub) -> None:
    fake.comment(7, ACTIONS, f"{MARKER}\nold")
    fake.fail(json_of(200, {"id": 1, "body": f"{MARKER}\nDENY churn v2"}), method="PATCH")
    with pytest.raises(GitHubError, match="another comment"):
        upsert(fake)


@pytest.mark.parametrize("lie", [None, [], {}, {"state": "success", "context": "aigate/production"}])
def test_a_status_that_says_otherwise_is_a_lie(fake: FakeGitHub, lie: object) -> None:
    fake.fail(json_of(201, lie))
    with pytest.raises(GitHubError, match="something else"):
        set_status(fake)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://github.com/a b", "https://x/?token=1", 7, None]
)
def test_an_address_that_is_none_of_a_comment_is_left_out(fake: FakeGitHub, url: object) -> None:
    made = {
        "id": 5,
        "body": f"{MARKER}\nDENY churn v2",
        "html_url": url,
        "user": {"login": ACTIONS, "type": "Bot"},
    }
    fake.fail(json_of(201, made), method="POST")
    assert upsert(fake).strip() == "created"


PASSING = [answers(502, "Bad Gateway"), answers(503, "Unavailable"), page(504, b"<html>"), DROPS, SHORT]


@pytest.mark.parametrize("fault", [pytest.param(f, id=f.name) for f in PASSING])
@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_what_passes_is_tried_once_more(fake: FakeGitHub, method: str, fault: Fault) -> None:
    if method == "PATCH":
        fake.comment(7, ACTIONS, f"{MARKER}\nold")
    fake.fail(fault, method=method)
    assert upsert(fake).split()[0] == ("updated" if method == "PATCH" else "created")
    assert fake.bodies(7) == [f"{MARKER}\nDENY churn v2"]
    assert not fake.violations


@pytest.mark.parametrize("fault", [pytest.param(f, id=f.name) for f in PASSING[:-1]])
@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_what_does_not_pass_is_tried_twice_only(fake: FakeGitHub, method: str, fault: Fault) -> None:
    if method == "PATCH":
        fake.comment(7, ACTIONS, f"{MARKER}\nold")
    fake.fail(fault, method=method, times=9)
    with pytest.raises(GitHubError) as caught:
        upsert(fake)
    assert caught.value.code in ("unavailable", "broken")
    clean(caught.value, fake)
    assert len([seen for seen in fake.requests if seen.method == method]) == 2


@pytest.mark.parametrize("fault", [pytest.param(f, id=f.name) for f in PASSING[:-1]])
def test_a_comment_that_was_written_before_the_answer_was_lost_is_not_written_twice(
    fake: FakeGitHub, fault: Fault
) -> None:
    fake.fail(after_commit(fault), method="POST")
    assert re.fullmatch(f"created {WHERE}", upsert(fake))
    assert len(fake.bodies(7)) == 1
    assert len(fake.written) == 1


def test_a_status_is_repeated(fake: FakeGitHub) -> None:
    fake.fail(after_commit(DROPS))
    set_status(fake)
    assert len(fake.statuses) == 2
    fake.fail(answers(500, "Server Error"))
    with pytest.raises(GitHubError):
        set_status(fake)


def test_half_of_the_json_is_told(fake: FakeGitHub) -> None:
    fake.fail(HALF_JSON, method="POST")
    with pytest.raises(GitHubError, match="cannot be read"):
        upsert(fake)
    assert upsert(fake).startswith("unchanged")


@pytest.mark.parametrize("fault", [pytest.param(f, id=f.name) for f in (HANGS, DRIPS, slow(5))])
def test_the_deadline_holds_for_all_of_it(fake: FakeGitHub, fault: Fault) -> None:
    fake.fail(fault)
    began = time.monotonic()
    with pytest.raises(GitHubError) as caught:
        upsert(fake, seconds=0.5)
    assert time.monotonic() - began < 3
    assert caught.value.code == "deadline"
    clean(caught.value, fake)


def test_many_slow_answers_share_the_deadline(fake: FakeGitHub) -> None:
    for number in range(500):
        fake.comment(7, "dana", f"comment {number}")
    fake.fail(slow(0.15), times=20)
    began = time.monotonic()
    with pytest.raises(GitHubError, match=r"did not answer within 0\.5 s"):
        upsert(fake, seconds=0.5)
    assert time.monotonic() - began < 3


def test_no_try_is_made_without_time_for_it(fake: FakeGitHub) -> None:
    fake.fail(answers(503, "Unavailable"), times=9)
    with pytest.raises(GitHubError, match="out of order"):
        upsert(fake, seconds=0.5)
    assert len(fake.requests) == 1


def test_the_deadline_begins_with_the_first_request(fake: FakeGitHub) -> None:
    with client(fake, seconds=1.0) as github:
        time.sleep(1.1)
        assert github.upsert_comment(7, MARKER, "DENY").startswith("created")


def test_nobody_is_there() -> None:
    with FakeGitHub() as gone:
        pass
    with pytest.raises(GitHubError) as caught:
        upsert(gone)
    assert caught.value.code == "unreachable"


def test_words_of_the_server_are_one_short_line_without_secrets(fake: FakeGitHub) -> None:
    words = f"no\n::error::x {JOB_TOKEN} https://u:p@h/x?sig=1 \x1b[31m" + "long " * 99
    fake.fail(json_of(404, {"message": words}))
    with pytest.raises(GitHubError) as caught:
        upsert(fake)
    clean(caught.value, fake)
    assert "sig=1" not in caught.value.message
    assert len(caught.value.message) < 350


def clean(error: GitHubError, fake: FakeGitHub) -> None:
    """No secret, no query and one printable line; the same all the way down is not asked: causes are not shown."""
    for text in (error.message, error.fix):
        assert JOB_TOKEN not in text
        assert "?" not in text.replace("?[redacted]", "")
        assert text == "" or text.isprintable()
    assert error.exit_code == 4
    assert fake.url not in error.fix


# --- the status ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["success", "failure", "error", "pending"])
def test_a_status_is_set(fake: FakeGitHub, state: Any) -> None:
    with client(fake) as github:
        github.set_status(SHA, "aigate/production", state, "d" * 140, "https://example.com/run?id=1")
        github.set_status(SHA, "aigate/production", state, "")
    [one, other] = fake.statuses
    assert (one["state"], one["sha"], one["context"]) == (state, SHA, "aigate/production")
    assert one["target_url"] == "https://example.com/run?id=1"
    assert other["target_url"] is None
    assert not fake.violations


# --- what is not sent at all -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "marker", "body"),
    [
        pytest.param(0, MARKER, "x", id="number 0"),
        pytest.param(7, "<!-- other -->", "x", id="another marker"),
        pytest.param(7, "<!-- aigate:a --><b>", "x", id="more than a marker"),
        pytest.param(7, MARKER, "x" * (MOST_BODY - len(MARKER)), id="too long by the line's end"),
        pytest.param(7, MARKER, "\ud800", id="half a character"),
    ],
)
def test_a_comment_that_cannot_be_is_not_sent(fake: FakeGitHub, number: int, marker: str, body: str) -> None:
    with client(fake) as github, pytest.raises(GitHubError) as caught:
        github.upsert_comment(number, marker, body)
    assert caught.value.code == "usage"
    assert not fake.requests


def test_the_longest_comment_is_sent(fake: FakeGitHub) -> None:
    upsert(fake, "\u00e9" * (MOST_BODY - len(MARKER) - 1))
    assert len(fake.bodies(7)[0]) == 65_536
    assert not fake.violations


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((SHA[:7], "c", "success", "d"), id="a short hash"),
        pytest.param(("main", "c", "success", "d"), id="a branch"),
        pytest.param((SHA, "c", "denied", "d"), id="no such state"),
        pytest.param((SHA, "", "success", "d"), id="no context"),
        pytest.param((SHA, "c" * 256, "success", "d"), id="a long context"),
        pytest.param((SHA, "c", "success", "d" * 141), id="a long description"),
        pytest.param((SHA, "c", "success", "\udfff"), id="half a character"),
        pytest.param((SHA, "c", "success", "d", "javascript:0"), id="no address"),
        pytest.param((SHA, "c", "success", "d", "https://u:p@h/"), id="an address with a password"),
    ],
)
def test_a_status_that_cannot_be_is_not_sent(fake: FakeGitHub, arguments: Any) -> None:
    with client(fake) as github, pytest.raises(GitHubError) as caught:
        github.set_status(*arguments)
    assert caught.value.code == "usage"
    assert not fake.requests


@pytest.mark.parametrize(
    ("url", "repository", "token", "proxy"),
    [
        pytest.param("http://github.example", "a/b", "t", None, id="not https"),
        pytest.param("http://127.0.0.1.evil.example", "a/b", "t", None, id="loopback by name only"),
        pytest.param("https://u:p@github.example", "a/b", "t", None, id="a password in the address"),
        pytest.param("https://github.example/?a=1", "a/b", "t", None, id="a query"),
        pytest.param("ftp://github.example", "a/b", "t", None, id="another scheme"),
        pytest.param("https://github.example", "a", "t", None, id="no repository"),
        pytest.param("https://github.example", "a/b/../c", "t", None, id="a path"),
        pytest.param("https://github.example", "a/..", "t", None, id="dots"),
        pytest.param("https://github.example", "a/b?x", "t", None, id="a query in the repository"),
        pytest.param("https://github.example", "a/b", "", None, id="an empty token"),
        pytest.param("https://github.example", "a/b", "secret\n", None, id="a token with a newline"),
        pytest.param("https://github.example", "a/b", "t", "socks5://secret@p:1", id="another proxy"),
        pytest.param(
            "https://github.example", "a/b", "t", "http://u:sec/ret@p:1", id="a slash in a password"
        ),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(
    url: str, repository: str, token: str, proxy: str | None
) -> None:
    with pytest.raises(GitHubError) as caught:
        GitHub(url, repository, token, proxy=proxy)
    assert caught.value.code == "usage"
    assert "sec" not in caught.value.message.replace("second", "")


def test_addresses_that_nobody_may_reach_are_not_reached() -> None:
    with GitHub("https://169.254.169.254", "a/b", JOB_TOKEN) as github, pytest.raises(GitHubError) as caught:
        github.upsert_comment(7, MARKER, "x")
    assert caught.value.code == "usage"
    assert "never reached" in caught.value.message


def test_the_token_is_in_no_repr(fake: FakeGitHub) -> None:
    with client(fake) as github:
        assert JOB_TOKEN not in repr(github) + repr(github._wire)


# --- anything goes there and back ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_any_text_goes_there_and_back(fake: FakeGitHub, bodies: list[str]) -> None:
    fake.comments.clear()
    for body in bodies:
        upsert(fake, body)
        assert upsert(fake, body).startswith("unchanged")
        [found] = fake.bodies(7)
        assert unified(found) == unified(f"{MARKER}\n{body}")
    assert not fake.violations


def unified(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def test_no_http_library_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, aigate.enforce.github as g; g.GitHub(g.API, 'a/b', 'ghs_x');"
        "print(sorted({'httpx', 'httpcore', 'h11', 'certifi', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
