# What a developer types. Everything here works without it; see README.md.
.PHONY: build test race fuzz bench evaluate ci deps

build: ## the program, ./harvestwatch
	go build -o harvestwatch ./cmd/harvestwatch

test: ## all tests
	go test ./...

race: ## what is concurrent, under the race detector
	go vet ./... && go test -race ./internal/... ./firewall/... ./store/... ./cmd/...

fuzz: ## every fuzz target for a short while; FUZZTIME=10m for a long one
	.ci/fuzz $(or $(FUZZTIME),10s)

bench: ## measure, and keep the result under bench/ by date
	bench/run

evaluate: ## hold the rules against labelled traffic: the gates, the sweep, the rules of others; about half an hour
	go run ./bench/evaluate -out bench/evaluate-$$(date -u +%F).txt

deps: ## Debian packages that the tests and the measurements use
	.ci/deps

ci:
	bash .ci/run
