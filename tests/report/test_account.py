"""Status, explanation and audit on the page, as a person last found them good; and nothing foreign gets out of hand."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from aigate.account import Explanation, Status, span
from aigate.audit import Audit
from aigate.decision import Actor
from aigate.history import status_of, why
from aigate.ledger import BreakGlass, Halt
from aigate.manifest import Owner
from aigate.report import ReportContext
from aigate.report.audit import render as audit_text
from aigate.report.page import program
from aigate.report.status import render as status_text
from aigate.report.why import render as why_text
from aigate.snapshot import Runbook
from story import KAI, Story, told

Golden = Callable[[str, str], None]
PLAIN = ReportContext()
OWNER = Owner(team="retention-platform", contact="#churn-oncall", escalation="https://pager.example/churn")
BOOKS = (
    Runbook(blames="default", path="runbooks/churn.md", exists=True),
    Runbook(blames="data", path="runbooks/late-data.md", exists=False),
)


def night() -> Story:
    """Everything at once that somebody may find at 03:00."""
    story = told()
    story.halt()
    story.halt("over by now", until=story.now + timedelta(minutes=1))
    who, until = story.identity("4"), story.now + timedelta(hours=1)
    body = BreakGlass(alias="champion", to=who, reason="outage INC-7", role="approver", expires=until)
    story.promote("4", glass=story.write(body, KAI).seq)
    story.promote("2", outcome=None)
    story.wait(hours=2)
    story.model_tag("aigate.watch", json.dumps({"at": "2026-11-12T20:00:00Z"}))
    story.fake.aliases["churn", "champion"] = "2"
    return story


def seen(story: Story) -> Status:
    found = status_of(story.sight(), "champion", "production")
    return found.model_copy(update={"owner": OWNER, "runbooks": BOOKS})


def down(*parts: str) -> Story:
    from aigate.collect.mlflow.reader import RegistryError

    story = told()
    if "registry" in parts:
        story.fake.fails["model churn"] = RegistryError("unreachable", "MLflow answered 503")
    if "ledger" in parts:
        story.store.dead = True
    return story


def asked(story: Story, version: str, on: str | None = None) -> Explanation:
    return why(story.sight(), "champion", version, None if on is None else span(on))


def broken() -> Story:
    story = told()
    story.lines[4] = story.lines[4].replace(b"INC-2291", b"INC-2292")
    story.fake.files["m-" + "3" * 32, "data/weights"] = b"others"
    return story


def adopted() -> Story:
    story = Story()
    story.adopt("1")
    return story


def moved_by_hand() -> Story:
    story = told()
    story.fake.aliases["churn", "champion"] = "4"
    return story


def past_the_gate() -> Story:
    story = moved_by_hand()
    story.rollback("3")
    return story


def returned_to_adopted() -> Story:
    story = adopted()
    story.promote("2")
    story.rollback("1")
    return story


def troubled() -> Story:
    """A twin, a loss that was accepted, and a last known good that is no more."""
    story = told()
    story.adopt("3", lost="the receipt on v2 has sha256:7777777777… for entry 40")
    story.fake.aliases["churn", "Champion"] = "4"
    del story.fake.versions["churn", "1"]
    return story


def junk() -> Story:
    story = told()
    story.lines.append(b"junk")
    return story


def early(story: Story) -> Story:
    """Asked on a machine whose clock is behind."""
    story.model_tag("aigate.watch", json.dumps({"at": "2026-11-12T18:00:00Z"}))
    story.now = datetime.fromisoformat("2026-11-11T06:09:00Z")
    return story


STATUS = {
    "drift": lambda: seen(moved_by_hand()),
    "troubled": lambda: seen(troubled()),
    "early": lambda: seen(early(told())),
    "well": lambda: seen(told()),
    "night": lambda: seen(night()),
    "registry-down": lambda: seen(down("registry")),
    "ledger-down": lambda: seen(down("ledger")),
    "all-down": lambda: seen(down("registry", "ledger")),
    "new": lambda: status_of(Story().sight(), "champion", "production"),
}
WHY = {
    "past-the-gate": lambda: asked(past_the_gate(), "4"),
    "moved-by-hand": lambda: asked(moved_by_hand(), "4"),
    "returned-adopted": lambda: asked(returned_to_adopted(), "1"),
    "early": lambda: asked(early(told()), "3"),
    "allowed": lambda: asked(told(), "3"),
    "returned": lambda: asked(told(), "1", "2026-11-11"),
    "not-then": lambda: asked(told(), "2", "2026-11-03"),
    "never": lambda: asked(told(), "4"),
    "adopted": lambda: asked(adopted(), "1"),
    "glass": lambda: asked(night(), "4"),
    "broken": lambda: asked(broken(), "3"),
    "ledger-down": lambda: asked(down("ledger"), "3"),
}
AUDIT = {
    "junk": lambda: junk().audit(),
    "clean": lambda: told().audit(),
    "night": lambda: night().audit(),
    "broken": lambda: broken().audit(),
    "unseen": lambda: down("registry").audit(),
}


def steady(text: str) -> str:
    """Digests change with every field that evidence or a decision gains; the golden files need not."""
    return re.sub(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{12})(?![0-9a-f])", lambda m: "0" * len(m[0]), text)


@pytest.mark.parametrize("case", STATUS)
def test_status(case: str, golden: Golden) -> None:
    golden(f"status-{case}.txt", steady(status_text(STATUS[case](), PLAIN)))


@pytest.mark.parametrize("case", WHY)
def test_why(case: str, golden: Golden) -> None:
    golden(f"why-{case}.txt", steady(why_text(WHY[case](), PLAIN)))


@pytest.mark.parametrize("case", AUDIT)
def test_audit(case: str, golden: Golden) -> None:
    golden(f"audit-{case}.txt", steady(audit_text(AUDIT[case](), PLAIN)))


@pytest.mark.parametrize("text", [status_text(STATUS["early"](), PLAIN), why_text(WHY["early"](), PLAIN)])
def test_no_age_is_negative(text: str) -> None:
    assert not re.search(r"-\d+[dhms]", text)
    assert "in the future by this machine's clock" in text.replace("\n                ", " ")


def test_on_drift_what_puts_it_back_comes_before_what_accepts_it() -> None:
    found = STATUS["drift"]().model_copy(update={"alias": "shadow"})
    text = status_text(found, PLAIN)
    back, accept = (
        text.index("aigate rollback churn --alias shadow"),
        text.index("aigate adopt churn --alias shadow"),
    )
    assert back < accept


def test_what_is_well_fits_a_screen() -> None:
    pages = (
        status_text(STATUS["well"](), PLAIN),
        why_text(WHY["allowed"](), PLAIN),
        audit_text(AUDIT["clean"](), PLAIN),
    )
    assert [page.count("\n") <= 24 for page in pages] == [True] * 3


HOSTILE = "\x1b[31m::error::<b>@x</b>\n##[set-output name=verdict;]allow\u202e\n::stop-commands::x"


def hostile() -> Story:
    story = told()
    story.write(Halt(reason=HOSTILE, role="owner"), Actor(name="evil \u202e", run=HOSTILE))
    story.fake.aliases["churn", "champion\n::error::x\x1b[2J"] = "4"
    story.tag("3", "aigate.receipt", HOSTILE)
    story.model_tag("aigate.watch", HOSTILE)
    return story


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("shape", ["text", "json"])
def test_nothing_from_outside_commands_a_terminal_or_a_runner(unicode: bool, shape: str) -> None:
    context = ReportContext(unicode=unicode, verbose=True)
    story = hostile()
    found: list[Any] = [seen(story), story.audit(), asked(story, "3")]
    renders: list[Any] = [status_text, audit_text, why_text]
    for model, render in zip(found, renders, strict=True):
        text = render(model, context) if shape == "text" else program(model, context)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "##[" not in text
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())
        assert unicode or text.isascii()


@pytest.mark.parametrize(
    ("found", "model"),
    [(STATUS["night"], Status), (WHY["allowed"], Explanation), (AUDIT["night"], Audit)],
)
def test_json_has_every_field_and_reads_back(found: Callable[[], Any], model: Any) -> None:
    made = found()
    text = program(made, PLAIN)
    assert model.model_validate_json(text) == made
    assert (
        json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" == text
    )


def test_a_ledger_written_anew_does_not_fill_the_screen() -> None:
    found = told().audit()
    many = found.model_copy(update={"remarks": found.remarks * 100})
    assert audit_text(many, PLAIN).count("\n") < 60
    assert "60 more" in audit_text(many, PLAIN)
    assert audit_text(many, ReportContext(verbose=True)).count("\n") > 100


def test_the_times_are_of_the_story() -> None:
    assert told().now == datetime.fromisoformat("2026-11-12T18:08:00Z")
