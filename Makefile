# The commands of this project. Everything but `make help` first brings what is missing (scripts/setup.sh).
.PHONY: help setup run test long bench bench-nation chaos desk lint texts
PYTHON := .venv/bin/python
# One test process more than the two cores it is made for: a quarter of its time, a process waits for servers, time-outs and databases.
WORKERS ?= 3

help:
	@echo "make run     serve the demonstration on http://127.0.0.1:8000 (PORT= changes it)"
	@echo "make test    every test, on SQLite and PostgreSQL (WORKERS= processes)"
	@echo "make long    the random tests with all their runs, the journeys at both widths (WORKERS= processes)"
	@echo "make bench   the benchmarks, as ratios"
	@echo "make bench-nation  a large installation filled, and every page over it (CARDS=100000)"
	@echo "make chaos   processes killed amid clients, every step of an act failed once (KILLS= SEED= MINUTES= ONLY=kills|steps)"
	@echo "make desk    the clicks, fields and pages of six jobs; these and what goes wrong every week as journeys at both widths"
	@echo "make lint    ruff, mypy, import contracts (make test runs them too)"
	@echo "make texts   collect the texts of the screens into their catalogues (sifilma/*/translations/id.po)"
	@echo "make setup   only bring what is missing"

setup:
	@scripts/setup.sh

run: setup
	@SIFILMA_ENV=demo exec .venv/bin/sifilma up

test: setup
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -q

long: setup
	@$(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -q --long tests/life tests/api/test_conformance.py tests/faults/test_kill.py tests/activation/bulk/test_kill.py tests/personalisation/intake/test_kill.py tests/custody tests/reconciliation tests/own_files tests/dispatch tests/access tests/browser tests/benchmarks/nation

bench: setup
	@$(PYTHON) -m tests.benchmarks
CARDS ?= 100000
bench-nation: setup
	@$(PYTHON) -m tests.benchmarks.nation --cards $(CARDS)
	@$(PYTHON) -m tests.benchmarks.nation.measure $(if $(BESIDE),--beside $(BESIDE)) $(if $(KEEP),--keep $(KEEP))

chaos: setup
	@KILLS=$(KILLS) SEED=$(SEED) MINUTES=$(MINUTES) ONLY=$(ONLY) $(PYTHON) -m tests.chaos

desk: setup
	@$(PYTHON) -m tests.benchmarks.desk_work --journeys

texts: setup
	@$(PYTHON) scripts/texts.py

lint: setup
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-logo
