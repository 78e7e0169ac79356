# The commands of this project; README.md says what each is for.
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
PYTHON := .venv/bin/python
export CHART CHART_VERSION

.PHONY: demo up down status preview policy-state policy-docs check lint apps unit test test-long test-thanos drills bench bench-gateway bench-leaf bench-edge bench-overload bench-ways env

demo: .venv/ready
	@FLEET_CHART="$${CHART:-$$FLEET_CHART}" FLEET_CHART_VERSION="$${CHART_VERSION:-$$FLEET_CHART_VERSION}" \
		$(PYTHON) -m local demo $(if $(PROFILE),--profile $(PROFILE))

# make itself ends with 2 whatever a recipe ended with, which it prints.
up: .venv/ready
	@if [ -f .local/env ]; then . .local/env; fi; \
		$(PYTHON) -m fleet up --stack "$(or $(STACK),dev)" --policy-pack policies $(if $(YES),--yes)

down: .venv/ready
	@$(PYTHON) -m local down

status: .venv/ready
	@if [ -f .local/env ]; then . .local/env; fi; $(PYTHON) -m fleet status --stack dev

# What the work tree changes against BASE, for reviewers; exit 2 where something refuses it. Needs no cluster.
preview: .venv/ready
	@if [ -f .local/env ]; then . .local/env; fi; \
		FLEET_CHART="$${CHART:-$$FLEET_CHART}" FLEET_CHART_VERSION="$${CHART_VERSION:-$$FLEET_CHART_VERSION}" \
		$(PYTHON) -m fleet preview --stack "$(or $(STACK),dev)" --base "$(or $(BASE),main)" \
		--out "$(or $(OUT),.local/preview)"

# The state goes through a pipe alone: it holds secrets.
policy-state: .venv/ready
	@if [ -f .local/env ]; then . .local/env; fi; set -o pipefail; \
		pulumi stack export --show-secrets --stack "$(or $(STACK),dev)" | \
		PYTHONPATH=policies $(PYTHON) -m fleet_policies state

policy-docs: .venv/ready
	@PYTHONPATH=policies $(PYTHON) -m fleet_policies documents

# Side by side: what each says comes in one piece when it ends, and one that fails ends no other.
check: .venv/ready
	@$(MAKE) --jobs --keep-going --output-sync=target lint apps unit

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/basedpyright

apps:
	cd local/apps && CGO_ENABLED=0 go test ./...

unit: .venv/ready
	$(PYTHON) -m pytest -m 'not cluster' --numprocesses auto --maxprocesses 8 --dist worksteal

# One that fails keeps the other from nothing: each takes half an hour.
test: check
	@failed=; \
		$(PYTHON) -m pytest -m 'cluster and alone and not long' || failed=yes; \
		$(PYTHON) -m pytest -m 'cluster and not alone and not drill and not thanos' --numprocesses 2 --dist loadgroup || failed=yes; \
		[ -z "$$failed" ]

test-long: .venv/ready
	$(PYTHON) -m pytest -m long

test-thanos: .venv/ready
	$(PYTHON) -m pytest -m thanos

drills: .venv/ready
	$(PYTHON) -m pytest -m drill --capture no

# BENCH='--clusters 5 --clusters 20 --runs 1' measures less.
bench: .venv/ready
	@FLEET_CHART="$${CHART:-$$FLEET_CHART}" FLEET_CHART_VERSION="$${CHART_VERSION:-$$FLEET_CHART_VERSION}" \
		$(PYTHON) -m local bench $(BENCH)

# BENCH='--rounds 3 --attackers 1000 --seconds 60' measures something else.
bench-gateway: .venv/ready
	@$(PYTHON) -m local bench-gateway $(BENCH)

# BENCH='--series 20000 --seconds 120' measures something else.
bench-leaf: .venv/ready
	@$(PYTHON) -m local bench-leaf $(BENCH)

# Takes over an hour; BENCH='--series 100000 --seconds 600' measures something else.
bench-edge: .venv/ready
	@$(PYTHON) -m local bench-edge $(BENCH)

# Takes half an hour; BENCH='--senders 5 --seconds 60' measures something else.
bench-overload: .venv/ready
	@$(PYTHON) -m local bench-overload $(BENCH)

# BENCH='--series 20000 --seconds 60 --scrape 5' measures something else.
bench-ways: .venv/ready
	@$(PYTHON) -m local bench-ways $(BENCH)

env: .venv/ready

# uv comes from a hash-checked file, and everything else from uv.lock.
.venv/ready: uv.lock pyproject.toml local/uv.txt
	@local/bootstrap.sh
	@touch $@
