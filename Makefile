PYTHON ?= python3
BIN := .venv/bin
DEMO := workdirs/demo
# Python warns of text without an encoding.
PYTEST := PYTHONWARNDEFAULTENCODING=1 $(BIN)/pytest --numprocesses=2 --dist=loadfile --durations=10

.PHONY: demo test long docs faults notebooks sbom clean

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
	PPCN_TEST_XLA_FLAGS=--xla_backend_optimization_level=0 $(PYTEST) -m 'not long and not optimized'
	$(PYTEST) -m 'optimized and not long'

# The tests that `make test` has no time for.
long: .venv/test.installed
	$(BIN)/pytest -m long

# The documentation site, in workdirs/docs; every warning is an error.
docs: .venv/docs.installed
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs workdirs/docs
	@echo "open workdirs/docs/index.html"

# Signals, kills, full disks, lost processes: also those tests that `make test` has no time for.
faults: .venv/test.installed
	$(BIN)/pytest tests/faults -m 'long or not long'

# The notebooks of docs/notebooks from start to end, on few steps.
notebooks: .venv/test.installed
	$(BIN)/pytest tests/test_notebooks.py -m 'long or not long'

# What an installation with all extras consists of, for tools that know of vulnerabilities.
sbom: .venv/dev.installed
	mkdir -p workdirs
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-file workdirs/sbom.json $(BIN)/python

# One environment; each extra is installed into it once, and again when its versions change.
.venv/%.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $*"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv workdirs
