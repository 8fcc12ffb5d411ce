PYTHON ?= python3.11
BIN := .venv/bin
JOBS ?= 2

.PHONY: help run test check bench plot profile soak campaign openapi lock clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/installed ## Start the service on a Postgres of its own; data in ./data
	$(BIN)/authsvc serve

test: .venv/installed ## Run every test, on real Postgres, registry and clients
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

check: .venv/installed ## Run the linters, the type checker and the architecture's contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: .venv/installed ## Measure the ratios of DESIGN 11 that exist so far
	$(BIN)/python -m bench

plot: .venv/installed ## Draw bench/cost.svg anew: what a token costs as users, projects, bindings, events and workers grow
	$(BIN)/python -m bench.plot --svg bench/cost.svg

profile: .venv/installed ## Measure what each step of a token request costs, and of verifying a row of the log
	$(BIN)/python -m bench.profile
	$(BIN)/python -m bench.profile_verification

soak: .venv/installed ## Half an hour of load, kills and changes: flat memory, right answers, a whole log
	$(BIN)/python -m bench.soak --minutes 30

campaign: .venv/installed ## Run the crash, cut, race and tamper tests at full count: three hours
	CAMPAIGN=full $(BIN)/pytest -s --timeout 7200 tests/crash tests/races tests/tamper tests/adapters/test_journal.py \
	  tests/adapters/test_canonical_json.py tests/core/test_tlog_proof.py tests/operations/test_reach_worlds.py tests/faces/test_admin_contract.py

openapi: .venv/installed ## Write deploy/openapi.json anew, after a change of the admin API
	$(BIN)/python -c "import json, authsvc.app, authsvc.config; \
	  document = authsvc.app.Application(authsvc.config.read_settings({})).api.openapi(); \
	  open('deploy/openapi.json', 'w').write(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + '\n')"

lock: ## Pin every dependency with hashes, in files without addresses (needs uv)
	{ echo "# Pinned with hashes by 'make lock'; for the service alone."; \
	  uv pip compile pyproject.toml --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --python-platform linux; } > requirements.txt
	{ echo "# Pinned with hashes by 'make lock'; the service, its tests and its checks."; \
	  uv pip compile pyproject.toml --group dev --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --python-platform linux; } > requirements-dev.txt

clean: ## Remove what was built; data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
