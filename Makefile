# `make help` lists what can be done. Everything runs in $(VENV), which is made on first use.

PYTHON ?= python3
VENV ?= .venv
DEMO_OUTPUT ?= demo-output
TEST_WORKERS ?= 2
FUZZ_CASES ?= 10000
FUZZ_SEED ?= 0
TESTS ?= tests
TORCH ?= torch

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Which versions go into $(VENV). torch goes first and alone: its version is settled before anything else can ask for
# another one. pip has no way to ask for the lowest versions; uv has.
VERSIONS ?= pinned
INSTALL_pinned = $(PIP_INSTALL) -c constraints.txt torch && $(PIP_INSTALL) -c constraints.txt -e ".[dev]"
INSTALL_newest = $(PIP_INSTALL) "$(TORCH)" && $(PIP_INSTALL) --upgrade --upgrade-strategy eager "$(TORCH)" -e ".[dev]"
INSTALL_lowest = $(PIP_INSTALL) uv && \
	$(BIN)/uv pip install -q --python $(BIN)/python --resolution lowest-direct -e ".[dev]"

# One thread for each test worker, and no test reaches out to the network.
TEST_ENV := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(TESTS)

.DEFAULT_GOAL := help
.PHONY: help install demo space test test-slow test-kill fuzz test-lowest test-newest test-package lint types docs \
	docs-serve check format clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make the virtual environment and install the package in it

demo: $(INSTALLED)  ## make toy recordings, train on them, test, save, load back, and find the emotions of one recording
	@$(BIN)/joyful demo --output-dir $(DEMO_OUTPUT) --overwrite-output-dir

space: $(INSTALLED)  ## show the Space in a browser, with the demo's checkpoint (made first where there is none)
	@test -f $(DEMO_OUTPUT)/model/train_results.json || $(MAKE) --no-print-directory demo
	@$(BIN)/python examples/space/app.py --any-checkpoint $(DEMO_OUTPUT)/model

test: $(INSTALLED)  ## run the tests, except the slow ones
	@$(PYTEST) -m "not slow"

test-slow: $(INSTALLED)  ## run the slow tests
	@$(PYTEST) -m slow

test-kill: $(INSTALLED)  ## kill training at random moments and while it saves; the same command has to end with the same bits
	@$(TEST_ENV) $(BIN)/python -m tests.support.killing $(KILL_OPTIONS)

fuzz: $(INSTALLED)  ## let every loader read damaged files, FUZZ_CASES in all
	@$(TEST_ENV) $(BIN)/python -m tests.fuzz --cases $(FUZZ_CASES) --seed $(FUZZ_SEED)

test-lowest:  ## run them with the lowest versions that pyproject.toml allows, in an environment of their own
	@$(MAKE) --no-print-directory test VENV=$(VENV)-lowest VERSIONS=lowest

test-newest:  ## run them with the newest versions of everything, in an environment of their own
	@rm -f $(VENV)-newest/.installed  # what was the newest then
	@$(MAKE) --no-print-directory test VENV=$(VENV)-newest VERSIONS=newest

test-package: $(INSTALLED)  ## build wheel and sdist, and try them in bare environments: without extras, with each alone
	@$(PIP_INSTALL) uv
	@$(BIN)/python tests/support/bare_environments.py $(EXTRAS)

lint: $(INSTALLED)  ## check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)  ## check types
	@$(BIN)/ty check --python $(VENV)

docs: $(INSTALLED)  ## build the documentation into docs/_build/html; no network is needed
	@HF_HUB_OFFLINE=1 $(BIN)/python -m sphinx -q -E -W --keep-going docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

docs-serve: docs  ## build the documentation and serve it on http://127.0.0.1:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build/html 8000

check: lint types docs test  ## lint, types, docs and test

format: $(INSTALLED)  ## mend style and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove everything that make made
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest $(DEMO_OUTPUT) test-screenshots docs/_build build dist *.egg-info .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is older: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL_$(VERSIONS))
	@touch $@
