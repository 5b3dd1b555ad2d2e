# The commands of pydock_lab. `make lab` and `make test` start from nothing but python3
# (and, on Debian as root, apt); a second run needs no network. `make PYTHON=python3.13 lab`
# takes another Python than the distribution's.

VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: lab test venv bench lessons pictures clean

lab: $(VENV)/.lab                     ## JupyterLab with the lessons
	@$(BIN)/python -m tools.lab

test: $(VENV)/.test                   ## the whole suite, linters included
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

venv: $(VENV)/.venv                   ## only the environment

bench: $(VENV)/.test                  ## figures beside the distribution's engine and runc
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

lessons: $(VENV)/.lab                 ## run every lesson and keep its outputs
	$(BIN)/python -m tools.lessons $(LESSONS)

pictures: $(VENV)/.test               ## retake the pictures of the documentation
	$(BIN)/python -m tools.pictures

clean:                                ## remove what the commands above made here
	rm -rf $(VENV) .wheelhouse build .artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.venv: pyproject.toml tools/install
	tools/install venv
	@touch $@

$(VENV)/.lab: $(VENV)/.venv
	tools/install lab
	@touch $@

$(VENV)/.test: $(VENV)/.lab
	tools/install test
	@touch $@
