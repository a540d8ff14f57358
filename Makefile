# Everything runs in the project's own .venv, set up from pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Most tests wait for something: two cores are busy with four of them.
WORKERS ?= 4

.PHONY: demo check test lab bench lint style setup programs opentofu control-plane docs site outdated digests requirements clean help

help:  ## what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: control-plane  ## rehearse the whole journey on this machine, without an AWS account
	$(BIN)/jarkkit run demo --sandbox

check: style  ## what a few minutes can check: style, types, layers, tests without an account
	$(BIN)/python -m pytest -q -n 2 --without-sandbox tests/unit tests/kit
	$(BIN)/python -m pytest -q tests/unit/sandbox

test: programs opentofu  ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lab: control-plane  ## open the notebooks in JupyterLab, as a rehearsal
	$(BIN)/jarkkit lab --sandbox

bench: programs  ## measure speed and memory, side by side with the bare tools
	$(BIN)/python -m benchmarks.clusters
	$(BIN)/python -m benchmarks.addons
	$(BIN)/python -m benchmarks.preflight --peer
	$(BIN)/python -m benchmarks.ui
	$(BIN)/python -m benchmarks.progress
	$(BIN)/python -m benchmarks.validation
	$(BIN)/python -m benchmarks.run

style: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lint: style  ## style, types, layers, Terraform, notebooks
	"$$($(BIN)/python -m tools.terraform_path)" -chdir=terraform fmt -check -recursive
	$(BIN)/python -m nbstripout --verify notebooks/*.ipynb

programs: setup  ## find or build Kubernetes and the operators for the sandbox (once per machine)
	@$(BIN)/jarkkit sandbox setup

# The tests rehearse with Terraform and with OpenTofu.
opentofu: setup
	@$(BIN)/jarkkit sandbox setup --only-opentofu

# Operators are built when a pod wants one.
control-plane: setup
	@$(BIN)/jarkkit sandbox setup --no-operators

docs: setup  ## write the generated pages of docs/ and the sandbox's extract of AWS' tables
	$(BIN)/python -m tools.action_reference
	$(BIN)/python -m tools.reference_pages

site: control-plane  ## build the documentation site, with an executed rehearsal, into site/
	$(BIN)/python -m tools.site

outdated: setup  ## list pinned versions, prices and dates that have aged
	$(BIN)/python -m tools.outdated

digests: setup  ## fill in the checksums of charts in the catalog
	$(BIN)/python -m tools.chart_digests

requirements:  ## pin every package again (needs uv)
	uv pip compile pyproject.toml --extra sandbox --extra dev --extra docs -o requirements.txt --universal \
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
