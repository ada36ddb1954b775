# The commands of this repository. They need Python 3.11 or newer with venv, make, and a package index; no Docker,
# PostgreSQL or Redis. ARGS passes arguments on: make test ARGS='-k fastq', make up ARGS='--port 8000'.

VENV := .venv
BIN := $(VENV)/bin
# Named, as ruff would format the code blocks of the docs as well.
SOURCES := client service workers migrations tests bench examples tools
DISTRIBUTIONS := client/pyproject.toml service/pyproject.toml workers/pyproject.toml

# The versions in constraints.txt hold for the build tools as well, so builds take them from the environment.
PIP := PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --disable-pip-version-check --no-input -qq \
	--no-build-isolation -c constraints.txt

.PHONY: help demo up test test-all check format bench screenshots clean
.DEFAULT_GOAL := help

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.runtime ## Cut a FASTQ file into slices and show that they hold every read once
	@$(BIN)/python examples/demo.py $(ARGS)

up: $(VENV)/.runtime ## Run the whole service on this machine, with its data in .slicery
	@$(BIN)/slicery-service up $(ARGS)

test: $(VENV)/.dev ## Run all tests but the exhaustive ones; ARGS='-k fastq' passes arguments on
	@$(BIN)/python -m pytest -m 'not exhaustive' $(ARGS)

test-all: $(VENV)/.dev ## Run all tests, whatever ARGS says
	@$(BIN)/python -m pytest

check: $(VENV)/.dev ## Check format, style, types and the direction of imports
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: $(VENV)/.dev ## Run the benchmarks
	@for script in $$(grep -l "^if __name__" bench/*.py); do echo "== $$script"; $(BIN)/python $$script $(ARGS) || exit 1; done

screenshots: $(VENV)/.dev ## Take pictures of the catalog's pages for docs/screenshots; needs Chromium
	@PYTHONPATH=tests $(BIN)/python tools/screenshots.py $(ARGS)

clean: ## Remove the environment, caches, builds and the data of `make up`
	rm -rf $(VENV) .slicery build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		"$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "Making $(VENV) with $$("$$python" --version) …"; \
		"$$python" -m venv $(VENV) && touch $@ && exit 0; \
		rm -rf $(VENV); exit 1; \
	done; \
	echo 'Slicery needs Python 3.11 or newer with venv (Debian: apt install python3-venv), and found none:' >&2; \
	echo 'install it, or name one: make PYTHON=/path/to/python3' >&2; exit 1

$(VENV)/.runtime: $(VENV)/.python $(DISTRIBUTIONS) constraints.txt
	@echo 'Installing the client, the service, its servers and the workers, about a minute …'
	@$(PIP) hatchling editables
	@$(PIP) -e 'client[cli]' -e 'service[embedded]' -e workers
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime dev-requirements.txt
	@echo 'Installing what tests and checks need …'
	@$(PIP) -r dev-requirements.txt
	@touch $@
