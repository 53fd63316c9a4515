# Every target can be the first; each installs what it lacks (deploy/setup.sh).
SHELL := /bin/bash
PY := .venv/bin/python
STATE ?= var
URL ?=
Q ?= crawler
J ?= 2
# A house starts many processes, and each would compile all modules anew where bytecode may not be kept.
export PYTHONDONTWRITEBYTECODE :=
# Of `make chaos`: see docs/reliability.md.
ONLY ?=
SEED ?= 1
JSON ?=
MUTANT ?=
LEDGER ?= sqlite
# The model test in `make test`; `make test-all` makes more steps, from another seed each time.
MODEL_STEPS ?= 2000
MODEL_SEED ?= 20260101
# The same for the fuzzing of each HTTP operation, and for how Hypothesis draws (tests/conftest.py).
FUZZ_EXAMPLES ?= 5
HYPOTHESIS_PROFILE ?= repeatable
# Which tests `make test` leaves out; `make test-all` leaves out none.
MARKS ?= not long

.PHONY: demo up down status test test-all chaos check setup setup-run format web worker dispatcher local flower pins clean

demo: setup-run  ## run the main job on a real site, with one worker killed half way (CALM=1: none; URL=https://…: another site)
	@$(PY) -m deploy.demo $(if $(URL),--url $(URL)) $(if $(CALM),--calm)

up: setup-run  ## start everything on this machine and print the addresses
	@$(PY) -m deploy.stack up --state $(STATE)

down:  ## stop what `make up` started
	@if [ -x $(PY) ]; then $(PY) -m deploy.stack down --state $(STATE); else echo "nothing was running"; fi

status: setup-run  ## tell whether it runs, and where
	@$(PY) -m deploy.stack status --state $(STATE)

test: setup  ## every test that needs no data from outside the repository, with coverage gates
	@echo "model test: MODEL_STEPS=$(MODEL_STEPS) MODEL_SEED=$(MODEL_SEED)"
	@MODEL_STEPS=$(MODEL_STEPS) MODEL_SEED=$(MODEL_SEED) FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) HYPOTHESIS_PROFILE=$(HYPOTHESIS_PROFILE) \
	  $(PY) -m pytest -n $(J) --dist loadgroup -m "$(MARKS)" --cov --cov-report=
	@$(PY) -m coverage combine --quiet --append 2>/dev/null || true
	@$(PY) -m coverage report --fail-under=85 --skip-covered --sort=cover | tail -n 25
	@$(PY) -m interrogate --quiet app client tasks workers

test-all: MODEL_STEPS = 10000
test-all: FUZZ_EXAMPLES = 40
test-all: HYPOTHESIS_PROFILE = searching
test-all: MARKS =
test-all: MODEL_SEED := $(shell date +%s)
test-all: test chaos  ## test with the tests that take minutes, a longer model test, and the whole chaos suite

chaos: setup  ## kill real processes and count what is lost (ONLY=F1,F8 SEED=n JSON=1 MUTANT=claim|fence|rescue|all LEDGER=postgresql)
	@$(PY) -m tests.chaos --only "$(ONLY)" --seed $(SEED) --ledger $(LEDGER) $(if $(MUTANT),--mutant $(MUTANT)) $(if $(JSON),--json)

check: setup  ## format, lint, types, import rules, fast tests: under a minute
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/lint-imports --no-logo >/dev/null || .venv/bin/lint-imports --no-logo
	@$(PY) -m pytest -n $(J) --dist loadgroup -m "not slow" tests/core tests/test_*.py

format:  ## put the code into its form
	@.venv/bin/ruff format --quiet . && .venv/bin/ruff check --fix --quiet .

setup:  ## install everything for development
	@deploy/setup.sh dev

setup-run:
	@deploy/setup.sh run

web: setup-run  ## the front door alone, settings from the environment
	@$(PY) -m app

worker: setup-run  ## one worker: make worker Q=crawler
	@.venv/bin/celery -A tasks worker -Q $(Q)

dispatcher: setup-run  ## the dispatcher alone
	@$(PY) -m workers dispatcher

local: setup-run  ## web server and local runner together, without Redis
	@SWITCHYARD_PROFILE=local $(PY) -m workers local --with-web

flower: setup-run  ## Flower alone
	@$(PY) -m workers flower

pins:  ## resolve the dependencies anew
	@for p in run dev; do \
	  extra=$$([ $$p = run ] && echo "--extra embedded-redis --extra browser --extra publishing --extra mkdocs" || echo "--extra embedded-redis --extra browser --extra publishing --extra mkdocs --extra onnx --extra dev --extra targets --extra bench --extra telemetry --extra sentry"); \
	  .venv/bin/pip-compile --quiet --upgrade --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
	    $$extra --output-file deploy/requirements-$$p.txt pyproject.toml; done
	@RPY2_CFFI_MODE=ABI .venv/bin/pip-compile --quiet --upgrade --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
	  --extra r --constraint deploy/requirements-run.txt --output-file deploy/requirements-r.txt pyproject.toml
	@printf '%s\n' 'httpbin>=0.10.4' flasgger gunicorn | .venv/bin/pip-compile --quiet --upgrade --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
	  --output-file deploy/requirements-httpbin.txt -

clean:  ## remove what the tools left
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .coverage* build *.egg-info

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s "$$(printf '\t')"
