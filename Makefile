PYTHON ?= python3
BIN := .venv/bin
DEMO := workdirs/demo

.PHONY: demo test faults clean

# Photos that come with scikit-image and scikit-learn; run it again to continue where it stopped.
demo: .venv/demo.installed
	$(BIN)/python launch.py --config=configs/demo.py:teacher --workdir=$(DEMO)/teacher
	$(BIN)/python launch.py --config=configs/demo.py:student --workdir=$(DEMO)/student \
	  --config.teacher=$(DEMO)/teacher
	$(BIN)/python launch.py --config=configs/demo.py:evaluate --workdir=$(DEMO) \
	  --config.weights=$(DEMO)/teacher,$(DEMO)/student

test: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --durations=10

# Signals, kills, full disks, lost processes: also those tests that `make test` has no time for.
faults: .venv/test.installed
	$(BIN)/pytest tests/faults -m 'long or not long'

# One environment; each extra is installed into it once, and again when its versions change.
.venv/%.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $*"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv workdirs
