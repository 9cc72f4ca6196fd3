SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Bytecode is made where it is first needed, and kept: tests start processes by the thousand.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
WORKFLOWS := $(wildcard examples/github/*.yml .github/workflows/*.yml)
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.PHONY: help setup setup-dbt setup-mlflow2 demo check test lint format bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv from the locks (every other target does it first)
	@scripts/setup.sh

setup-dbt:
	@if [[ -f requirements/dbt.txt ]]; then scripts/setup.sh dbt; fi

setup-mlflow2:
	@scripts/setup.sh mlflow2

demo: setup ## See the gate deny a bad model on a real, throw-away MLflow server
	@$(BIN)/aigate demo

check: lint ## The fast loop: linters, types, architecture, quick tests
	$(BIN)/python -m pytest -q -m "not server and not slow"

test: setup ## Every test, those with real servers too
	@$(MAKE) --no-print-directory --jobs=2 setup-dbt setup-mlflow2
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=60 --durations-min=3

lint: setup ## Format, lint, types, architecture; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(BIN)/zizmor --offline --quiet --no-progress --strict-collection action.yml $(WORKFLOWS)

format: setup ## Format, and fix what can be fixed by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Measure, and print the targets beside what was measured
	$(BIN)/python bench/run.py

lock: ## Bring requirements/*.txt in line with pyproject.toml (needs uv)
	$(LOCK) pyproject.toml -o requirements/base.txt
	$(LOCK) --extra sign pyproject.toml -o requirements/sign.txt
	$(LOCK) --extra mlflow --extra sql --extra sign --group dev pyproject.toml -o requirements/dev.txt
	$(LOCK) --group dbt -o requirements/dbt.txt
	$(LOCK) --extra sign --group mlflow2 pyproject.toml -o requirements/mlflow2.txt

clean: ## Remove caches and build products; environments stay
	rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests policies examples bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
