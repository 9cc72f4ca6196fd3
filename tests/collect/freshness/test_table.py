from aigate.collect.freshness import ADAPTERS
from aigate.sources import FRESHNESS
from asking import Ask, why_missing


def test_every_kind_of_declaration_has_an_adapter() -> None:
    assert set(ADAPTERS) == set(FRESHNESS.values())
    names = [name for name, _ in ADAPTERS.values()]
    assert len(set(names)) == len(names)


def test_a_user_name_in_an_address_is_refused_and_not_shown(ask: Ask) -> None:
    # The manifest's own pattern refuses it for every address but this one, which may be a file as well.
    reading = ask({"dbt": "https://user:canary@data.example/sources.json", "source": "raw.t"})
    assert "user name or password" in why_missing(reading)
    assert "canary" not in repr(reading)
