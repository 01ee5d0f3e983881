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
RECIPE ?= adversarial
TASK ?= code15_af
STRATEGY ?= full
# The paper's protocol is of CODE-15%; what is not its transfer learns from every label.
FRACTION ?= $(if $(OTHER),1.0,0.1)
PROTOCOL ?= $(if $(OTHER),equal_epochs,cinc2024)
TRAINER ?= cpu
SWEEP ?= adversarial
WORKERS ?= 1
ARGS ?=
RECIPE_FILE = $(firstword $(wildcard configs/pretrain/$(RECIPE).yaml configs/pretrain/$(RECIPE)_*.yaml))
PRETRAINED = runs/pretrain/$(basename $(notdir $(RECIPE_FILE)))$(SUFFIX)/checkpoints/best.ckpt
PRETRAINED_RECEIPT = $(PRETRAINED:checkpoints/best.ckpt=receipt.json)
# Heart sounds have one lead, and a network for twelve is of no use to them.
SOUND = $(shell grep -ls 'in_channels: 1$$' configs/finetune/$(TASK).yaml 2>/dev/null)
FROM ?= $(if $(SOUND),scratch,$(PRETRAINED))

# Real data where PAHCL_DATA (or data/) holds what is asked for, else simulated ones and a small
# network. A task needs its own data set, and PTB-XL where the pretraining is still to be done.
REAL := $(or $(PAHCL_DATA),data)
SIMULATED := data/simulated
# The task's own data set and its folder, as the config names them.
IN_TASK = $(shell sed -n 's,^ *$(1).*,\1,p' configs/finetune/$(TASK).yaml 2>/dev/null)
IS_TASK := $(filter finetune,$(MAKECMDGOALS))
OTHER := $(if $(IS_TASK),$(filter-out ptbxl code15,$(call IN_TASK,class_path: data_modules\.\([a-z0-9_]*\)\.)))
OF_TASK := $(if $(IS_TASK),$(call IN_TASK,root: .*}/\([a-z0-9_-]*\)))
OF_PRETRAINING := $(if $(IS_TASK),$(if $(filter $(PRETRAINED),$(FROM)),ptb-xl),ptb-xl)
NEEDED := $(sort $(OF_PRETRAINING) $(if $(filter pretrain finetune,$(MAKECMDGOALS)),$(OF_TASK),code15))
LACKING := $(strip $(foreach folder,$(NEEDED),$(if $(wildcard $(REAL)/$(folder)/*),,$(folder))))
HAS_REAL := $(if $(LACKING),,yes)
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
TASK_SIZE_CONFIG = $(if $(and $(SOUND),$(filter small,$(SIZE))),--config configs/size/small_pcg.yaml,$(SIZE_CONFIG))
ENVIRONMENT = PAHCL_DATA=$(USED) PAHCL_STORES=$(STORES)
SAY = echo "Data: $(if $(HAS_REAL),$(USED),simulated ($(USED)), since $(REAL) holds no $(or $(LACKING),$(NEEDED))). Size: $(SIZE)."

COMPLETE = grep -qs '"complete": true' $(1)/simulation.json

.PHONY: help setup demo pretrain finetune sweep segmenter test lint typecheck bench clean simulated known-recipe known-task known-machine known-sweep

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## make .venv and install pahcl with its tools

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or name it: make setup PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

simulated: setup
	$(if $(filter ptb-xl,$(NEEDED)),$(call COMPLETE,$(SIMULATED)/ptb-xl) || $(PAHCL) simulate ptbxl --out $(SIMULATED)/ptb-xl --records 1000 --seed 1)
	$(if $(filter code15,$(NEEDED)),$(call COMPLETE,$(SIMULATED)/code15) || $(PAHCL) simulate code15 --out $(SIMULATED)/code15 --records 1000 --seed 2)
	$(if $(OTHER),$(call COMPLETE,$(SIMULATED)/$(OF_TASK)) || $(PAHCL) simulate $(OTHER) --out $(SIMULATED)/$(OF_TASK) --records 1000 --seed 3)

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

HOW_LONG := echo "On a CPU the network of the paper takes days on PTB-XL: TRAINER=gpu, or SIZE=small for a trial."
LONG = $(and $(HAS_REAL),$(filter cpu,$(TRAINER)),$(filter paper,$(SIZE)))
pretrain: known-recipe known-machine setup $(if $(HAS_REAL),,simulated) ## pretrain an encoder: RECIPE=adversarial TRAINER=cpu|gpu|ddp|debug SIZE=paper|small
	@$(SAY)
	@$(if $(LONG),$(HOW_LONG),:)
	$(ENVIRONMENT) $(PAHCL) fit --config $(RECIPE_FILE) --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) --run.name $(basename $(notdir $(RECIPE_FILE)))$(SUFFIX) --run.test true $(ARGS)

# A checkpoint is there from the first epoch on, the receipt when the run is done.
$(PRETRAINED_RECEIPT):
	@echo "No finished pretraining at $(@D) yet: it comes first."
	@$(MAKE) --no-print-directory pretrain HAS_REAL=$(HAS_REAL)

finetune: known-task known-machine setup $(if $(HAS_REAL),,simulated) $(if $(filter $(PRETRAINED),$(FROM)),$(PRETRAINED_RECEIPT)) ## transfer: TASK=code15_af FROM=checkpoint|scratch STRATEGY=full FRACTION=0.1 TRAINER=cpu SIZE=paper|small
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) fit --config configs/finetune/$(TASK).yaml --config configs/strategy/$(STRATEGY).yaml --config configs/trainer/$(TRAINER).yaml $(TASK_SIZE_CONFIG) --config configs/protocol/$(PROTOCOL)/$(FRACTION).yaml $(if $(filter scratch,$(FROM)),,--model.init_args.pretrained $(FROM)) --run.test true $(ARGS)

sweep: known-sweep known-machine setup $(if $(HAS_REAL),,simulated) ## pretrainings by label fraction by seed, a table of them: SWEEP=adversarial WORKERS=1 TRAINER=cpu SIZE=paper|small
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) sweep configs/sweep/$(SWEEP).yaml --root runs$(SUFFIX:-%=/%) --workers $(WORKERS) -- --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) $(ARGS)

# The learned segmenter of heart sounds. What comes with the package was made so; SEGMENTER_OUT= (empty)
# puts one's own in its place.
SEGMENTER_OUT ?= runs/segment/heart_states/weights
segmenter: setup ## train the learned segmenter of heart sounds on PhysioNet 2016, and write its weights
	$(PAHCL) fit --config configs/segment/heart_states.yaml --run.name heart_states --run.test true $(ARGS)
	$(BIN)/python -m pahcl.modules.heart_states_export runs/segment/heart_states $(if $(SEGMENTER_OUT),--out $(SEGMENTER_OUT))

# The demo: pretrain on the first corpus, on clean and on attacked signals; transfer both, and nothing,
# to small label fractions of the second; see what is left of both under attack. Runs are small, so
# each takes one core, and as many go side by side as there are cores. What is done is not done again;
# `rm -rf demo` starts over.
DEMO := demo
DEMO_SWEEP := $(DEMO)/runs/adversarial_demo
demo: export PAHCL_DATA := $(DEMO)/data
demo: export PAHCL_STORES := $(DEMO)/stores
demo: export OMP_NUM_THREADS := 1
demo: setup ## the whole walk on simulated corpora: tables and pages of figures, in minutes
	$(call COMPLETE,$(DEMO)/data/ptb-xl) || $(PAHCL) simulate ptbxl --out $(DEMO)/data/ptb-xl --records 2000 --seed 1
	$(call COMPLETE,$(DEMO)/data/code15) || $(PAHCL) simulate code15 --out $(DEMO)/data/code15 --records 3000 --seed 2
	$(PAHCL) prepare ptbxl --root $(DEMO)/data/ptb-xl --out $(DEMO)/stores/ptbxl --fs 100 --workers 2
	$(PAHCL) prepare code15 --root $(DEMO)/data/code15 --out $(DEMO)/stores/code15 --workers 2
	$(PAHCL) sweep configs/sweep/adversarial_demo.yaml --root $(DEMO)/runs --workers $$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
	$(PAHCL) robustness $(DEMO_SWEEP)/pretrain '$(DEMO_SWEEP)/transfer/*-0.1-seed0' --epsilon 0 0.0025 0.005 0.01 0.02 0.05 --records 150 --restarts 1 --no-worst-case --no-corruptions
	$(PAHCL) sweep configs/sweep/adversarial_demo.yaml --root $(DEMO)/runs --report-only
	$(PAHCL) report $(DEMO_SWEEP)/pretrain --out $(DEMO)/pretraining.html
	$(PAHCL) report $(DEMO_SWEEP)/pretrain/adversarial-seed42
	@echo "These corpora are simulated: docs/simulation.md says what one may not conclude. Open $(DEMO_SWEEP)/sweep.html (the transfers) and $(DEMO)/pretraining.html (both pretrainings), with what attacks leave of them."

# Files are dealt out to as many processes as there are cores; a file's tests share what they pack.
test: setup ## run the tests, on every core
	$(BIN)/python -m pytest -n $$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2) --maxprocesses 8 --dist loadfile

lint: setup ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: setup ## mypy, strict
	$(BIN)/mypy

bench: setup ## measure speed: BENCH=data|prepare|attack|pcg
	$(PAHCL) bench $(or $(BENCH),data)

clean: ## remove what the tools cache; data, stores and runs stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find pahcl data_modules tests -name __pycache__ -type d -prune -exec rm -rf {} +
