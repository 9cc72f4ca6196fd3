"""What the guard says to each operation, and what it reads from its file."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigate.enforce.keys import TrustedKey, generate, private_pem, write_pair
from aigate.errors import ConfigError
from aigate.hook.config import VARIABLE, load_guard, parse_guard, read_guard
from aigate.hook.guard import Condition, Guard, Kind, Operation, alike, closed_tags, judge, skeleton
from aigate.ticket import GuardSays, Refusal
from test_ticket import NOW

FILE = """\
version: 1
registry: [https://mlflow.example]
protected:
  - {model: churn, aliases: [champion]}
  - {model: "prod.*", aliases: [champion, "live-*"], versions: closed}
keys: [{file: key.pub.pem}]
"""
GUARD = Guard(parse_guard(FILE.encode(), "guard.yaml"))


def said(kind: Kind, model: str = "churn", guard: Guard = GUARD, **more: Any) -> Any:
    return judge(Operation(kind, model, **more), guard)


ALLOWED: dict[str, Any] = {
    "another model": said("set_alias", "fraud", alias="champion", version="2"),
    "another alias": said("set_alias", alias="challenger", version="2"),
    "an alias of another alphabet": said("set_alias", alias="čtenář", version="2"),
    "delete another alias": said("delete_alias", alias="challenger"),
    "delete a look-alike": said("delete_alias", alias="Champion"),
    "a version in an open model": said("create_version"),
    "a version elsewhere": said("create_version", "fraud"),
    "rename elsewhere": said("rename_model", "fraud", new_name="fraud2"),
    "delete elsewhere": said("delete_model", "fraud"),
    "delete a version elsewhere": said("delete_version", "fraud", version="1"),
    "a stage elsewhere": said("transition_stage", "fraud", version="1"),
    "a longer name": said("delete_model", "churn2"),
    "a tag of people's": said("set_tag", version="1", tags=("owner",)),
    "a tag that begins alike": said("set_tag", version="1", tags=("aigates.receipt",)),
    "a tag of aigate's elsewhere": said("set_tag", "fraud", version="1", tags=("aigate.receipt",)),
    "the owner": said("set_tag", tags=("aigate.owner",)),
    "the owner taken away": said("delete_tag", tags=("aigate.owner",)),
    "a model with its owner": said("create_model", tags=("aigate.owner", "k")),
    "a version with tags": said("create_version", tags=("aigate.receipt",)),
}


@pytest.mark.parametrize("verdict", ALLOWED.values(), ids=ALLOWED)
def test_what_is_none_of_its_business_passes(verdict: object) -> None:
    assert verdict is None


@pytest.mark.parametrize(
    ("model", "alias"),
    [("churn", "champion"), ("prod.a", "champion"), ("prod.", "live-eu"), ("CHURN", "champion")],
)
def test_a_protected_alias_needs_a_ticket(model: str, alias: str) -> None:
    assert said("set_alias", model, alias=alias, version="2") is Condition.TICKET


LOOK_ALIKES = {
    "case": "Champion",
    "capitals": "CHAMPION",
    "line end": "champion\n",
    "space after": "champion ",
    "space before": " champion",
    "no-break space": "champion\u00a0",
    "zero width": "cham\u200bpion",
    "soft hyphen": "cham\u00adpion",
    "cyrillic c": "сhampion",
    "cyrillic a": "chаmpion",
    "cyrillic capitals": "СНАМРІОН",
    "greek o": "champiοn",
    "full width": "ｃｈａｍｐｉｏｎ",
    "mathematical": "𝓬𝓱𝓪𝓶𝓹𝓲𝓸𝓷",
    "zero": "champi0n",
    "one": "champ1on",
    "accent": "chàmpion",
    "combining": "champion\u0301",
    "rn": "charnpion",
    "dotless": "champıon",
    "bidi": "\u202echampion",
}


@pytest.mark.parametrize("alias", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_a_look_alike_is_refused_even_with_a_ticket(alias: str) -> None:
    verdict = said("set_alias", alias=alias, version="2")
    assert isinstance(verdict, Refusal)
    assert "looks like the protected @champion" in verdict.reason
    assert verdict.reason.isascii()
    assert verdict.command == "aigate promote churn@2"


@pytest.mark.parametrize("name", ["Churn", "churn ", "сhurn", "ｃhurn", "PROD.x"])
def test_a_model_that_looks_like_a_protected_one_is_guarded_too(name: str) -> None:
    assert isinstance(said("delete_model", name), Refusal)
    assert isinstance(said("rename_model", "evil", new_name=name), Refusal)


REFUSED: dict[str, tuple[Any, str]] = {
    "delete alias": (
        said("delete_alias", alias="champion"),
        "aigate rollback churn --alias champion --reason",
    ),
    "delete version": (said("delete_version", version="1"), "aigate status churn"),
    "delete model": (said("delete_model"), "aigate status churn"),
    "rename away": (said("rename_model", new_name="churn-old"), "aigate status churn"),
    "rename onto": (said("rename_model", "evil", new_name="churn"), "aigate status evil"),
    "rename within": (said("rename_model", "prod.a", new_name="prod.b"), "aigate status prod.a"),
    "stage": (said("transition_stage", version="3"), "aigate promote churn@3"),
    "version in a closed model": (said("create_version", "prod.a"), "aigate status prod.a"),
}


@pytest.mark.parametrize(("verdict", "command"), REFUSED.values(), ids=REFUSED)
def test_a_way_round_is_refused_with_what_to_run(verdict: object, command: str) -> None:
    assert isinstance(verdict, Refusal)
    assert verdict.command.startswith(command)
    assert len(str(verdict)) < 290, "a client shows three hundred characters"


OWN = ["aigate.receipt", "aigate.ledger", "aigate.quarantine", "aigate.watch", "aigate.new"]
LOOK_ALIKE_KEYS = [
    "Aigate.receipt",
    "AIGATE.OWNER",
    " aigate.owner",
    "aigate.owner ",
    "аigate.owner",
    "a1gate.x",
]
LOOK_ALIKE_KEYS += [
    "ai\u200bgate.watch",
    "ａigate.artifact_digest",
    "aigate․receipt",
    "aigate.artifact_digest\n",
]


@pytest.mark.parametrize("key", [*OWN, *LOOK_ALIKE_KEYS])
def test_a_tag_of_aigates_own_needs_a_ticket(key: str) -> None:
    for kind in ("set_tag", "delete_tag"):
        for version in ("1", ""):
            assert said(kind, version=version, tags=(key,)) is Condition.TICKET
    assert isinstance(said("create_model", tags=("k", key)), Refusal)
    born = Operation("create_version", "churn", tags=("k", key, "aigate.owner", "aigate.artifact_digest"))
    assert closed_tags(born, GUARD) == (key,)


def test_the_digest_of_the_files_is_written_once() -> None:
    key = ("aigate.artifact_digest",)
    assert said("set_tag", version="1", tags=key) is Condition.ONCE
    assert isinstance(said("delete_tag", version="1", tags=key), Refusal)
    assert said("set_tag", tags=key) is Condition.TICKET, "a model has no files"
    assert isinstance(said("create_model", tags=key), Refusal)


def test_a_heartbeat_can_be_left_open_and_nothing_else() -> None:
    guard = Guard(parse_guard(f"{FILE}open_tags: [aigate.watch]\n".encode(), "guard.yaml"))
    assert said("set_tag", guard=guard, tags=("aigate.watch",)) is None
    assert said("set_tag", guard=guard, tags=("Aigate.watch",)) is Condition.TICKET
    assert said("set_tag", guard=guard, version="1", tags=("aigate.receipt",)) is Condition.TICKET


def test_what_a_guard_says_of_itself() -> None:
    first, second = generate(), generate()
    keys = (
        TrustedKey(first.id, first.key.public_key(), until=NOW),
        TrustedKey(second.id, second.key.public_key(), until=NOW + timedelta(seconds=1)),
    )
    assert Guard(GUARD.file, keys).says(NOW) == GuardSays("enforce", (second.id,))
    assert Guard(None, broken="x").says(NOW) == GuardSays("broken")
    observing = Guard(parse_guard(f"{FILE}mode: observe\n".encode(), "guard.yaml"), keys)
    assert observing.says(NOW - timedelta(days=1)) == GuardSays("observe", (first.id, second.id))


def test_whom_the_guard_concerns() -> None:
    assert GUARD.concerns(Operation("set_alias", "churn", alias="challenger"))
    assert GUARD.concerns(Operation("rename_model", "fraud", new_name="churn"))
    assert not GUARD.concerns(Operation("rename_model", "fraud", new_name="other"))
    assert not GUARD.concerns(Operation("set_alias", "fraud", alias="champion"))
    assert Guard(None, broken="x").concerns(Operation("set_alias", "fraud"))


@pytest.mark.parametrize("kind", Kind.__args__)  # type: ignore[attr-defined]
def test_a_broken_guard_refuses_everything(kind: Kind) -> None:
    for model in ("churn", "anything"):
        guard = Guard(None, broken="no file")
        verdict = said(kind, model, guard, alias="x", version="1", new_name="y", tags=("aigate.receipt",))
        assert isinstance(verdict, Refusal)
        assert "no file" in verdict.reason


@given(st.text(max_size=30))
def test_a_skeleton_is_its_own(text: str) -> None:
    once = skeleton(text)
    assert skeleton(once) == once
    assert skeleton(text.upper()) == skeleton(text.upper().casefold())


@given(st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=20))
def test_a_name_looks_like_itself_in_full_width_and_with_spaces(name: str) -> None:
    assert alike(f" {name}\n", name)


WRONG = {
    "empty": ("", "Input should be"),
    "no mode": (FILE + "mode: watch\n", "guard.yaml:7:7: mode"),
    "further key": (FILE + "modes: enforce\n", "modes"),
    "duplicate key": (FILE + "version: 1\n", "guard.yaml:7"),
    "version 2": (FILE.replace("version: 1", "version: 2"), "version"),
    "nothing protected": (FILE.split("protected")[0] + "protected: []\nkeys: [{file: a}]\n", "protected"),
    "no registry": (FILE.replace("[https://mlflow.example]", "[]"), "registry"),
    "no key": (FILE.replace("[{file: key.pub.pem}]", "[]"), "no key may sign"),
    "long life": (FILE + "max_age: 16m\n", "at most 0:15:00"),
    "no aliases": (FILE.replace("[champion]", "[]"), "aliases"),
    "an open receipt": (FILE + "open_tags: [aigate.receipt]\n", "open_tags"),
    "anchors": (FILE + "max_age: &a 5m\n", "guard.yaml:7"),
    "until without a zone": (FILE.replace("pem}", "pem, until: 2027-01-01T00:00:00}"), "until"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_wrong_closes_the_guard(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_guard(text.encode(), "guard.yaml")
    assert words in caught.value.message
    (tmp_path / "guard.yaml").write_text(text)
    broken = load_guard({VARIABLE: str(tmp_path / "guard.yaml")})
    assert broken.broken
    assert not broken.observes


def test_a_file_in_order_is_read_with_its_keys(tmp_path: Path) -> None:
    key = generate()
    pair = write_pair(key, tmp_path / "keys")
    text = FILE.replace("key.pub.pem", f"keys/{pair.public.name}, until: 2027-01-01T00:00:00Z")
    (tmp_path / "guard.yaml").write_text(text + "max_age: 5m\nmode: observe\n")
    guard = load_guard({VARIABLE: str(tmp_path / "guard.yaml")})
    assert guard == read_guard(tmp_path / "guard.yaml")
    assert (guard.broken, guard.observes) == ("", True)
    assert [(k.id, k.until is not None and k.until.year) for k in guard.keys] == [(key.id, 2027)]
    assert guard.file is not None
    assert guard.file.max_age == timedelta(minutes=5)


@pytest.mark.parametrize("name", ["not set", "no file", "no key file", "a private key", "a folder"])
def test_what_cannot_be_had_closes_the_guard(name: str, tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    if name in ("no key file", "a private key"):
        path.write_text(FILE)
    if name == "a private key":
        (tmp_path / "key.pub.pem").write_bytes(private_pem(generate()))
    if name == "a folder":
        path.mkdir()
    guard = load_guard({} if name == "not set" else {VARIABLE: str(path)})
    assert guard.broken
    assert "BEGIN" not in guard.broken
    assert isinstance(said("set_alias", "anything", guard, alias="a", version="1"), Refusal)
