# Each goal is one line here; what is longer stands in scripts/.
# `make` alone lists them.

export CARGO_TERM_PROGRESS_WHEN ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)
# `make run` uses the profile of the tests: half the cold build time of `release`, and quick
# enough for one person, since hashing, sealing and the store are compiled with full optimisation in
# it. `make run PROFILE=release` for a server that stays, `PROFILE=dist` for the smallest program.
PROFILE ?= dev
OUT := $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
ARGS ?=
ASSET_SOURCES := package.json package-lock.json $(wildcard scripts/assets.mjs) \
	$(shell find static -path static/dist -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup run assets test bench crash crash-channels partitions simulate mutate fixture timings deny lint-image shots trace fmt clean

help: ## list the goals
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: ## install what running and testing need
	@scripts/setup.sh run test

run: ## build and start HQ on 127.0.0.1:8080 with ./data
	@scripts/setup.sh run
	@$(MAKE) --no-print-directory assets
	@scripts/build.sh --profile $(PROFILE) --bin hq
	$(OUT)/hq serve $(ARGS)

assets: static/dist/.made ## bundle script, style and sprite into static/dist

static/dist/.made: $(ASSET_SOURCES) node_modules/.package-lock.json
	npm run --silent assets
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

test: ## format, lints, documents, all tests
	@scripts/test.sh

bench: ## measure what is promised: the store alone, a backup under load, then all from outside
	@scripts/setup.sh run
	cargo build --release --locked --manifest-path benches/peer/Cargo.toml --target-dir target/peer
	cargo bench --locked --bench store -- $(ARGS)
	$(if $(ARGS),,cargo bench --locked --bench backup)
	cargo bench --locked --bench hq -- $(ARGS)

crash: ## kill the program N times at random moments (N=1000, SEED=… repeats one, JOBS=2 at once)
	@HQ_CRASH_N=$(or $(N),1000) HQ_CRASH_SEED=$(SEED) HQ_CRASH_JOBS=$(JOBS) \
		scripts/ledgers.sh crash $(PROFILE)

crash-channels: ## kill the program N times while people write on its messengers (N=300, SEED=… repeats one)
	@HQ_CRASH_CHANNEL_N=$(or $(N),300) HQ_CRASH_SEED=$(SEED) scripts/ledgers.sh channel_crash $(PROFILE)

partitions: ## part home and a host N times in every way (N=1000, SEED=… repeats one, JOBS=4 at once)
	@HQ_PARTITIONS_N=$(or $(N),1000) HQ_PARTITIONS_SEED=$(SEED) HQ_PARTITIONS_JOBS=$(JOBS) \
		scripts/ledgers.sh partitions $(PROFILE)

simulate: ## let N stores and N links live with a disk, a clock and lines that do everything wrong (N=10000, SEED=… begins there)
	@HQ_SIM_N=$(or $(N),10000) HQ_SIM_SEED=$(SEED) HQ_SIM_PROFILE=$(PROFILE) scripts/simulate.sh

mutate: ## switch off each check of undo, one build each: its test must fail
	@scripts/setup.sh run test
	@scripts/mutate.sh $(ARGS)

fixture: ## keep a data folder of this format for the tests of later ones (once a format)
	HQ_FIXTURE=write cargo test --locked --test it upgrade::a_folder_with_every_kind

timings: ## check, build and test build after a one-line edit
	@scripts/timings.sh

deny: ## licences, banned crates and sources of all dependencies
	@scripts/deny.sh

lint-image: ## lint the Dockerfile
	@scripts/lint-image.sh

trace: ## first views, a change on another page, palette and 500 tasks at once in a company of 100,000 tasks, in Chromium (SEED=medium)
	@SEED=$(SEED) scripts/web.sh trace

shots: ## screenshots of every page, wide and narrow, light and dark
	@scripts/web.sh shots

fmt: ## format the code
	cargo fmt --all

clean: ## remove what was built (the data folder stays)
	rm -rf $(TARGET) node_modules web-tests/node_modules web-tests/out static/dist/* static/dist/.made
