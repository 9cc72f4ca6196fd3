"""What aigate says on GitHub: one sticky comment on a pull request, and a commit status.

The comment is found again by a marker at its beginning **and** by its author.
Everybody who may comment can paste the marker, and everybody may edit his own
comment for ever; a verdict written into a stranger's comment would be his to
rewrite. So a marker by anybody else is passed over: ours is made beside it.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from aigate.collect.network import NetworkRule
from aigate.collect.origin import RefusedUrlError, Url
from aigate.enforce.github_error import REPEATABLE, Code, GitHubError
from aigate.enforce.github_wire import Answer, Question, Wire, proxy_for

__all__ = ["API", "MOST_BODY", "MOST_DESCRIPTION", "Code", "GitHub", "GitHubError", "State", "proxy_for"]

API = "https://api.github.com"
"""The API of github.com; a runner says its own in `GITHUB_API_URL`."""

State = Literal["success", "failure", "error", "pending"]
"""What a commit status can say."""

MOST_BODY = 65_536
"""Characters of a comment's body that GitHub takes, the marker's line included."""

MOST_DESCRIPTION = 140
"""Characters of a commit status's description that GitHub takes."""

_ACTIONS = "github-actions[bot]"
"""Who writes with a job's own token. No user can have a name with brackets: they are kept for apps."""

_INSTALLATION = "ghs_"
"""How the token of a job, or of another app's installation, begins; such a one cannot ask who it is."""

_PAGE = 50
_MOST_PAGES = 20
"""A thousand comments are looked through. Ours is posted early, and they come oldest first."""

_MOST_COMMENT = 6 * MOST_BODY + 32_768
"""Bytes of one comment in an answer: every character escaped, and what GitHub says besides."""

_MARKER = re.compile(r"<!-- aigate:[\w./@:+-]{1,200} -->")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PERMALINK = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}/[A-Za-z0-9._/-]{1,400}#issuecomment-[0-9]{1,20}")

_COMMENTING = "pull-requests: write"
_STATUS = "statuses: write"


@dataclass(frozen=True)
class _Comment:
    id: int
    body: str
    url: str
    """Its page; empty where GitHub gives no plain address of one."""
    login: str
    kind: str

    def is_by(self, author: str) -> bool:
        """Whether a login wrote it. A name with brackets is an app's, and GitHub says so a second time."""
        is_app = author.endswith("[bot]")
        return self.login.casefold() == author.casefold() and (self.kind == "Bot" or not is_app)


