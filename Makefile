# Needs python3 (3.11 or newer, with venv) and a package index; everything else is installed into .venv.
# Another interpreter: make test PYTHON=python3.12 (after `make clean`).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Newer than pyproject.toml and constraints.txt when the environment holds what they ask for.
INSTALLED := $(VENV)/.installed
INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
# Two processes, each with a Ray of its own: most tests wait for Ray. A file's tests stay together and share its fixtures.
PYTEST := $(BIN)/python -m pytest -n $(or $(PROCESSES),2) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check audit format clean chaos fuzz test-ceph test-node test-engines

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## The whole job on the bundled vectors (minutes, two cores); output in .demo/
	@rm -rf .demo
	@$(BIN)/matryoshka run configs/demo/run.yaml
	@printf '\nThe report, for a browser: %s\n' "$(CURDIR)/.demo/short/evaluation/report.html"

test: $(INSTALLED) ## Run the tests (without the slow ones, and without real databases)
	$(PYTEST)

test-engines: $(INSTALLED) ## Run the tests of export against real databases (in check, too)
	$(PYTEST) -m engines tests/jobs/export

test-slow: $(INSTALLED) ## Run all tests, slow ones too: before a release
	$(PYTEST) -m "slow or not slow"

chaos: $(INSTALLED) ## Compress and fit under kills and faults for MINUTES (10), from a SEED (0): nothing may be lost
	$(BIN)/python -m tests.benchmarks.chaos --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0)

fuzz: $(INSTALLED) ## Fuzz every reader of foreign bytes with RUNS (20000) inputs each
	$(BIN)/python $(INSTALL) '.[jobs,cpu,report,dev,engines,fuzz]'
	$(BIN)/python -m tests.fuzz --runs $(or $(RUNS),20000)

test-ceph: $(INSTALLED) ## Run the S3 tests on Ceph (apt-get install ceph-mon ceph-osd radosgw ceph-common)
	MATRYOSHKA_TEST_S3=ceph $(BIN)/python -m pytest -m "slow or not slow" -k "s3 and not role" tests/jobs/storage tests/jobs/compress/test_on_s3.py

test-node: $(INSTALLED) ## Run the ONNX query side in Node (needs npm)
	mkdir -p .node && cd .node && npm install --silent --no-save --ignore-scripts onnxruntime-node@1.30.0 onnxruntime-web@1.30.0
	MATRYOSHKA_TEST_NODE=$(CURDIR)/.node $(BIN)/python -m pytest tests/jobs/query_side/test_in_node.py

check: $(INSTALLED) ## Format check, lint, types and tests: all that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(PYTEST) -m "not slow"

audit: ## Known vulnerabilities of the pinned packages (asks pypi.org or, with AUDIT=osv, osv.dev)
	@test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	.audit/bin/pip-audit --strict --disable-pip --no-deps -s $(or $(AUDIT),pypi) -r constraints.txt

format: $(INSTALLED) ## Format the code and sort the imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv, .demo, build products and caches
	rm -rf $(VENV) .audit .demo .node build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) '.[jobs,cpu,report,dev,engines]'
	@touch $@
