"""The guard in real MLflow servers: every known way round it, tickets that do not fit, and work that is none of its."""

import json
import os
import threading
from collections.abc import Callable
from functools import partial

import pytest

import mlflow_seed
from aigate.enforce.keys import generate, sign
from aigate.ticket import GuardSays, header_value, read_guard_header, sealed, to_sign
from hook.conftest import Answer, GuardedServer, all_at_once, late

pytestmark = pytest.mark.server

Way = Callable[[GuardedServer, str], Answer]


def alias(
    body: object,
    *,
    place: str = "registered-models/alias",
    method: str = "POST",
    encoding: str = "",
    ticket: str = "",
    headers: dict[str, str] | None = None,
) -> Way:
    """A request with the model's name put into its body; with an `encoding`, the body is a text sent as it is."""

    def go(server: GuardedServer, model: str) -> Answer:
        if encoding:
            raw = str(body).replace("NAME", model).encode(encoding)
            return server.send(method, place, raw=raw, headers=headers)
        filled = json.loads(json.dumps(body).replace("NAME", model))
        return server.send(method, place, filled, ticket=ticket, headers=headers)

    return go


MOVE = {"name": "NAME", "alias": "champion", "version": "2"}
TEXT = json.dumps(MOVE)
ALIAS = "/api/2.0/mlflow/registered-models/alias"

WAYS: dict[str, tuple[Way, bool | None]] = {
    "api": (alias(MOVE), True),
    "ajax-api": (alias(MOVE, place="/ajax-api/2.0/mlflow/registered-models/alias"), True),
    "preview": (alias(MOVE, place="/api/2.0/preview/mlflow/registered-models/alias"), False),
    "trailing slash": (alias(MOVE, place=ALIAS + "/"), False),
    "double slash": (alias(MOVE, place="/api/2.0/mlflow//registered-models/alias"), False),
    "percent-encoded path": (alias(MOVE, place="/api/2.0/mlflow/registered-models/%61lias"), True),
    "query in the path": (alias(MOVE, place=ALIAS + "?name=free&alias=x&version=1"), True),
    "string body": (alias(TEXT), True),
    "utf-16": (alias(TEXT, encoding="utf-16"), True),
    "utf-8 with a mark": (alias(TEXT, encoding="utf-8-sig"), True),
    "alias twice": (
        alias(TEXT[:-1].replace("champion", "x") + ', "alias": "champion"}', encoding="utf-8"),
        True,
    ),
    "escaped": (alias(TEXT.replace("champion", "\\u0063hampion"), encoding="utf-8"), True),
    "plain text": (alias(TEXT, encoding="utf-8", headers={"Content-Type": "text/plain"}), False),
    "junk for a ticket": (alias(MOVE, ticket="e30"), True),
    "two tickets": (alias(MOVE, ticket="a, b"), True),
    "override": (alias(MOVE, headers={"X-HTTP-Method-Override": "DELETE"}), True),
    "version 02": (alias(MOVE | {"version": "02"}), True),
    "version of full width": (alias(MOVE | {"version": "２"}), True),
    "delete alias": (alias({"name": "NAME", "alias": "champion"}, method="DELETE"), True),
    "delete alias by ajax-api": (
        alias(
            {"name": "NAME", "alias": "champion"},
            method="DELETE",
            place="/ajax-api/2.0/mlflow/registered-models/alias",
        ),
        True,
    ),
    "delete the version in service": (
        alias({"name": "NAME", "version": "1"}, method="DELETE", place="model-versions/delete"),
        True,
    ),
    "delete another version": (
        alias({"name": "NAME", "version": "3"}, method="DELETE", place="model-versions/delete"),
        True,
    ),
    "delete the model": (alias({"name": "NAME"}, method="DELETE", place="registered-models/delete"), True),
    "rename the model": (
        alias({"name": "NAME", "new_name": "NAME-old"}, place="registered-models/rename"),
        True,
    ),
    "stage": (
        alias(
            {"name": "NAME", "version": "2", "stage": "Production"}, place="model-versions/transition-stage"
        ),
        True,
    ),
    "stage that archives": (
        alias(
            {"name": "NAME", "version": "2", "stage": "production", "archive_existing_versions": True},
            place="/ajax-api/2.0/mlflow/model-versions/transition-stage",
        ),
        None,
    ),
}
"""Each way round, and whether MLflow does it for a model that is not protected: a way that never works proves nothing.

None where that hangs on the database: archiving fails in MLflow itself over psycopg 3, which compares no number
with a text.
"""

