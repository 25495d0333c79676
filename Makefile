# SPDX-License-Identifier: MIT
# A front over Meson: each target is what a newcomer would otherwise have to look up.
BUILD  ?= build
MESON  ?= meson
PREFIX ?= /usr/local

poolwise   = $(BUILD)/tool/poolwise
sample     = $(BUILD)/examples/sample/sample
run_inputs = $(BUILD)/run

.PHONY: all run test test-escape-dynamic test-escape-cases bench bench-pool bench-server bench-docs bench-record bench-truth install clean deps-check deps-run deps-test deps-bench compile compile-bench

all: deps-check compile

deps-check:
	@scripts/deps --check build >$@.log 2>&1 || { cat $@.log; rm -f $@.log; exit 1; }
	@rm -f $@.log

deps-run:
	@scripts/deps build run

deps-test:
	@scripts/deps build run test

deps-bench:
	@scripts/deps build run test bench

compile:
	@test -f $(BUILD)/build.ninja || $(MESON) setup $(BUILD)
	@ninja -C $(BUILD)

# The further peers are built only for measuring.
compile-bench: compile
	@$(MESON) configure $(BUILD) -Dbench=true
	@ninja -C $(BUILD)

# The main job, start to end: the bundled sample alone, with four threads, and a program of the system.
run: deps-run
	@$(MAKE) --no-print-directory compile
	$(poolwise) advise -- $(sample)
	$(poolwise) advise -- $(sample) --threads 4
	@python3 bench/workloads.py --only jq --scale 0.1 $(run_inputs)
	$(poolwise) advise -- jq '[.[] | select(.stock > 20) | {id, name: (.title | ascii_upcase)}] | length' \
		$(run_inputs)/catalogue.json

test: deps-test
	@$(MAKE) --no-print-directory compile
	$(MESON) test -C $(BUILD) --no-rebuild --print-errorlogs

# In this order: the last one ends with the budgets. Ten minutes on two CPUs, once built.
bench: bench-record bench-server bench-pool
bench: RECORD_ROUNDS ?= 3
bench: RECORD_SCALE ?= 0.4

bench-pool: deps-bench
	@$(MAKE) --no-print-directory compile-bench
	python3 bench/run.py --build $(BUILD)

bench-server: deps-bench
	@$(MAKE) --no-print-directory compile-bench
	python3 bench/server.py --build $(BUILD)

# The plots in docs/, from the last results.
bench-docs:
	python3 bench/run.py --docs --from $$(ls bench/results/bench-*.json | tail -1)

# The escape analysis' verdicts on real programs against what they do. Fetches their sources.
test-escape-dynamic: deps-test
	@$(MAKE) --no-print-directory compile
	python3 tests/escape/dynamic.py $(poolwise) $(BUILD)/escape-dynamic

# The table of hand-made cases: kind, expected, got.
test-escape-cases: deps-test
	@$(MAKE) --no-print-directory compile
	python3 tests/escape/cases.py $(poolwise) tests/escape/cases.c tests/escape/adversary.c

bench-record: deps-bench
	@$(MAKE) --no-print-directory compile
	python3 bench/record.py --build $(BUILD) $(if $(RECORD_ROUNDS),--rounds $(RECORD_ROUNDS)) $(if $(RECORD_SCALE),--scale $(RECORD_SCALE))

# Whether what advise says comes true: predicted against measured, and what was missed; first on the programs that the
# thresholds were found with, then on others.
bench-truth: deps-bench
	@$(MAKE) --no-print-directory compile
	python3 bench/truth.py --build $(BUILD)
	python3 bench/truth.py --build $(BUILD) --held-out

install: all
	@$(MESON) configure $(BUILD) -Dprefix=$(PREFIX)
	DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD)

clean:
	rm -rf $(BUILD)
