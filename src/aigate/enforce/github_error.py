"""Why GitHub did not do what it was asked, in words for people and with the permission that is missing."""

from collections.abc import Mapping
from typing import Literal

from aigate.errors import AigateError

Code = Literal[
    "usage",
    "unreachable",
    "broken",
    "deadline",
    "unreadable",
    "redirect",
    "unauthorized",
    "read_only",
    "forbidden",
    "rate_limited",
    "not_found",
    "conflict",
    "gone",
    "invalid",
    "server",
    "unavailable",
    "refused",
]

REPEATABLE: tuple[Code, ...] = ("broken", "unreachable", "unavailable")
"""Failures after which a second try can succeed."""

_PASSING = frozenset({502, 503, 504})
"""Statuses of a server that is out of order for a moment."""


class GitHubError(AigateError):
    """GitHub did not do what it was asked, or nobody knows whether it did.

    `code` says why, for programs: `read_only` is a token without the right
    (every pull request of a fork has such a one); `server`, `unavailable`,
    `broken`, `deadline` and `unreadable` leave open whether the request took
    effect. No message holds a token, a query or more than a line of the
    server's words.
    """

    exit_code = 4

    def __init__(self, code: Code, message: str, *, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.code = code


def refusal(asked: str, needs: str, status: int, headers: Mapping[str, str], said: str) -> GitHubError:
    """Return the error for an answer with a status that was not expected.

    `asked` is what it was about, `needs` the permission that it takes (empty:
    none), and `said` GitHub's own message, which is repeated: it has no secrets.
    """
    quoted = f" ({status}: {said})" if said else f" ({status})"
    if 300 <= status < 400:
        return GitHubError(
            "redirect",
            f"{asked}: GitHub redirects, and no token is sent after a redirect{quoted}",
            fix="give the repository's present name, and GITHUB_API_URL without a redirect",
        )
    if status == 401:
        return GitHubError(
            "unauthorized",
            f"{asked}: GitHub does not accept the token{quoted}",
            fix="give `github-token`, or renew it",
        )
    if status == 429 or (status == 403 and _is_limit(headers, said)):
        wait = headers.get("retry-after", "")
        asks = f", and asks to wait {wait[:6]} s" if wait.isdecimal() else ""
        return GitHubError(
            "rate_limited",
            f"{asked}: GitHub limits the token's requests{asks}{quoted}",
            fix="run it again later",
        )
    if status == 403 and "not accessible by" in said:
        return GitHubError(
            "read_only",
            f"{asked}: the token may not do this{quoted}",
            fix=(f"add `{needs}` to the job's `permissions`; " if needs else "")
            + "in a pull request from a fork the token is read-only, and nothing can be added to it",
        )
    code, words, fix = _WORDS.get(status, _other(status))
    return GitHubError(code, f"{asked}: {words}{quoted}", fix=fix.format(needs=needs or "the right to read"))


_WORDS: dict[int, tuple[Code, str, str]] = {
    403: ("forbidden", "GitHub forbids it", "check that the job has `{needs}`, and nothing is locked"),
    404: (
        "not_found",
        "GitHub knows nothing there, or does not show it to this token",
        "check the repository and the number, and that the job has `{needs}`",
    ),
    409: ("conflict", "GitHub reports a conflict", "run it again"),
    410: ("gone", "it is gone, or switched off in this repository", ""),
    422: ("invalid", "GitHub refuses it as invalid", ""),
}


def _other(status: int) -> tuple[Code, str, str]:
    if status in _PASSING:
        return "unavailable", "GitHub is out of order", "run it again later"
    if status >= 500:
        return "server", "GitHub fails", "run it again later"
    return "refused", "GitHub answers with a status that was not expected", ""


def _is_limit(headers: Mapping[str, str], said: str) -> bool:
    return (
        headers.get("x-ratelimit-remaining") == "0"
        or "retry-after" in headers
        or "rate limit" in said.lower()
    )
