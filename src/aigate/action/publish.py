"""The step that tells people: job summary, annotations, comment, commit status. None of it can change the verdict.

Each part is tried by itself; one that cannot be written is a line in the log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aigate.action.event import Event, read_event
from aigate.action.inputs import ADVICE, ANNOTATIONS, REPORT, REPORTS_VARIABLE, RESULT, flag
from aigate.action.runner import annotation, last_words, tell, write_summary
from aigate.action.secret import masked, secrets_of
from aigate.errors import AigateError
from aigate.report.clean import clean, markdown_text

if TYPE_CHECKING:
    from aigate.enforce.github import GitHub, State

SECONDS = 10.0
"""For comment and status together."""


@dataclass(frozen=True)
class Told:
    """All that there is to tell."""

    event: Event
    said: str
    """The end of it in one line; empty where no decision was reached."""
    report: str
    """Markdown, whatever came of it."""
    annotations: str
    """Workflow commands, a line each."""


def publish(environ: Mapping[str, str]) -> int:
    """Tell people what came of a run, as far as that can be done; return 0 always."""
    told = gather(environ)
    secrets = secrets_of(environ)
    log = _Log(secrets)
    if _wanted(environ, "summary"):
        log.attempt("the job summary", lambda: write_summary(environ, masked(told.report, secrets)))
    if _wanted(environ, "annotations") and told.annotations:
        tell(masked(told.annotations, secrets))
    if _wanted(environ, "comment") and told.event.number is not None:
        log.attempt("the comment", lambda: _comment(environ, told, secrets))
    if _wanted(environ, "status"):
        log.attempt("the commit status", lambda: _status(environ, told))
    return 0


def gather(environ: Mapping[str, str]) -> Told:
    """Read what a run left behind; whatever is missing or broken is told as it is."""
    reports = Path(environ.get(REPORTS_VARIABLE) or "/nonexistent")
    event, said = _event(environ), environ.get("AIGATE_ACTION_SAID", "")
    if not said:
        # Before anything is escaped: a reader would see the secret, and no mask would find it.
        words = masked(last_words(reports / "run.txt"), secrets_of(environ))
        words = words or "aigate did not run: see the log of the step"
        report = f"## ⚠️ No decision was reached\n\n{markdown_text(clean(words, 1_500))}\n"
        return Told(event, said, report, annotation("error", f"no decision was reached: {clean(words, 900)}"))
    parts = [_text(reports / REPORT)]
    if (result := _content(reports / RESULT)) is not None:
        from aigate.action.words import of_result

        parts.append(of_result(result))
    if (reports / ADVICE).is_file():
        from aigate.action.advice import read_advice

        parts.append(read_advice(reports))
    return Told(event, said, "\n".join(part for part in parts if part), _text(reports / ANNOTATIONS))


def place_of(environ: Mapping[str, str]) -> str:
    """Return what tells this gate from others of the repository, whatever the manifest says or fails to say."""
    manifest = environ.get("AIGATE_INPUT_MANIFEST") or "aigate.yaml"
    environment = environ.get("AIGATE_INPUT_ENVIRONMENT") or "production"
    return environment if manifest == "aigate.yaml" else f"{environment}/{manifest}"


def _comment(environ: Mapping[str, str], told: Told, secrets: tuple[str, ...]) -> str:
    assert told.event.number is not None
    key = "".join(sign if sign.isalnum() or sign in "._-/" else "-" for sign in place_of(environ))[:200]
    with _github(environ) as github:
        return github.upsert_comment(
            told.event.number, f"<!-- aigate:{key} -->", masked(told.report, secrets)
        )


def _status(environ: Mapping[str, str], told: Told) -> str:
    sha = told.event.head or environ.get("GITHUB_SHA", "")
    state: State = "failure"
    if environ.get("AIGATE_ACTION_YES") == "yes" and environ.get("AIGATE_ACTION_EXIT_CODE") == "0":
        state = "success"
    elif not told.said or environ.get("AIGATE_ACTION_EXIT_CODE") not in ("0", "1"):
        state = "error"
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    run = environ.get("GITHUB_RUN_ID", "")
    url = f"{server}/{repository}/actions/runs/{run}" if server and run else None
    with _github(environ) as github:
        github.set_status(
            sha,
            f"aigate/{place_of(environ)}"[:255],
            state,
            (told.said or "no decision was reached")[:140],
            url,
        )
    return f"set to {state}"


def _github(environ: Mapping[str, str]) -> "GitHub":
    from aigate.enforce.github import API, GitHub
    from aigate.enforce.github_wire import proxy_for

    url = environ.get("GITHUB_API_URL") or API
    authorities = environ.get("SSL_CERT_FILE")  # of a GitHub Enterprise Server
    return GitHub(
        url,
        environ.get("GITHUB_REPOSITORY", ""),
        environ.get("AIGATE_GITHUB_TOKEN", ""),
        seconds=SECONDS,
        proxy=proxy_for(url, environ),
        ca_file=Path(authorities) if authorities else None,
    )


class _Log:
    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def attempt(self, what: str, do: Callable[[], str | None]) -> None:
        """Do one part; what keeps it from being done is told, and is no failure."""
        try:
            done = do()
        except AigateError as e:
            words = f"{what} could not be written: {e.message}" + (f" ({e.fix})" if e.fix else "")
        except Exception as e:  # noqa: BLE001 - nothing in here may fail a gate
            words = f"{what} could not be written: {type(e).__name__}"
        else:
            if done:
                tell(f"aigate: {what}: {masked(clean(done, 300), self._secrets)}")
            return
        tell(annotation("warning", masked(clean(words, 600), self._secrets)))


def _event(environ: Mapping[str, str]) -> Event:
    try:
        return read_event(environ)
    except AigateError:
        return Event(environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_SHA", ""), {})


def _wanted(environ: Mapping[str, str], name: str) -> bool:
    try:
        return flag(environ.get(f"AIGATE_INPUT_{name.upper()}", "false"), name)
    except AigateError as e:
        tell(annotation("warning", f"{e.message}: taken as false"))
        return False


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _text(path: Path) -> str:
    return (_content(path) or b"").decode("utf-8", "replace")
