# Everything runs in .venv, which sets itself up from a bare Python >= 3.11 and requirements.lock.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := core manifests controller
CODE := $(PACKAGES) bench e2e tests

# Another Python: make PYTHON=/path/to/python3.12
PYTHON ?= python3
# More for pytest: make unit ARGS="-k yaml -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers unit soak e2e engine engine-stop sandbox sandbox-stop bench lock schema format compiled clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(READY) compiled ## Run the main job on the sample artifact: publish, change, drift, healing, undo
	@$(BIN)/python e2e/scripts/demo.py

test: lint types layers unit e2e ## Run every check that CI runs

lint: $(READY) ## Check style and formatting (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Check types (mypy, strict)
	$(BIN)/mypy

layers: $(READY) ## Check who imports whom (import-linter)
	$(BIN)/lint-imports --no-logo

unit: $(READY) compiled ## Run the tests (pytest); more arguments with ARGS="..."
	@eval "$$($(BIN)/python -m e2e.scripts.engine env)" && $(BIN)/python -m pytest -n 2 --dist=loadgroup $(ARGS)

soak: $(READY) compiled ## Hours of a loop's life with random faults, and 10,000 idle passes; SOAK_TICKS=200000 SEED=chance
	@SOAK_TICKS=$${SOAK_TICKS:-200000} $(BIN)/python -m pytest -n 2 -s $(ARGS) tests/controller/test_soak.py

e2e: $(READY) compiled ## Run the end-to-end tests on an engine; without one they are skipped, and say so
	@eval "$$($(BIN)/python -m e2e.scripts.engine env)" && $(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder $(ARGS) e2e

engine: $(READY) ## Install and start a Docker engine below .engine (Debian, as root), unless one answers
	@$(BIN)/python -m e2e.scripts.engine install
	@$(BIN)/python -m e2e.scripts.engine start

sandbox: $(READY) ## Start a stack to try the controller on, with the sample artifact, in ./sandbox; wants an engine
	@eval "$$($(BIN)/python -m e2e.scripts.engine env)" && $(BIN)/python -m e2e.scripts.sandbox up

sandbox-stop: $(READY) ## Remove that stack; the folder stays
	@eval "$$($(BIN)/python -m e2e.scripts.engine env)" && $(BIN)/python -m e2e.scripts.sandbox down

engine-stop: $(READY) ## Stop that engine
	@$(BIN)/python -m e2e.scripts.engine stop

bench: $(READY) compiled ## Measure on generated trees and print the table of docs/performance.md
	@eval "$$($(BIN)/python -m e2e.scripts.engine env)" && PYTHONPATH=. $(BIN)/python bench/run.py $(ARGS)

lock: $(READY) ## Bring the lock files up to date with pyproject.toml; ARGS=--upgrade for the newest versions
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" --group dev --output-file requirements.lock $(ARGS) pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" --constraint requirements.lock --output-file requirements.runtime.lock \
		pyproject.toml

schema: $(READY) ## Write the published JSON schemas anew
	$(BIN)/python -m controller.schema docs/schema

format: $(READY) ## Format the code and sort the imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment, caches and builds
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# Some environments forbid Python to write bytecode; without it every start compiles the sources again.
compiled: $(READY)
	@$(BIN)/python -m compileall -q $(PACKAGES)

# The stamp is written last, so that an interrupted set-up is done again. The version of uv, too, is the lock's.
$(READY): pyproject.toml requirements.lock
	@echo "setting up $(VENV) from requirements.lock"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		for name in "$(PYTHON)" python3.11 python3.12 python3.13 python3.14; do \
			"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
			"$$name" -m venv --clear $(VENV) && exit 0; rm -rf $(VENV); exit 1; \
		done; \
		echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=/path/to/python" >&2; exit 1; }
	@sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
