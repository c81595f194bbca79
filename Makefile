# make demo   set up, then the main job on the sounds that ship
# make test   set up, then every test
# make lint   style, types and the import order of the rooms
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_FLAGS ?=
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: setup demo test lint

setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/tf-diet demo --overwrite $(DEMO_FLAGS)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check tf_diet tests examples docs
	$(BIN)/ruff format --check tf_diet tests examples docs
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
