# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
# `make demo` and `make test` need Python 3.10+, a C++17 compiler, and nothing else.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
# Versions for development and CI, in the format of pip; the package itself allows more.
CONSTRAINTS ?= constraints.txt
INSTALL = $(BIN)/python -m pip install -c $(CONSTRAINTS)
# AUTO builds the CUDA backend where nvcc is found; ON requires it; OFF disables it.
export MICRO3D_CUDA ?= AUTO
export MPLBACKEND = Agg

SOURCES = pyproject.toml CMakeLists.txt $(CONSTRAINTS) $(shell find csrc python -type f -not -name '*.pyc' -not -name '*.so' -not -path '*/.*' 2>/dev/null)

.PHONY: help demo test test-slow test-emulated-cuda test-sanitized fuzz kills lint bench install clean

help:                 ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamp records the installed extras; changing any source file triggers a reinstall.
$(VENV)/.installed: $(BIN)/python $(SOURCES)
	$(INSTALL) ".[test]"
	touch $@

install: $(VENV)/.installed   ## make the environment and install the package into it

demo: $(VENV)/.installed      ## micrographs -> training -> 3D volume -> comparison, in demo/report.html
	$(BIN)/micro3d demo --out demo

test: $(VENV)/.installed      ## all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed ## the slow tests
	$(BIN)/python -m pytest -m slow

test-emulated-cuda: $(VENV)/.installed ## the tests of CUDA on the host (with a CPU build of torch)
	$(INSTALL) -q cmake pybind11
	$(BIN)/python tests/emulated_cuda/run.py

CALLS ?= 10000
test-sanitized: $(VENV)/.installed ## the operators under sanitizers: their tests, wrong arguments (Linux, GCC)
	$(INSTALL) -q cmake pybind11
	$(BIN)/python tests/native/run_sanitized.py --count $(CALLS) --seed $(FUZZ_SEED)

FUZZ_COUNT ?= 20000
FUZZ_SEED  ?= 1
fuzz: $(VENV)/.installed      ## damaged files of every format: about a minute each
	$(BIN)/python tests/io/fuzz_files.py --count $(FUZZ_COUNT) --seed $(FUZZ_SEED)

KILLS ?= 24
kills: $(VENV)/.installed     ## trainings, calibrations, studies and reconstructions, killed and repeated
	$(BIN)/python tests/kill_work.py --kills $(KILLS) --seed $(FUZZ_SEED)

lint: $(VENV)/.dev            ## ruff, clang-format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	find csrc -path csrc/third_party -prune -o -type f \( -name '*.?pp' -o -name '*.cu' -o -name '*.cuh' \) -print0 \
	  | xargs -0 $(BIN)/clang-format --dry-run --Werror
	$(BIN)/mypy

# Install these extras together with those of `make test`, so that the package is built once.
$(VENV)/.dev: $(BIN)/python $(SOURCES)
	$(INSTALL) ".[test,dev]"
	touch $(VENV)/.installed $@

$(VENV)/.bench: $(BIN)/python $(SOURCES)
	$(INSTALL) ".[test,bench]"
	touch $(VENV)/.installed $@

bench: $(VENV)/.bench         ## benchmarks: checks each result, times it, appends to benchmarks/results.csv
	$(BIN)/python -m pytest benchmarks --benchmark-only

clean:                ## remove the environment, builds and demo
	rm -rf $(VENV) build demo