LOOK_ALIKES = {
    "case": ("Champion", True),
    "capitals": ("CHAMPION", True),
    "line end": ("champion\n", True),
    "space": ("champion ", False),
    "cyrillic": ("сhampion", True),
    "full width": ("ｃｈａｍｐｉｏｎ", True),
    "zero": ("champi0n", True),
    "another pattern's": ("LIVE-eu", True),
}
for _name, (_alias, _works) in LOOK_ALIKES.items():
    WAYS[f"look-alike: {_name}"] = (alias(MOVE | {"alias": _alias}), _works)

RECEIPT = {"name": "NAME", "version": "2", "key": "aigate.receipt", "value": "forged"}
HEARTBEAT = {"name": "NAME", "key": "aigate.watch", "value": "forged"}
VERSION_TAG, MODEL_TAG = "model-versions/set-tag", "registered-models/set-tag"
AJAX = "/ajax-api/2.0/mlflow/"
WAYS |= {
    "tag": (alias(RECEIPT, place=VERSION_TAG), True),
    "tag by ajax-api": (alias(RECEIPT, place=AJAX + VERSION_TAG), True),
    "tag by a string body": (alias(json.dumps(RECEIPT), place=VERSION_TAG), True),
    "tag changed": (alias(RECEIPT | {"version": "1"}, place=VERSION_TAG), True),
    "tag with a leading zero": (alias(RECEIPT | {"version": "02"}, place=VERSION_TAG), True),
    "tag with junk for a ticket": (alias(RECEIPT, place=VERSION_TAG, ticket="e30"), True),
    "tag that aigate does not know": (alias(RECEIPT | {"key": "aigate.new"}, place=VERSION_TAG), True),
    "model's tag": (alias(HEARTBEAT, place=MODEL_TAG), True),
    "model's tag by ajax-api": (alias(HEARTBEAT, place=AJAX + MODEL_TAG), True),
    "anchor changed": (alias(HEARTBEAT | {"key": "aigate.ledger"}, place=MODEL_TAG), True),
    "anchor deleted": (
        alias(
            {"name": "NAME", "key": "aigate.ledger"}, place="registered-models/delete-tag", method="DELETE"
        ),
        True,
    ),
    "receipt deleted": (
        alias(
            {"name": "NAME", "version": "1", "key": "aigate.receipt"},
            place=AJAX + "model-versions/delete-tag",
            method="DELETE",
        ),
        True,
    ),
    "digest of the files changed": (
        alias(RECEIPT | {"version": "1", "key": "aigate.artifact_digest"}, place=VERSION_TAG),
        True,
    ),
    "digest of the files deleted": (
        alias(
            {"name": "NAME", "version": "1", "key": "aigate.artifact_digest"},
            place="model-versions/delete-tag",
            method="DELETE",
        ),
        True,
    ),
    "digest of the files on the model": (
        alias(HEARTBEAT | {"key": "aigate.artifact_digest"}, place=MODEL_TAG),
        True,
    ),
}
for _name, _key in {
    "case": "Aigate.receipt",
    "space before": " aigate.receipt",
    "space after": "aigate.receipt ",
    "cyrillic": "аigate.receipt",
    "digit": "a1gate.receipt",
    "owner in capitals": "AIGATE.owner",
}.items():
    WAYS[f"look-alike key: {_name}"] = (alias(RECEIPT | {"key": _key}, place=VERSION_TAG), None)


