# Each target is the only command needed: the environment makes itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install quickstart test slurm slurm-down lint conformance bench clean

help:  ## What there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[examples,test,lint]'
	touch $@

install: $(READY)  ## Make .venv with everything that development needs

quickstart: $(READY)  ## The main job: two sites, four accelerators, real data, one script
	$(BIN)/relay-parsl quickstart

test: $(READY)  ## Every test
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests

slurm:  ## A real Slurm on this machine, for the tests that need one (root; Debian or Ubuntu)
	tests/slurm/up.sh

slurm-down:  ## Stop it
	tests/slurm/down.sh

lint: $(READY)  ## ruff, the format, mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

conformance: $(READY)  ## Parsl's own test suite on RelayExecutor
	$(BIN)/python -m tests.conformance

bench: $(READY)  ## No-op tasks through the whole path, beside HighThroughputExecutor alone
	$(BIN)/python -m benchmarks

clean:  ## Remove what make made
	rm -rf $(VENV) .conformance-venv build dist ./*.egg-info .mypy_cache .ruff_cache .hypothesis runinfo
