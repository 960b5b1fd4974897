# kikibouba. `make demo` turns a drawing into a tune; `make test` checks everything.
# Both set up all they need in .venv, and do that only once.

PYTHON ?= python3
# "The newest torch in range" may be a build of several GB; this one is installed first, whatever else is asked for.
TORCH ?= 2.13.0
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NODE := tests/interop/node tests/web/node
NODE_STAMPS := $(NODE:%=%/node_modules/.package-lock.json)
SOURCES := src tests examples runs benchmarks docs

.DEFAULT_GOAL := help
.PHONY: help setup demo serve check test docs bench clean chromium

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/dev.stamp ## install the package and its development tools into .venv

demo: $(VENV)/run.stamp ## a drawing becomes a tune, a tune becomes a drawing (files in out/)
	@mkdir -p out
	$(BIN)/kikibouba translate examples/sheep.svg --to melody -o out/sheep.mid --also wav,png
	$(BIN)/kikibouba translate out/sheep.mid --to sketch -o out/sheep_back.svg --also png

serve: $(VENV)/run.stamp ## the studio, a web page on this machine
	@$(BIN)/python -c 'import fastapi, uvicorn' 2>/dev/null || $(PIP) --editable '.[web]'
	$(BIN)/python -m kikibouba serve

check: setup ## lint, formatting and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyrefly check

test: check $(NODE_STAMPS) chromium ## check, then every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

docs: setup chromium ## redraw the pictures in docs/img, then check every link and command in the docs
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_screenshots.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/docs

bench: setup ## speed and memory, one report a script
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script; done

# The JavaScript libraries that run what is exported, and that check the page. Without npm, and without the right to
# install it, their tests are skipped and say so.
$(NODE_STAMPS): %/node_modules/.package-lock.json: %/package-lock.json
	@command -v npm >/dev/null || { apt-get update -qq && apt-get install -y -qq nodejs npm >/dev/null; } || true
	@! command -v npm >/dev/null || { npm ci --prefix $* --ignore-scripts --no-audit --no-fund --silent && touch $@; }

# The browser that the page is tested in. Without one, and without the right to install it, those tests are skipped.
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || true

clean: ## remove what the commands above made
	rm -rf $(VENV) out dist build .pytest_cache .ruff_cache .hypothesis

# A virtual environment whose Python is new enough.
$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "kikibouba needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

# What running needs.
$(VENV)/run.stamp: $(VENV)/python.stamp pyproject.toml
	@echo "installing kikibouba into $(VENV): a minute or a few, once"
	$(PIP) torch==$(TORCH)
	$(PIP) --editable .
	@touch $@

# What development needs besides.
$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP) --editable '.[dev]'
	@touch $@
