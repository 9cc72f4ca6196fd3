"""A model's history for tests: a ledger in memory, the registry it speaks of, and real records and evidence."""

from datetime import datetime, timedelta
from typing import Any

from aigate.account import Book, Held, Registry, Seen
from aigate.audit import Audit
from aigate.collect.deadline import Deadline
from aigate.collect.identity import look_at
from aigate.decision import Actor, Decision, Finding, Judgement, PolicyInfo, PolicyResult, Versions
from aigate.digest import canonical, digest_bytes
from aigate.enforce.ledger import Ledger
from aigate.enforce.receipts import ANCHOR, RECEIPT, anchor, receipt
from aigate.evaluate import Setting, decide
from aigate.history import Sight, audited
from aigate.history.sight import read_book
from aigate.ledger import Adopt, Entry, Halt, Head, Identity, Intent, Kept, Outcome, read_chain
from aigate.report.json import decision_id, record
from aigate.snapshot import Snapshot, Subject
from aigate.testing import passing_snapshot
from aigate.values import missing
from fake_registry import HOUR, NOW, FakeRegistry, churn, model_id, run_id
from memory_store import MemoryStore

START = NOW - timedelta(days=20)
CI = Actor(name="github:d.silva", run="https://ci.example/churn/4821")
KAI = Actor(name="user:kai")
NOBODY = missing("MLflow answered 503", "https://mlflow.example")


def result(outcome: Any = "pass") -> Judgement:
    """What one policy said."""
    finding = Finding(message="accuracy 0.71 is below its floor 0.92", key="accuracy")
    return Judgement(
        info=PolicyInfo(
            id="evaluation.floor",
            title="Every metric clears its floor.",
            severity="critical",
            blames="model",
            file="standard/evaluation.py",
            file_digest="sha256:" + "ef" * 32,
        ),
        level="block",
        result=PolicyResult(
            policy="evaluation.floor", outcome=outcome, findings=(finding,) if outcome == "fail" else ()
        ),
    )


