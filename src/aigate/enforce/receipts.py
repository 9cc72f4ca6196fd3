"""What an act leaves in the registry beside the alias: receipts on versions, and the ledger's head as an anchor.

Both are tags, which anybody with edit rights can change; they prove nothing by
themselves. Held against the ledger, one that does not fit shows that either of
the two was tampered with.
"""

import json
from collections.abc import Mapping

from pydantic import ValidationError

from aigate.ledger import Head
from aigate.values import Digest

RECEIPT = "aigate.receipt"
"""The tag on a version that was given the alias."""

ANCHOR = "aigate.ledger"
"""The tag on a registered model with its ledger's head."""

QUARANTINE = "aigate.quarantine"
"""The tag on a version that was rolled back from. The ledger is what counts; this is for people."""

MAX_TAG = 2_000


def receipt(seq: int, digest: Digest, decision: Digest | None) -> str:
    """Return a receipt's text."""
    return _text({"decision": decision, "digest": digest, "seq": seq})


def anchor(head: Head, kind: str) -> str:
    """Return an anchor's text; `kind` is the store that keeps the ledger."""
    return _text({"digest": head.digest, "seq": head.seq, "store": kind})


def head_in(tags: Mapping[str, str], key: str) -> Head | str | None:
    """Return the head that a tag names; text says what is wrong with the tag, None that there is none."""
    text = tags.get(key)
    if text is None:
        return None
    try:
        found = json.loads(text) if len(text) <= MAX_TAG else None
        if isinstance(found, dict):
            return Head.model_validate({"seq": found.get("seq"), "digest": found.get("digest")})
    except (ValueError, RecursionError, ValidationError):
        pass
    return f"the tag {key} is not what aigate writes"


def store_in(tags: Mapping[str, str]) -> str:
    """Return the kind of store that the anchor names; empty where it names none."""
    try:
        found = json.loads(tags.get(ANCHOR, "")[:MAX_TAG])
    except (ValueError, RecursionError):
        return ""
    kind = found.get("store") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) and len(kind) <= 20 else ""


def _text(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))
