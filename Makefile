PROFILE ?= smoke
ENGINE ?=
ARGS ?=
PYTHON ?= python3
BIN := .venv/bin
NOTEBOOK ?= explore_features
.PHONY: reports test lab explore bench readme docs lint types lock clean

reports: .venv/ready ; $(if $(ENGINE),WORKBOOK_ENGINE=$(ENGINE) )$(BIN)/workbook report --profile $(PROFILE) $(ARGS)
test: .venv/ready ; OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/benchmarks $(ARGS)
lab: .venv/ready ; $(BIN)/workbook lab $(ARGS)
explore: .venv/ready ; $(BIN)/workbook explore $(NOTEBOOK) --profile $(PROFILE) $(ARGS)
bench: .venv/ready ; for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done
readme: .venv/ready ; $(BIN)/python -m tests.our_choices && $(BIN)/python -m tests.protocol && $(BIN)/python -m tests.report.readme && $(BIN)/python -m tests.report.pictures
docs: .venv/ready ; $(BIN)/mkdocs build --strict $(ARGS)
lint: .venv/ready ; $(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/nbstripout --verify $(wildcard notebooks/*.ipynb)
types: .venv/ready ; $(BIN)/mypy workbook
lock: .venv/ready ; .ci/lock $(ARGS)
clean: ; rm -rf .venv reports/smoke build .mypy_cache .pytest_cache .ruff_cache
.venv/ready: pyproject.toml requirements.lock .ci/environment ; .ci/environment $(PYTHON)
