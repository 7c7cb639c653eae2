# Marquee's commands. `make` alone lists them.
# Every variable below can be given on the command line or in the environment: `make serve PORT=3100`.

DATA ?= sample
PORT ?= 3000
GRPC_PORT ?= 8001
MODEL_REPOSITORY ?= model_repository
MARQUEE_HOME ?= .marquee
INDEX ?= flat
HOST ?= http://127.0.0.1:$(PORT)
USERS ?= 32
DURATION ?= 30s
# `make load`: closed (USERS, each waits for its answer) or open (RATE requests/s start, whatever is answered).
MODE ?= closed
RATE ?= 50
SHAPE ?= constant
PEAK ?= 3
MIX ?= sessions
PEOPLE ?= 200
BOUNDS ?= p99_ms<=1000,failed_ratio<=0.001
LOAD_WORKERS ?= 0
LOAD_PORT ?= 5557
REPORT ?= reports/open-loop
SOAK_S ?= 600
PART ?= features

# onnxruntime/onnxruntime-gpu and faiss-cpu/faiss-gpu own the same modules: exactly one pair is installed.
HARDWARE ?= $(if $(shell command -v nvidia-smi 2>/dev/null),gpu,cpu)

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" MARQUEE_HOME="$(MARQUEE_HOME)" MODEL_REPOSITORY="$(MODEL_REPOSITORY)" INDEX="$(INDEX)"

# Packages are installed uncompiled, which saves half a minute; what Python then compiles must be kept, or every start
# does it anew. Empty is as good as unset.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup lab release serve test test-all chaos mutants lint format load load-closed load-open bench evaluate bento image clean

help: ## List these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables: DATA=%s PORT=%s GRPC_PORT=%s MODEL_REPOSITORY=%s MARQUEE_HOME=%s HARDWARE=%s\n' \
	  '$(DATA)' '$(PORT)' '$(GRPC_PORT)' '$(MODEL_REPOSITORY)' '$(MARQUEE_HOME)' '$(HARDWARE)'
	@printf 'Variables of load: MODE=%s (closed, open) HOST=%s DURATION=%s; closed: USERS=%s; open: RATE=%s\n' \
	  '$(MODE)' '$(HOST)' '$(DURATION)' '$(USERS)' '$(RATE)'
	@printf '  SHAPE=%s (constant, step, spike, soak) PEAK=%s MIX=%s (sessions, soak) PEOPLE=%s BOUNDS="%s"\n' \
	  '$(SHAPE)' '$(PEAK)' '$(MIX)' '$(PEOPLE)' '$(BOUNDS)'
	@printf '  LOAD_WORKERS=%s (processes that send; 0: one) LOAD_PORT=%s REPORT=%s\n' '$(LOAD_WORKERS)' '$(LOAD_PORT)' '$(REPORT)'

setup: $(VENV)/.serve ## Make .venv with what training and serving need

$(VENV)/bin/python:
	python3 -m venv $(VENV)

$(VENV)/.serve: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing packages into $(VENV) ($(HARDWARE)); the first time takes some minutes"
	$(PIP) install --no-compile --constraint constraints.txt --editable '.[$(HARDWARE),train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.serve
	$(PIP) install --quiet --no-compile --constraint constraints.txt --editable '.[$(HARDWARE),train,dev]'
	@touch $@

lab: setup ## Add tracking, tuning, reports and notebooks to .venv
	$(PIP) install --quiet --no-compile --constraint constraints.txt --editable '.[$(HARDWARE),train,lab]'

release: setup ## Train and export a release for DATA, unless one is there
	@$(RUN) python -m export ensure --data "$(DATA)" --repository "$(MODEL_REPOSITORY)" --home "$(MARQUEE_HOME)"

