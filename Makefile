# make lab        open your copy of the course, my-course/, in JupyterLab
# make test       run every test
# make quick      lint, and the tests that say most: under 3 minutes on two cores, before every commit
# make figures    draw the figures again
# make exercises  make exercises/ from solutions/
# make notebooks  run chapters/ and solutions/ again and store their outputs
# make book       build the online book into build/book; open build/book/index.html
# make oldest     the quick tests on the oldest torch and the oldest packages that pyproject.toml allows, in .venv-oldest
# make dist       build the sdist and the wheel into dist/
# make lock       solve constraints.txt anew for pyproject.toml; UPGRADE=--upgrade takes newer versions
# make xla        install Torch-XLA beside the course, for `tplearn verify --with torch-xla`: 7 GB in .venv-xla
# Each sets up .venv by itself when needed. On Linux without a GPU, `make TORCH=cpu lab` downloads a much smaller torch.
# `make JAX=no lab` leaves out JAX (0.5 GB), which only chapter 15 uses.

VENV := .venv
PY := $(VENV)/bin/python
XLA := .venv-xla
# The first interpreter that is new enough; `make PYTHON=... lab` overrules the search.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
TORCH ?= default
JAX ?= yes
COURSE := $(VENV)/.lab $(if $(filter no,$(JAX)),,$(VENV)/.jax)  # what a reader needs is installed
# The exact versions of all packages. Ranges are in pyproject.toml.
LOCK := constraints.txt
INSTALL = $(PY) -m pip install --quiet --constraint $(LOCK)
OLDEST := .venv-oldest

# What breaks most often breaks here: the house's rules, verdicts, diagnosis, ledgers, what is refused.
QUICK := tests/test_house.py tests/test_sizes.py tests/simulated tests/planning tests/course \
	tests/checks/test_verdicts.py tests/checks/test_collectives.py \
	tests/ranks/test_judge.py tests/ranks/test_ledger.py tests/ranks/test_run_ranks.py tests/ranks/test_faults.py \
	tests/parallel/test_collectives.py tests/parallel/test_ledger.py tests/parallel/test_refusals.py \
	tests/llama/test_config.py tests/llama/test_refusals.py tests/notebooks/test_release.py

.PHONY: lab test quick oldest lint figures exercises notebooks book dist lock xla clean
.DELETE_ON_ERROR:

lab: $(COURSE)
	@$(PY) tplearn/lab.py

test: $(VENV)/.dev
	@$(PY) -m compileall -q tplearn tests  # once, and not in each of the processes that the tests start
	$(PY) -m pytest -n 2 --dist loadgroup --timeout 600 tests

quick: lint
	$(PY) -m pytest -n 2 --dist loadgroup --timeout 600 $(QUICK)

# Not what is the same on every torch: the rules of the house, the words of verdicts, the reader's copies.
oldest: $(OLDEST)/.done
	$(OLDEST)/bin/python -m pytest -n 2 --dist loadgroup --timeout 600 \
		$(filter-out tests/test_house.py tests/checks/test_verdicts.py tests/notebooks/test_release.py,$(QUICK))

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --exclude '*.ipynb' .

figures: $(COURSE)
	$(PY) figures/make_figures.py

exercises: $(COURSE)
	$(VENV)/bin/tplearn release

notebooks: $(COURSE)
	$(PY) -m tplearn.grading.notebooks

book: $(VENV)/.book
	@$(PY) -m book.build

dist: $(VENV)/.dev
	rm -rf dist
	$(VENV)/bin/uv build

# torch's CUDA libraries are left out: a build for the CPU has none.
lock: $(PY)
	$(PY) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate $(UPGRADE) \
		--custom-compile-command "make lock" --output-file $(LOCK) pyproject.toml
	grep -Ev '^(nvidia|cuda|triton)' $(LOCK) >$(LOCK).new && mv $(LOCK).new $(LOCK)

xla: $(XLA)/.done

clean:
	rm -rf $(VENV) $(XLA) $(OLDEST) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

$(PY):
	@test -n "$(PYTHON)" || { echo "This course needs Python 3.11, 3.12 or 3.13 with its venv module" \
		"(on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp file says that this list of dependencies is installed; a newer list makes it stale.
$(VENV)/.lab: pyproject.toml $(LOCK) | $(PY)
ifeq ($(TORCH),cpu)
	$(INSTALL) uv
	$(VENV)/bin/uv pip install --python $(PY) --torch-backend=cpu --constraint $(LOCK) torch
endif
	$(INSTALL) -e ".[course]"
	@touch $@

# A stamp of its own: who left JAX out gets it with the next `make lab`.
$(VENV)/.jax: pyproject.toml $(LOCK) $(VENV)/.lab
	$(INSTALL) -e ".[jax]"
	@touch $@

$(VENV)/.book: pyproject.toml $(LOCK) $(COURSE)
	$(INSTALL) -e ".[book]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(LOCK) $(COURSE)
	$(INSTALL) -e ".[dev,peers,book]"
	@touch $@

# uv takes the oldest of each range, which pip cannot.
$(OLDEST)/.done: pyproject.toml
	@test -n "$(PYTHON)" || { echo "The oldest packages need Python 3.11, 3.12 or 3.13 with its venv module."; exit 1; }
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(LOCK) uv
	$(OLDEST)/bin/uv pip install --python $(OLDEST)/bin/python --resolution lowest-direct --compile-bytecode \
		$(if $(filter cpu,$(TORCH)),--torch-backend=cpu) -e ".[course,dev]"
	@touch $@

# Its torch is another release than the course's. The last line is a look whether the two belong together.
$(XLA)/.done: pyproject.toml $(LOCK)
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "Torch-XLA is made for Linux on x86-64 only; chapter 15 shows" \
		"what it printed there, and needs no more."; exit 1; }
	@test -n "$(PYTHON)" || { echo "Torch-XLA needs Python 3.11, 3.12 or 3.13 with its venv module."; exit 1; }
	@echo "Torch-XLA goes into $(XLA): with CUDA's libraries, which its torch brings along, 4 GB to download and 7 GB on" \
		"disk. (make TORCH=cpu xla: 0.3 GB to download, from PyTorch's own index.)"
	$(PYTHON) -m venv $(XLA)
	$(XLA)/bin/python -m pip install --quiet --constraint $(LOCK) uv
	grep -v '^torch==' $(LOCK) >$(XLA)/constraints.txt
	$(XLA)/bin/uv pip install --python $(XLA)/bin/python --compile-bytecode --group xla \
		--constraint $(XLA)/constraints.txt $(if $(filter cpu,$(TORCH)),--torch-backend=cpu)
	@PJRT_DEVICE=CPU $(XLA)/bin/python -c 'import torch_xla' || { echo "Torch-XLA is installed and does not start." \
		"Where libpython is missing: on Debian and Ubuntu, apt install libpython3.11 (or your Python's)."; exit 1; }
	@touch $@
