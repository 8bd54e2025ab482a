# Two commands on a fresh machine: `make demo` and `make test`. Both make .venv when it is not there.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --use-pep517 --constraint constraints.txt

# A file of tests is run by one process: what its tests share is made once.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-all check bench clean

help:
	@echo "make demo      install into .venv, index sample_library, render a film from a sample script"
	@echo "make test      ruff, mypy (strict) and the quick tests"
	@echo "make test-all  the same with the long tests"
	@echo "make check     ruff and mypy alone"
	@echo "make bench     every benchmark, one after the other"

# The marks are files: an install runs again only when what it installs from changes.
$(VENV)/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "montage needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing montage into $(VENV) (some minutes the first time)"
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/made pyproject.toml constraints.txt
	@echo "installing montage and what its tests need into $(VENV) (some minutes the first time)"
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/installed

demo: $(VENV)/installed
	$(BIN)/montage build-index sample_library
	@mkdir -p out
	$(BIN)/montage render sample_library/script.txt --library sample_library --size 1280x720 --output out/demo.mp4

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: check
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

bench: $(VENV)/installed-test
	for name in startup boundaries looks indexing encoding search second_run scale solver stability cutting matching alignment rendering finishing reedit main_path; do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