def state(server: GuardedServer, model: str) -> object:
    """Everything of a model that the ways round would change, from the tables."""
    return (
        server.rows("SELECT name FROM registered_models WHERE name LIKE :n ORDER BY name", n=f"{model}%"),
        server.aliases(model),
        server.rows(
            "SELECT version, current_stage, source FROM model_versions WHERE name = :n ORDER BY version",
            n=model,
        ),
        server.tags(model),
    )


@pytest.mark.parametrize(("way", "works"), WAYS.values(), ids=WAYS)
def test_a_way_round_changes_nothing(server: GuardedServer, way: Way, works: bool | None) -> None:
    model, free = server.model("prod-"), server.model("free-")
    before, elsewhere = state(server, model), state(server, free)
    answer = way(server, model)
    assert state(server, model) == before
    # A word of MLflow's own, or of the guard; and never one that a client's library would repeat.
    assert answer.status in (308, 400, 403, 404, 415), answer
    if answer.status == 403:
        assert answer.message.startswith("aigate: ")
        assert "run: aigate " in answer.message
        assert answer.guard == f"enforce; keys={server.key.id}"
    assert way(server, free).guard == ""
    if works is not None:
        assert (state(server, free) != elsewhere) == works
    if works is not False:
        assert answer.status == 403, answer


def test_no_version_is_made_in_a_closed_model(server: GuardedServer) -> None:
    model, free = server.model("sealed-", versions=0, holder=None), server.model("free-")
    client = mlflow_seed.connect(server.url)
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=r"aigate: model .* is closed"):
        client.create_model_version(model, "s3://evil/model")
    with pytest.raises(MlflowException, match=r"aigate: model .* is closed"):
        client.copy_model_version(f"models:/{free}/1", model)
    assert server.rows("SELECT version FROM model_versions WHERE name = :n", n=model) == []
    assert client.copy_model_version(f"models:/{free}/1", server.model("free-")).version


def test_nothing_is_renamed_onto_a_protected_name(server: GuardedServer) -> None:
    free = server.model("free-")
    answer = server.send("POST", "registered-models/rename", {"name": free, "new_name": f"prod-{free}"})
    assert answer.status == 403
    assert "would swap" in answer.message
    assert server.rows("SELECT name FROM registered_models WHERE name = :n", n=f"prod-{free}") == []


def test_a_ticket_moves_what_it_is_for_once(server: GuardedServer) -> None:
    model = server.model("prod-")
    ticket = server.signed(model, 2)
    assert server.set_alias(model, "3", ticket).status == 403
    assert server.set_alias(model, "2", ticket, alias="live-eu").status == 403
    assert server.set_alias(server.model("prod-"), "2", ticket).status == 403
    assert server.aliases(model) == {"champion": "1"}
    assert server.set_alias(model, "2", ticket).status == 200
    assert server.aliases(model) == {"champion": "2"}
    answer = server.set_alias(model, "2", ticket)
    assert (answer.status, "used already" in answer.message) == (403, True)
    # The alias is taken back by another ticket; the first still does not count.
    assert server.set_alias(model, "1", server.signed(model, 1, 2)).status == 200
    assert server.set_alias(model, "2", ticket).status == 403
    assert server.aliases(model) == {"champion": "1"}


def test_an_alias_that_nothing_holds_is_set_by_a_ticket_that_says_so(server: GuardedServer) -> None:
    model = server.model("prod-", holder=None)
    assert server.set_alias(model, "2", server.signed(model, 2, 1)).status == 403
    assert server.set_alias(model, "2", server.signed(model, 2, None)).status == 200
    assert server.set_alias(model, "3", server.signed(model, 3, None)).status == 403
    assert server.aliases(model) == {"champion": "2"}