class GitHub:
    """Writes to one repository with one token, all of it within `seconds` from the first request on.

    `author` is the login under which the token writes. By default a job's own
    token writes as `github-actions[bot]`, and a personal one is asked who it
    is; the token of another app must be told (`my-app[bot]`), or every run
    makes a comment of its own. The other options are those of `Wire`. Nothing
    is asked before the first call. Raises GitHubError.
    """

    def __init__(
        self,
        api_url: str,
        repository: str,
        token: str,
        *,
        seconds: float = 10.0,
        author: str | None = None,
        proxy: str | None = None,
        ca_file: Path | None = None,
        rule: NetworkRule | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not _REPOSITORY.fullmatch(repository):
            raise GitHubError("usage", "the repository is not written as owner/name")
        self._wire = Wire(
            api_url, token, seconds=seconds, proxy=proxy, ca_file=ca_file, rule=rule, sleep=sleep
        )
        self._place = f"/repos/{repository}"
        self._asks_itself = not token.startswith(_INSTALLATION)
        self._author = author

    def __enter__(self) -> "GitHub":
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def upsert_comment(self, number: int, marker: str, body: str) -> str:
        """Let the comment with this marker on a pull request say `body`; return what was done, and where.

        The answer is `created`, `updated` or `unchanged`, a space and the
        comment's address (none where GitHub gives no plain one). The marker
        has the form `<!-- aigate:<key> -->` and is put before the body where
        it does not begin it. Further comments of ours with the same marker,
        which two runs at once can leave, are reduced to a pointer. Raises
        GitHubError, whose `code` says whether the comment may have been
        written all the same.
        """
        text = _text(number, marker, body)
        author = self._login()
        ours = self._ours(number, marker, author)
        if not ours:
            return self._create(number, marker, text, author)
        first, *others = ours
        if _same(first.body, text):
            done = f"unchanged {first.url}"
        else:
            done = f"updated {self._write(first, text).url}"
        for other in others:
            self._write(other, f"Superseded by {first.url or 'an earlier comment'}.")
        return done

    def set_status(
        self, sha: str, context: str, state: State, description: str, target_url: str | None = None
    ) -> None:
        """Set the status `context` of a commit. The same twice is harmless.

        `description` has at most 140 characters. Raises GitHubError.
        """
        if not _SHA.fullmatch(sha):
            raise GitHubError("usage", "a commit is named by its full hash: 40 or 64 hexadecimal digits")
        if state not in get_args(State):
            raise GitHubError("usage", "a status is success, failure, error or pending")
        if not 0 < len(context) <= 255 or len(description) > MOST_DESCRIPTION:
            raise GitHubError(
                "usage",
                f"a status has a context of 1 to 255 characters, and at most {MOST_DESCRIPTION} of description",
            )
        body: dict[str, object] = {"state": state, "context": context, "description": description}
        _check_unicode(context + description)
        if target_url is not None:
            try:
                Url.read(target_url)
            except RefusedUrlError as e:
                raise GitHubError("usage", f"the status points to {e.message}") from e
            body["target_url"] = target_url
        asked = f"setting the status {context!r}"
        place = f"{self._place}/statuses/{sha}"
        answer = self._wire.ask(Question(asked, "POST", place, 201, _MOST_COMMENT, needs=_STATUS, body=body))
        said = answer.value
        if not isinstance(said, dict) or said.get("state") != state or said.get("context") != context:
            raise GitHubError("unreadable", f"{asked}: GitHub confirms something else than was asked")

    def _login(self) -> str:
        """Return the login under which the token writes."""
        if self._author is None and not self._asks_itself:
            self._author = _ACTIONS
        if self._author is None:
            asked = "asking who the token belongs to"
            try:
                answer = self._wire.ask(Question(asked, "GET", "/user", 200, _MOST_COMMENT))
            except GitHubError as e:
                if e.code != "read_only":
                    raise
                self._author = _ACTIONS  # only an app's token may not ask
            else:
                login = _word(answer.value.get("login") if isinstance(answer.value, dict) else None)
                if not login:
                    raise GitHubError("unreadable", f"{asked}: GitHub names nobody")
                self._author = login
        return self._author

    def _ours(self, number: int, marker: str, author: str) -> list[_Comment]:
        """Return our comments with the marker, oldest first, from the first page that has one; else none."""
        for page in self._pages(number):
            ours = {c.id: c for c in page if c.is_by(author) and c.body.startswith(marker)}
            if ours:
                return [ours[id] for id in sorted(ours)]
        return []

    def _pages(self, number: int) -> Iterator[list[_Comment]]:
        asked = f"reading the comments of #{number}"
        place = f"{self._place}/issues/{number}/comments"
        for page in range(1, _MOST_PAGES + 1):
            params = {"per_page": str(_PAGE), "page": str(page)}
            answer = self._wire.ask(
                Question(asked, "GET", place, 200, _PAGE * _MOST_COMMENT, needs=_COMMENTING, params=params)
            )
            if not isinstance(answer.value, list):
                raise GitHubError("unreadable", f"{asked}: GitHub answers with something else")
            yield [_comment(item, asked) for item in answer.value]
            # The header's address is not followed: the token goes to the place we were given and no other.
            # A page can be short before the last: GitHub leaves out what it holds for spam.
            if 'rel="next"' not in answer.headers.get("link", "") and len(answer.value) < _PAGE:
                return

    def _create(self, number: int, marker: str, text: str, author: str) -> str:
        try:
            made = self._post(number, text)
        except GitHubError as e:
            if e.code not in REPEATABLE:
                raise
            # It may have been written before the answer was lost: look before it is written twice.
            self._wire.pause(e)
            found = self._ours(number, marker, author)
            if found and _same(found[0].body, text):
                return f"created {found[0].url}"
            made = self._post(number, text)
        if made.is_by(author):
            return f"created {made.url}"
        return (
            f"created {made.url} (not by {author}: "
            "give the token's own login as author, or every run makes a comment of its own)"
        )

    def _post(self, number: int, text: str) -> _Comment:
        asked = f"commenting on #{number}"
        place = f"{self._place}/issues/{number}/comments"
        body = {"body": text}
        answer = self._wire.ask(
            Question(asked, "POST", place, 201, _MOST_COMMENT, needs=_COMMENTING, body=body), repeat=False
        )
        return _confirmed(answer, asked, text)

    def _write(self, comment: _Comment, text: str) -> _Comment:
        asked = f"updating the comment {comment.id}"
        place = f"{self._place}/issues/comments/{comment.id}"
        body = {"body": text}
        answer = self._wire.ask(
            Question(asked, "PATCH", place, 200, _MOST_COMMENT, needs=_COMMENTING, body=body)
        )
        made = _confirmed(answer, asked, text)
        if made.id != comment.id:
            raise GitHubError("unreadable", f"{asked}: GitHub confirms another comment")
        return made


def _comment(item: object, asked: str) -> _Comment:
    """Read a comment out of an answer; its author is empty where GitHub names none."""
    if not isinstance(item, dict) or type(item.get("id")) is not int:
        raise GitHubError("unreadable", f"{asked}: GitHub answers with something that is no comment")
    user = item.get("user")
    user = user if isinstance(user, dict) else {}
    url = _word(item.get("html_url"))
    return _Comment(
        id=item["id"],
        body=_word(item.get("body")),
        url=url if _PERMALINK.fullmatch(url) else "",
        login=_word(user.get("login")),
        kind=_word(user.get("type")),
    )


def _confirmed(answer: Answer, asked: str, text: str) -> _Comment:
    """Return the comment that GitHub says it wrote; its first line tells whether that is what was sent."""
    made = _comment(answer.value, asked)
    if made.body.strip().splitlines()[:1] != text.strip().splitlines()[:1]:
        raise GitHubError("unreadable", f"{asked}: GitHub confirms another text")
    return made


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _same(one: str, other: str) -> bool:
    """Whether two bodies are the same but for line ends and outer space, which GitHub may change."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def _text(number: int, marker: str, body: str) -> str:
    """Return the whole body of a comment; raise GitHubError (`usage`) where it cannot be one."""
    if number < 1:
        raise GitHubError("usage", "a pull request's number is at least 1")
    if not _MARKER.fullmatch(marker):
        raise GitHubError("usage", "a comment's marker is written <!-- aigate:key -->")
    text = body if body.startswith(marker) else f"{marker}\n{body}"
    if len(text) > MOST_BODY:
        raise GitHubError(
            "usage",
            f"a comment of {len(text)} characters: GitHub takes {MOST_BODY}",
            fix="shorten the report; it is not cut here, where its markup is not known",
        )
    _check_unicode(text)
    return text


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise GitHubError("usage", "a text with half a character in it cannot be sent to GitHub") from e
