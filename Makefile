# Needs Python 3.11 or later, make and git. Everything else is installed into .venv, at the versions
# of requirements.lock, as wheels: no compiler is needed.

RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(RECENT)' 2>/dev/null && echo $$p && exit; done; echo python3)

BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet install
# Wheels only, so that no compiler is needed. nkeys has no wheel, and is pure Python.
WHEELS := --only-binary :all: --no-binary nkeys
COVERED := $(CURDIR)/engine/*,$(CURDIR)/shards/*,$(CURDIR)/cli.py
EXAMPLE := deploy/example
DEMO_LOGS := build/demo-logs
PIP_AUDIT := pip-audit@2.10.1
ROUGH := build/bench
ROUGH_RATES := 1000,50000

# Run one benchmark, and report those that failed after the last one.
run = echo "== $(1)"; $(BIN)/python benchmarks/$(1) || failed="$$failed $(firstword $(1))"
report = [ -z "$$failed" ] || { echo "failed, or a target was not met:$$failed" >&2; exit 1; }

.PHONY: demo demo-console test test-fast check compiled-tests lint coverage bench bench-full plots docs release
.PHONY: audit lock clean python

demo: .venv/ready
	rm -rf $(DEMO_LOGS)
	$(BIN)/dsiem-backend validate $(EXAMPLE)/configs
	$(BIN)/dsiem-backend test $(EXAMPLE)/configs
	$(BIN)/dsiem-backend demo --once --demo-dir $(DEMO_LOGS)

# The same, until Ctrl-C: its alarms in the console.
demo-console: .venv/ready
	$(BIN)/dsiem-backend demo --demo-dir $(DEMO_LOGS)

# The tests start hundreds of processes, each of which would else compile what it imports.
test coverage compiled-tests: export PYTHONDONTWRITEBYTECODE =

test: .venv/ready
	$(BIN)/python -m pytest -n auto --dist worksteal

# Without real processes and servers, and with fewer Hypothesis examples: under 30 s on 2 cores.
# Compiled tests are kept in build/, also where Python is told not to write any beside the sources.
test-fast: export PYTHONDONTWRITEBYTECODE =
test-fast: export PYTHONPYCACHEPREFIX = $(CURDIR)/build/pycache
test-fast: .venv/ready
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not integration"

check: .venv/ready
	@$(MAKE) --no-print-directory --jobs=2 lint compiled-tests
	@$(MAKE) --no-print-directory coverage

lint: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict

# Each process of pytest-xdist would compile all tests: one does beforehand, beside the linters. What
# is wrong with a test is reported when it is run.
compiled-tests: .venv/ready
	@$(BIN)/python -m pytest --collect-only -qq > /dev/null || true

# All tests, with the lines counted that run in them and in each process that they start; fails
# below fail_under of pyproject.toml. A process that is killed reports none of its lines.
# With --source, a process also looks for files that nothing imports, each time: so only one does.
coverage: .venv/ready
	$(BIN)/coverage erase
	$(BIN)/coverage run --source=engine,shards cli.py --version > /dev/null
	$(BIN)/coverage run --include=$(COVERED) -m pytest -n auto --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/python tests/support/coverage_report.py
	$(BIN)/coverage report --format=total > /dev/null

# Both print tables, continue after a failure, and fail at the end; bench-full also fails when a
# target is missed. bench takes under 3 minutes; its rough figures are not compared with targets,
# and go to build/bench, so that they do not replace those of bench-full.
bench: .venv/ready
	@mkdir -p $(ROUGH)
	@failed=; \
	$(call run,bench_engine.py --quick --json $(ROUGH)/bench_engine.json); \
	$(call run,bench_pipeline.py --quick --only flood --only steady --only idle \
		--json $(ROUGH)/bench_pipeline.json); \
	$(call run,bench_nats.py --quick --only sustained --only matching \
		--json $(ROUGH)/bench_nats.json); \
	$(call run,bench_latency.py --quick --rates $(ROUGH_RATES) \
		--json $(ROUGH)/bench_latency.json); \
	$(call run,compare.py --quick --json $(ROUGH)/compare.json); \
	$(report)

# The figures go to benchmarks/results/. With peers: make bench-full PEERS='--peer go=/path/to/dsiem'
bench-full: .venv/ready
	@failed=; \
	$(call run,bench_engine.py); \
	$(call run,bench_pipeline.py); \
	$(call run,bench_nats.py); \
	$(call run,bench_nats.py --only lookups --only ops \
		--json benchmarks/results/bench_nats_more.json); \
	$(call run,bench_latency.py); \
	$(call run,bench_start.py); \
	$(call run,bench_reload.py); \
	$(call run,bench_console.py); \
	$(call run,compare.py $(PEERS)); \
	$(report)

# The documents as a site, in build/site/; a link that leads nowhere is an error.
docs: .venv/ready
	$(BIN)/python docs/site.py

# Draw docs/images/ from the figures of bench-full.
plots: .venv/ready
	$(BIN)/python benchmarks/plots.py

# Wheel, sdist, SBOM and checksums of the last commit, in dist/; a release is a commit with a tag.
release: .venv/ready
	$(BIN)/python deploy/release/make_release.py

# Known vulnerabilities of the versions in the lock; asks the service of PyPI.
audit: .venv/ready
	$(BIN)/uv tool run $(PIP_AUDIT) --requirement requirements.lock --no-deps --disable-pip --strict

# The editable install downloads nothing: its build requirements are in the lock.
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

# Pin the newest versions that setup.cfg allows. Made with the oldest Python, since the newest version
# for a later one may have no wheels for it.
lock: python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "make PYTHON=/path/to/python3.11 lock" >&2; exit 1; }
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python $(PIP) $(WHEELS) --upgrade '.[bench,dev,otel]'
	{ echo '# Every package of .venv, made by `make lock`; wheels for Python 3.11 to 3.14 on Linux.'; \
		build/lock/bin/python -m pip freeze --all --exclude dsiem-shards --exclude pip | \
		sed '/^backports.zstd/s/$$/; python_version < "3.14"/'; \
	} > build/requirements.lock
	mv build/requirements.lock requirements.lock

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find engine shards tests benchmarks deploy -name __pycache__ -exec rm -rf {} +
