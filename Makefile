# Needs Python 3.11 or newer. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
PYTEST ?= -m pytest
LOCK := .ci/requirements.txt
UV := 0.13.9
UPGRADE ?=
MINUTES ?= 60
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-faults lint lock audit bench bench-peers soak clean

help:
	@echo "make demo    show it all: a database, the sidecar, questions and answers"
	@echo "make test    run the tests"
	@echo "make test-faults   break the database in every way, and see what it answers"
	@echo "make lint    check style, types and layers"
	@echo "make lock    choose the versions that development takes, with their hashes"
	@echo "make audit   ask whether they are known to be vulnerable"
	@echo "make bench   measure"
	@echo "make bench-peers   install the products that it measures besides"
	@echo "make soak MINUTES=60   everything at once for so long: is it flat?"
	@echo "make clean   remove what was installed and built"

demo: $(VENV)/installed
	@exec $(VENV)/bin/qeetid-authz demo

test: $(VENV)/installed-dev
	@exec $(VENV)/bin/python $(PYTEST)

test-faults: $(VENV)/installed-dev
	@exec $(VENV)/bin/python $(PYTEST) tests/faults

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# For every Python and platform at once. `UPGRADE=--upgrade` takes what is newest.
lock: $(VENV)/bin/pip
	$(PIP) uv==$(UV)
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-header $(UPGRADE) --extra dev \
		--output-file $(LOCK) pyproject.toml

# Exits with 1 for a vulnerability, and with 0 where nobody answers that knows any.
audit: $(VENV)/installed-dev
	@$(VENV)/bin/python .ci/audit $(LOCK)

bench: $(VENV)/installed-dev
	@exec $(VENV)/bin/python -m bench

soak: $(VENV)/installed-dev
	@exec $(VENV)/bin/python -m bench soak --minutes $(MINUTES) --check

# Cerbos comes from npm; without that it is reported as absent.
bench-peers: $(VENV)/installed-dev
	$(PIP) --requirement bench/peers/requirements.txt
	$(PIP) --no-deps --ignore-requires-python opa-golib-python-bindings==0.4.4
	@if command -v npm >/dev/null; then \
		npm install --silent --no-save --ignore-scripts --prefix bench/peers \
			"@cerbos/cerbos-$$(node -p 'process.platform + "-" + process.arch')@0.55.0"; \
	fi

clean:
	rm -rf $(VENV) build dist .*_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	@echo "installing into $(VENV) ..."
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(LOCK) | $(VENV)/bin/pip
	@echo "installing into $(VENV) with what development needs ..."
	@$(PIP) --require-hashes --requirement $(LOCK)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/installed $@

# The first interpreter that is new enough; a given PYTHON comes first.
$(VENV)/bin/pip:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then break; fi; python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: \`$(PYTHON)\` isn't Python 3.11 or newer, and no such Python is" \
			"on PATH; install one, or name it: make PYTHON=/path/to/python3" >&2; \
		exit 2; \
	fi; \
	if ! $$python -m venv $(VENV); then \
		echo "error: \`$$python\` can't make a virtual environment; on Debian and" \
			"Ubuntu, \`apt-get install python3-venv\`" >&2; \
		exit 2; \
	fi
