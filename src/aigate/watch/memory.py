"""What a watcher knows of the look before: from its own memory, else from the tag, which is anybody's to write."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from aigate.enforce.receipts import ANCHOR, RECEIPT, head_in
from aigate.ledger import Head
from aigate.snapshot import Snapshot
from aigate.values import gap
from aigate.window import TAG, Heartbeat, read_heartbeat

ASK_AGAIN = timedelta(hours=1)
"""How long a watcher that goes on believes what the ledger told it."""


@dataclass(frozen=True)
class Confirmed:
    """That the ledger was read, and the alias was where it put it."""

    at: datetime
    anchor: str | None
    """The ledger's anchor in the registry, as it stood then."""
    seq: int
    """The entry that put the champion where it is."""


@dataclass(frozen=True)
class Memory:
    """What a watcher that goes on keeps of a look. It is its own, and so it goes before the tag."""

    beat: Heartbeat
    text: str | None
    """The heartbeat as it was written; None where that did not work."""
    confirmed: Confirmed | None


def is_of(beat: Heartbeat, snapshot: Snapshot) -> bool:
    """Whether a heartbeat is of a watcher of this alias in this environment."""
    return (beat.environment, beat.alias) == (snapshot.environment, snapshot.alias)


def anchor(snapshot: Snapshot) -> str | None:
    """Return the ledger's anchor as it stands in the registry."""
    return None if gap(snapshot.model) is not None else snapshot.model.tag(ANCHOR)


def receipt(snapshot: Snapshot) -> int | None:
    """Return the entry that the champion's receipt names; None where it has none."""
    champion = snapshot.champion
    if gap(champion) is not None or champion is None:
        return None
    text = champion.tag(RECEIPT)
    head = None if text is None else head_in({RECEIPT: text}, RECEIPT)
    return head.seq if isinstance(head, Head) else None


def heartbeat_before(snapshot: Snapshot, mine: Memory | None) -> tuple[Heartbeat | None, str]:
    """Return the heartbeat before this one, and why the tag's was not believed.

    What this process remembers goes before what stands in the tag.
    """
    if gap(snapshot.model) is not None:
        return None if mine is None else mine.beat, ""
    text = snapshot.model.tag(TAG)
    if mine is not None:
        if mine.text is None or mine.text == text:
            return mine.beat, ""
        return mine.beat, f"the tag {TAG} is not what this watcher wrote: somebody else writes it too"
    if text is None:
        return None, ""
    found = read_heartbeat(text, snapshot.now)
    if isinstance(found, str):
        return None, f"the tag {TAG} is not believed ({found}): the window starts anew"
    if not is_of(found, snapshot):
        return None, (
            f"the tag {TAG} is of a watcher of @{found.alias} in {found.environment}: the window starts anew; "
            "of one registered model only one alias in one environment can be watched"
        )
    return found, ""
