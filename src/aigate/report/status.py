"""`aigate status` for a person at 03:00: what is in service, what is wrong, and the command that ends it."""

from aigate.account import Status
from aigate.report.context import ReportContext
from aigate.report.json import short
from aigate.report.page import BOLD, Page, age
from aigate.standing import Tenure
from aigate.values import gap, show_instant
from aigate.wording import at, command

_WAYS = {"promote": "promoted", "rollback": "rolled back to", "adopt": "adopted, without a decision"}


def render(found: Status, ctx: ReportContext) -> str:
    """Return the status as text: the version in service first, then whatever needs somebody, then the rest."""
    page = Page(ctx)
    return page.join(
        [*_head(page, found), *_alarms(page, found), *_rest(page, found), *_unknown(page, found)]
    )


def _head(page: Page, found: Status) -> list[str]:
    held = found.holder
    holder = "unknown" if gap(held) is not None else "nothing" if held is None else f"v{held}"
    first = f"{page.say(found.model, 80)}@{page.say(found.alias, 40)} = {holder}"
    tenure = found.tenure
    if gap(tenure) is not None or tenure is None:
        return [page.paint(first, BOLD)]
    if found.drift:
        return [page.paint(first, BOLD)]
    lived = age(tenure.lived(found.now))
    by = f"since {show_instant(tenure.since)} ({lived}) by {page.say(tenure.actor.name, 120)}"
    lines = [f"{page.paint(first, BOLD)} {by}"]
    if gap(held) is not None:
        expected = "nothing" if tenure.identity is None else f"v{tenure.identity.version}"
        lines = [page.paint(first, BOLD), *page.row("", "ledger", f"put {expected} there {by}")]
    return [*lines, *page.row("", "how", _how(tenure)), *_run(page, tenure)]


def _how(tenure: Tenure) -> str:
    decision = f", decision {short(tenure.decision)}" if tenure.decision else ""
    return f"{_WAYS[tenure.by]} (entry {tenure.seq}{decision}): {tenure.reason}"


def _run(page: Page, tenure: Tenure) -> list[str]:
    return page.row("", "run", tenure.actor.run) if tenure.actor.run else []


def _alarms(page: Page, found: Status) -> list[str]:
    """Lay out what keeps the next promotion from happening, or waits for somebody."""
    lines: list[str] = []
    if found.drift:
        lines += _drift(page, found)
    for twin in found.twins:
        words = (
            f"@{twin.alias} is on v{twin.version}, stands beside @{found.alias} and looks like it: which one "
        )
        lines += page.row("bad", "TWIN", f"{words}serving reads nobody knows; delete it in MLflow")
    for fault in found.faults:
        lines += page.row("bad", "LEDGER", fault)
    if found.faults:
        lines += page.order(command("audit", found.model))
    for halt in found.halts:
        over = halt.over(found.now)
        until = f" until {show_instant(halt.halt.until)}" if halt.halt.until else ""
        words = f"since {show_instant(halt.at)}{until} by {halt.actor.name} ({halt.halt.role}): {halt.halt.reason}"
        lines += page.row("note" if over else "bad", "halt over" if over else "HALTED", words)
        lines += [] if over else page.order(command("resume", found.model, "--reason", "…"))
    for glass in found.unreviewed:
        words = f"v{glass.glass.to.version} was promoted past the gate, and nobody has reviewed it: "
        words += f"{glass.actor.name} at {show_instant(glass.at)} ({glass.glass.role}): {glass.glass.reason}"
        lines += page.row("bad", "GLASS", words)
        lines += page.order(command("review", found.model, str(glass.seq), "--reason", "…"))
    for glass in found.leave:
        words = f"v{glass.glass.to.version} may be promoted without an allow until "
        words += f"{show_instant(glass.glass.expires)}: {glass.actor.name}: {glass.glass.reason}"
        lines += page.row("warn", "glass", words)
    for intent in found.open:
        running = found.now < intent.intent.expires
        words = f"{intent.actor.name} began to move @{intent.intent.alias} to v{intent.intent.to.version} at "
        words += f"{show_instant(intent.at)}, " + (
            "and is at it" if running else "and no outcome was recorded"
        )
        lines += page.row("warn", "open", words)
    for left in found.quarantined:
        version = left.identity.version
        words = (
            f"v{version} was rolled back from at {show_instant(left.at)} by {left.actor.name}: {left.reason}"
        )
        lines += page.row("warn", "quarantine", words)
        lines += page.order(command("clear", f"{found.model}@{version}", "--reason", "…"))
    return lines


def _drift(page: Page, found: Status) -> list[str]:
    """Lay out that the alias was moved past the gate; what puts it back comes before what accepts it."""
    lines = page.row("bad", "DRIFT", found.drift)
    which = (found.model, *at(found.alias), "--reason", "…")
    back: list[str] = []
    if gap(found.tenure) is None and found.tenure is not None:
        back = [*page.row("", "", "put it back:"), *page.order(command("rollback", *which))]
    accept = "or accept it:" if back else "where that is right, say so once:"
    return [*lines, *back, *page.row("", "", accept), *page.order(command("adopt", *which))]


def _rest(page: Page, found: Status) -> list[str]:
    lines: list[str] = []
    if gap(found.known_good) is None:
        lines += _good(page, found)
    if gap(found.watched) is None:
        seen = found.watched
        ago = "" if seen is None else f"last looked {age(found.now - seen, ' ago')}"
        lines += page.row("", "watcher", ago or "never looked; `aigate watch` does")
    for loss in found.losses:
        words = (
            f"accepted by {loss.by} at {show_instant(loss.at)} (entry {loss.seq}): {loss.reason}: {loss.lost}"
        )
        lines += page.row("warn", "lost", words)
    if (owner := found.owner) is not None:
        ways = [owner.contact or "", f"at night {owner.escalation}" if owner.escalation else ""]
        lines += page.row("", "owner", ", ".join([owner.team, *filter(None, ways)]))
    if found.runbooks:
        books = [
            (f"{r.blames}: " if r.blames != "default" else "") + r.path + _there(r.exists)
            for r in found.runbooks
        ]
        lines += page.row("", "runbook", "; ".join(books))
    if found.ledger:
        head = "empty" if found.head is None else f"entry {found.head.seq}, head {short(found.head.digest)}"
        lines += page.row("", "history", f"{head} · {found.ledger}", most=2)
    return lines


def _good(page: Page, found: Status) -> list[str]:
    good = found.known_good
    if gap(good) is not None:
        return []
    if good is None:
        words = "none: `aigate rollback` would refuse, for it has nowhere to go, and the watcher would halt"
        return page.row("", "last good", words)
    if good.state == "bad":
        return page.row("bad", "last good", f"v{good.identity.version}, but {good.words}")
    until = f" until {show_instant(good.until)}" if good.until else ""
    soaked = "" if good.soaked else "; too short to be known good"
    words = f"v{good.identity.version}, served {age(good.lived)}{until}{soaked}; {good.words}"
    return page.row("" if good.state == "ok" else "unknown", "last good", words)


def _there(exists: object) -> str:
    return "" if exists is True else " (it is not there!)" if exists is False else " (nobody checked)"


def _unknown(page: Page, found: Status) -> list[str]:
    if not found.unknown:
        return []
    lines = ["", page.paint("Not known", BOLD)]
    for words in found.unknown:
        lines += page.row("unknown", "", words, cells=0)
    return [*lines, *page.row("", "", "`aigate doctor` says what is reachable", cells=0)]
