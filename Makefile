# Everything that is to be done here. `make help` lists the targets.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

GO_VERSION := $(shell go env GOVERSION)
ifeq ($(GO_VERSION),)
$(error Go is not installed: see https://go.dev/dl)
endif
# The race detector needs cgo, and so a C compiler.
RACE ?= $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

BIN   := .build/bin
DIST  := web/dist
WASM  := GOOS=js GOARCH=wasm
NPM   := web/node_modules/.package-lock.json
# What Holdfast is measured beside. Only benchmarks and their types need it.
PEERS := web/bench/node_modules/.package-lock.json
# What drives Firefox. Only `make engines` and its types need it.
DRIVER := web/engines/node_modules/.package-lock.json
# The SDKs of the guide, which `make test-web` runs.
SDKS := web/sdks/node_modules/.package-lock.json
VULN  ?= optional

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: demo
demo: build ## build, then serve the demo on 127.0.0.1 and print its address
	cd web && npx vite build demo && npx vite preview demo

PARTS := cd .tools && go run ./parts

# The specs, without those that are the same with both backends.
ALIKE := --project=once --project=demo --project=leveldb --project=sqlite

# What takes long, or is rarely touched, is left to make test.
.PHONY: check
check: export RACE :=
check: export SPECS := --project=once --project=leveldb --grep-invert=@launch|@long|@slow|(crash|guide-replay|loading|ownership|react|verify|waits).spec
check: ## run what takes less than three minutes, for each commit: format, vet, types, rules, and the quick tests
	$(PARTS) $@ style test-go test-web

.PHONY: test
test: export BUGS_CHANGED := -changed
test: export SPECS := $(ALIKE) --grep-invert=(?=.*@slow)(?=.*@indexeddb)
test: ## run all tests in their short form, before a push, up to the first part that fails
	$(PARTS) -beside=test-web $@ ready test-go test-wasm bugs

.PHONY: ready
ready: build $(BIN)/wasmbrowsertest $(SDKS) ## build and install what the tests need

.PHONY: proof
proof: export WASM_SQLITE := ./...
proof: export SPECS := --grep-invert=@long
proof: export STEP_SECONDS := 70
proof: export DIRECTORY_CONVERSATIONS := 10000
proof: ## run everything at length, for hours, and write the results into RELIABILITY.md; takes PROOF, some of its parts, and what those take
	$(PARTS) -table=RELIABILITY.md $@ $(or $(PROOF),test-go test-wasm test-web bugs model handlers history crash corrupt fuzz engines)

.PHONY: test-go
test-go: ## run the Go tests natively, and give every decoder of stored bytes hostile inputs
	go test -vet=off -timeout=15m $(RACE) ./...
	go test -vet=off -timeout=15m -run=^Fuzz ./core ./core/runner ./idbstore -mutations=20000
	cd .tools && go test -vet=off -timeout=15m ./...

.PHONY: test-wasm
test-wasm: $(BIN)/wasmbrowsertest ## run the Go tests in Chromium, those of the store on both IndexedDB backends
	.tools/test-wasm.sh leveldb ./...
	.tools/test-wasm.sh sqlite $${WASM_SQLITE:-./idbstore}

.PHONY: test-web
test-web: build $(SDKS) ## run the TypeScript tests in Chromium, those of the storage on both IndexedDB backends; takes SPECS, arguments for Playwright
	chrome=$$(.tools/chrome.sh) && cd web && CHROME=$$chrome npx playwright test $${SPECS-$(ALIKE)}

.PHONY: model
model: $(BIN)/wasmbrowsertest ## compare the store with one in memory over many random operations, natively and in Chromium, make each call fail at each of its steps, draw lives of tabs and of runners with faults, compare the fake of IndexedDB with the real one, and draw logs of which a state is made in several ways; takes MODEL_OPS, MODEL_BROWSER_OPS, MODEL_STATES, MODEL_SEED (0 for a random one), MODEL_MEMORY, histories of what is remembered beside the database
	go test -vet=off -timeout=0 ./core -v -run='^TestRandomStates$$' -states=$${MODEL_STATES:-20000} -states.seed=$${MODEL_SEED:-1}
	go test -vet=off -timeout=0 ./idbstore -v -run='^Test(Model|SweepOf.*|Random.*|RememberedAtRandom)$$' -model.ops=$${MODEL_OPS:-5000000} -model.seed=$${MODEL_SEED:-1} -memory.seeds=$${MODEL_MEMORY:-30000}
	for backend in leveldb sqlite; do .tools/test-wasm.sh $$backend -timeout=0 ./idbstore -v -run='^Test(Model|FakeIsLikeTheBrowser)$$' \
		-model.ops=$${MODEL_BROWSER_OPS:-50000} -model.seed=$${MODEL_SEED:-1}; done

.PHONY: handlers
handlers: build ## draw random handlers, natively and in Chromium, and have each killed after every event of its log, and play random histories of tabs; takes HANDLERS, HANDLERS_IN_BROWSER, HISTORIES, HANDLERS_SEED (0 for a random one), WAIT_RELOADS
	go test -vet=off -timeout=0 ./core/runner -v -run='^TestRandom(Handlers|Histories)$$' -handlers=$${HANDLERS:-20000} -handlers.seed=$${HANDLERS_SEED:-1} \
		-histories=$${HISTORIES:-5000} -histories.seed=$${HANDLERS_SEED:-1}
	chrome=$$(.tools/chrome.sh) && cd web && HANDLERS_IN_BROWSER=$${HANDLERS_IN_BROWSER:-500} WAIT_RELOADS=$${WAIT_RELOADS:-1000} CHROME=$$chrome \
		npx playwright test random.spec waits.spec --grep=@long --project=leveldb --workers=1 --global-timeout=0

.PHONY: history
history: build ## check many histories of tabs and workers that append, read and delete against each other, and have eight append to one log; takes HISTORY_COUNT, HISTORY_SEED, CROWD_TABS, CROWD_APPENDS
	chrome=$$(.tools/chrome.sh) && cd web && HISTORY_COUNT=$${HISTORY_COUNT:-1000} CROWD_TABS=$${CROWD_TABS:-8} CROWD_APPENDS=$${CROWD_APPENDS:-1250} CHROME=$$chrome \
		npx playwright test history.spec race.spec --workers=1 --global-timeout=0

.PHONY: bugs
bugs: build ## plant bugs, one after the other, and see that the test named for each catches it; takes BUGS, a part of a name, or BUGS_CHANGED=-changed, for those in files that differ from the main branch or else a tenth, with BUGS_SEED
	chrome=$$(.tools/chrome.sh) && cd .tools && CHROME=$$chrome go run ./bugs -run='$(BUGS)' $(BUGS_CHANGED) -seed=$${BUGS_SEED:-0}

.PHONY: fuzz
fuzz: build ## give every decoder of stored bytes hostile inputs; takes FUZZ_INPUTS, for each, and FUZZ_SEED
	inputs=$${FUZZ_INPUTS:-50000000} && .tools/fuzz.sh $$inputs && cd web && FUZZ_INPUTS=$$inputs npx playwright test fuzz.spec --global-timeout=0

.PHONY: crash
crash: build ## kill Chromium and its tabs again and again, while they append and while an agent works; takes CRASH_ROUNDS, CRASH_TABS, CRASH_SEED, CRASH_DURABILITY
	chrome=$$(.tools/chrome.sh) && cd web && CRASH_ROUNDS=$${CRASH_ROUNDS:-250} CRASH_TABS=$${CRASH_TABS:-100} SYNC_APPENDS=$${SYNC_APPENDS:-1000} CHROME=$$chrome \
		npx playwright test killloop.spec killagent.spec crashloop.spec durability.spec --workers=1 --global-timeout=0

.PHONY: corrupt
corrupt: build ## damage the files of Chromium's IndexedDB at random; takes CORRUPT_TRIALS, of both backends together, and CORRUPT_SEED
	chrome=$$(.tools/chrome.sh) && cd web && CORRUPT_TRIALS=$${CORRUPT_TRIALS:-200} CORRUPT_SEED=$${CORRUPT_SEED:-$$RANDOM} CHROME=$$chrome \
		npx playwright test corrupt.spec --workers=1 --global-timeout=0

.PHONY: engines
engines: build $(DRIVER) .build/engines/idbstore.wasm ## run the specs in Chromium with both backends, in Firefox and in WebKitGTK, and print a table; takes ENGINES, such as "firefox webkit"
	chrome=$$(.tools/chrome.sh) && firefox=$$(.tools/firefox.sh) && .tools/webkit.sh && cd web && CHROME=$$chrome FIREFOX=$$firefox \
		npx playwright test --config=engines $(ENGINES:%=--project=%)

.PHONY: places
places: build ## build an application in each place where people put the package, from the packed tarball, and reload it in the middle of an answer; takes PLACES, a part of a name, and the network
	chrome=$$(.tools/chrome.sh) && cd web && CHROME=$$chrome npx playwright test --config=places --grep='$(PLACES)'

# The linter knows the package, as the tests do, by what is in dist.
.PHONY: style
style: build $(BIN)/staticcheck ## check format, vet, staticcheck, references that run upward, types and TypeScript rules of all but the benchmarks and the drivers of other engines
	@test -z "$$(gofmt -l core idbstore internal wasm .tools | tee /dev/stderr)" || { echo "run gofmt -w on these" >&2; exit 1; }
	go vet ./...
	$(WASM) go vet ./...
	$(BIN)/staticcheck ./...
	$(WASM) $(BIN)/staticcheck ./...
	cd .tools && go vet ./... && $(CURDIR)/$(BIN)/staticcheck ./...
	cd .tools && go run ./rooms core=8 core/runner=8 idbstore=6 wasm=4
	cd web && npx tsc --noEmit && npx tsc -p tsconfig.test.json && npx tsc -p places && npx tsc -p demo && npx tsc -p demo/worker
	cd web && npx oxlint --type-aware --deny-warnings src test demo scripts places/*.ts *.ts

.PHONY: lint
lint: style $(PEERS) $(DRIVER) $(BIN)/govulncheck ## the same for everything, and look for known vulnerabilities (Go and npm)
	VULN=$(VULN) .tools/vuln.sh $(BIN)/govulncheck
	cd web && npx tsc -p bench && npx tsc -p engines && npx oxlint --type-aware --deny-warnings bench engines

.PHONY: build
build: $(DIST)/build.json $(DIST)/index.js $(DIST)/holdfast.js $(DIST)/THIRD_PARTY_LICENSES.txt ## build the WebAssembly and the TypeScript into web/dist

.PHONY: bench
bench: build $(PEERS) .build/bench/empty.wasm .build/bench/unstripped.wasm ## measure Holdfast beside others in Chromium; takes BENCH_BACKEND, BENCH_DURABILITY, BENCH_ROUNDS (in percent), BENCH_ONLY, BENCH_OTHER (the web/dist of another commit, to compare with)
	chrome=$$(.tools/chrome.sh) && cd web && CHROME=$$chrome npx playwright test --config=bench $(BENCH_BACKEND:%=--project=%)

.PHONY: size
size: build .build/named.wasm ## print the bytes that a visitor downloads, and what each part adds to the program; fail over the budget
	cd .tools && go run ./ledger $(CURDIR)/.build/named.wasm
	cd web && node scripts/size.mjs

.PHONY: clean
clean: ## remove everything that was generated
	rm -rf .build $(DIST) web/node_modules web/bench/node_modules web/engines/node_modules web/sdks/node_modules web/test-results

# A new toolchain makes everything that it made before out of date.
TOOLCHAIN := .build/$(GO_VERSION)
$(TOOLCHAIN):
	@mkdir -p .build && rm -f .build/go1* && touch $@

# The folders stand for files that were removed from them.
GO_SOURCES := go.mod go.sum $(shell find core idbstore internal wasm -type d -o -name '*.go' ! -name '*_test.go')
# Size decides how soon a visitor's first page works, so the garbage collector is the one for small heaps on one core
# (5 KB of brotli less).
SMALL := $(if $(filter go1.26%,$(GO_VERSION)),GOEXPERIMENT=nogreenteagc)
# What only stack traces need is stripped (190 KB less); `make clean build STRIP=` leaves it in, to look into a crash.
STRIP := yes
# What no page can use is left out: the execution tracer and GODEBUG.
OVERLAY := .build/overlay/overlay.json
$(OVERLAY): $(wildcard .tools/overlay/*.go .tools/toolchain/*.go) $(TOOLCHAIN)
	@mkdir -p $(@D)
	cd .tools && go run ./overlay $(CURDIR)/$(@D)

$(DIST)/holdfast.wasm: $(GO_SOURCES) $(OVERLAY) $(wildcard .tools/strip/*.go .tools/toolchain/*.go) web/scripts/stamp.mjs web/scripts/build-info.mjs $(TOOLCHAIN)
	@mkdir -p .build
	$(WASM) $(SMALL) go build -trimpath -overlay=$(OVERLAY) -ldflags="-s -w" -o .build/holdfast.wasm ./wasm
	$(if $(STRIP),cd .tools && go run ./strip $(CURDIR)/.build/holdfast.wasm)
	node web/scripts/stamp.mjs .build/holdfast.wasm
	@mkdir -p $(DIST) && mv .build/holdfast.wasm $@

# The same with the names of its functions.
.build/named.wasm: $(GO_SOURCES) $(OVERLAY) $(TOOLCHAIN)
	$(WASM) $(SMALL) go build -trimpath -overlay=$(OVERLAY) -o $@ ./wasm

# To compare the start of an instance with: as the compiler makes it, and then like holdfast.wasm.
.build/bench/unstripped.wasm: $(wildcard .tools/empty/*.go) $(TOOLCHAIN)
	@mkdir -p $(@D)
	cd .tools && $(WASM) $(SMALL) go build -trimpath -ldflags="-s -w" -o $(CURDIR)/$@ ./empty

.build/bench/empty.wasm: $(wildcard .tools/empty/*.go) $(OVERLAY) $(wildcard .tools/strip/*.go .tools/toolchain/*.go) $(TOOLCHAIN)
	@mkdir -p $(@D)
	cd .tools && $(WASM) $(SMALL) go build -trimpath -overlay=$(CURDIR)/$(OVERLAY) -ldflags="-s -w" -o $(CURDIR)/$@ ./empty
	$(if $(STRIP),cd .tools && go run ./strip $(CURDIR)/$@)

# The tests of the store, as a program of their own.
.build/engines/idbstore.wasm: $(GO_SOURCES) $(wildcard idbstore/*_test.go) $(TOOLCHAIN)
	@mkdir -p $(@D)
	$(WASM) go test -vet=off -c -o $@ ./idbstore

$(DIST)/bridge/go.js: web/scripts/go-js.mjs web/scripts/build-info.mjs web/scripts/go-license.txt web/src/bridge/go.d.ts $(GO_SOURCES) $(TOOLCHAIN)
	@mkdir -p $(@D)
	node $<

$(DIST)/build.json: $(DIST)/holdfast.wasm $(DIST)/bridge/go.js
	node web/scripts/build-info.mjs

$(DIST)/THIRD_PARTY_LICENSES.txt: .tools/licenses.sh go.mod $(TOOLCHAIN)
	@mkdir -p $(DIST)
	$< >$@

# tsc keeps what it wrote before, so what a removed source has left goes first.
$(DIST)/index.js: $(shell find web/src -type d -o -name '*.ts') web/tsconfig.json $(NPM)
	@mkdir -p $(DIST)
	@find $(DIST) -name '*.js' ! -path '*/bridge/go.js' -delete -o -name '*.d.ts' ! -path '*/bridge/go.d.ts' -delete
	cd web && npx tsc && cp src/wasm.d.ts dist
	@{ echo '/// <reference path="./wasm.d.ts" />'; cat $(DIST)/index.d.ts; } >$(DIST)/index && mv $(DIST)/index $(DIST)/index.d.ts
	@touch $@

$(DIST)/holdfast.js: $(DIST)/index.js $(DIST)/bridge/go.js web/scripts/single.mjs web/package.json
	node web/scripts/single.mjs

$(NPM) $(PEERS) $(DRIVER) $(SDKS): %/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { echo "npm not found: install Node.js 20.19 or later" >&2; exit 1; }
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(BIN)/staticcheck $(BIN)/govulncheck $(BIN)/wasmbrowsertest: .tools/go.mod .tools/go.sum $(TOOLCHAIN)
	cd .tools && GOBIN=$(CURDIR)/$(BIN) go install tool
	@touch $(BIN)/*
