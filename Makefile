# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

BIN := .venv/bin
READY := .venv/.ready
DEMO_READY := .venv/.demo-ready
FOR ?=
ARGS ?=
# How long a run may take, from outside of it: then it shows where it hangs, and all of its processes are killed.
LIMIT ?=
WATCH = $(BIN)/python scripts/watchdog.py --limit
# Every process would compile all of our modules again: it started in 0.55 s and not in 0.4 s, and pytest collected for 16 s
# and not for 7 s.
unexport PYTHONDONTWRITEBYTECODE
# How many tests run at once (AT_ONCE=0: one, in this process, as a debugger needs it). Most tests wait for other processes,
# so that more of them than cores end sooner. Those of the conformance suite wait for five sixths of their time.
AT_ONCE ?=
PYTEST = $(BIN)/python -m pytest --dist worksteal -n
MINUTES ?= 20
PYTHONS ?= 3.12 3.13
ON ?= redis redis62 valkey sentinel cluster acl

.PHONY: help setup demo test test-slow test-conformance test-pythons test-all check format docs soak schedulers bench proto clean

help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## Make or refresh the environment in .venv (needs only Python >= 3.11)

$(READY): pyproject.toml constraints.txt scripts/setup
	@scripts/setup

$(DEMO_READY): pyproject.toml constraints.txt scripts/setup
	@scripts/setup demo

demo: $(DEMO_READY) ## Run the example shop on an embedded Valkey; FOR=30 ends it after 30 seconds
	@$(if $(FOR),$(WATCH) $(or $(LIMIT),$(FOR)s+3m)) $(BIN)/python -m examples.shop $(if $(FOR),--for $(FOR))

test: $(READY) ## Run the quick tests (ARGS="-k name" is handed to pytest)
	@$(WATCH) $(or $(LIMIT),30m) $(PYTEST) $(or $(AT_ONCE),6) -m "not slow and not interop" $(ARGS)

test-slow: $(READY) ## Run the slow tests and those against the Go programs
	@$(WATCH) $(or $(LIMIT),60m) $(PYTEST) $(or $(AT_ONCE),6) -m "slow or interop" --timeout 300 $(ARGS)

test-conformance: $(ON:%=conformance-%) ## Run the one suite on every deployment (ON=cluster, or several names: only there)

conformance-%: $(READY)
	@$(WATCH) $(or $(LIMIT),40m) $(PYTEST) $(or $(AT_ONCE),8) --on $* --timeout 300 tests/integration tests/interop $(ARGS)

test-pythons: $(READY) ## Run the unit tests on Python 3.12 and 3.13, where this machine has them (PYTHONS=3.12: only there)
	@$(WATCH) $(or $(LIMIT),40m) scripts/test-pythons "$(PYTHONS)" -n $(or $(AT_ONCE),3) $(ARGS)

test-all: test test-slow ## Run every test

check: $(READY) ## Format, lint, types, layers, sizes, links: what has to be clean before a commit
	@$(WATCH) $(or $(LIMIT),20m) scripts/check

format: $(READY) ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

docs: $(READY) ## Write the tables and snippets in the docs anew from the code
	@$(BIN)/python -m scripts.write_docs

soak: $(READY) ## Mix all faults at random under load, and check (MINUTES=20, SEED=… repeats a run, ARGS="--on cluster")
	@$(WATCH) $(or $(LIMIT),$(MINUTES)m+10m) $(BIN)/python -m tests.crash.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

schedulers: $(READY) ## Kill, freeze and edit under three schedulers for FOR=300 seconds, and check (SEED=… repeats a run, ARGS="--on cluster")
	@$(WATCH) $(or $(LIMIT),3h) $(BIN)/python -m tests.crash.schedules --seconds $(or $(FOR),300) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(READY) ## Measure against Go Asynq and the Python peers on one Redis (ARGS="--quick" for a short run)
	@$(WATCH) $(or $(LIMIT),4h) $(BIN)/python -m benchmarks $(ARGS)

proto: $(READY) ## Compile rota/wire/asynq.proto
	@$(BIN)/python -m grpc_tools.protoc --include_imports -I rota/wire --descriptor_set_out=rota/wire/asynq.binpb asynq.proto

clean: ## Remove the environment, caches and the demo's data
	rm -rf .venv .venv-* .rota .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
