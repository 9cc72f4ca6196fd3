"""Tags of aigate's own on a guarded server: written by a ticket, once, and never at birth."""

import os
from functools import partial

import pytest

import mlflow_seed
from hook.conftest import GuardedServer, all_at_once, late

pytestmark = pytest.mark.server


def test_a_tag_is_written_by_the_ticket_that_is_for_it_once(server: GuardedServer) -> None:
    model = server.model("prod-")
    before = server.tags(model)
    ticket = server.tag_ticket(model, "2", "aigate.receipt", "r")
    for refused in (
        server.tag(model, "3", "aigate.receipt", "r", ticket),
        server.tag(model, "2", "aigate.receipt", "s", ticket),
        server.tag(model, "2", "aigate.quarantine", "r", ticket),
        server.tag(model, "1", "aigate.receipt", None, ticket),
        server.tag(model, None, "aigate.receipt", "r", ticket),
        server.tag(
            model,
            "2",
            "aigate.receipt",
            "r",
            server.tag_ticket(model, "2", "aigate.receipt", "r", **late(-3)),
        ),
        server.tag(
            model,
            "2",
            "aigate.receipt",
            "r",
            server.tag_ticket(model, "2", "aigate.receipt", "r", **late(3)),
        ),
        server.tag(model, "2", "aigate.receipt", "r", server.signed(model, 2)),
        server.set_alias(model, "2", ticket),
    ):
        assert refused.status == 403, refused
    assert server.tags(model) == before
    assert server.aliases(model) == {"champion": "1"}
    done = server.tag(model, "2", "aigate.receipt", "r", ticket)
    assert (done.status, done.guard[:8]) == (200, "enforce;")
    assert (2, "aigate.receipt", "r") in server.tags(model)
    again = server.tag(model, "2", "aigate.receipt", "r", ticket)
    assert (again.status, "used already" in again.message) == (403, True)
    taken = server.tag_ticket(model, "2", "aigate.receipt", None)
    assert server.tag(model, "2", "aigate.receipt", None, taken).status == 200
    assert server.tag(model, "2", "aigate.receipt", "r", ticket).status == 403
    assert (
        server.tag(
            model, None, "aigate.ledger", "h", server.tag_ticket(model, None, "aigate.ledger", "h")
        ).status
        == 200
    )
    assert server.tags(model) == [(0, "aigate.ledger", "h"), *before[1:]]


def test_evidence_that_people_write_stays_theirs(server: GuardedServer) -> None:
    model = server.model("prod-")
    digest = "aigate.artifact_digest"
    assert server.tag(model, "2", digest, "sha256:a").status == 200
    assert server.tag(model, "2", digest, "sha256:a").status == 200
    assert server.tag(model, "2", digest, "sha256:b").status == 403
    assert server.tag(model, "9", digest, "sha256:b").status == 404
    assert server.tag(model, None, "aigate.owner", "team").status == 200
    assert server.tag(model, "2", "owner", "team").status == 200
    assert server.tag(model, "2", "owner", None).status == 200
    assert [row for row in server.tags(model) if row[0] == 2] == [(2, digest, "sha256:a")]
    found: list[int] = []

    def write(number: int) -> None:
        found.append(server.tag(model, "3", digest, f"sha256:{number}").status)

    all_at_once([partial(write, number) for number in range(5)])
    assert sorted(found) == [200, 403, 403, 403, 403]


def test_nothing_is_born_with_a_forged_tag(server: GuardedServer) -> None:
    model = server.model("prod-")
    keys = ["aigate.receipt", "Aigate.quarantine", "aigate.artifact_digest", "aigate.owner", "k"]
    tags = [{"key": key, "value": "x"} for key in keys]
    body = {"name": model, "source": "s3://nowhere/4", "tags": tags}
    made = server.send("POST", "model-versions/create", body)
    assert (made.status, made.guard[:8]) == (200, "enforce;")
    assert [key for version, key, _ in server.tags(model) if version == 4] == [
        "aigate.artifact_digest",
        "aigate.owner",
        "k",
    ]
    born = {"name": f"prod-{os.urandom(4).hex()}", "tags": tags}
    answer = server.send("POST", "registered-models/create", born)
    assert (answer.status, "no new model has it" in answer.message) == (403, True)
    assert server.rows("SELECT name FROM registered_models WHERE name = :n", n=born["name"]) == []
    # A copy brings the receipt of its original, which says nothing of the copy.
    client = mlflow_seed.connect(server.url)
    copied = client.copy_model_version(f"models:/{model}/1", server.model("prod-"))
    assert copied.tags == {"aigate.artifact_digest": "old"}
    assert (
        client.copy_model_version(f"models:/{model}/1", server.model("free-")).tags["aigate.receipt"] == "old"
    )