def _edited(server: GuardedServer, model: str) -> str:
    """A ticket for v2, signed, and then made out for v3."""
    good = server.ticket(model, 2)
    return header_value(
        sealed(good.model_copy(update={"to": server.identity(model, 3)}), ((server.key.id, server.key.key.sign(to_sign(good))),))
    )  # fmt: skip


def _flipped(server: GuardedServer, model: str) -> str:
    text = server.signed(model, 3)
    return text[:200] + ("A" if text[200] != "A" else "B") + text[201:]


MISFITS: dict[str, tuple[Callable[[GuardedServer, str], str], str]] = {
    "expired": (lambda s, m: s.signed(m, 3, **late(-3)), "expired at"),
    "of the future": (lambda s, m: s.signed(m, 3, **late(3)), "compare the clocks"),
    "of another registry": (lambda s, m: s.signed(m, 3, registry="https://other"), "for the registry"),
    "of another workspace": (lambda s, m: s.signed(m, 3, workspace="team"), "workspace"),
    "by a stranger": (lambda s, m: header_value(sign(s.ticket(m, 3), generate())), "does not trust"),
    "made out anew": (_edited, "signature does not fit"),
    "one letter changed": (_flipped, ""),
    "stale": (lambda s, m: s.signed(m, 3, held=2), "moves @champion away from v2, and v1 holds it"),
    "for a version made anew": (
        lambda s, m: s.signed(m, 3, to=s.identity(m, 3).model_copy(update={"run_id": "f" * 32})),
        "v3 is not the one",
    ),
    "from one made anew": (
        lambda s, m: s.signed(m, 3, from_=s.identity(m, 1).model_copy(update={"source": "s3://x"})),
        "another v1 holds it",
    ),
}


@pytest.mark.parametrize(("make", "words"), MISFITS.values(), ids=MISFITS)
def test_a_ticket_that_does_not_fit_moves_nothing(
    server: GuardedServer, make: Callable[[GuardedServer, str], str], words: str
) -> None:
    model = server.model("prod-")
    answer = server.set_alias(model, "3", make(server, model))
    assert answer.status == 403
    assert answer.message.startswith("aigate: ")
    assert words in answer.message
    assert f"run: aigate promote {model}@3" in answer.message
    assert server.aliases(model) == {"champion": "1"}


def test_of_many_that_race_one_wins(server: GuardedServer) -> None:
    """Each has a good ticket away from v1."""
    for _ in range(3):
        model = server.model("prod-", versions=9)
        tickets = {number: server.signed(model, number) for number in range(2, 10)}
        answers: dict[int, Answer] = {}
        ready = threading.Barrier(len(tickets))

        def go(
            number: int,
            ready: threading.Barrier,
            tickets: dict[int, str],
            answers: dict[int, Answer],
            model: str,
        ) -> None:
            ready.wait()
            answers[number] = server.set_alias(model, str(number), tickets[number])

        all_at_once([partial(go, n, ready, tickets, answers, model) for n in tickets])
        winners = [number for number, answer in answers.items() if answer.status == 200]
        assert len(winners) == 1, answers
        assert sorted({answer.status for answer in answers.values()}) == [200, 403]
        assert server.aliases(model) == {"champion": str(winners[0])}


def test_one_ticket_shown_many_times_at_once_is_taken_once(server: GuardedServer) -> None:
    model = server.model("prod-")
    ticket = server.signed(model, 2)
    found: list[int] = []
    all_at_once([lambda: found.append(server.set_alias(model, "2", ticket).status)] * 6)
    assert sorted(found) == [200, 403, 403, 403, 403, 403]


def test_used_tickets_are_forgotten_when_they_have_expired(server: GuardedServer) -> None:
    model = server.model("prod-")
    assert server.set_alias(model, "2", server.signed(model, 2)).status == 200
    server.execute(
        "INSERT INTO aigate_tickets (nonce, expires, entry) VALUES (:n, 1, 1)", n=os.urandom(16).hex()
    )
    assert server.set_alias(model, "1", server.signed(model, 1, 2)).status == 200
    assert server.rows("SELECT nonce FROM aigate_tickets WHERE expires < 1000") == []
    assert len(server.rows("SELECT nonce FROM aigate_tickets")) >= 2


