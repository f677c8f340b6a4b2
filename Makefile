# A thin front for scripts/ and the CMake presets. `make help` lists the targets.
SHELL := /bin/bash
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
PREFIX ?= /usr/local
export JOBS

.DEFAULT_GOAL := help
.PHONY: help run build docs stack stack-stop deploy-check test test-real bench bench-encoder bench-cache bench-postgres bench-served bench-usage bench-peers bench-profile soak mutants asan tsan fuzz check web format install dist newcomer clean

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' Makefile | column -t -s '|'

run: ## install what is missing, build, and start Relay (the first command of the README)
	@scripts/run.sh

build: ## install what the build needs and build: build/relay and build/relay-sim
	@scripts/setup.sh build
	@scripts/build.sh release
	@scripts/model.sh || true

stack: ## the served set-up on this machine: PostgreSQL, Redis, two gateways, nginx, Prometheus
	@scripts/setup.sh stack
	@scripts/build.sh release
	@scripts/model.sh || true
	@scripts/stack.sh start

stack-stop: ## stop what make stack started; its data stays in build/stack
	@scripts/stack.sh stop

test: ## install what the tests need and run them all (the second command of the README)
	@scripts/test.sh

test-real: ## by hand: tests against real model servers, which come from moving places
	@scripts/test.sh real

bench: ## the scorecard: Relay beside nginx on this machine
	@scripts/setup.sh bench
	@scripts/build.sh release
	@scripts/bench.sh

bench-peers: ## Relay beside nginx, LiteLLM, TensorZero and Portkey: ARGS="--quick", --docs
	@scripts/setup.sh bench
	@scripts/bench_peers.sh $(ARGS)

bench-profile: ## where the time of a request goes in Relay, step by step (needs valgrind)
	@scripts/bench_profile.sh $(ARGS)

bench-encoder: ## the encoder of the semantic cache beside ONNX Runtime
	@scripts/setup.sh test
	@scripts/bench_encoder.sh

bench-postgres: ## how fast a journal of a million rows drains into PostgreSQL
	@scripts/bench_postgres.sh $(ARGS)

bench-served: ## what PostgreSQL and Redis cost a gateway, beside one without them
	@scripts/bench_served.sh $(ARGS)

bench-usage: ## how fast the dashboard's panels answer over ten million rows
	@scripts/bench_usage.sh $(ARGS)

bench-cache: ## what the semantic cache serves, and how much of it is wrong: DATA=folder
	@scripts/setup.sh test
	@DATA="$(DATA)" scripts/bench_cache.sh $(ARGS)

mutants: ## by hand: which of two thousand small faults in the code the quick tests miss
	@scripts/setup.sh test
	@scripts/mutants.sh $(ARGS)

soak: ## by hand: an hour of load while everything breaks, then the books: ARGS="--minutes 10"
	@scripts/soak.sh $(ARGS)

asan: ## unit and path tests under AddressSanitizer and UBSan
	@scripts/test.sh asan

tsan: ## the threaded tests, and many clients at once, under ThreadSanitizer
	@scripts/test.sh tsan

fuzz: ## by hand: every fuzzer for FUZZ_MINUTES (60), its corpus kept; a table
	@scripts/setup.sh test
	@scripts/fuzz.sh

check: ## the static checks: layers, lengths, banned calls, format, clang-tidy, shellcheck
	@scripts/setup.sh test
	@scripts/check.sh

docs: ## build docs/ as a site into build/site
	@scripts/docs.sh

deploy-check: ## check deploy/ (image, compose, chart, unit, nginx, alerts) with the programs that read it
	@scripts/setup.sh stack
	@scripts/deploy_check.sh

web: ## build the dashboard's pages anew: web/dist
	@scripts/setup.sh test
	@scripts/web.sh build

format: ## clang-format everything
	@scripts/setup.sh test
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

install: build ## install under PREFIX (default /usr/local); DESTDIR is honoured
	@cmake --install build/release --prefix $(PREFIX)

dist: build ## a release: source, .deb, list of parts, sums, in build/dist
	@scripts/dist.sh

newcomer: ## by hand, as root: the README and every command of the guides inside a bare Debian folder
	@scripts/newcomer.sh

clean: ## remove everything that was built (build/deps and build/stack stay)
	@find build -mindepth 1 -maxdepth 1 ! -name deps ! -name stack -exec rm -rf {} +
