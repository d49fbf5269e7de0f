# make lab        open your copy of the course, my-course/, in JupyterLab
# make test       run every test
# make figures    draw the figures again
# make exercises  make exercises/ from solutions/
# make notebooks  run chapters/ and solutions/ again and store their outputs
# Each sets up .venv by itself when needed. On Linux without a GPU, `make TORCH=cpu lab` downloads a much smaller torch.

VENV := .venv
PY := $(VENV)/bin/python
# The first interpreter that is new enough; `make PYTHON=... lab` overrules the search.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
TORCH ?= default
TORCH_PIN := $(shell sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)

.PHONY: lab test lint figures exercises notebooks clean
.DELETE_ON_ERROR:

lab: $(VENV)/.lab
	@$(PY) tplearn/lab.py

test: $(VENV)/.dev
	$(PY) -m pytest -n 2 --dist loadgroup --timeout 600 tests

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --exclude '*.ipynb' .

figures: $(VENV)/.lab
	$(PY) figures/make_figures.py

exercises: $(VENV)/.lab
	$(VENV)/bin/tplearn release

notebooks: $(VENV)/.lab
	$(PY) -m tplearn.grading.notebooks

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis

$(PY):
	@test -n "$(PYTHON)" || { echo "This course needs Python 3.11, 3.12 or 3.13 with its venv module" \
		"(on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp file says that this list of dependencies is installed; a newer pyproject.toml makes it stale.
$(VENV)/.lab: pyproject.toml | $(PY)
ifeq ($(TORCH),cpu)
	$(PY) -m pip install --quiet uv
	$(VENV)/bin/uv pip install --python $(PY) --torch-backend=cpu "$(TORCH_PIN)"
endif
	$(PY) -m pip install --quiet -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.lab
	$(PY) -m pip install --quiet -e ".[dev,peers]"
	@touch $@
