# `make help` lists the targets. Everything that they need they set up themselves.
S ?= node-kill
C ?= default
VENV := .venv
PYTHON := $(VENV)/bin/python
TESTBED := $(VENV)/bin/testbed
TYPED := orchestrator loadtests images/base/testbed_init images/base/testbed_kube images/base/testbed_routes images/node/nodeagent images/controlplane/controlplane images/loadbalancer/lbagent images/warden/warden images/base/kernel_probe.py
PYTEST := $(PYTHON) -m pytest
# Compiled once, not at every start, whatever the caller's environment says: a start takes a third less.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup engine images doctor scenario chaos report lint unit component integration e2e test bench clean lock
.NOTPARALLEL:

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.stamp ## make the virtual environment from the lock file

$(VENV)/.stamp: requirements.lock pyproject.toml .ci/setup
	@.ci/setup $(VENV)

engine: setup ## find a Docker Engine, or install and start one
	@$(TESTBED) engine

images: setup ## build the images that are missing
	@$(TESTBED) images

doctor: setup ## what this machine has, lacks, and what that costs
	@$(TESTBED) doctor

scenario: setup ## run a scenario: make scenario [S=node-kill]
	@$(TESTBED) run loadtests/scenarios/$(S).yaml

chaos: setup ## a matrix of faults and trials, one report: make chaos [C=default]
	@$(TESTBED) chaos loadtests/chaos/$(C).yaml

report: setup ## write the reports of the latest run again: make report [S=node-kill]
	@$(TESTBED) report $(S)

lint: setup ## ruff and mypy
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy $(TYPED)

unit: setup ## what each part decides, no Docker
	@$(PYTEST) tests/unit -n auto --dist loadscope -q

component: setup ## parts put together: processes, files and loopback sockets, no Docker
	@$(PYTEST) tests/component -n auto --dist loadscope -q

integration: setup images ## one real tool each
	@$(PYTEST) tests/integration -n 3 --dist loadfile --no-loadscope-reorder -q

e2e: setup images ## whole runs, two testbeds at once; then the one with every path alone, which takes the whole machine
	@$(PYTEST) tests/e2e -n 2 --dist loadfile -q --ignore tests/e2e/test_all_paths.py
	@$(PYTEST) tests/e2e/test_all_paths.py -q

test: lint unit component integration e2e ## every check, a summary for each tier

bench: setup images ## speed, as ratios; takes some minutes
	@$(PYTEST) tests/bench/bench_*.py -q -s -p no:xdist

clean: setup ## remove what is left of any run or test, by label
	@$(TESTBED) clean

lock: setup ## pin every package again, after a change in pyproject.toml
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --all-extras --no-emit-index-url --custom-compile-command 'make lock' -o requirements.lock pyproject.toml >/dev/null
