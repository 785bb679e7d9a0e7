# Each target is the only command needed: the environment makes itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Takes every core by itself: beside it, tests that watch a clock would see a machine that is twice too busy.
ALONE := tests/simulation/test_simulation.py
# Peers of the benchmarks pin versions of what development needs newer: an environment apart.
BENCH := .bench-venv
BENCH_READY := $(BENCH)/.ready
PIP_BENCH := $(BENCH)/bin/pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install quickstart quickstart-flow test faults attacks mutations mutations-quick storm slurm slurm-down lint sbom fuzz conformance bench bench-deep soak clean

help:  ## What there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[examples,test,lint]'
	touch $@

install: $(READY)  ## Make .venv with everything that development needs

quickstart: $(READY)  ## The main job: two sites, four accelerators, real data, one script
	$(BIN)/relay-parsl quickstart

quickstart-flow: $(READY)  ## A flow on real X-ray images: transfer, correlate, choose, plot, publish; what it makes is in lightsource-results/
	$(BIN)/python examples/lightsource/lightsource.py

test: $(READY)  ## Every test but those marked slow
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests --ignore $(ALONE)
	$(BIN)/python -m pytest $(ALONE)

faults: $(READY)  ## Every fault of docs/guarantees.md, the slow ones too, and a verdict for each
	$(BIN)/python -m tests.rows faults

soak: $(READY)  ## The simulation for hours: HOURS=8, FIRST=SEED to go on from; each failing seed is printed as it is found
	nice $(BIN)/python -m tests.simulation.soak --hours $(or $(HOURS),8) --first $(or $(FIRST),10001)

attacks: $(READY)  ## Every attack of docs/security.md, and a verdict for each
	$(BIN)/python -m tests.rows attacks

mutations: $(READY)  ## Deliberate breaks of each promise, each in a copy of the project: which tests notice (docs/guarantees.md)
	$(BIN)/python -m tests.mutations --jobs 2

mutations-quick: $(READY)  ## The first break of each promise
	$(BIN)/python -m tests.mutations --jobs 2 --one-each

storm: $(READY)  ## A relay killed every second, and endpoints at random, under 100,000 tasks of 10 clients: nothing may be lost or doubled
	$(BIN)/python -m tests.faults.storm

slurm:  ## A real Slurm on this machine, for the tests that need one (root; Debian or Ubuntu)
	tests/slurm/up.sh

slurm-down:  ## Stop it
	tests/slurm/down.sh

lint: $(READY)  ## ruff, the format, mypy strict, known holes of what is installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.dependencies audit

fuzz: $(READY)  ## Hostile bytes for every parser that a stranger reaches, 20,000 each; FUZZ=1000000 for more
	FUZZ=$${FUZZ:-20000} $(BIN)/python -m pytest --quiet --timeout 0 tests/fuzz

sbom: $(READY)  ## What is installed, as a bill of materials (CycloneDX, JSON)
	$(BIN)/python -m tests.dependencies sbom

conformance: $(READY)  ## Parsl's own test suite on RelayExecutor
	$(BIN)/python -m tests.conformance

bench: $(BENCH_READY)  ## The benchmarks, beside every peer that can be installed; at most 10 minutes. Figures go into README.md and docs
	$(BENCH)/bin/python -m pytest --capture=no --quiet --override-ini faulthandler_timeout=0 benchmarks; code=$$?; $(BENCH)/bin/python -m benchmarks.publish && exit $$code

bench-deep: $(BENCH_READY)  ## 1,000,000 queued tasks and an argument of 1 GB in whatever time they take, added to the last results
	$(BENCH)/bin/python -m benchmarks --deep --add
	$(BENCH)/bin/python -m benchmarks.publish

$(BENCH_READY): setup.cfg
	$(PYTHON) -m venv $(BENCH)
	$(PIP_BENCH) --editable '.[bench]'
	for peer in $$(sed -n '/^bench-peers =/,/^[a-z]/s/^    //p' setup.cfg); do $(PIP_BENCH) "$$peer" || echo "left out: $$peer"; done
	touch $@

clean:  ## Remove what make made
	rm -rf $(VENV) $(BENCH) .conformance-venv build dist ./*.egg-info .mypy_cache .ruff_cache .hypothesis runinfo lightsource-results
