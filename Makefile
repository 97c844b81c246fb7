# Everything sets itself up: these need Python 3.11 or newer and make, nothing else.

PIP = -m pip --disable-pip-version-check --no-input install --quiet -c constraints.txt
SOURCES = $(shell find src -type f ! -name '*.pyc')

# The first interpreter that is new enough; PYTHON=/path/to/python chooses another.
PYTHON = $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$name; break; fi; done)

.PHONY: help demo test lint docs bench clean

help:
	@echo "make demo             segment a real fundus photograph with the bundled model (core install, no torch)"
	@echo "make test             style, types, floors of the code, and all tests"
	@echo "make docs             build the documentation into site/"
	@echo "make bench NAME=...   run one script of benchmarks/ (ARGS=... for its options)"
	@echo "make clean            remove the virtual environments and what was built"

demo: .venv-demo/ready
	@.venv-demo/bin/leanseg demo --out demo-output

test: lint
	@echo "Tests"
	@.venv/bin/python -m pytest

lint: .venv/ready
	@echo "Style, types, floors"
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

docs: .venv/ready-docs
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html"

bench: .venv/ready
	@if [ ! -f "benchmarks/$(NAME).py" ]; then echo "Give a NAME:"; ls benchmarks/*.py | sed 's|benchmarks/|  |; s|\.py$$||'; exit 2; fi
	@.venv/bin/python "benchmarks/$(NAME).py" $(ARGS)

clean:
	rm -rf .venv .venv-demo demo-output site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# The demo's environment holds the package as users install it, so a changed source is installed again.
.venv-demo/ready: pyproject.toml constraints.txt $(SOURCES)
	@$(call environment,.venv-demo)
	@echo "Installing the core of leanseg and scikit-image (its photograph) into .venv-demo"
	@.venv-demo/bin/python $(PIP) '.[demo]'
	@touch $@

.venv/ready: pyproject.toml constraints.txt
	@$(call environment,.venv)
	@echo "Installing leanseg with everything for training and tests into .venv; torch is large, the first time takes minutes"
	@.venv/bin/python $(PIP) --editable '.[dev]'
	@touch $@

.venv/ready-docs: .venv/ready
	@echo "Installing what builds the documentation into .venv"
	@.venv/bin/python $(PIP) --editable '.[docs]'
	@touch $@

define environment
if [ -z "$(PYTHON)" ]; then echo "leanseg needs Python 3.11 or newer; found none. Install it, or give make PYTHON=/path/to/python"; exit 1; fi; \
if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then echo "leanseg needs Python 3.11 or newer; $(PYTHON) is older or does not run"; exit 1; fi; \
$(1)/bin/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(1) || \
{ echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
endef
