# Every target does its own set-up: all that a machine needs is make and a Python >= 3.11 with venv.
#   make test PYTHON=python3.13 VENV=.venv-3.13    another interpreter, beside the first

SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
# Tried by running it: a name on the PATH can be a shim with no interpreter behind it.
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-scaffold check format aio docs bench clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 23

demo: $(VENV)/.installed-all  ## see orders, payouts and failures run against local sandboxes of all providers
	@$(BIN)/gateway demo

test: $(VENV)/.installed-dev  ## run the tests, with coverage by branch
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-scaffold: $(VENV)/.installed-dev  ## generate providers, install them into a clean environment and run them
	$(BIN)/python .ci/test_scaffold.py

check: $(VENV)/.installed-dev  ## format, lint, strict types, import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

aio: $(VENV)/.installed-dev  ## write gateway/aio.py anew from gateway/api.py
	$(BIN)/python .ci/generate_aio.py

docs: $(VENV)/.installed-dev  ## write the generated pages anew, and build the documentation into site/
	@for page in settings failures reference providers diagrams; do $(BIN)/python .ci/generate_$$page.py || exit; done
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Built site/index.html"

bench: $(VENV)/.installed-dev  ## measure what the gateway costs, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean:  ## remove the environment, caches and built files
	rm -rf .venv .coverage* htmlcov build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of extras, older than pyproject.toml when there is something to install again.
$(VENV)/.installed-%: pyproject.toml | $(VENV)/.created
	@echo "Installing crypto-gateway[$*] into $(VENV) (once; this can take a minute) ..."
	@$(PIP) install --editable ".[$*]"
	@touch $@

$(VENV)/.created:
	@for python in $(CANDIDATES); do \
		if "$$python" -c '$(SUITABLE)' >/dev/null 2>&1; then \
			echo "Creating $(VENV) with $$("$$python" --version) ..."; \
			"$$python" -m venv $(VENV) && touch $@ && exit 0; \
			exit 1; \
		fi; \
	done; \
	echo "No suitable Python: tried $(CANDIDATES). Python 3.11 or newer with its venv module is needed" >&2; \
	echo "(on Debian and Ubuntu: the package python3-venv). Name one with: make PYTHON=/path/to/python3" >&2; \
	exit 1
