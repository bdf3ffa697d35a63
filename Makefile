# The two commands a reader needs: `make lab` opens the book, `make test` proves it.
# Everything here is also written out as plain commands in README.md.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One more than CI has cores: a worker waits while a kernel starts or a page loads.
JOBS   ?= 3
READY  := $(VENV)/.ready

# One torch thread per process: small recurrent nets run slower on two (chapter 4.5).
# No progress bars where outputs are stored or compared: their text is never the same twice.
QUIET  := TQDM_DISABLE=1 OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help lab test unit notebooks book site figures data lint clean

help: ## list these commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # on all cores (pip compiles on one); templates among the packages do not parse
	@touch $@

lab: $(READY) ## open the book in JupyterLab
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/chapters/index.ipynb

test: lint unit notebooks ## check everything: style, unit tests, every notebook

lint: $(READY) ## style of the code, in modules and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check utils tests datasets .ci chapters/figures

unit: $(READY) ## unit tests of utils, of the exercise checks, of the repository
	$(QUIET) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

notebooks: $(READY) ## run every notebook and compare its outputs with the stored ones
	$(QUIET) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --nbval --nbval-current-env chapters

book: $(READY) ## re-execute and rewrite every notebook and the timing table
	$(BIN)/python .ci/book.py
	$(BIN)/python chapters/figures/make_results.py

site: $(READY) ## build the book as a web site in .site/html
	$(BIN)/python .ci/site/build.py

figures: $(READY) ## redraw the schematics of chapters/figures
	for script in chapters/figures/make_*.py; do $(BIN)/python $$script || exit 1; done

data: $(READY) ## rebuild the files of datasets from their sources
	$(BIN)/python datasets/build_nyc_weather.py
	$(BIN)/python datasets/build_phrases.py
	$(BIN)/python datasets/build_spoken_digits.py # needs the program espeak-ng
	$(BIN)/python -m pip install --quiet pmdarima==2.1.1 && $(BIN)/python datasets/build_electricity_load.py

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .site *.egg-info .pytest_cache .ruff_cache .hypothesis
