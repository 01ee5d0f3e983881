# The daily verbs. `make help` lists them; each expands to the `pahcl` lines that it prints.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Installation. On a GPU machine: make setup CONSTRAINTS= takes the newest torch for your platform.
VENV ?= .venv
CONSTRAINTS ?= requirements/constraints.txt
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c '$(OLD_ENOUGH)' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
PAHCL := $(BIN)/pahcl

# What to run. RECIPE: a file of configs/pretrain/ (with or without its _<data set>), TASK: of
# configs/finetune/, STRATEGY: of configs/strategy/, TRAINER: of configs/trainer/, SIZE: paper
# or a file of configs/size/, PROTOCOL: a folder of configs/protocol/ (FRACTION: one of its files),
# SWEEP: a file of configs/sweep/, of which WORKERS runs go side by side.
# ARGS: anything more, as `pahcl fit` takes it.
RECIPE ?= supervised
TASK ?= code15_af
STRATEGY ?= full
FRACTION ?= 0.1
PROTOCOL ?= cinc2024
TRAINER ?= cpu
SWEEP ?= adversarial
WORKERS ?= 1
ARGS ?=
RECIPE_FILE = $(firstword $(wildcard configs/pretrain/$(RECIPE).yaml configs/pretrain/$(RECIPE)_*.yaml))
PRETRAINED = runs/pretrain/$(basename $(notdir $(RECIPE_FILE)))$(SUFFIX)/checkpoints/best.ckpt
PRETRAINED_RECEIPT = $(PRETRAINED:checkpoints/best.ckpt=receipt.json)
FROM ?= $(PRETRAINED)

# Real data where PAHCL_DATA (or data/) holds both corpora, else simulated ones and a small network.
REAL := $(or $(PAHCL_DATA),data)
HAS_REAL := $(and $(wildcard $(REAL)/ptb-xl/ptbxl_database.csv),$(wildcard $(REAL)/code15/exams.csv))
SIMULATED := data/simulated
ifneq ($(HAS_REAL),)
  USED := $(REAL)
  STORES ?= $(or $(PAHCL_STORES),stores)
  SIZE ?= paper
  SUFFIX :=
else
  USED := $(SIMULATED)
  STORES ?= $(SIMULATED)/stores
  SIZE ?= small
  SUFFIX := -simulated
endif
SIZE_CONFIG = $(if $(filter paper,$(SIZE)),,--config configs/size/$(SIZE).yaml)
ENVIRONMENT = PAHCL_DATA=$(USED) PAHCL_STORES=$(STORES)
SAY = echo "Data: $(if $(HAS_REAL),$(USED),simulated ($(USED)), since $(REAL) holds no ptb-xl and code15). Size: $(SIZE)."

COMPLETE = grep -qs '"complete": true' $(1)/simulation.json

.PHONY: help setup demo pretrain finetune sweep test lint typecheck bench clean simulated known-recipe known-task known-machine known-sweep

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## make .venv and install pahcl with its tools

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or name it: make setup PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

simulated: setup
	$(call COMPLETE,$(SIMULATED)/ptb-xl) || $(PAHCL) simulate ptbxl --out $(SIMULATED)/ptb-xl --records 1000 --seed 1
	$(call COMPLETE,$(SIMULATED)/code15) || $(PAHCL) simulate code15 --out $(SIMULATED)/code15 --records 1000 --seed 2

known-recipe:
	@test -n "$(RECIPE_FILE)" || { echo "No recipe $(RECIPE); there are: $(basename $(notdir $(wildcard configs/pretrain/*.yaml)))"; exit 2; }

known-machine:
	@test -e configs/trainer/$(TRAINER).yaml || { echo "No trainer $(TRAINER); there are: $(basename $(notdir $(wildcard configs/trainer/*.yaml)))"; exit 2; }
	@test "$(SIZE)" = paper || test -e configs/size/$(SIZE).yaml || { echo "No size $(SIZE); there are: paper $(basename $(notdir $(wildcard configs/size/*.yaml)))"; exit 2; }

known-task:
	@test -e configs/finetune/$(TASK).yaml || { echo "No task $(TASK); there are: $(basename $(notdir $(wildcard configs/finetune/*.yaml)))"; exit 2; }
	@test -e configs/strategy/$(STRATEGY).yaml || { echo "No strategy $(STRATEGY); there are: $(basename $(notdir $(wildcard configs/strategy/*.yaml)))"; exit 2; }
	@test -e configs/protocol/$(PROTOCOL)/$(FRACTION).yaml || { echo "Protocol $(PROTOCOL) has no fraction $(FRACTION); there are: $(basename $(notdir $(wildcard configs/protocol/$(PROTOCOL)/*.yaml))). PROTOCOL is one of: $(notdir $(wildcard configs/protocol/*))"; exit 2; }
	@test "$(FROM)" = scratch || test "$(FROM)" = "$(PRETRAINED)" || test -e "$(FROM)" || { echo "No checkpoint at FROM=$(FROM); a run keeps them in RUN/checkpoints/, and FROM=scratch starts without one."; exit 2; }

