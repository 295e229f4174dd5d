# Each word is one command; tools/test is what CI runs.
.PHONY: build test race fuzz lint bench check

build: ## the binary, as it is released
	go build -o sluice .

test: ## tests of all packages
	go test -shuffle=on ./...

race: ## the same under the race detector
	go test -race -shuffle=on ./...

fuzz: ## everything, with a minute for each fuzz target
	FUZZTIME=1m tools/test --no-bench

lint: ## golangci-lint, where it is installed; tools/test has gofmt, vet and staticcheck in any case
	golangci-lint run ./...

bench: ## five rounds beside nginx and HAProxy
	bench/run

check: ## all that CI checks
	tools/test
