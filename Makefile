# Two commands: `make lab` brings a real node up on this machine, `make test` proves the house.
VENV ?= .venv
export VENV
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HERE := not sweep and not vm and not gpu and not molecule
LAB := $(or $(PROVISION_LAB),.lab)
# As many tests at once as there are processors; the tests of one file stay together, because they share nodes.
AT_ONCE := --numprocesses=auto --maxprocesses=8 --dist=loadfile

.PHONY: help lab test unit nightly lint docs golden vm vm-quick gpu sweep molecule lint-ansible clean distclean
.DEFAULT_GOAL := help

help:
	@echo 'make lab        a lab node up, brought to its declared state and verified (root)'
	@echo 'make test       lint, types, unit and lab tiers; what cannot run here is skipped and named'
	@echo 'make unit       the unit tier alone: no root, seconds'
	@echo 'make nightly    the properties of the unit tier with 10,000 cases each; a quarter of an hour and more'
	@echo 'make lint       ruff and mypy'
	@echo 'make vm         virtual machines with kernels of their own (root; the first time builds their disks)'
	@echo 'make vm-quick   its two quickest proofs; two minutes once the disk is built'
	@echo 'make gpu        what is asked of a GPU, on this machine, which has one; changes nothing on it'
	@echo 'make sweep      the full sweep of kills and power cuts (root)'
	@echo 'make molecule   every Molecule scenario, then every one with a broken role (root)'
	@echo 'make lint-ansible  ansible-lint and ansible-test sanity over the collection; a minute or two, pip downloads once'
	@echo 'make docs       write the generated pages anew'
	@echo 'make golden     write the kept plans of the support table anew, for a person to look at the difference'
	@echo 'make clean      take the lab away, and caches; ledger and evidence in .provision stay'
	@echo 'make distclean  clean, and the virtual environments'

$(READY): pyproject.toml scripts/venv
	@scripts/venv $(VENV)
	@touch $@

lab: $(READY)
	@scripts/lab

test: lint
	@echo "not part of this: $(HERE) (make sweep and make vm run them)"
	@$(BIN)/python -m pytest $(AT_ONCE) -m '$(HERE)' tests/lab tests/unit

unit: $(READY)
	@$(BIN)/python -m pytest -q $(AT_ONCE) tests/unit

nightly: $(READY)
	@$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=nightly tests/unit

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(READY)
	@$(BIN)/python -m provision.cli.exits >docs/exit-codes.md
	@$(BIN)/python scripts/readme_plan.py

golden: $(READY)
	@$(BIN)/python tests/unit/golden_plans.py

vm: $(READY)
	@$(BIN)/python -m pytest -m vm tests/vm

vm-quick: $(READY)
	@$(BIN)/python -m pytest -m vm -k 'told_apart or keep_what' tests/vm/test_machines.py

gpu: $(READY)
	@$(BIN)/python -m pytest -m gpu tests/gpu

sweep: $(READY)
	@$(BIN)/python -m pytest -m sweep tests/lab

molecule: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[molecule]' </dev/null
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/molecule test --all
	@$(BIN)/python -m pytest -m molecule tests/lab

lint-ansible: $(READY)
	@$(BIN)/python -m pytest -m collection tests/collection

clean:
	@if [ -d '$(LAB)' ]; then $(MAKE) -s $(READY) && \
	  for state in '$(LAB)'/tests/*/ '$(LAB)'/tests-vm/*/; do \
	    [ ! -d "$$state" ] || PROVISION_LAB=$$state $(BIN)/provision lab clean || exit; \
	  done && $(BIN)/provision lab clean; fi
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	@find provision roles tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv .venv-*
