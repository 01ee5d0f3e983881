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
# configs/finetune/, STRATEGY: of configs/strategy/, TRAINER: of configs/trainer/, PROTOCOL: a folder
# of configs/protocol/ (FRACTION: one of its files). ARGS: anything more, as `pahcl fit` takes it.
RECIPE ?= supervised
TASK ?= code15_af
STRATEGY ?= full
FRACTION ?= 0.1
PROTOCOL ?= cinc2024
TRAINER ?= cpu
ARGS ?=
RECIPE_FILE = $(firstword $(wildcard configs/pretrain/$(RECIPE).yaml configs/pretrain/$(RECIPE)_*.yaml))
PRETRAINED = runs/pretrain/$(basename $(notdir $(RECIPE_FILE)))$(SUFFIX)/checkpoints/best.ckpt
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

.PHONY: help setup demo pretrain finetune test lint typecheck bench clean simulated

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## make .venv and install pahcl with its tools

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or name it: make setup PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

simulated: setup
	@test -e $(SIMULATED)/ptb-xl/simulation.json || $(PAHCL) simulate ptbxl --out $(SIMULATED)/ptb-xl --records 1000 --seed 1
	@test -e $(SIMULATED)/code15/simulation.json || $(PAHCL) simulate code15 --out $(SIMULATED)/code15 --records 1000 --seed 2

pretrain: setup $(if $(HAS_REAL),,simulated) ## pretrain an encoder: RECIPE=supervised TRAINER=cpu|gpu|ddp
	@test -n "$(RECIPE_FILE)" || { echo "No recipe $(RECIPE); there are: $(basename $(notdir $(wildcard configs/pretrain/*.yaml)))"; exit 2; }
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) fit --config $(RECIPE_FILE) --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) --run.name $(basename $(notdir $(RECIPE_FILE)))$(SUFFIX) --run.test true $(ARGS)

$(PRETRAINED):
	@echo "No checkpoint at $@ yet: pretraining first."
	@$(MAKE) --no-print-directory pretrain

finetune: setup $(if $(HAS_REAL),,simulated) $(filter $(PRETRAINED),$(FROM)) ## transfer: TASK=code15_af FROM=checkpoint|scratch STRATEGY=full FRACTION=0.1
	@test -e configs/protocol/$(PROTOCOL)/$(FRACTION).yaml || { echo "Protocol $(PROTOCOL) has no fraction $(FRACTION); there are: $(basename $(notdir $(wildcard configs/protocol/$(PROTOCOL)/*.yaml))). PROTOCOL is one of: $(notdir $(wildcard configs/protocol/*))"; exit 2; }
	@$(SAY)
	$(ENVIRONMENT) $(PAHCL) fit --config configs/finetune/$(TASK).yaml --config configs/strategy/$(STRATEGY).yaml --config configs/trainer/$(TRAINER).yaml $(SIZE_CONFIG) --config configs/protocol/$(PROTOCOL)/$(FRACTION).yaml $(if $(filter scratch,$(FROM)),,--model.init_args.pretrained $(FROM)) --run.test true $(ARGS)

demo: setup ## the whole walk on simulated corpora: table and page of figures, in minutes
	@$(BIN)/python -m pahcl --version
	@bash configs/demo.sh

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
