"""The strict YAML loader, with PyYAML's C parser and with the Python one: both must say the same."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aigate.collect import strict_yaml
from aigate.collect.strict import StrictError
from aigate.collect.strict_yaml import MAX_YAML_BYTES, Position, YamlDocument, load_yaml

C_LOADER: Any = getattr(yaml, "CSafeLoader", None)
LOADERS = [yaml.SafeLoader, *([C_LOADER] if C_LOADER else [])]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "_LOADER", request.param)


def load(text: bytes | str) -> YamlDocument:
    return load_yaml(text, source="aigate.yaml")


def refused(text: bytes | str, **limits: int) -> StrictError:
    with pytest.raises(StrictError) as caught:
        load_yaml(text, source="aigate.yaml", **limits)
    return caught.value


def test_the_c_parser_is_used_where_there_is_one() -> None:
    assert strict_yaml._LOADER is LOADERS[-1]


TEXT = """
    yes Yes YES no NO on Off n y 012 0o17 0x1f 0b11 1_000 1:30 190:20:30 +5 +0.5 .5 5. 1.e3 1e 1,5 0.5% 1.2.3
    2026-08-02 2026-11-21T10:00:00Z 2026-08 20_26 0.9.0 -- 12h tRUE nULL .infinity = ٣ １２ 1e٣ a?b=1
