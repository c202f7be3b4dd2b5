# `make demo` sets up and cuts out two photos; `make test` sets up and runs every test.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
JOBS ?= 2

RUN = $(VENV)/bin/python -m
INSTALL = $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test lint clean

demo: $(VENV)/.base
	$(VENV)/bin/python examples/demo.py $(OUT)

test: $(VENV)/.dev
	$(RUN) pytest -n $(JOBS)

lint: $(VENV)/.dev
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

clean:
	rm -rf $(VENV) $(OUT) build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
	  { echo 'trimatte needs Python 3.10 to 3.13 with its module venv; name one by `make PYTHON=...`' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.base
