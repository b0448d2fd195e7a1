# Everything a person runs by hand. Each target installs what it needs.

SHELL := /bin/bash
GO ?= go
TOOLS := $(CURDIR)/.tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-v2.15.0

.PHONY: build bin/swarm demo test lint fmt cross man kill fleet systemd fuzz bench bench-p1 bench-p2 bench-p3 bench-p4 bench-p6 bench-payloads bench-trust clean

build: ## the three programs, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

bin/swarm: build ## many agents in one process, for measuring
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/ ./bench/swarm

demo: build ## a server, three clients, jobs and every recipe, on this machine
	@bash scripts/setup.sh pgrep
	@bash demo/demo.sh

test: ## every test, with the race detector
	@bash scripts/setup.sh crontab curl gcc git gpg gpgv ip logger named-checkzone openssl perl pgrep ping prometheus rpmbuild script setfattr shellcheck ssh-agent tcpdump unshare zstd
	$(GO) test -race -count=1 -timeout 15m ./... # sessions run programs, which the cache of results does not see
	$(GO) test -count=1 -timeout 10m ./internal/dispatch -run 'Interleaving|EveryCall' # all of it; with the race detector it is a part
	set -o pipefail; $(GO) test -count=1 -timeout 10m ./internal/trust ./internal/endpoint -run Hostile -v -args -attacks 5000 | grep -v rapid

lint: $(GOLANGCI_LINT) ## vet, linters and formatting
	$(GO) mod verify >/dev/null
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...

fmt: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) fmt ./...

$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv $(TOOLS)/golangci-lint $@

cross: ## the endpoint program for every platform
	@bash scripts/cross.sh

man: ## the manual pages, in man/, from the same source as --help
	mkdir -p man
	for program in webjob webjobd webjobctl; do $(GO) run -tags man ./cmd/$$program man man || exit 1; done

fleet: ## 200 real agents, killed and started again: make fleet AGENTS=500
	$(GO) test ./e2e -count=1 -timeout 20m -run TestFleet -v -args -agents $(AGENTS)

AGENTS ?= 200
N ?= 1000
kill: ## kill N processes at random points: make kill N=1000
	$(GO) test ./e2e -count=1 -timeout 2h -run TestKill -v -args -kills $(N)

systemd: ## the agent as a service of a systemd in its own namespaces (root, Linux)
	$(GO) test ./e2e -count=1 -timeout 5m -run TestSystemd -v -args -systemd

FUZZTIME ?= 10m
fuzz: ## every fuzz test for FUZZTIME
	@bash scripts/fuzz.sh $(FUZZTIME)

bench: bench-p1 bench-p2 bench-p3 bench-p4 bench-p6 bench-payloads bench-trust ## the figures of docs/performance.md

bench-p1: build ## get and put pairs, beside bare net/http and, with CGI=SCRIPT, a CGI server
	@$(if $(CGI),bash scripts/setup.sh apache2 wrk)
	@$(GO) run ./bench p1 $(if $(CGI),-cgi $(CGI))

bench-p2: build ## one cold run, beside curl and sh
	@bash scripts/setup.sh curl
	@$(GO) run ./bench p2

bench-p3: bin/swarm ## idle agents: memory and CPU time of the server; P3='-agents N -only'
	@$(GO) run ./bench p3 $(P3)
	@$(if $(P3),,$(GO) run ./bench chart docs/idle-agents.svg)

bench-p4: bin/swarm ## one order to 10,000 agents
	@$(GO) run ./bench p4

bench-trust: ## what a job repository of 10,000 jobs costs a client
	@$(GO) run ./bench trust

bench-payloads: build ## digests, bundles and the start of the shell, beside sha256sum, tar and sh
	@bash scripts/setup.sh zstd
	@$(GO) run ./bench payloads

bench-p6: bin/swarm ## pages of lists with up to a million runs
	@$(GO) run ./bench p6

clean:
	rm -rf bin .tools bench/out
