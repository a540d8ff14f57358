# Everything runs in the project's own .venv, set up from pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TERRAFORM := $(shell command -v terraform || command -v tofu || echo terraform)

.PHONY: demo test lab bench lint setup programs control-plane docs requirements clean help

help:  ## what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: control-plane  ## rehearse the whole journey on this machine, without an AWS account
	$(BIN)/jarkkit run demo --sandbox

test: programs  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

lab: control-plane  ## open the notebooks in JupyterLab, as a rehearsal
	$(BIN)/jarkkit lab --sandbox

bench: programs  ## measure speed and memory, side by side with the bare tools
	$(BIN)/python -m benchmarks.clusters
	$(BIN)/python -m benchmarks.addons
	$(BIN)/python -m benchmarks.preflight --peer
	$(BIN)/python -m benchmarks.ui
	$(BIN)/python -m benchmarks.progress
	$(BIN)/python benchmarks/run.py

lint: setup  ## style, types, layers, Terraform, notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(TERRAFORM) -chdir=terraform fmt -check -recursive
	$(BIN)/python -m pytest -q tests/e2e/test_terraform.py -k valid
	$(BIN)/python -m nbstripout --verify notebooks/*.ipynb

programs: setup  ## find or build Kubernetes and the operators for the sandbox (once per machine)
	@$(BIN)/jarkkit sandbox setup

# Operators are built when a pod wants one.
control-plane: setup
	@$(BIN)/jarkkit sandbox setup --no-operators

docs: setup  ## write the generated pages of docs/
	$(BIN)/python -m jarkkit.docs

requirements:  ## pin every package again (needs uv)
	uv pip compile pyproject.toml --extra dev -o requirements.txt --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "jarkkit needs Python 3.11 or newer; name it: make PYTHON=python3.12"; exit 2; }
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (once; about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

clean:  ## remove the virtual environment and caches; deployments stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
