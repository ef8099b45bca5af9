# One target, one question. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Losses of networks are recorded every epoch: between points far apart a rise would go unseen, and
# what a rise amplifies is compared less strictly on another processor. The others stay small.
NETWORKS := experiments/averaged-weights.toml experiments/edge-of-stability.toml \
	experiments/mlp-optimizers.toml experiments/optimizers-2026.toml experiments/quantization.toml \
	experiments/quickstart-cnn.toml experiments/sklearn-mlp.toml
# Images that do not travel with gdcli, and what needs an extra: not to be verified everywhere.
ELSEWHERE := experiments/cnn-fashion.toml experiments/yolo26-shapes.toml
OTHERS := $(filter-out $(NETWORKS) $(ELSEWHERE),$(wildcard experiments/*.toml))

# On every core; the tests of a file stay together, for they share what is made once.
PYTEST := $(BIN)/python -m pytest -n logical --dist loadfile
# Hundreds of processes import gdcli, which is to be compiled once.
unexport PYTHONDONTWRITEBYTECODE

MLFLOW := .venv/mlflow/bin/mlflow

.PHONY: help setup demo test test-rest test-all test-ray ray test-export exports test-yolo yolo test-oracles oracles words faults lint verify reference docs gallery bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

setup: $(INSTALLED)  ## make .venv with gdcli and all that the other targets need

# Made once; refreshed when what it is made from changes.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: PYTHON: " + sys.version.split()[0] + " is too old; make PYTHON=python3.11 or later")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(PIP) -e ".[dev]"
	@touch $@

demo: setup  ## run the two quickstart experiments
	$(BIN)/gdcli sweep experiments/quickstart-linear.toml experiments/quickstart-cnn.toml

# What is slow is said in tests/slow.py.
test: setup  ## run the tests to run often, in some minutes: every law, few examples, one browser page
	$(PYTEST) -m 'not slow' --hypothesis-profile=quick

test-rest: setup  ## run what make test leaves out: slow tests, and properties on more examples
	$(PYTEST) -m 'slow or hypothesis'

test-all: setup  ## run all tests, with branch coverage
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

test-ray: ray  ## run the tests that need a Ray cluster, on three nodes of this machine
	$(BIN)/python -m pytest tests/ray

ray: $(INSTALLED)-ray  ## add what --executor ray needs to .venv

$(INSTALLED)-ray: $(INSTALLED)
	$(PIP) -e ".[ray]"
	@touch $@

test-export: exports  ## run the tests of export with every tool, MLflow on a server of its own
	MLFLOW_SERVER="$(CURDIR)/$(MLFLOW)" $(BIN)/python -m pytest tests/exports tests/cli/keep/test_export.py

exports: $(INSTALLED)-exports $(MLFLOW)  ## add what gdcli export needs to .venv, and what its tests read with

$(INSTALLED)-exports: $(INSTALLED)
	$(PIP) -e ".[mlflow,parquet,tensorboard]" tensorboard torchao
	@touch $@

# All of MLflow wants an older pyarrow than ours: the server has packages of its own.
$(MLFLOW): | $(INSTALLED)
	$(PYTHON) -m venv .venv/mlflow
	.venv/mlflow/bin/python -m pip install --quiet --disable-pip-version-check mlflow==3.17.2

# Two ways to the same step are compared in float32, whose rounding each step makes ten times as large:
# MKL rounds alike on every processor.
test-yolo: yolo  ## run the tests that need Ultralytics (AGPL-3.0); some minutes of training
	MKL_CBWR=COMPATIBLE $(BIN)/python -m pytest tests/yolo

yolo: $(INSTALLED)-yolo  ## add what the problem yolo26 needs to .venv, under the AGPL-3.0

# Without its dependencies, of which training needs only these few.
$(INSTALLED)-yolo: $(INSTALLED)
	$(PIP) --no-deps torchvision ultralytics-opencv-headless ultralytics-thop
	$(PIP) opencv-python-headless pillow pyyaml requests psutil
	@touch $@

test-oracles: oracles  ## compare every rule with the packages of others, in float64
	$(BIN)/python -m pytest tests/oracles

oracles: $(INSTALLED)-oracles  ## add the packages that rules are compared with to .venv

$(INSTALLED)-oracles: $(INSTALLED)
	$(PIP) -e ".[oracles]"
	@touch $@

words: setup  ## print how often the words for trials are right, against runs ten times as long
	$(BIN)/python -m tests.words

faults: setup  ## break runs at every system call and with kill -9, and count what was lost
	$(BIN)/python -m tests.faults

lint: setup  ## check style, format, types and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy gdcli tests benchmarks
	$(BIN)/lint-imports

verify: setup  ## run the committed runs of results/reference again and compare
	@status=0; for run in results/reference/*/; do \
		echo "$$run"; $(BIN)/gdcli verify "$$run" --quiet || status=$$?; done; exit $$status

reference: setup  ## make results/reference anew, after a change that is meant to change results
	$(BIN)/gdcli sweep $(OTHERS) --set record=log -o results/reference --overwrite
	$(BIN)/gdcli sweep $(NETWORKS) -o results/reference --overwrite

docs: setup  ## write the reference of every command, problem and rule to build/docs, and the schema of experiments
	$(BIN)/gdcli schema -o experiments/gdcli.schema.json
	$(BIN)/python docs/build.py build/docs

gallery: setup  ## draw the pictures of docs/gallery anew, each from a run of its experiment
	$(BIN)/python docs/pictures.py docs/gallery

bench: setup  ## race against what a user would pick instead; writes benchmarks/ on idle cores
	$(PIP) -e ".[bench]"
	$(BIN)/python -m benchmarks

clean:  ## remove .venv and whatever the tools left; results stay
	rm -rf .venv build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
