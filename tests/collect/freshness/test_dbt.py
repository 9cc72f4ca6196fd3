import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asking import Ask, ago, fresh, served, why_missing
from fakes import WebServer

HERE = Path(__file__).parent
DBT_PYTHON = HERE.parents[2] / ".venv-dbt" / "bin" / "python"
SCHEMA = "https://schemas.getdbt.com/dbt/sources/v3.json"

Artifact = dict[str, object]
Write = Callable[[Artifact], None]


def row(now: datetime, unique_id: object = "source.shop.raw.orders", **changes: object) -> Artifact:
    """One result as dbt 1.x writes it; None takes a key out."""
    made: Artifact = {
        "unique_id": unique_id,
        "max_loaded_at": ago(now, hours=2),
        "snapshotted_at": ago(now, minutes=21),
        "max_loaded_at_time_ago_in_s": 5940.0,
        "status": "pass",
        "criteria": {"warn_after": {"count": 6, "period": "hour"}, "error_after": None, "filter": None},
        "adapter_response": {},
        "timing": [],
        "thread_id": "Thread-1",
        "execution_time": 0.1,
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def artifact(
    now: datetime, *rows: Artifact, schema: str = SCHEMA, age: timedelta = timedelta(minutes=20)
) -> Artifact:
    made = (now - age).isoformat()
    return {
        "metadata": {"dbt_schema_version": schema, "dbt_version": "1.11.0", "generated_at": made, "env": {}},
        "results": list(rows),
        "elapsed_time": 1.0,
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(value: Artifact) -> None:
        path = tmp_path / "target" / "sources.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value))

    return write


DECLARED = {"dbt": "target/sources.json", "source": "raw.orders"}


@pytest.mark.parametrize("source", ["raw.orders", "source.shop.raw.orders"])
@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_one_source(ask: Ask, write: Write, now: datetime, source: str, version: int) -> None:
    schema = f"https://schemas.getdbt.com/dbt/sources/v{version}.json"
    write(artifact(now, row(now), row(now, "source.shop.raw.clicks"), schema=schema))
    reading = ask({**DECLARED, "source": source})
    found = fresh(reading)
    assert found.as_of == now - timedelta(hours=2)
    assert found.observed_at == now - timedelta(minutes=21)
    assert found.claimed == "pass"
    assert reading.source.adapter == "dbt"
    assert reading.source.shown == "target/sources.json"


def test_by_url(ask: Ask, now: datetime) -> None:
    with WebServer({"/sources.json": served(artifact(now, row(now)), now)}) as server:
        found = fresh(ask({**DECLARED, "dbt": server.url("/sources.json")}))
    assert found.as_of == now - timedelta(hours=2)
    assert found.observed_at == now - timedelta(minutes=21)


@pytest.mark.parametrize(
    ("generated", "looked"),
    [(timedelta(days=3), timedelta(minutes=1)), (timedelta(minutes=20), timedelta(days=3))],
    ids=["stale artifact", "stale row"],
)
def test_an_old_file_left_behind_is_old_evidence(
    ask: Ask, write: Write, now: datetime, generated: timedelta, looked: timedelta
) -> None:
    old = row(now, max_loaded_at=ago(now, days=4), snapshotted_at=(now - looked).isoformat())
    write(artifact(now, old, age=generated))
    found = fresh(ask(DECLARED))
    assert found.observed_at == now - timedelta(days=3)
    assert found.as_of == now - timedelta(days=4)


@pytest.mark.parametrize(
    ("said", "heard"), [("Pass", "pass"), ("Warn", "warn"), ("Error", "error"), ("warn", "warn")]
)
def test_the_capitalised_words_of_fusion(
    ask: Ask, write: Write, now: datetime, said: str, heard: str
) -> None:
    write(artifact(now, row(now, status=said)))
    assert fresh(ask(DECLARED)).claimed == heard


def test_a_row_that_dbt_dropped(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now, row(now, "source.shop.raw.clicks")))
    reason = why_missing(ask(DECLARED))
    assert "raw.orders is not in it" in reason
    assert "source.shop.raw.clicks" in reason


def test_an_empty_selection(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now))
    assert "(it has: nothing)" in why_missing(ask(DECLARED))


def test_two_of_one_name(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now, row(now), row(now, "source.other.raw.orders")))
    assert "2 sources" in why_missing(ask(DECLARED))
    fresh(ask({**DECLARED, "source": "source.other.raw.orders"}))


@pytest.mark.parametrize(
    "unique_id", ["model.shop.raw.orders", "source.shop.xraw.orders", "source.raw.orders", 5, None]
)
def test_what_is_not_the_source(ask: Ask, write: Write, now: datetime, unique_id: object) -> None:
    write(artifact(now, row(now, unique_id=unique_id)))
    assert "is not in it" in why_missing(ask(DECLARED))


def test_the_error_row_of_older_versions(ask: Ask, write: Write, now: datetime) -> None:
    error: Artifact = {
        "unique_id": "source.shop.raw.orders",
        "error": "no such column, dsn=secret",
        "status": "runtime error",
    }
    write(artifact(now, error))
    reason = why_missing(ask(DECLARED))
    assert "runtime error" in reason
    assert "secret" not in reason


