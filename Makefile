# `make demo` sets up and cuts out two photos; `make test` sets up and runs every test, `make coverage` too and shows
# which lines they reach; `make docs` builds the site into site/.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
JOBS ?= 2

RUN = $(VENV)/bin/python -m
INSTALL = $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test coverage lowest lint docs clean

demo: $(VENV)/.demo
	$(VENV)/bin/python examples/demo.py $(OUT)

test: $(VENV)/.dev
	$(RUN) pytest -n $(JOBS) --dist worksteal

coverage: $(VENV)/.dev
	$(RUN) pytest -n $(JOBS) --dist worksteal --cov --cov-report term --cov-report html:$(OUT)/coverage

# Without the extras, on the oldest versions of what it needs.
lowest: $(VENV)-lowest/.ready
	$(VENV)-lowest/bin/python examples/demo.py $(OUT)
	$(VENV)-lowest/bin/python -m pytest tests/test_cutout.py tests/test_trimap.py tests/test_composite.py tests/planes tests/images

lint: $(VENV)/.dev
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	@$(RUN) numpydoc lint $$(find src -name '*.py')

docs: $(VENV)/.docs docs/gallery/.made
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

docs/gallery/.made: docs/make_gallery.py $(shell find examples src/trimatte -name '*.py' -o -name '*.onnx') | $(VENV)/.docs
	$(VENV)/bin/python docs/make_gallery.py
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest $(OUT) build dist site docs/gallery

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
	  { echo 'trimatte needs Python 3.11 to 3.14 with its module venv; name one by `make PYTHON=...`' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)-lowest/.ready: pyproject.toml lowest.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || \
	  { echo 'the oldest versions need Python 3.11 or 3.12' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint lowest.txt --editable '.[demo]' 'pytest>=8' 'hypothesis>=6.100'
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.demo $(VENV)/.docs

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) '.[docs]'
	@touch $@ $(VENV)/.demo
