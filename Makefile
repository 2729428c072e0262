# Needs Python 3.11 to 3.13, make and git; all else goes into .venv, at the versions of
# requirements.lock, as wheels: no compiler.

RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(RECENT)' 2>/dev/null && echo $$p && exit; done; echo python3)

BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet install
# Wheels only: no compiler. nkeys has none, and is Python all through.
WHEELS := --only-binary :all: --no-binary nkeys
EXAMPLE := deploy/example
DEMO_LOGS := build/demo-logs

.PHONY: demo test check bench lock clean python

demo: .venv/ready
	rm -rf $(DEMO_LOGS)
	$(BIN)/dsiem-backend validate $(EXAMPLE)/configs
	$(BIN)/python $(EXAMPLE)/live.py --log-dir $(DEMO_LOGS)

test: .venv/ready
	$(BIN)/python -m pytest -n auto

check: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/python -m pytest -n auto

# Prints tables, and writes the figures to benchmarks/results/; fails when a target is not met.
bench: .venv/ready
	$(BIN)/python benchmarks/bench_engine.py; engine=$$?; \
		$(BIN)/python benchmarks/bench_pipeline.py && exit $$engine

# The editable install downloads nothing: what it builds with is in the lock.
.venv/ready: requirements.lock setup.cfg pyproject.toml
	@$(MAKE) --no-print-directory python
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python $(PIP) $(WHEELS) -r requirements.lock
	$(BIN)/python $(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

python:
	@$(PYTHON) -c '$(RECENT)' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or later: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module: install it (Debian: python3-venv)" >&2; exit 1; }

# The newest versions that setup.cfg allows, all of them pinned.
lock: python
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python $(PIP) $(WHEELS) --upgrade '.[bench,dev]'
	{ echo '# Every package of .venv, made by `make lock`; wheels for Python 3.11, 3.12 and 3.13 on Linux.'; \
		build/lock/bin/python -m pip freeze --all --exclude dsiem-shards --exclude pip; \
	} > build/requirements.lock
	mv build/requirements.lock requirements.lock

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find engine shards tests benchmarks deploy -name __pycache__ -exec rm -rf {} +