def test_a_row_without_a_time(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now, row(now, max_loaded_at=None)))
    assert "could not read" in why_missing(ask(DECLARED))


def test_a_clock_a_little_ahead_makes_no_evidence_from_the_future(
    ask: Ask, write: Write, now: datetime
) -> None:
    ahead = row(now, snapshotted_at=ago(now, seconds=-40))
    write(artifact(now, ahead, age=timedelta(seconds=-45)))
    assert fresh(ask(DECLARED)).observed_at == now


def test_an_error_beside_a_time(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now, row(now, error="half read")))
    assert "could not read" in why_missing(ask(DECLARED))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("max_loaded_at", "0001-01-01T00:00:00+00:00", "sentinel"),
        ("max_loaded_at", "2026-11-21T13:00:00+00:00", "future"),
        ("max_loaded_at", "2026-11-21T09:00:00", "zone"),
        ("max_loaded_at", "2026-11-21T09:00:00+00:00Z", "not a time"),
        ("max_loaded_at", 1795255200, "unit"),
        ("max_loaded_at", "2026-11-21T11:50:00+00:00", "later than it looked"),
        ("snapshotted_at", None, "snapshotted_at"),
        ("snapshotted_at", "2026-11-21T11:40:00", "zone"),
        ("snapshotted_at", "2026-11-21T12:05:00+00:00", "future"),
        ("status", None, "status"),
        ("status", 1.5, "status"),
    ],
)
def test_rows_that_say_nothing(
    ask: Ask, write: Write, now: datetime, key: str, value: object, why: str
) -> None:
    write(artifact(now, {**row(now), key: value}))
    assert why in why_missing(ask(DECLARED))


def test_a_declared_zone_reads_naive_times(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now, row(now, max_loaded_at="2026-11-21T18:00:00")))
    found = fresh(ask({**DECLARED, "zone": "+09:00"}))
    assert found.as_of == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert found.inferred


@pytest.mark.parametrize("made", [None, "", "2026-11-21T12:30:00Z", "2026-11-21T09:00:00"])
def test_an_artifact_that_does_not_say_when_it_was_made(
    ask: Ask, write: Write, now: datetime, made: str | None
) -> None:
    value = artifact(now, row(now))
    value["metadata"]["generated_at"] = made  # type: ignore[index]
    write(value)
    assert "metadata.generated_at" in why_missing(ask(DECLARED))


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"results": []},
        {"metadata": {}, "results": []},
        {
            "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json"},
            "results": [],
        },
        {"metadata": {"dbt_schema_version": SCHEMA}, "results": {}},
    ],
)
def test_other_documents(ask: Ask, write: Write, value: object) -> None:
    write(value)  # type: ignore[arg-type]
    assert "not dbt's sources.json" in why_missing(ask(DECLARED))


def test_a_large_warehouse(ask: Ask, write: Write, now: datetime) -> None:
    write(artifact(now, *(row(now, f"source.shop.raw.t{n}") for n in range(4000)), row(now)))
    fresh(ask(DECLARED))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources.json of a real `dbt source freshness` run."""
    if not DBT_PYTHON.exists():
        pytest.skip("dbt is not installed: make .venv-dbt from requirements/dbt.txt")
    folder = tmp_path_factory.mktemp("dbt")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "DO_NOT_TRACK": "1"}
    command = [DBT_PYTHON, HERE / "make_dbt.py", folder / "shop"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environ)
    path = folder / "shop" / "target" / "sources.json"
    assert path.exists(), done.stdout + done.stderr
    return path


@pytest.mark.server
@pytest.mark.slow
class TestRealDbt:
    def ask(self, ask: Ask, real: Path, table: str) -> object:
        return ask({"dbt": str(real), "source": f"raw.{table}"}, at=datetime.now(UTC))

    @pytest.mark.parametrize(
        ("table", "claimed", "age"),
        [
            ("fresh", "pass", timedelta(minutes=10)),
            ("aging", "warn", timedelta(hours=7)),
            ("late", "error", timedelta(days=3)),
            ("naive", "pass", timedelta(minutes=20)),
        ],
    )
    def test_what_it_says(self, ask: Ask, real: Path, table: str, claimed: str, age: timedelta) -> None:
        found = fresh(self.ask(ask, real, table))  # type: ignore[arg-type]
        assert found.claimed == claimed
        assert timedelta(0) <= found.observed_at - found.as_of - age < timedelta(minutes=5)

    @pytest.mark.parametrize(
        ("table", "why"),
        [
            ("broken", "raw.broken is not in it"),
            ("empty", "sentinel"),
            ("future", "future"),
        ],
    )
    def test_where_it_says_nothing_or_the_impossible(
        self, ask: Ask, real: Path, table: str, why: str
    ) -> None:
        assert why in why_missing(self.ask(ask, real, table))  # type: ignore[arg-type]
