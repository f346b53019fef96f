# Two commands do everything on a fresh Debian or Ubuntu machine: make demo, make test.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
# one more than there are cores: a test often waits for the server
WORKERS = $(shell echo $$(( $$(nproc) + 1 )))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
XCAT := .venv/bin/xcat
SOURCES ?= 60000

# what browsers need beside our own files
PAGES := xcat/service/pages
VENDORED := htmx.org/dist/htmx.min.js aladin-lite/dist/aladin.js

.PHONY: help vendored demo test test-fast check check-types check-style tests docs system libraries clean

help:
	@echo "make demo   simulate a sky, classify it on a private PostgreSQL, write demo/report/index.html"
	@echo "make test   check style and types, run all tests on a private PostgreSQL"
	@echo "make test-fast  run the tests that take no long time (2 minutes)"
	@echo "make docs   build the documentation: docs/_build/index.html"
	@echo "make clean  remove the virtual environment and the demo's files (not the database)"

# What the distribution must give: a server, q3c for the same version, and venv for the Python at hand; for the tests
# also docker-compose, which checks the compose file, STILTS, which matches the same positions in its own way, and a browser.
system:
	@set -e; export DEBIAN_FRONTEND=noninteractive; \
	missing=""; \
	compgen -G "/usr/share/postgresql/*/extension/q3c.control" >/dev/null || missing="q3c"; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing venv"; \
	for tool in $(TEST_TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
		$(SUDO) apt-get update -qq; \
		version=$$(apt-cache depends postgresql | awk '/Depends: postgresql-[0-9]+$$/ { sub(/.*-/, ""); v = $$0 } END { print v }'); \
		packages=""; \
		for need in $$missing; do case $$need in \
			q3c) packages="$$packages postgresql-$$version postgresql-$$version-q3c";; \
			venv) packages="$$packages python3 python3-venv";; \
			*) packages="$$packages $$need";; \
		esac; done; \
		echo "installing:$$packages"; \
		$(SUDO) apt-get install -y -qq --no-install-recommends $$packages >/dev/null; \
	fi

# Libraries for browsers, checked by their integrity; without npm the pages work without them.
vendored:
	@mkdir -p $(PAGES)/static/vendor
	@if command -v npm >/dev/null && npm ci --prefix $(PAGES)/npm --ignore-scripts --no-audit --no-fund --silent; then \
		cp $(addprefix $(PAGES)/npm/node_modules/,$(VENDORED)) $(PAGES)/static/vendor/; \
	else \
		echo "npm is missing or fails: the pages of xcat serve work without htmx and Aladin Lite"; \
	fi

libraries:
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.$(EXTRAS)'

# Programs, libraries and what browsers need come at the same time.
.venv/ready-test: EXTRAS = [test]
.venv/ready-test: TEST_TOOLS = docker-compose stilts chromium
.venv/ready-docs: EXTRAS = [docs]
.venv/ready .venv/ready-test .venv/ready-docs: pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xcat needs Python 3.11 or newer")'
	@$(MAKE) --no-print-directory -j 3 system libraries vendored EXTRAS='$(EXTRAS)' TEST_TOOLS='$(TEST_TOOLS)'
	@touch $@

demo: .venv/ready
	$(XCAT) simulate --sources $(SOURCES) --seed 1 --out demo/sky
	$(XCAT) run examples/simulated.yaml --data demo/sky --replace --allow-loss 1
	$(XCAT) candidates XRB --min-probability 0.9 --max-rows 10
	$(XCAT) report --html demo/report >/dev/null
	@echo "report: demo/report/index.html"

check: .venv/ready-test
	@$(MAKE) --no-print-directory --output-sync -j 2 check-types check-style

# only called by the others, which set up first

check-types:
	.venv/bin/mypy

check-style:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check --quiet .
	.venv/bin/sqlfluff lint --disable-progress-bar -q sql/functions sql/views sql/queries
	.venv/bin/lint-imports --no-logo >/dev/null || .venv/bin/lint-imports --no-logo

# all at once: what waits leaves no core idle
test: .venv/ready-test
	@$(MAKE) --no-print-directory -j 3 check-types check-style tests

# Nothing is compiled in a fresh clone, neither the libraries nor the tests. One process does it, beside the checks;
# otherwise every worker does it for itself.
tests: export PYTHONDONTWRITEBYTECODE =
tests:
	@.venv/bin/python -m pytest -q --collect-only >/dev/null || true
	.venv/bin/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

test-fast: .venv/ready-test
	.venv/bin/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow" $(PYTEST)

docs: .venv/ready-docs
	.venv/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "documentation: docs/_build/index.html"

clean:
	rm -rf .venv demo docs/_build docs/reference
