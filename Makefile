# kgrec for developers and for a first try: `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
AUDIT := .venv-audit
MUTATED := .venv-mutated
BIN := $(VENV)/bin
COMPOSE := docker compose --project-name kgrec-tests
NEO4J_TESTS := tests/integration tests/sources/test_neo4j.py tests/inspection tests/writeback tests/syncing \
	tests/exchange tests/test_property_graph.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-neo4j lint docs audit sbom format \
	bench-quality bench-message-passing bench-new-users bench-frontier \
	bench-ingest bench-serve bench-explore bench-rating bench-trust bench-speed bench-scale test-lowest mutate clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# made anew when Python is another, so that a failed install is simply repeated by the stamps below
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "kgrec needs Python 3.11 or newer, and '$(PYTHON)' is none: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@

.venv: $(VENV)/installed-test  ## make the environment for development

demo: $(VENV)/installed-demo  ## show kgrec on the data that it ships
	$(BIN)/kgrec demo

test: lint  ## lint, check types and run the tests with coverage
	$(BIN)/python -m pytest --cov --cov-report=term-missing

# without KGREC_TEST_NEO4J_URI, a Neo4j of docker-compose.yml with a volume of its own, which the tests may empty
test-neo4j: $(VENV)/installed-test  ## run the tests of Neo4j against a real one
	@if [ -n "$$KGREC_TEST_NEO4J_URI" ]; then \
		exec $(BIN)/python -m pytest $(NEO4J_TESTS); \
	fi; \
	export NEO4J_PASSWORD=only-for-tests; \
	$(COMPOSE) up --detach --wait neo4j && \
	KGREC_TEST_NEO4J_URI=bolt://127.0.0.1:7687 KGREC_TEST_NEO4J_PASSWORD=$$NEO4J_PASSWORD \
	KGREC_TEST_NEO4J_MAY_DELETE=1 $(BIN)/python -m pytest $(NEO4J_TESTS); \
	status=$$?; $(COMPOSE) down --volumes; exit $$status

lint: $(VENV)/installed-test  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

docs: $(VENV)/installed-test  ## build the documentation into build/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs build/site

$(AUDIT)/installed: | $(BIN)/python
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet pip-audit cyclonedx-bom
	@touch $@

audit: $(AUDIT)/installed  ## look the pinned packages up among known vulnerabilities (needs a network)
	$(AUDIT)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

sbom: $(AUDIT)/installed $(VENV)/installed-test  ## list all packages of the environment in build/sbom.json (CycloneDX)
	@mkdir -p build
	$(AUDIT)/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-file build/sbom.json

format: $(VENV)/installed-test  ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-quality: $(VENV)/installed-test  ## measure how good the recommendations are
	$(BIN)/python -m benchmarks.quality

bench-message-passing: $(VENV)/installed-test  ## try graph neural networks against the closed form
	$(BIN)/python -m benchmarks.message_passing

bench-new-users: $(VENV)/installed-test  ## measure recommendations to users that arrive after the fit
	$(BIN)/python -m benchmarks.new_users

bench-frontier: $(VENV)/installed-test  ## measure and draw what it costs to show new items
	$(BIN)/python -m benchmarks.frontier

bench-ingest: $(VENV)/installed-test  ## measure reading and writing back
	$(BIN)/python -m benchmarks.ingest

bench-serve: $(VENV)/installed-test  ## measure how fast kgrec serves and takes in new items
	$(BIN)/python -m benchmarks.serve $(if $(DATA),--data $(DATA))

# RECBOLE is the Python of an environment with RecBole, numpy below 2 and scipy below 1.11; without it KGIN is left out
bench-speed: $(VENV)/installed-test  ## measure texts a second, and kgrec against its peers where DATA has the data
	$(BIN)/python -m benchmarks.texts
	$(if $(DATA),$(BIN)/python -m benchmarks.training --data $(DATA))
	$(if $(DATA),OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.peers --data $(DATA) $(if $(RECBOLE),--recbole $(RECBOLE)))

bench-scale: $(VENV)/installed-test  ## measure how time and memory grow up to a million items
	$(BIN)/python -m benchmarks.scale
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.cluster

bench-explore: $(VENV)/installed-test  ## measure whether the shares of edges are right, and how fast a hub is shown
	$(BIN)/python -m benchmarks.explore

bench-trust: $(VENV)/installed-test  ## damage, kill and cut, and count what is lost; read while others write
	$(BIN)/python -m benchmarks.trust
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.load --soak --seconds 600

bench-rating: $(VENV)/installed-test $(VENV)/installed-bench  ## measure how well ratings are predicted
	$(BIN)/python -m benchmarks.rating $(if $(DATA),--data $(DATA))

$(LOWEST)/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(LOWEST)/bin/python -m pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	@touch $@

# old releases warn of what has changed since: here their warnings are no errors
test-lowest: $(LOWEST)/installed  ## run the tests with the oldest releases that kgrec accepts
	$(LOWEST)/bin/python -m pytest -W default

$(MUTATED)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(MUTATED)
	$(MUTATED)/bin/python -m pip install --quiet --upgrade pip
	$(MUTATED)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test]' 'mutmut>=3.8'
	@touch $@

mutate: $(MUTATED)/installed  ## change the code bit by bit, and list the changes that no test noticed
	$(MUTATED)/bin/mutmut run
	$(MUTATED)/bin/mutmut results

clean:  ## delete the environments and what the tools leave
	rm -rf $(VENV) $(LOWEST) $(AUDIT) $(MUTATED) mutants build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