"""

SCALARS: list[tuple[str, object]] = [
    ("true", True),
    ("True", True),
    ("false", False),
    ("FALSE", False),
    ("null", None),
    ("~", None),
    ("NULL", None),
    ("", None),
    ("0", 0),
    ("12", 12),
    ("-7", -7),
    ("-0", 0),
    ("0.90", Decimal("0.90")),
    ("1.10", Decimal("1.10")),
    ("-0.5", Decimal("-0.5")),
    ("1e3", Decimal("1E+3")),
    ("6.02E23", Decimal("6.02E+23")),
    ("1e-5", Decimal("0.00001")),
    # what YAML 1.1, 1.2 and JSON do not agree on stays text
    *((text, text) for text in TEXT.split()),
    ("2026-11-21 10:00:00", "2026-11-21 10:00:00"),
    ("1 2", "1 2"),
    ('"1"', "1"),
    ("'true'", "true"),
    ('"null"', "null"),
    ('""', ""),
    ('".nan"', ".nan"),
    ('"\\u00e9\\n"', "é\n"),
    ('"\\U0001F600"', "\U0001f600"),
    ('"a\\tb"', "a\tb"),
    ("|\n  1\n", "1\n"),
    ("|2- # c\n    1#\n", "  1#"),
    (">-\n  true\n", "true"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text or "empty" for text, _ in SCALARS])
@pytest.mark.usefixtures("parser")
def test_scalars(text: str, value: object) -> None:
    read = load(f"k: {text}").data
    assert isinstance(read, dict)
    assert read["k"] == value
    assert type(read["k"]) is type(value)
    assert str(read["k"]) == str(value)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)

REFUSED = [
    pytest.param(
        "a: 1\nb: 2\na: 3", "the key 'a' comes twice; the first is in line 1", (3, 1), id="duplicate"
    ),
    pytest.param("a: 1\n'a': 3", "'a' comes twice", (2, 1), id="duplicate-quoted"),
    pytest.param("x: {b: 1, b: 2}", "'b' comes twice", (1, 11), id="duplicate-flow"),
    pytest.param('{"a": 1, "\\u0061": 2}', "'a' comes twice", (1, 10), id="duplicate-by-escape"),
    pytest.param(BOMB, "anchors and aliases", (1, 4), id="bomb"),
    pytest.param("a: &x 1", "anchors and aliases", (1, 4), id="anchor-on-scalar"),
    pytest.param("&x a: 1", "anchors and aliases", (1, 1), id="anchor-on-key"),
    pytest.param("&x [1]", "anchors and aliases", (1, 1), id="anchor-on-sequence"),
    pytest.param("a: *x", "anchors and aliases", (1, 4), id="alias"),
    pytest.param("*x : 1", "without anchors and aliases", (1, 1), id="alias-as-key"),
    pytest.param("a: 1\n<<: {b: 1}", "merge keys", (2, 1), id="merge-key"),
    pytest.param("a: !!str 5", "tags are not allowed; leave 'tag:yaml.org,2002:str' out", (1, 4), id="tag"),
    pytest.param("a: !!python/object/apply:os.system [x]", "tags are not", (1, 4), id="python-tag"),
    pytest.param("a: ! 5", "tags are not", (1, 4), id="non-specific-tag"),
    pytest.param("!t a: 5", "tags are not", (1, 1), id="tag-on-key"),
    pytest.param("--- !!map\na: 5", "tags are not", (1, 5), id="tag-on-mapping"),
    pytest.param("%YAML 1.1\n---\na: no", "a directive", (1, 1), id="yaml-directive"),
    pytest.param("\n# c\r\n \r\n%TAG ! x\n---\na: 1", "a directive", (4, 1), id="tag-directive"),
    pytest.param("%FOO x\n---\na: 1", "a directive", (1, 1), id="unknown-directive"),
    pytest.param("a: 1\n---\nb: 2", "a second document", (2, 1), id="two-documents"),
    pytest.param("a: 1\n...\nb: 2", "document start", (3, 1), id="two-implicit-documents"),
    pytest.param("---\n---\n", "a second document", (2, 1), id="two-empty-documents"),
    pytest.param("a: .inf", ".inf is not a finite number", (1, 4), id="inf"),
    pytest.param("a: -.INF", "-.INF is not a finite number", (1, 4), id="minus-inf"),
    pytest.param("a: [+.Inf]", "+.Inf is not a finite number", (1, 5), id="plus-inf"),
    pytest.param("a: .nan", ".nan is not a finite number", (1, 4), id="nan"),
    pytest.param("a: .NaN", ".NaN is not a finite number", (1, 4), id="nan-other"),
    pytest.param("a: 1e999", "too large", (1, 4), id="1e999"),
    pytest.param("a: 0e-999999999", "absurd exponent", (1, 4), id="absurd-exponent"),
    pytest.param("a: " + "9" * 5000, "a number of 5000 characters", (1, 4), id="5000-digits"),
    pytest.param("1: x", "a key must be text; put 1 in quotes", (1, 1), id="integer-key"),
    pytest.param("1.10: x", "put 1.10 in quotes", (1, 1), id="decimal-key"),
    pytest.param("true: x", "put true in quotes", (1, 1), id="boolean-key"),
    pytest.param("? \n: x", "a key must be text; put it in quotes", None, id="empty-key"),
    pytest.param("~: x", "put ~ in quotes", (1, 1), id="null-key"),
    pytest.param(".nan: x", "not a finite number", (1, 1), id="nan-key"),
    pytest.param("? [a]\n: x", "a key must be text", (1, 3), id="sequence-key"),
    pytest.param("{{a: 1}: 2}", "a key must be text", (1, 2), id="mapping-key"),
    pytest.param("a: b\n c: d", "not YAML", (2, 3), id="bad-indent"),
    pytest.param("a:\n\tb: 1", "a tab is not allowed: use spaces", (2, 1), id="tab-indent"),
    pytest.param("a: 1\t# c", "a tab is not allowed", (1, 5), id="tab-before-comment"),
    pytest.param("a: |# c\n  x", "", None, id="comment-glued-to-block-header"),
    pytest.param("- >-2#\n  x", "", None, id="comment-glued-to-block-indicators"),
    pytest.param("a: {url: https://x/y?z=1}", "", None, id="question-mark-in-flow"),
    pytest.param("a: 'x", "not YAML", None, id="open-quote"),
    pytest.param("a: [1", "not YAML", None, id="open-bracket"),
    pytest.param("a: @x", "not YAML", (1, 4), id="reserved-indicator"),
    pytest.param('a: "\\q"', "not YAML", None, id="unknown-escape"),
    pytest.param('a: "\\UFFFFFFFF"', "not YAML", None, id="escape-beyond-chr"),
    pytest.param('a: "\\U00110000"', "not YAML", None, id="escape-beyond-unicode"),
    pytest.param('b: 1\na: "\\ud800"', "not", None, id="escaped-surrogate"),
    pytest.param("a: x\x00y", "U+0000 is not allowed", (1, 5), id="nul"),
    pytest.param("a: 1\n# \x1b[2J", "U+001B is not allowed", (2, 3), id="escape-in-comment"),
    pytest.param("a: x\u202ey", "U+202E is not allowed", (1, 5), id="bidi-override"),
    pytest.param("# \u2066\na: 1", "U+2066 is not allowed", (1, 3), id="bidi-isolate-in-comment"),
    pytest.param('b: 1\na: "\\u202E"', "U+202E is not allowed", (2, 4), id="escaped-bidi"),
    pytest.param('a: "\\0"', "U+0000 is not allowed", (1, 4), id="escaped-nul"),
    pytest.param('"\\e": 1', "U+001B is not allowed", (1, 1), id="escaped-control-in-key"),
    pytest.param('a: "x\\ry"', "U+000D is not allowed", (1, 4), id="escaped-carriage-return"),
    pytest.param("a: 1\rb: 2", "U+000D is not allowed", (1, 5), id="lone-carriage-return"),
    pytest.param("a: x\u2028b: 2", "U+2028 is not allowed", (1, 5), id="line-separator"),
    pytest.param("a: x\x85b: 2", "U+0085 is not allowed", (1, 5), id="next-line"),
    pytest.param("a: \ufeffx", "U+FEFF is not allowed", (1, 4), id="bom-inside"),
    pytest.param("\ufeff\ufeffa: x", "U+FEFF is not allowed", (1, 1), id="two-boms"),
    pytest.param("a: \ud800", "a lone surrogate", (1, 4), id="raw-surrogate"),
    pytest.param("[" * 33 + "]" * 33, "nested deeper than 32", (1, 33), id="depth-33"),
    pytest.param("[" * 100_000, "nested deeper than 32", (1, 33), id="depth-bomb"),
    pytest.param("- " * 1000 + "x", "nested deeper than 32", (1, 65), id="block-depth-bomb"),
    pytest.param("{a: " * 40 + "}" * 40, "nested deeper than 32", (1, 129), id="mapping-depth"),
]


@pytest.mark.parametrize(("text", "message", "place"), REFUSED)
@pytest.mark.usefixtures("parser")
def test_refuses(text: str, message: str, place: tuple[int, int] | None) -> None:
    error = refused(text)
    assert message in error.message
    if place is not None:
        assert (error.line, error.column) == place
    assert error.line <= text.count("\n") + 2
    assert error.source == "aigate.yaml"


@pytest.mark.usefixtures("parser")
def test_refuses_other_encodings() -> None:
    assert (refused(b"a: 1\nb: \xff").line, refused(b"a: 1\nb: \xff").column) == (2, 4)
    assert "not UTF-8" in refused("a: 1".encode("utf-16")).message


@pytest.mark.usefixtures("parser")
def test_a_megabyte_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(yaml, "parse", never)
    text = "- {a: [1, 2, 3], b: text}\n" * 40_000
    assert f"more than the {MAX_YAML_BYTES} bytes" in refused(text).message
    assert f"more than the {MAX_YAML_BYTES} bytes" in refused(text.encode()).message


@pytest.mark.usefixtures("parser")
def test_limits_can_be_set() -> None:
    assert "deeper than 1" in refused("a: [1]", max_depth=1).message
    assert load_yaml("a: [1]", source="", max_depth=2).data == {"a": [1]}
    assert load_yaml("[" * 32 + "]" * 32, source="").data
    assert "more than the 3 bytes" in refused("a: 1", max_bytes=3).message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "--- ~\n...\n", "\ufeff"])
@pytest.mark.usefixtures("parser")
def test_nothing_is_null(text: str) -> None:
    document = load(text)
    assert document.data is None
    assert document.place(("a", 0)) == document.positions[()].value


MANIFEST = """\
version: 1
owner: {team: "é😀", contact: '#churn'}
stages:
  - {name: transactions, freshness: {url: https://x.example/a, max_age: 2h}}
  - name: features
    reads: [transactions,
      raw]
empty:
  then:
"""


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("text", [MANIFEST, MANIFEST.replace("\n", "\r\n"), "\ufeff" + MANIFEST])
def test_positions(text: str) -> None:
    document = load(text.encode())
    assert document.data == {
        "version": 1,
        "owner": {"team": "é😀", "contact": "#churn"},
        "stages": [
            {"name": "transactions", "freshness": {"url": "https://x.example/a", "max_age": "2h"}},
            {"name": "features", "reads": ["transactions", "raw"]},
        ],
        "empty": {"then": None},
    }
    assert document.positions[()] == Position(None, (1, 1))
    assert document.positions["version",] == Position((1, 1), (1, 10))
    assert document.positions["owner", "contact"] == Position((2, 21), (2, 30))
    assert document.positions["stages", 0] == Position(None, (4, 5))
    assert document.positions["stages", 0, "freshness", "max_age"] == Position((4, 64), (4, 73))
    assert document.positions["stages", 1, "reads", 1] == Position(None, (7, 7))
    assert document.positions["empty", "then"].key == (9, 3)
    assert len(document.positions) == 18


@pytest.mark.usefixtures("parser")
def test_a_question_mark_outside_of_brackets_is_text() -> None:
    assert load("a: [x, {y: z}]\nb: c?d").data == {"a": ["x", {"y": "z"}], "b": "c?d"}


def test_place_finds_the_nearest_parent() -> None:
    document = load(MANIFEST)
    assert document.place(("version",)) == (1, 10)
    assert document.place(("version",), key=True) == (1, 1)
    assert document.place(("stages", 0), key=True) == (4, 5)
    assert document.place(()) == (1, 1)
    assert document.place(("owner", "escalation")) == (2, 8)
    assert document.place(("stages", 0, "freshness", "HttpFreshness", "url")) == (4, 43)
    assert document.place(("nothing", "at", "all")) == (1, 1)


def test_the_result_cannot_be_changed() -> None:
    document = load("a: 1")
    with pytest.raises(TypeError):
        document.positions["a",] = Position(None, (1, 1))  # type: ignore[index]
    with pytest.raises(AttributeError):
        document.data = 2  # type: ignore[misc]


def test_a_message_shows_no_control_characters() -> None:
    assert refused("a: !<x%1B%0Ay> 1").message.isprintable()


def test_a_failure_without_a_place_is_put_at_the_last_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(yaml.SafeLoader):
        def get_event(self) -> Any:
            event: Any = super().get_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.MappingStartEvent):
                raise yaml.YAMLError("no place")
            event.start_mark = None if isinstance(event, yaml.StreamStartEvent) else event.start_mark
            return event

    monkeypatch.setattr(strict_yaml, "_LOADER", Broken)
    error = refused("- x\n- y: 1")
    assert (error.message, error.line, error.column) == ("not YAML: no place", 1, 3)


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
@pytest.mark.usefixtures("parser")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_json_as_json_or_refuses_its_characters(value: object) -> None:
    """JSON with ASCII escapes is YAML; only surrogate pairs are written otherwise there."""
    text = json.dumps(value)
    expected = json.loads(text, parse_float=Decimal)
    paired = any(ord(character) > 0xFFFF for word in _strings(expected) for character in word)
    special = paired or any(strict_yaml._HIDDEN.search(word) for word in _strings(expected))
    if special:
        refused(text)
    else:
        assert load(text).data == expected


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)


# fmt: off
PIECES = st.lists(
    st.sampled_from([
        "a", "b", ": ", ":", "- ", "-", "\n", "\n  ", " ", "  ", "[", "]", "{", "}", ", ", ",", "1", "0.5", "012", "'",
        '"', "#", " #", "? ", "?", "|", ">", "|\n ", "|2\n", ">-\n", "&x ", "*x", "!t ", "<<", "---", "...", "\n---\n",
        "%", "true", "~", "é", "😀", "\\", '"\\x41"', "\r\n", "=", "@", "`", "? [", "key: ",
    ]),
    max_size=14,
).map("".join)
# fmt: on


def _outcome(text: str, loader: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[object, object]:
    monkeypatch.setattr(strict_yaml, "_LOADER", loader)
    try:
        document = load(text)
    except StrictError:
        return "refused", None
    return document.data, dict(document.positions)


@pytest.mark.skipif(C_LOADER is None, reason="PyYAML was built without libyaml here")
@given(PIECES | st.text(alphabet="ab:-[]{},'\"#?|>!&*% \n\t0123.\\", max_size=24))
@example("a: [b, c: d]\n")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_parsers_say_the_same(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert _outcome(text, yaml.SafeLoader, patch) == _outcome(text, C_LOADER, patch)
