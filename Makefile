# make setup | pretrain | test | test-all | lint | bench          PYTHON=python3.12 make setup  for another interpreter
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

.PHONY: setup pretrain test test-all lint format bench clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Raw text -> corpus -> pretraining -> a model that fills in masked characters, on the bundled sample text.
pretrain: setup
	@rm -rf $(DEMO)/model  # the demo starts afresh each time; real runs go on where they stopped
	@echo "[1/4] glyph images of the vocabulary"
	@$(BIN)/python -m data_prep glyphs --vocab chinesebert/assets/vocab.txt --fonts fonts/default.yaml --output $(DEMO)/glyphs --overwrite
	@echo "[2/4] corpus: characters, pinyin in context, words"
	@$(BIN)/python -m data_prep corpus --input data_prep/sample/train --output $(DEMO)/train --overwrite
	@$(BIN)/python -m data_prep corpus --input data_prep/sample/heldout --output $(DEMO)/heldout --overwrite
	@echo "[3/4] pretraining"
	@$(BIN)/deepspeed $$($(BIN)/python launch/accelerators.py) launch/pretrain.py --config configs/pretrain/demo.yaml
	@echo "[4/4] the result"
	@$(BIN)/python launch/report.py $(DEMO)/model --cloze configs/pretrain/cloze.txt --plot $(DEMO)/loss.png
	@cat launch/next_steps.txt

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-all: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks.data_prep
	$(BIN)/python -m benchmarks.pretrain  # eleven minutes; `--sizes demo --cell_seconds 60` is a quick look
	$(BIN)/python -m benchmarks.model  # a quarter of an hour on two cores; `--size small` is a quick look

clean:
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
