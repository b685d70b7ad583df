# make book   the environment, every notebook whose inputs changed, the book; prints the path of its first page
# make test   the environment, ruff, pytest (which also runs every notebook at tier tiny)
# make lint   ruff alone;   make format   let ruff mend what it can
# make clean  remove what was built (not the environment);   make distclean   the environment too

PYTHON ?= python3
BIN := .venv/bin
export CROSSLOOK_PROGRESS := 0

# Everything a test can depend on. A second `make test` with nothing changed does nothing.
SOURCES := $(shell find lib tests notebooks book data benchmarks .ci -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*' 2>/dev/null) \
	_config.yml _toc.yml environment.yml pyproject.toml constraints.txt Makefile README.md CITATION.cff

.PHONY: book test lint format clean distclean environment

environment: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,test]'
	touch $@

book: .venv/.installed
	@$(BIN)/python -m crosslook book

test: build/.tested

build/.tested: .venv/.installed $(SOURCES)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	@mkdir -p build && touch $@

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf .venv lib/*.egg-info
