"""Build a tiny dbt project on DuckDB and run `dbt source freshness` in it. Run by the Python of `.venv-dbt`.

    .venv-dbt/bin/python tests/collect/freshness/make_dbt.py FOLDER

Leaves FOLDER/target/sources.json, with one source for each thing dbt does:
fresh, late, empty, in the future, without a zone, and broken (which it leaves out).
"""

import os
import sys
from pathlib import Path

PROJECT = """\
name: shop
version: "1.0"
profile: shop
flags: {send_anonymous_usage_stats: false}
"""

PROFILE = """\
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: shop.duckdb, threads: 1}
"""

SOURCES = """\
version: 2
sources:
  - name: raw
    schema: main
    config:
      loaded_at_field: loaded_at
      freshness: {warn_after: {count: 6, period: hour}, error_after: {count: 24, period: hour}}
    tables:
      - {name: fresh}
      - {name: aging}
      - {name: late}
      - {name: empty}
      - {name: future}
      - {name: naive}
      - name: broken
        config: {loaded_at_field: no_such_column}
"""

TABLES = {
    "fresh": "select now() - interval 10 minute as loaded_at",
    "aging": "select now() - interval 7 hour as loaded_at",
    "late": "select now() - interval 3 day as loaded_at",
    "empty": "select now() as loaded_at where false",
    "future": "select now() + interval 2 hour as loaded_at",
    "naive": "select (now() at time zone 'UTC')::timestamp - interval 20 minute as loaded_at",
    "broken": "select 1 as x",
}


def main(folder: Path) -> int:
    """Write the project, fill the database, run dbt; return dbt's exit code."""
    import duckdb  # type: ignore[import-not-found]
    from dbt.cli.main import dbtRunner  # type: ignore[import-not-found]

    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILE)
    (folder / "models" / "sources.yml").write_text(SOURCES)
    os.chdir(folder)
    with duckdb.connect("shop.duckdb") as database:
        for name, query in TABLES.items():
            database.execute(f"create table {name} as {query}")
    result = dbtRunner().invoke(["--quiet", "source", "freshness", "--profiles-dir", "."])
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
