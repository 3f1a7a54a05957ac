# Every command a developer runs; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SETTINGS := pyproject.toml constraints.txt
# Threads that wait for work sleep instead of spinning: on few cores this is faster.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test setup check fix format lint types layers slow notebooks golden bench run ui clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

# A stamp per environment: pip runs again only when the settings change.
$(VENV)/stamp-made:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	    f"Python must be 3.11 or newer, got {sys.version.split()[0]}; use make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and by itself, so that its build is decided before anything else asks for it.
$(VENV)/stamp-demo: $(VENV)/stamp-made $(SETTINGS)
	$(PIP) install -c constraints.txt 'torch==2.13.0'
	$(PIP) install -c constraints.txt -e '.[plot]'
	@touch $@

$(VENV)/stamp-dev: $(VENV)/stamp-made $(SETTINGS)
	$(PIP) install -c constraints.txt 'torch==2.13.0'
	$(PIP) install -c constraints.txt -e '.[dev,plot]'
	@touch $(VENV)/stamp-demo $@

demo: $(VENV)/stamp-demo ## install, then forecast a real series: out/forecast.parquet and .html
	MLFLOW_TRACKING_URI=$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db} $(BIN)/tsfm forecast \
	    data/el_nino/el_nino.csv --prediction-length 24 \
	    --output out/forecast.parquet --plot out/forecast.html
	@echo "forecast  out/forecast.parquet"
	@echo "plot      out/forecast.html (open it in a browser)"
	@echo "run       $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db} (make ui shows it)"

test: $(VENV)/stamp-dev ## the default tests; make test K=patching runs some of them
	$(BIN)/python -m pytest -q $(if $(K),-k '$(K)')

setup: $(VENV)/stamp-dev ## environment for development, with the commit hooks
	@if [ -d .git ]; then $(BIN)/pre-commit install; fi

check: format lint types layers test ## everything that a change must pass

fix: $(VENV)/stamp-dev ## format, and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format: $(VENV)/stamp-dev ## is every file formatted?
	$(BIN)/ruff format --check .

lint: $(VENV)/stamp-dev ## ruff
	$(BIN)/ruff check .

types: $(VENV)/stamp-dev ## mypy, strict
	$(BIN)/mypy

layers: $(VENV)/stamp-dev ## imports point downwards only
	$(BIN)/lint-imports

slow: $(VENV)/stamp-dev ## also the slow tests
	$(BIN)/python -m pytest -q -m 'not gpu and not network'

notebooks: $(VENV)/stamp-dev ## run every notebook; pages in out/notebooks
	$(PIP) install -c constraints.txt -e '.[notebooks,finance]'
	rm -rf out/notebooks && mkdir -p out/notebooks
	for source in notebooks/*.py; do $(BIN)/jupytext --quiet --to ipynb \
	    --output out/notebooks/$$(basename $$source .py).ipynb $$source || exit 1; done
	PLOTLY_RENDERER=notebook $(BIN)/python -m pytest -q --nbmake --nbmake-timeout=900 \
	    --overwrite out/notebooks
	$(BIN)/jupyter nbconvert --log-level ERROR --to html out/notebooks/*.ipynb
	@ls out/notebooks/*.html

golden: $(VENV)/stamp-dev ## regenerate the golden files and show what changed
	$(BIN)/python tests/golden/regenerate.py
	git diff --stat -- tests/golden

bench: $(VENV)/stamp-dev ## speed, compared with the last saved run
	$(BIN)/python -m pytest -q tests/benchmarks --benchmark-enable --benchmark-autosave --benchmark-compare

run: $(VENV)/stamp-dev ## pre-train a recipe: make run RECIPE=timer_tiny
	$(BIN)/tsfm pretrain $(or $(RECIPE),timer_tiny)

ui: $(VENV)/stamp-demo ## look at the runs in a browser
	$(BIN)/mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}

clean: ## remove the environment, outputs and caches
	rm -rf $(VENV) out runs mlruns mlartifacts mlflow.db dist build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