def test_whoever_asks_is_told_how_it_is_guarded(server: GuardedServer) -> None:
    """What `aigate doctor` sends: a move to a version that there cannot be."""
    probe = server.set_alias(server.model("prod-"), "0")
    assert (probe.status, probe.message[:7]) == (403, "aigate:")
    assert read_guard_header(probe.guard) == GuardSays("enforce", (server.key.id,))
    free = server.set_alias(server.model("free-"), "0")
    assert (free.status, free.guard) == (404, "")


def test_latest_is_moved_by_every_new_version(server: GuardedServer) -> None:
    """`models:/name/latest` is no alias: SECURITY.md says so. Where it is served, the model must be closed."""
    model = server.model("prod-", versions=2)
    place = f"registered-models/alias?name={model}&alias=latest"
    assert json.loads(server.send("GET", place).body)["model_version"]["version"] == "2"
    assert (
        server.send("POST", "model-versions/create", {"name": model, "source": "s3://nowhere/evil"}).status
        == 200
    )
    assert json.loads(server.send("GET", place).body)["model_version"]["version"] == "3"


@pytest.mark.parametrize("alias", ["latest", "v1", "a/b"])
def test_no_ticket_makes_an_alias_that_mlflow_would_not(server: GuardedServer, alias: str) -> None:
    model = server.model("every-")
    answer = server.set_alias(model, "2", server.signed(model, 2, None, alias=alias), alias=alias)
    assert (answer.status, answer.message[:8] != "aigate: ") == (400, True), answer
    assert server.aliases(model) == {"champion": "1"}


def test_mlflows_own_words_stay_its_own(server: GuardedServer) -> None:
    model = server.model("prod-")
    body = {"name": model, "alias": "champion", "version": "9"}
    ticket = server.signed(model, 3, to=server.identity(model, 3).model_copy(update={"version": "9"}))
    assert server.send("POST", "registered-models/alias", body, ticket=ticket).status == 404
    assert server.set_alias("prod-none", "1", server.signed(model, 3)).status == 404
    assert server.set_alias(model, "x", server.signed(model, 3), alias="live-").status == 403


def test_work_that_is_none_of_its_business_goes_on(server: GuardedServer) -> None:
    """MLflow's own client over what people do all day."""
    client = mlflow_seed.connect(server.url)
    name = f"free-{os.urandom(4).hex()}"
    client.create_registered_model(name, tags={"owner": "a"}, description="d")
    one = client.create_model_version(name, "s3://nowhere/1", tags={"k": "v"})
    two = client.create_model_version(name, "s3://nowhere/2")
    for number in (one.version, two.version, one.version):
        client.set_registered_model_alias(name, "champion", number)
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"
    client.set_model_version_tag(name, "1", "k", "w")
    client.set_registered_model_tag(name, "k", "w")
    client.update_registered_model(name, "other")
    client.update_model_version(name, "1", "other")
    client.delete_model_version_tag(name, "1", "k")
    client.delete_registered_model_alias(name, "champion")
    client.rename_registered_model(name, f"{name}-b")
    assert len(client.search_model_versions(f"name = '{name}-b'")) == 2
    client.delete_model_version(f"{name}-b", "2")
    client.delete_registered_model(f"{name}-b")
    protected = server.model("prod-")
    client.set_registered_model_alias(protected, "challenger", "2")
    client.set_registered_model_tag(protected, "owner", "a")
    assert client.create_model_version(protected, "s3://nowhere/4").version
    assert client.get_model_version_by_alias(protected, "challenger").version
    client.delete_registered_model_alias(protected, "challenger")
