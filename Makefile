# Every target sets up .venv by itself; a second call installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo

.PHONY: demo test lint site proofs bench clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: pyproject.toml constraints.txt procgen.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement procgen.txt
	@touch $@

demo: $(VENV)/.installed  ## toys, two trainings, one page: some 3 minutes on 2 cores
	$(BIN)/mdpo demo --output $(OUT)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(VENV)/.installed lint
	$(BIN)/pytest -n 2 --dist loadfile

site: $(VENV)/.installed  ## the documentation: build/site/index.html, under a minute
	$(BIN)/sphinx-build -c docs/site -b html -d build/doctrees -j 2 -n -W --keep-going --quiet . build/site
	@echo build/site/index.html

proofs:  ## Coq checks every proof from clean: about a minute, without .venv
	$(PYTHON) proofs/check.py

bench: $(VENV)/.installed
	$(BIN)/pytest benchmarks --benchmark-enable --benchmark-only --doctest-glob='' -m 'not slow'

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