known-sweep:
	@test -e configs/sweep/$(SWEEP).yaml || { echo "No sweep $(SWEEP); there are: $(basename $(notdir $(wildcard configs/sweep/*.yaml)))"; exit 2; }

pretrain: known-recipe known-machine setup $(if $(HAS_REAL),,simulated) ## pretrain an encoder: RECIPE=supervised TRAINER=cpu|gpu|ddp|debug SIZE=paper|small
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) fit --config $(RECIPE_FILE) --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) --run.name $(basename $(notdir $(RECIPE_FILE)))$(SUFFIX) --run.test true $(ARGS)

# A checkpoint is there from the first epoch on, the receipt when the run is done.
$(PRETRAINED_RECEIPT):
	@echo "No finished pretraining at $(@D) yet: it comes first."
	@$(MAKE) --no-print-directory pretrain

finetune: known-task known-machine setup $(if $(HAS_REAL),,simulated) $(if $(filter $(PRETRAINED),$(FROM)),$(PRETRAINED_RECEIPT)) ## transfer: TASK=code15_af FROM=checkpoint|scratch STRATEGY=full FRACTION=0.1 TRAINER=cpu SIZE=paper|small
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) fit --config configs/finetune/$(TASK).yaml --config configs/strategy/$(STRATEGY).yaml --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) --config configs/protocol/$(PROTOCOL)/$(FRACTION).yaml $(if $(filter scratch,$(FROM)),,--model.init_args.pretrained $(FROM)) --run.test true $(ARGS)

sweep: known-sweep known-machine setup $(if $(HAS_REAL),,simulated) ## pretrainings by label fraction by seed, a table of them: SWEEP=adversarial WORKERS=1 TRAINER=cpu SIZE=paper|small
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) sweep configs/sweep/$(SWEEP).yaml --root runs$(SUFFIX:-%=/%) --workers $(WORKERS) -- --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) $(ARGS)

# The demo: pretrain on the first corpus, transfer to small label fractions of the second, from that
# checkpoint and from scratch. Runs are small, so each takes one core, and as many go side by side as
# there are cores. What is done is not done again; `rm -rf demo` starts over.
DEMO := demo
DEMO_RUNS := $(DEMO)/runs
DEMO_FRACTIONS := 0.05 0.1
DEMO_SEEDS := 0 1 2
DEMO_CHECKPOINT := $(DEMO_RUNS)/pretrain/supervised/checkpoints/best.ckpt
demo: export PAHCL_DATA := $(DEMO)/data
demo: export PAHCL_STORES := $(DEMO)/stores
demo: export OMP_NUM_THREADS := 1
demo: setup ## the whole walk on simulated corpora: a table and a page of figures, in minutes
	$(call COMPLETE,$(DEMO)/data/ptb-xl) || $(PAHCL) simulate ptbxl --out $(DEMO)/data/ptb-xl --records 3000 --seed 1
	$(call COMPLETE,$(DEMO)/data/code15) || $(PAHCL) simulate code15 --out $(DEMO)/data/code15 --records 4000 --seed 2
	$(PAHCL) prepare ptbxl --root $(DEMO)/data/ptb-xl --out $(DEMO)/stores/ptbxl --fs 100 --workers 2
	$(PAHCL) prepare code15 --root $(DEMO)/data/code15 --out $(DEMO)/stores/code15 --workers 2
	$(PAHCL) fit --config configs/pretrain/supervised_ptbxl.yaml --config configs/size/demo.yaml --run.root $(DEMO_RUNS) --run.name supervised --run.test true --trainer.max_epochs 15
	@for fraction in $(DEMO_FRACTIONS); do for seed in $(DEMO_SEEDS); do for from in scratch pretrained; do \
		name=$$from-$$fraction-seed$$seed; \
		test -e $(DEMO_RUNS)/transfer/$$name/receipt.json || echo "$(PAHCL) fit --config configs/finetune/code15_code6.yaml --config configs/size/demo.yaml --run.root $(DEMO_RUNS) --run.experiment transfer --run.name $$name --run.test true --run.wandb off --trainer.max_epochs 30 --data.fraction $$fraction --seed_everything $$seed $$(test $$from = scratch || echo --model.pretrained $(DEMO_CHECKPOINT))"; \
	done; done; done | xargs -r -P $$(nproc 2>/dev/null || echo 2) -I LINE sh -c 'echo "LINE"; exec LINE'
	$(PAHCL) report $(DEMO_RUNS)/pretrain/supervised
	$(PAHCL) report $(DEMO_RUNS)/transfer/pretrained-0.1-seed0
	$(PAHCL) report $(DEMO_RUNS)/transfer --out $(DEMO)/report.html
	$(PAHCL) summarize $(DEMO_RUNS)/transfer
	@echo "These corpora are simulated: docs/simulation.md says what one may not conclude. Open $(DEMO)/report.html"

test: setup ## run the tests
	$(BIN)/python -m pytest

lint: setup ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: setup ## mypy, strict
	$(BIN)/mypy

bench: setup ## measure speed: BENCH=data
	$(PAHCL) bench $(or $(BENCH),data)

clean: ## remove what the tools cache; data, stores and runs stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find pahcl data_modules tests -name __pycache__ -type d -prune -exec rm -rf {} +