class Story:
    """Moves an alias as aigate does, entry by entry; everything may be broken afterwards."""

    def __init__(self) -> None:
        self.now = START
        self.actor = CI
        self.fake: FakeRegistry = churn()
        for number in ("3", "4"):
            self._register(number)
        self.store = MemoryStore()
        self.count = 0
        self.ledger = Ledger(
            self.store,
            "churn",
            actor=CI,
            clock=lambda: self.now,
            nonce=self._nonce,
            publish=self._publish,
        )
        del self.fake.aliases["churn", "champion"]

    def _register(self, number: str) -> None:
        made = dict(self.fake.versions["churn", "2"])
        made |= {
            "version": number,
            "run_id": run_id(number),
            "source": f"models:/{model_id(number)}",
            "tags": [],
        }
        made["creation_timestamp"] += int(number) * HOUR
        self.fake.versions["churn", number] = made
        self.fake.runs[run_id(number)] = self.fake.runs[run_id("2")]
        model = self.fake.logged[model_id("2")]
        assert model is not None
        info = model["info"] | {"model_id": model_id(number), "source_run_id": run_id(number)}
        self.fake.logged[model_id(number)] = {**model, "info": info}
        self.fake.files[model_id(number), "MLmodel"] = b"flavors: {}\n"
        self.fake.files[model_id(number), "data/weights"] = f"weights of {number}".encode()

    def _nonce(self) -> str:
        self.count += 1
        return f"{self.count:016x}"

    def _publish(self, head: Head) -> None:
        self.model_tag(ANCHOR, anchor(head, "memory"))

    def model_tag(self, key: str, value: str | None) -> None:
        """Set or delete a tag of the registered model."""
        tags = [tag for tag in self.fake.models["churn"]["tags"] if tag["key"] != key]
        self.fake.models["churn"]["tags"] = tags + (
            [{"key": key, "value": value}] if value is not None else []
        )

    def tag(self, number: str, key: str, value: str | None) -> None:
        """Set or delete a tag of a version."""
        version = self.fake.versions["churn", number]
        version["tags"] = [tag for tag in version["tags"] if tag["key"] != key]
        version["tags"] += [{"key": key, "value": value}] if value is not None else []

    def receipt_of(self, number: str) -> str:
        """The receipt on a version."""
        found = {tag["key"]: tag["value"] for tag in self.fake.versions["churn", number]["tags"]}
        return str(found[RECEIPT])

    def wait(self, **span: float) -> "Story":
        """Let time pass."""
        self.now += timedelta(**span)
        return self

    def identity(self, number: str) -> Identity:
        """Who a version is."""
        return look_at(self.fake, "churn", number, Deadline(30), now=self.now).identity

    def write(self, body: Any, actor: Actor | None = None) -> Entry:
        """Write an entry, a minute after the one before it."""
        self.wait(minutes=1)
        self.ledger._actor = actor or CI
        return self.ledger.append(body)

    def evidence(self, number: str, judgement: Judgement) -> tuple[Snapshot, Decision]:
        """The snapshot about a version, and what was decided on it."""
        who = self.identity(number)
        snapshot = passing_snapshot()
        challenger = snapshot.challenger
        assert challenger is not None
        subject = Subject(registry="https://mlflow.example", name="churn", **dict(who))
        changed = challenger.model_copy(update={"subject": subject})
        snapshot = snapshot.model_copy(update={"challenger": changed, "now": self.now})
        setting = Setting(
            policies_digest="sha256:" + "34" * 32,
            isolation="process",
            versions=Versions(aigate="0.1.0", python="3.11.9", pydantic="2.14.3"),
            actor=CI,
        )
        return snapshot, decide(snapshot, (judgement,), setting)

    def promote(
        self, number: str, *, outcome: str | None = "applied", glass: int | None = None, **fields: Any
    ) -> int:
        """Promote a version as aigate does; return the intent's number."""
        snapshot, decision = self.evidence(number, result("pass" if glass is None else "fail"))
        body = {
            "action": "promote",
            "decision": decision_id(decision),
            "record": self._keep(record(decision)),
            "snapshot": self._keep(canonical(snapshot)),
            "manifest": decision.manifest_digest,
            "policies": decision.policies_digest,
            "reason": "allow: 1 policy assessed, none that counts failed",
            "glass": glass,
            **fields,
        }
        return self._move(number, outcome, body, CI)

    def rollback(self, number: str, *, outcome: str | None = "applied", **fields: Any) -> int:
        """Roll back to a version; return the intent's number."""
        body = {"action": "rollback", "reason": "INC-2291 accuracy 0.71", **fields}
        return self._move(number, outcome, body, KAI)

    def _keep(self, content: bytes) -> Kept:
        return self.ledger.keep(content)

    def _move(self, number: str, outcome: str | None, body: dict[str, Any], actor: Actor) -> int:
        held = self.fake.aliases.get(("churn", "champion"))
        said = {
            "alias": "champion",
            "from": None if held is None else self.identity(held),
            "to": self.identity(number),
            "environment": "production",
            "expires": self.now + timedelta(minutes=5),
            **body,
        }
        entry = self.write(Intent.model_validate(said), actor)
        if outcome is None:
            return entry.seq
        if outcome in ("applied", "recovered"):
            self.fake.aliases["churn", "champion"] = number
            digest = self.ledger.chain.digests[entry.seq - 1]
            self.tag(number, RECEIPT, receipt(entry.seq, digest, body.get("decision")))
        found = self.fake.aliases.get(("churn", "champion"))
        self.write(Outcome.model_validate({"of": entry.seq, "result": outcome, "found": found}), actor)
        return entry.seq

    def adopt(self, number: str, lost: str = "") -> int:
        """Let somebody move the alias past the gate, and somebody else accept that."""
        self.fake.aliases["churn", "champion"] = number
        known = self.ledger.standing.holder("champion")
        body = {
            "alias": "champion",
            "from": known,
            "to": self.identity(number),
            "reason": "moved by hand in the outage",
            "role": "approver",
            "lost": lost,
        }
        entry = self.write(Adopt.model_validate(body), KAI)
        self.tag(number, RECEIPT, receipt(entry.seq, self.ledger.chain.digests[entry.seq - 1], None))
        return entry.seq

    def halt(self, reason: str = "features 12h late", until: datetime | None = None) -> int:
        """Halt the model."""
        return self.write(Halt(reason=reason, role="owner of stage features", until=until), KAI).seq

    @property
    def lines(self) -> list[bytes]:
        """The stored entries, to be broken."""
        return self.store.entries["churn"]

    def sight(self, **fields: Any) -> Sight:
        """What can be looked at now."""
        book, lines = read_book(self.store, "churn")
        told = {
            "model": "churn",
            "now": self.now,
            "actor": KAI,
            "deadline": Deadline(30),
            "reader": self.fake,
            "store": self.store,
            "book": book,
            "lines": lines,
        }
        return Sight(**{**told, **fields})

    def audit(self, **how: Any) -> Audit:
        """What an audit finds now."""
        return audited(self.sight(), "champion", "production", **how).audit


def told() -> Story:
    """Version 1 serves a week, 2 for two days and is rolled back from; 3 serves now."""
    story = Story()
    story.promote("1")
    story.wait(days=7)
    story.promote("2")
    story.wait(days=2)
    story.rollback("1")
    story.wait(days=1)
    story.promote("3")
    story.wait(hours=30)
    return story


def forge(lines: list[bytes], at: int, change: Any) -> list[bytes]:
    """Write a chain anew from one entry on, as somebody would who controls the store: every link holds."""
    from aigate.ledger import Entry as Line

    forged, before = list(lines[: at - 1]), lines[: at - 1]
    prev = digest_bytes(before[-1]) if before else None
    for number, line in enumerate(lines[at - 1 :], at):
        entry = Line.model_validate_json(line).model_copy(update={"prev": prev})
        forged.append(canonical(change(entry) if number == at else entry))
        prev = digest_bytes(forged[-1])
    return forged


def book_of(lines: list[bytes]) -> Book:
    """The ledger that these lines are."""
    return Book(line="ledger in memory", chain=read_chain("churn", lines), stored=len(lines))


def registry_of(story: Story) -> Registry:
    """What the registry says now of everything in it."""
    versions = story.fake.versions
    tags = {tag["key"]: tag["value"] for tag in story.fake.models["churn"]["tags"]}
    return Registry(
        shown="https://mlflow.example",
        aliases=tuple(Held(alias=a, version=v) for (_, a), v in story.fake.aliases.items()),
        anchor=tags.get(ANCHOR),
        watch=tags.get("aigate.watch"),
        versions=tuple(
            Seen(
                number=number,
                identity=story.identity(number),
                receipt={t["key"]: t["value"] for t in version["tags"]}.get(RECEIPT),
                files=True,
            )
            for (_, number), version in versions.items()
        ),
    )