serve: setup ## Train if needed, then serve recommendations on PORT and GRPC_PORT
	@set -e; export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; \
	told=$$(python -m export ensure --data "$(DATA)" --repository "$(MODEL_REPOSITORY)" --home "$(MARQUEE_HOME)" --index "$(INDEX)" --print-release); \
	release=$$(printf '%s\n' "$$told" | tail -n 1); \
	MARQUEE_RELEASE="$$release" GRPC_PORT="$(GRPC_PORT)" MODEL_REPOSITORY="$(MODEL_REPOSITORY)" MARQUEE_HOME="$(MARQUEE_HOME)" \
	  exec bentoml serve bento.service:Recommender --port "$(PORT)"

test: $(VENV)/.dev lint ## Lint, types, and every test that fits in 12 minutes on 2 cores
	@$(RUN) python -m pytest -m "not triton and not container and not chaos and not slow and not gpu"

test-all: $(VENV)/.dev lint ## Also the tests marked triton, container, chaos, slow; every skip is printed with its reason
	@tests/reference_server.sh
	@$(RUN) TRITON_REFERENCE="$(CURDIR)/.marquee/tritonserver" TRITON_CLIENT_EXAMPLES="$$(tests/client_examples.sh)" \
	  python -m pytest -rs --require-triton

chaos: $(VENV)/.dev ## Parts killed and hung under load, and a soak of SOAK_S seconds at 70 % load
	@$(RUN) SOAK_S="$(SOAK_S)" python -m pytest -m chaos -s

mutants: $(VENV)/.dev ## Put small bugs into one PART of the code and count those that its tests notice
	@$(RUN) python tests/mutants.py $(PART)

lint: $(VENV)/.dev ## ruff, mypy, and one way to write Markdown
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mdformat --check *.md docs
	@$(RUN) mypy

format: $(VENV)/.dev ## Let ruff and mdformat write code and Markdown as they should look
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .
	@$(RUN) mdformat *.md docs

load: load-$(MODE) ## Locust against a running server (HOST), headless, report in reports/; MODE=open hides no queueing

load-closed: $(VENV)/.dev
	@mkdir -p reports
	@$(RUN) MARQUEE_GRPC="$${MARQUEE_GRPC:-127.0.0.1:$(GRPC_PORT)}" locust -f loadtest/locustfile.py --headless --users $(USERS) --spawn-rate $(USERS) --run-time $(DURATION) \
	  --host "$(HOST)" --html reports/load.html --csv reports/load --only-summary

# The master of local workers listens on 127.0.0.1 alone.
load-open: $(VENV)/.dev
	@mkdir -p "$(REPORT)"
	@$(RUN) locust -f loadtest/open_loop/locustfile.py --headless --only-summary --host "$(HOST)" --rate $(RATE) \
	  --shape $(SHAPE) --duration $(DURATION) --peak $(PEAK) --mix $(MIX) --people $(PEOPLE) --bounds "$(BOUNDS)" \
	  --report "$(REPORT)" --html "$(REPORT)/locust.html" --csv "$(REPORT)/locust" \
	  $(if $(filter-out 0,$(LOAD_WORKERS)),--processes $(LOAD_WORKERS) --master-bind-host 127.0.0.1 \
	  --master-bind-port $(LOAD_PORT) --master-port $(LOAD_PORT))

bench: $(VENV)/.dev release ## Requests/s and p50/p99 at 1, 16, 64 clients, on servers that it starts itself
	@$(RUN) python -m loadtest.benchmark

evaluate: setup ## Hold out, train, export, serve, and ask the server for everybody's list: figures for DATA
	@$(RUN) python -m export evaluate --data "$(DATA)"

bento: $(VENV)/.dev ## Pack code and release into a bento
	@$(RUN) bentoml build

image: ## Build the GPU image (needs docker, or CONTAINER_TOOL=buildah)
	$(or $(CONTAINER_TOOL),docker) build -f Dockerfile.gpu -t marquee:gpu .

clean: ## Remove checkpoints, caches, test releases and reports; keeps .venv, releases, data and Redis
	rm -rf "$(MARQUEE_HOME)/checkpoints" "$(MARQUEE_HOME)/cache" "$(MARQUEE_HOME)/tests" "$(MARQUEE_HOME)/mutants" reports .pytest_cache .mypy_cache .ruff_cache .hypothesis
