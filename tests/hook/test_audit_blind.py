"""`aigate audit` finds what the guard in the server cannot see. Each with the time that the audit took, printed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.conftest import Shop, _opened
from aigate.audit import Audit
from aigate.enforce.keys import VARIABLE, generate, private_pem
from aigate.history import audited, open_sight
from hook.blind import DEEDS, Victim, plain_server
from hook.conftest import GuardedServer
from servers import MlflowServer

pytestmark = pytest.mark.server


def audit_of(shop: Shop, **environ: str) -> Audit:
    shop.environ, kept = shop.environ | environ, shop.environ
    try:
        with open_sight(shop.acting(), shop.name, shop.loaded) as sight:
            return audited(sight, "champion", "production").audit
    finally:
        shop.environ = kept


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, guarded: GuardedServer) -> Iterator[Victim]:
    """A model whose version 1 was promoted with a ticket on the guarded server; its ledger is inside MLflow."""
    folder = tmp_path_factory.mktemp("victim")
    place = MlflowServer(guarded.url, guarded.database, guarded.log)
    shop = _opened(folder, place, None, own=True)
    shop.environ = {VARIABLE: private_pem(guarded.key).decode()}
    shop.add(0.945)
    assert shop.promote().act.result == "done"
    with plain_server(folder, guarded.database, shop.server_files) as second:
        yield Victim(shop, guarded.engine, second)


def test_what_nobody_touched_is_clean(victim: Victim) -> None:
    found = audit_of(victim.shop)
    assert (found.exit_code, found.count("warning")) == (0, 0), found.remarks
    (guard,) = (remark for remark in found.remarks if remark.code == "guard")
    assert guard.gravity == "note"
    assert "the server refuses @champion of" in guard.what


@pytest.mark.parametrize("deed", DEEDS)
def test_each_deed_is_found(victim: Victim, deed: str) -> None:
    act, code, remark, words = DEEDS[deed]
    with victim.put_back():
        act(victim)
        started = time.monotonic()
        found = audit_of(victim.shop)
        took = time.monotonic() - started
        print(f"\n{deed}: found in {took:.2f} s")
    named = [one for one in found.remarks if one.code == remark and one.gravity != "note"]
    assert any(words in one.what or words in one.where for one in named), found.remarks
    assert found.exit_code == code


def test_everything_was_put_back(victim: Victim) -> None:
    found = audit_of(victim.shop)
    assert (found.exit_code, found.count("warning")) == (0, 0), found.remarks


def test_a_server_that_starts_without_the_plugin_is_noticed(victim: Victim) -> None:
    """By whoever has a signing key, and by nobody else: an audit without one asks for no move."""
    uri, victim.shop.uri = victim.shop.uri, victim.second.url
    try:
        found = audit_of(victim.shop)
        without = audit_of(victim.shop, **{VARIABLE: ""})
    finally:
        victim.shop.uri = uri
    (guard,) = (remark for remark in found.remarks if remark.code == "guard")
    assert (guard.gravity, found.exit_code) == ("broken", 1)
    assert "it would move it without a ticket" in guard.what
    assert without.exit_code == 0
    assert not [remark for remark in without.remarks if remark.code == "guard"]


def test_a_key_that_the_server_does_not_trust_is_noticed(victim: Victim) -> None:
    found = audit_of(victim.shop, **{VARIABLE: private_pem(generate()).decode()})
    assert [remark.gravity for remark in found.remarks if remark.code == "guard"] == ["broken"]
    found = audit_of(victim.shop, **{VARIABLE: "nonsense"})
    assert [remark.gravity for remark in found.remarks if remark.code == "guard"] == ["unseen"]


def test_a_registry_that_is_opened_directly_has_no_server_to_ask(victim: Victim, tmp_path: Path) -> None:
    uri, victim.shop.uri = victim.shop.uri, victim.second.store
    try:
        found = audit_of(victim.shop)
    finally:
        victim.shop.uri = uri
    assert [remark.gravity for remark in found.remarks if remark.code == "guard"] == ["warning"]
