"""Is this a delivery of our MLflow, new, and about our model? Pure: the clock and what is woken are handed in.

MLflow signs `id.timestamp.body` with HMAC-SHA256 as Standard Webhooks
describes, under header names of its own (`mlflow/webhooks/delivery.py`). A
retry carries the same id and the same timestamp. Order of the checks: what
costs least comes first, and nothing of a body is looked at before it is known
to be signed.
"""

import hashlib
import hmac
import json
import re
import threading
from base64 import b64encode
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aigate.collect.strict import StrictError, load_json
from aigate.listen.http import MOST_BODY, Head, RefusedError, Reply

PATH = "/mlflow"
HEALTH = "/healthz"

WINDOW = timedelta(minutes=5)
"""How far a delivery's timestamp may be from now, either way; Stripe's and Svix's choice too."""

MOST_IDS = 10_000
"""Ids that are remembered; only signed deliveries are, so that no stranger can push one out."""

ID, TIMESTAMP, SIGNATURE = "x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_DEPTH = 16

ENTITIES = frozenset({"registered_model", "model_version", "model_version_tag", "model_version_alias"})
"""Of what an event wakes. Anything else that MLflow may come to tell of, above all a tag of the registered
model, which each look writes, does not: a look must never wake itself."""


class Seen:
    """The ids of deliveries that were accepted, for as long as they could be sent again."""

    def __init__(self, most: int = MOST_IDS) -> None:
        self._until: OrderedDict[str, datetime] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._until)

    def add(self, id: str, sent: datetime, now: datetime) -> bool:
        """Remember an id until its timestamp is too old to be accepted; False where it is known."""
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
        if id in self._until:
            return False
        while len(self._until) >= self._most:
            self._until.popitem(last=False)
        # A delivery may be dated into the future, and can be sent again for that much longer.
        self._until[id] = max(sent, now) + WINDOW + timedelta(seconds=1)
        return True


class Counts(NamedTuple):
    """What came in since somebody last asked, by the reason it was answered with."""

    taken: Mapping[str, int]
    """`accepted`, `repeated`, and `ignored` where it was about something else."""
    refused: Mapping[str, int]


_TAKEN = ("accepted", "repeated", "ignored")
_UNCOUNTED = ("health",)


class Deliveries:
    """Judges what is posted; safe to be asked from one thread and counted from another."""

    def __init__(
        self,
        secret: bytes,
        model: str,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
        health: Callable[[], tuple[bool, Mapping[str, object]]],
    ) -> None:
        self._secret = secret
        self._model = model
        self._clock = clock
        self._wake = wake
        self._health = health
        self._seen = Seen()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def head(self, head: Head) -> Reply | None:
        """Answer what is no post to `PATH`, has no fitting length, is not dated, or not about now."""
        if head.target == HEALTH:
            return self._healthy() if head.method == "GET" else _not_allowed("GET")
        if head.target != PATH:
            return Reply(404, "path")
        if head.method != "POST":
            return _not_allowed("POST")
        if "expect" in head.headers:
            return Reply(417, "malformed")
        length = head.length
        if length is None:
            return Reply(411, "length")
        if length > MOST_BODY:
            return Reply(413, "size")
        id, sent = head.headers.get(ID, ""), head.headers.get(TIMESTAMP, "")
        if SIGNATURE not in head.headers:
            return Reply(401, "unsigned")
        if _ID.fullmatch(id) is None or _TIMESTAMP.fullmatch(sent) is None:
            return Reply(400, "malformed")
        return None if abs(self._clock() - _instant(sent)) <= WINDOW else Reply(401, "stale")

    def whole(self, head: Head, body: bytes) -> Reply:
        """Answer a delivery, and wake whoever looks where it is new and about the model."""
        id, sent = head.headers[ID], head.headers[TIMESTAMP]
        mac = hmac.new(self._secret, f"{id}.{sent}.".encode() + body, hashlib.sha256).digest()
        # On bytes: `compare_digest` raises for a str that is not ASCII.
        if not hmac.compare_digest(b"v1," + b64encode(mac), head.headers[SIGNATURE].encode("latin-1")):
            return Reply(401, "signature")
        if not self._seen.add(id, _instant(sent), self._clock()):
            return Reply(200, "repeated")
        if not _is_about(body, self._model):
            return Reply(200, "ignored")
        self._wake()
        return Reply(202, "accepted")

    def count(self, reply: Reply) -> None:
        """Take note of an answer."""
        if reply.why not in _UNCOUNTED:
            with self._lock:
                self._counts[reply.why] += 1

    def counts(self) -> Counts:
        """Return what was counted since this was last asked."""
        with self._lock:
            found, self._counts = self._counts, Counter()
        taken = {why: found[why] for why in _TAKEN if found[why]}
        refused = {why: number for why, number in sorted(found.items()) if why not in _TAKEN}
        return Counts(taken, refused)

    def _healthy(self) -> Reply:
        well, told = self._health()
        return Reply(200 if well else 503, "health", json.dumps(told, sort_keys=True))


def _not_allowed(method: str) -> Reply:
    return Reply(405, "method", headers=(("Allow", method),))


def _instant(seconds: str) -> datetime:
    """Return a timestamp's instant; one beyond all years is as far away as there is."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _is_about(body: bytes, model: str) -> bool:
    """Whether a signed body tells of the model. Raises RefusedError for one that MLflow never sent."""
    try:
        found = load_json(body, source="delivery", max_bytes=MOST_BODY, max_depth=_DEPTH)
    except StrictError:
        raise RefusedError(400, "json") from None
    data = found.get("data") if isinstance(found, dict) else None
    entity = found.get("entity") if isinstance(found, dict) else None
    if not isinstance(data, dict) or not isinstance(entity, str):
        raise RefusedError(400, "json")
    return entity in ENTITIES and data.get("name") == model
