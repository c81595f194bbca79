# SPDX-License-Identifier: MIT
# make demo   set up, then the main job on the sounds that ship
# make test   set up, then every test
# make test-fast    what a change may break, in three minutes
# make test-jax     the core's tests on the JAX backend
# make test-oldest  the same on the oldest Keras that setup.cfg admits
# make test-convert-jax  conversion where TensorFlow is not installed
# make lint   style, types and the import order of the rooms
# make docs   the docs site, into build/site
# make notebooks    run the notebooks and keep what they print
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_FLAGS ?=
export TF_CPP_MIN_LOG_LEVEL ?= 2

# The oldest Keras is the one that setup.cfg names.
OLDEST := .venv-oldest
LITERT := .venv-litert
KERAS := $(shell sed -n 's/^ *keras>=//p' setup.cfg)
# On JAX every operation is compiled for every shape: hours for deep models.
CORE_TESTS := tests/criteria tests/graph tests/rules tests/pruning tests/laws \
	--ignore=tests/laws/test_deep_applications.py
JAX_TESTS ?= $(CORE_TESTS) tests/data

.PHONY: setup demo test test-fast test-jax \
	test-convert-jax test-oldest lint docs notebooks

setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/tf-diet demo --overwrite $(DEMO_FLAGS)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-jax: setup
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 $(JAX_TESTS)

$(OLDEST)/.ready: setup.cfg
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --editable '.[jax]' keras==$(KERAS) \
		pytest pytest-xdist hypothesis scikit-learn
	touch $@

# LiteRT's converter wants older packages than the rest: apart from it.
$(LITERT)/.ready: setup.cfg
	$(PYTHON) -m venv $(LITERT)
	$(LITERT)/bin/pip install --quiet --editable '.[convert-jax,quantizer]' \
		pytest pytest-xdist hypothesis
	touch $@

test-convert-jax: $(LITERT)/.ready
	KERAS_BACKEND=jax $(LITERT)/bin/python -m pytest tests/convert/test_on_jax.py

test-oldest: $(OLDEST)/.ready
	KERAS_BACKEND=jax $(OLDEST)/bin/python -m pytest -n 2 $(CORE_TESTS)

lint: setup
	$(BIN)/ruff check tf_diet tests examples benchmarks tools
	$(BIN)/ruff format --check tf_diet tests examples benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

notebooks: setup
	$(BIN)/python tools/run_notebooks.py
