# The verbs of daily work. `make` alone lists them. What a verb does beyond one line is in a script or program of its own.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# local: the one-node Kubernetes of e2e/cluster. current: the current kubeconfig context, with REGISTRY=host/path that it pulls from.
CLUSTER  ?= local
REGISTRY ?=

GO_MODULES := e2e e2e/cluster e2e/clients/tzgo images
CHART      := charts/tezos-signer-operator

# A heading with the time, so that a long run shows where it is.
say = @printf '\n\033[1m== %s  (%s)\033[0m\n' "$(1)" "$$(date +%T)"

.PHONY: help
help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-15s %s\n", $$1, $$2 }'

.PHONY: demo
demo: images ## See it sign on a real cluster (CLUSTER=current REGISTRY=… for yours)
	$(call say,the demo)
	if [[ $(CLUSTER) == local ]]; then
		target/tools/cluster up
		target/tools/cluster import target/images/*.tar
	else
		target/tools/images push tezos-signer-operator tezos-signer-softhsm octez-player
	fi
	target/tools/demo --cluster $(CLUSTER) --registry '$(REGISTRY)'

.PHONY: test
test: lint unit-test fuzz-short soak-short e2e-test standalone-test sbom ## Everything that must pass before a change lands

.PHONY: lint
lint: tools ## Formatting, lints, generated files, the chart, dependencies
	$(call say,lint)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	for module in $(GO_MODULES); do (cd $$module && test -z "$$(gofmt -l . | tee /dev/stderr)" && go vet ./...); done
	$(MAKE) crds
	git diff --exit-code -- crds $(CHART) || { echo 'the CRD files are not what the code generates: commit the result of make crds'; exit 1; }
	target/tools/actionlint .github/workflows/*.yml
	for helm in helm helm4; do target/tools/$$helm lint --strict --quiet $(CHART); done
	target/tools/cargo-deny --locked check --hide-inclusion-graph --deny warnings licenses bans sources

.PHONY: advisories
advisories: tools ## Known weaknesses of the dependencies, from the RustSec database (needs github.com)
	target/tools/cargo-deny --locked check --hide-inclusion-graph advisories

.PHONY: unit-test
unit-test: tools ## Tests that need no cluster (SoftHSM2 is the token)
	$(call say,unit and integration tests)
	cargo test --workspace --locked
	for module in $(GO_MODULES); do (cd $$module && go test ./...); done
	$(call say,every CKR code from every PKCS#11 function)
	cargo test --locked --package tezos-signer --test signer -- --ignored --nocapture hsm_matrix

.PHONY: fuzz
fuzz: tools ## Random bytes against all that reads bytes of strangers, 10 minutes (SECONDS_EACH=120)
	$(call say,fuzzing)
	fuzz/run $(or $(SECONDS_EACH),120)

.PHONY: fuzz-short
fuzz-short: tools # A few seconds of it, on the corpus that is checked in
	$(call say,fuzzing for a few seconds)
	fuzz/run 5

SOAK := cargo test --locked --package tezos-signer --test signer -- --ignored --exact soak::soak --nocapture

.PHONY: soak
soak: ## Load while the HSM and its network fail at random, then the ledger is checked (MINUTES=30 SEED=…)
	$(call say,soak)
	e2e/cluster/install packages
	SOAK_SECONDS=$$(($(or $(MINUTES),30) * 60)) SEED=$(SEED) $(SOAK)

.PHONY: soak-short
soak-short: # 40 seconds of it
	$(call say,soak for 40 seconds)
	e2e/cluster/install packages
	SOAK_SECONDS=40 SEED=$(SEED) $(SOAK)

.PHONY: mutants
mutants: ## Weaken every comparison of the decision and the decoder; a test must fail for each (an hour)
	$(call say,mutants)
	cargo install --quiet --locked --root target/tools/.cargo-mutants --version 27.1.0 cargo-mutants
	target/tools/.cargo-mutants/bin/cargo-mutants mutants --package tezos-signer-core --output target \
		--file core/src/watermark.rs --file 'core/src/payload/**' -- --test watermark --test vectors --test operations \
		--test operation_rules --test operation_types --test unknown_shapes

.PHONY: standalone-test
standalone-test: deb ## The package on fresh Debians that boot, by the commands of docs/standalone.md and docs/two-hosts.md
	$(call say,the package on a fresh Debian)
	cd e2e && E2E=1 go test -v -count 1 -timeout 10m ./standalone

.PHONY: e2e-test
e2e-test: images ## The promises, tried on the local cluster
	$(call say,the chart on an API server)
	(cd e2e && E2E=1 go test -v -count 1 -run TestOnAnAPIServer ./chart)
	$(call say,the monitoring on a real Prometheus)
	($(MONITORING) -run TestOnARealPrometheus ./monitoring)
	$(call say,the TezosSigner on an API server)
	(cd e2e && E2E=1 go test -v -count 1 ./api)
	$(call say,end-to-end tests)
	e2e/with-cluster bash -c 'E2E_KUBECONFIG=$$KUBECONFIG cargo test --workspace --locked --test signer -- store_contract lease forwarding fencing handover restore::a_signer reload::a_lease && cd e2e && E2E=1 go test -v -count 1 -parallel 5 -timeout 40m ./acceptance'
	$(call say,the operator on API servers of its own)
	(cd e2e && E2E=1 go test -v -count 1 -parallel 4 -timeout 10m ./reconcile && E2E=1 go test -v -count 1 -short -timeout 10m ./scale)
	$(call say,the cost of the records)
	$(COST) -short ./cost

MONITORING := cd e2e && E2E=1 go test -v -count 1

.PHONY: monitoring
monitoring: images ## Alerts and dashboards, on a real Prometheus with real signers (WRITE=1 writes what docs/monitoring.md has of them)
	$(call say,the monitoring)
	$(MONITORING) ./monitoring $(if $(WRITE),-write)

.PHONY: scale
scale: images ## 1 000 TezosSigners on a real API server: time, memory, requests, and that signatures wake nobody
	$(call say,many TezosSigners)
	cd e2e && E2E=1 go test -v -count 1 -timeout 40m ./scale

.PHONY: operator-down
operator-down: images ## That signers sign on without the operator, for an hour (MINUTES=60); 10 seconds of it are in `make test`
	$(call say,signers without the operator)
	e2e/with-cluster bash -c 'cd e2e && E2E=1 E2E_OPERATOR_DOWN_MINUTES=$(or $(MINUTES),60) go test -v -count 1 -timeout 120m -run TestSignersDoNotNeedTheOperator ./acceptance'

.PHONY: steady
steady: images ## That a steady state makes no write, over 10 minutes (MINUTES=10)
	$(call say,a steady state)
	cd e2e && E2E=1 E2E_STEADY_MINUTES=$(or $(MINUTES),10) go test -v -count 1 -timeout 90m -run TestASteadyState ./reconcile

COST := cd e2e && E2E=1 go test -v -count 1 -timeout 10m

.PHONY: cost
cost: images ## What the records cost the API server, and what of its troubles they survive (3 minutes)
	$(call say,the cost of the records)
	$(COST) ./cost

.PHONY: nemesis
nemesis: images ## Three replicas broken in every way while clients ask them, 200 histories, each judged (HISTORIES=200 SEED=… FIRST=0)
	$(call say,nemesis)
	HISTORIES=$(or $(HISTORIES),200) SEED=$(SEED) FIRST=$(FIRST) e2e/with-cluster bash -c 'cd e2e && E2E=1 go test -v -count 1 -timeout 120m -run TestNemesis ./acceptance'

.PHONY: upgrade-test
upgrade-test: images ## The upgrade with the programs of an earlier revision, built from its sources (FROM=2893b44)
	$(call say,the upgrade from $(or $(FROM),2893b44))
	e2e/previous-release $(or $(FROM),2893b44)
	E2E_PREVIOUS=$(CURDIR)/target/previous e2e/with-cluster bash -c 'cd e2e && E2E=1 go test -v -count 1 -timeout 10m -run TestAnUpgradeIsNotNoticedByASigner ./acceptance'

.PHONY: bench
bench: demo ## The figures: a vote through the sidecar beside a bare PUT and a bare C_Sign (part of the demo)

.PHONY: verify-cloudhsm
verify-cloudhsm: ## Try on your CloudHSM cluster what only one can show (CONFIG=signer.yaml WATCH=seconds); docs/cloudhsm.md
	@[[ -r '$(CONFIG)' ]] || { echo 'CONFIG must name a configuration file of the signer whose section hsm reaches the cluster'; exit 1; }
	VERIFY_CLOUDHSM_CONFIG='$(realpath $(CONFIG))' VERIFY_CLOUDHSM_WATCH='$(or $(WATCH),0)' \
		cargo test --quiet --package tezos-signer --locked --test signer -- --ignored --exact --nocapture verify_cloudhsm::a_real_cluster

.PHONY: cluster-up
cluster-up: tools ## Start the local cluster
	target/tools/cluster up

.PHONY: cluster-down
cluster-down: ## Stop it, and leave nothing behind
	if [[ -x target/tools/cluster ]]; then target/tools/cluster down; fi

.PHONY: crds
crds: ## Write crds/ and the chart's CRD from the Rust types
	cargo build --quiet --locked
	target/debug/tezos-signer-operator crd > crds/tezossigners.signer.tezos.io.yaml
	target/debug/tezos-signer-operator crd --helm > $(CHART)/templates/crd.yaml

.PHONY: chart
chart: tools ## Write the table of values in the chart's README, and what each value changes (e2e/chart/testdata)
	cd e2e && go test ./chart -count 1 -write

.PHONY: images
images: build ## Build the container images, without a container engine
	target/tools/images build $(if $(REGISTRY),--registry $(REGISTRY))

.PHONY: images-arm64
images-arm64: tools ## Cross-build the two images for arm64, and run their programs (Debian: gcc-aarch64-linux-gnu, qemu-user)
	$(call say,the images for arm64)
	images/arm64

.PHONY: images-engine
images-engine: images ## Build images/Dockerfile with ENGINE=buildah (or docker, podman), and compare with what make images built
	$(call say,the images by $(or $(ENGINE),buildah))
	images/compare-engine $(or $(ENGINE),buildah)

.PHONY: images-twice
images-twice: images ## Build all anew elsewhere, a while later, and compare: an image depends on its sources alone
	$(call say,the images once more)
	images/compare-rebuilt

.PHONY: sbom
sbom: images ## Write what each image is made of, as CycloneDX: target/images/*.cdx.json
	$(call say,what the images are made of)
	target/tools/images sbom

.PHONY: deb
deb: build ## Build the Debian package for a host without Kubernetes: target/debian/*.deb
	$(call say,the Debian package)
	packaging/build

.PHONY: build
build: ## Build the programs (Rust and Go at the same time: each alone leaves a core idle while it links)
	$(call say,building the programs)
	e2e/cluster/install packages
	e2e/cluster/install | sed -u 's/^/   Installed /' & tools=$$!
	cargo build --release --locked
	wait $$tools
	cd e2e && go build -o ../target/tools/ ./cmd/...

.PHONY: tools
tools: # Install what is missing: Debian packages, and pinned Go programs into target/tools
	e2e/cluster/install
