# Everything that is done with callout. `make help` lists the targets.

CARGO ?= cargo

.PHONY: help run test test-model test-crowds test-kill test-browser test-examples test-clients test-proxies screenshots fuzz mutants check bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

run: ## start the server on http://127.0.0.1:8080 (flags: make run ARGS="--listen 0.0.0.0:8080")
	$(CARGO) run --release -- serve $(ARGS)

test: ## run the tests
	$(CARGO) test

test-model: ## try 1,500 rounds of the hand-over's model, in interleavings of a seed of its own (some minutes)
	MODEL_ROUNDS=1500 MODEL_SEED=$${MODEL_SEED:-$$(date +%s)} $(CARGO) test --test model

test-crowds: ## let 5,000 be slow in each of the ways that there are, one after the other (some minutes)
	CROWD=5000 $(CARGO) test --test it -- stream::crowds --test-threads 1 --nocapture

test-kill: ## kill -9 the server 300 times, twice over, and cut the power some 20,000 times (some minutes)
	KILL_ROUNDS=300 $(CARGO) test --test it -- disk::kill disk::power disk::crash posts::kill

test-browser: tests/browser/node_modules ## try the pages and the library in Chromium, Firefox and WebKit (BROWSERS=chromium chooses); pictures go to target/screenshots
	$(CARGO) build --release
	node --test --test-concurrency=2 --test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter=./tests/browser/table.mjs --test-reporter-destination=stdout tests/browser \
		|| node tests/browser/again.mjs

test-examples: tests/browser/node_modules examples/clients/pages/node_modules ## run the clients and pages of examples/clients, and kill the server meanwhile
	$(CARGO) build --release
	BROWSERS=chromium node --test tests/clients/clients.test.mjs tests/clients/pages.test.mjs

test-clients: tests/browser/node_modules tests/clients/node/node_modules ## run other people's clients against the server, and kill and drain it meanwhile
	$(CARGO) build --release
	node --test tests/clients/others.test.mjs

test-proxies: tests/browser/node_modules ## put nginx, Caddy, haproxy and Apache in front of the server
	$(CARGO) build --release
	node --test tests/servers

screenshots: tests/browser/node_modules ## make the README's pictures again
	$(CARGO) build --release
	node tests/browser/screenshots.mjs

%/node_modules: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	touch $@

fuzz: ## let libFuzzer look for a minute each for what breaks the readers of tickets, JWTs, selectors and headers (FUZZ_SECONDS)
	fuzz/run

mutants: ## change the program in small ways and see that tests notice (FILES="src/hub src/client" and SHARD=0/8 choose; hours)
	tests/mutants.sh

check: ## the whole gate: format, lints, docs and tests, for the default build and for each feature
	$(CARGO) fmt --check
	cd benches && $(CARGO) fmt --check
	cd fuzz && $(CARGO) fmt --check
	cd examples/clients/rust && $(CARGO) fmt --check
	cd tests/clients/rust && $(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --features full -- -D warnings
	cd benches && $(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	$(CARGO) test
	$(CARGO) test --features tls cli
	$(CARGO) test --features jwt --lib access

bench: ## measure callout against its peers in one run, half an hour; rewrites benches/RESULTS.md (BEFORE=PATH: an earlier callout beside it)
	$(CARGO) build --release
	cd benches && $(CARGO) build --release && $(CARGO) run --release -- $(if $(BEFORE),--before $(abspath $(BEFORE)))

clean: ## remove what was built
	$(CARGO) clean
	cd benches && $(CARGO) clean
