# The verbs of daily work. `make` alone lists them. What a verb does beyond one line is in a script or program of its own.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Not empty: programs, images and package are built already, and stay as they are.
BUILT ?=

# local: the one-node Kubernetes of e2e/cluster. current: the current kubeconfig context, with REGISTRY=host/path that it pulls from.
CLUSTER  ?= local
REGISTRY ?=

GO_MODULES := e2e e2e/cluster e2e/csi-driver e2e/clients/tzgo e2e/infrastructure/provider images
CHART      := charts/tezos-signer-operator

# A heading with the time, so that a long run shows where it is.
say = @printf '\n\033[1m== %s  (%s)\033[0m\n' "$(1)" "$$(date +%T)"

.PHONY: help
help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-21s %s\n", $$1, $$2 }'

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

# The three tiers of tests. Each is a list of parts, which are targets below; the time of each is printed at the end. What mostly waits runs in
# lanes, beside each other (checks/tier).
CHECK := packages format module-circles file-length clippy check-tools dependencies rust-test chart-lint go-test
TEST  := $(CHECK) fuzz-short images deb \
	--lane cluster-test monitoring-test api-test \
	--lane hsm-matrix soak-short instructions chart-test reconcile-test plugin-test standalone-test
LONG  := terraform-test model fuzz soak mutants nemesis scale test-steady-state test-operator-absent cost upgrade-test plugin sbom images-reproducible images-arm64 images-engine

.PHONY: check
check: ## After each change: all that needs neither a cluster nor images
	checks/tier check $(CHECK)

.PHONY: test
test: ## Before a change lands: check, and the promises on real parts
	# What takes longest to build is built meanwhile, by what the parts leave of the processors.
	mkdir -p target
	nice -n 19 e2e/cluster/install > target/install.log 2>&1 &
	checks/tier test $(TEST)

.PHONY: test-long
test-long: ## Before a release: what takes hours
	checks/tier --keep-going test-long $(LONG)

.PHONY: packages
packages: # The Debian packages that tests and builds need
	e2e/cluster/install packages

.PHONY: check-tools
check-tools: # Pinned programs that need no Kubernetes to be built
	e2e/cluster/install check

.PHONY: format
format: # Rust and Go as their formatters write them
	$(call say,formatting)
	cargo fmt --all --check
	test -z "$$(gofmt -l $(GO_MODULES) | tee /dev/stderr)"

.PHONY: module-circles
module-circles: # No two modules depend on each other, but a module and its children
	$(call say,circles of modules)
	checks/module-circles --self-test
	checks/module-circles

.PHONY: file-length
file-length: # No Rust or Go source has more than 500 lines
	$(call say,lengths of files)
	checks/file-length --self-test
	checks/file-length

.PHONY: clippy
clippy: # Lints are errors
	$(call say,clippy)
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: dependencies
dependencies: # Licences and sources of the crates, and none twice
	$(call say,dependencies)
	target/tools/cargo-deny --locked check --hide-inclusion-graph --deny warnings licenses bans sources

.PHONY: chart-lint
chart-lint: # The chart by both Helms, and the workflows
	$(call say,chart and workflows)
	target/tools/actionlint .github/workflows/*.yml
	for helm in helm helm4; do target/tools/$$helm lint --strict --quiet $(CHART); done

.PHONY: go-test
go-test: # Go vet, and the Go tests that need no cluster
	$(call say,Go)
	for module in $(GO_MODULES); do (cd $$module && go vet ./... && go test ./...); done

.PHONY: terraform-test
terraform-test: # Terraform or OpenTofu, which is built where neither is there, applies the modules of deploy/terraform with providers that make nothing
	$(call say,Terraform)
	e2e/cluster/install tofu
	cd e2e && E2E=1 go test -count 1 ./infrastructure

.PHONY: rust-test
rust-test: # The Rust tests; SoftHSM2 is the token
	$(call say,Rust)
	cargo test --workspace --locked --no-run
	# Six for each processor: most of them wait most of the time.
	RUST_TEST_THREADS=$$(($$(nproc) * 6)) checks/as-root cargo test --workspace --locked --offline

.PHONY: hsm-matrix
hsm-matrix: # Every CKR code from every PKCS#11 function
	$(call say,every CKR code from every PKCS#11 function)
	cargo test --workspace --locked --test signer -- --ignored --nocapture hsm_matrix

.PHONY: advisories
advisories: check-tools ## Known weaknesses of the dependencies, from the RustSec database (needs github.com)
	target/tools/cargo-deny --locked check --hide-inclusion-graph advisories

.PHONY: model
model: ## The exhaustive model with its large bounds too (minutes; the small ones are in `make test`)
	$(call say,the exhaustive model)
	cargo test --workspace --locked --test model -- --include-ignored --nocapture

.PHONY: fuzz
fuzz: packages ## Random bytes against all that reads bytes of strangers, 10 minutes (SECONDS_EACH=120)
	$(call say,fuzzing)
	fuzz/run $(or $(SECONDS_EACH),120)

.PHONY: fuzz-short
fuzz-short: packages # A few seconds of it, on the corpus that is checked in
	$(call say,fuzzing for a few seconds)
	fuzz/run 5

SOAK := cargo test --workspace --locked --test signer -- --ignored --exact soak::soak --nocapture

.PHONY: soak
soak: ## Load while the HSM and its network fail at random, then the ledger is checked (MINUTES=30 SEED=…)
	$(call say,soak)
	e2e/cluster/install packages
	go -C e2e build -o ../target/tools/ ./cmd/history-checker
	SOAK_SECONDS=$$(($(or $(MINUTES),30) * 60)) SEED=$(SEED) $(SOAK)

.PHONY: soak-short
soak-short: # 40 seconds of it
	$(call say,soak for 40 seconds)
	e2e/cluster/install packages
	go -C e2e build -o ../target/tools/ ./cmd/history-checker
	SOAK_SECONDS=40 SEED=$(SEED) $(SOAK)

# What is wrong on purpose needs no symbols.
MUTANTS := CARGO_PROFILE_DEV_DEBUG=0 target/tools/.cargo-mutants/bin/cargo-mutants mutants --minimum-test-timeout 120

.PHONY: mutants
mutants: mutants-core mutants-signer ## Weaken every comparison of what decides, signs and remembers; a test must fail for each (hours)

.PHONY: mutants-core
mutants-core: cargo-mutants # The decision and the decoder: an hour
	$(call say,mutants of the decision and the decoder)
	$(MUTANTS) --package tezos-signer-core --output target/mutants-core \
		--file core/src/admit.rs --file core/src/watermark.rs --file core/src/payload.rs --file 'core/src/payload/**' -- --lib --test watermark --test vectors --test operations \
		--test operation_rules --test operation_types --test unknown_shapes

# FILES and TESTS: those of one run, by hand. MUTANTS_OPTIONS: of cargo-mutants, as `-F FileStore::writer` for these mutants only.
FILES ?= signing.rs signing/** records/session.rs lease/** store.rs store/**
TESTS ?= tests:: audit:: metrics:: signing_path:: silence:: operations:: api_calls:: store_contract:: lease:: lease_clock:: rules:: waiting:: intent:: watermark:: \
	moved_records:: crash:: fencing:: forwarding:: failover:: reload:: late::

.PHONY: mutants-signer
mutants-signer: cargo-mutants # The signing path, the record session, the lease, both stores: some hours. .cargo/mutants.toml says what is left out, and why
	$(call say,mutants of the signer)
	$(MUTANTS) $(MUTANTS_OPTIONS) --package tezos-signer --output target/mutants-signer $(foreach file,$(FILES),--file 'sidecar/src/$(file)') \
		-- --lib --test signer -- $(TESTS)

.PHONY: cargo-mutants
cargo-mutants:
	cargo install --quiet --locked --root target/tools/.cargo-mutants --version 27.1.0 cargo-mutants

.PHONY: standalone-test
standalone-test: deb ## The package on fresh Debians that boot, by the commands of docs/standalone.md and docs/two-hosts.md
	$(call say,the package on a fresh Debian)
	$(E2E) -timeout 20m ./standalone

# A test on real parts, in the folder e2e.
E2E := E2E=1 go -C e2e test -v -count 1

.PHONY: chart-test
chart-test: images # The chart on an API server
	$(call say,the chart on an API server)
	$(E2E) -run TestOnAnAPIServer ./chart

.PHONY: monitoring-test
monitoring-test: images # Alerts and dashboards on a real Prometheus
	$(call say,the monitoring on a real Prometheus)
	$(E2E) -run TestOnARealPrometheus ./monitoring

.PHONY: api-test
api-test: images # The TezosSigner on an API server
	$(call say,the TezosSigner on an API server)
	$(E2E) ./api

# The signer's tests that need an API server.
ON_API_SERVER := store_contract forwarding failover fencing handover restore::a_signer restore::an_etcd reload::a_lease

.PHONY: cluster-test
cluster-test: images # The promises, on the local cluster
	$(call say,end-to-end tests)
	e2e/with-cluster bash -c 'E2E_KUBECONFIG=$$KUBECONFIG cargo test --workspace --locked --test signer -- --include-ignored $(ON_API_SERVER) && $(E2E) -parallel 10 -timeout 40m ./acceptance'

.PHONY: reconcile-test
reconcile-test: images # The operator on API servers of its own
	$(call say,the operator on API servers of its own)
	$(E2E) -parallel 4 -short -timeout 10m ./reconcile ./scale

# Of the same build as the Rust tests. What users install is static (make plugin), and no other program.
.PHONY: plugin-test
plugin-test: images # kubectl tezos-signer on API servers of its own
	$(call say,kubectl tezos-signer)
	cargo test --workspace --locked --no-run
	$(E2E) -parallel 4 -timeout 10m ./plugin

.PHONY: plugin
plugin: ## Build kubectl-tezos_signer as one static program, with the archive that krew installs: target/plugin/
	$(call say,the kubectl plugin)
	packaging/plugin archive

.PHONY: monitoring
monitoring: images ## Alerts and dashboards, on a real Prometheus with real signers (WRITE=1 writes what docs/monitoring.md has of them)
	$(call say,the monitoring)
	$(E2E) ./monitoring $(if $(WRITE),-write)

.PHONY: scale
scale: images ## 1 000 TezosSigners on a real API server: time, memory, requests, and that signatures wake nobody
	$(call say,many TezosSigners)
	$(E2E) -timeout 40m ./scale

.PHONY: test-operator-absent
test-operator-absent: images ## That signers sign on without the operator, for an hour (MINUTES=60); 10 seconds of it are in `make test`
	$(call say,signers without the operator)
	e2e/with-cluster bash -c 'cd e2e && E2E=1 E2E_OPERATOR_DOWN_MINUTES=$(or $(MINUTES),60) go test -v -count 1 -timeout 120m -run TestSignersDoNotNeedTheOperator ./acceptance'

.PHONY: test-steady-state
test-steady-state: images ## That a steady state makes no write, over 10 minutes (MINUTES=10)
	$(call say,a steady state)
	cd e2e && E2E=1 E2E_STEADY_MINUTES=$(or $(MINUTES),10) go test -v -count 1 -timeout 90m -run TestASteadyState ./reconcile

.PHONY: cost
cost: images ## What the records cost the API server, and what of its troubles they survive (3 minutes)
	$(call say,the cost of the records)
	$(E2E) -timeout 10m ./cost

.PHONY: nemesis
nemesis: images ## Three replicas broken in every way while clients ask them, 200 histories, each checked (HISTORIES=200 SEED=… FIRST=0)
	$(call say,nemesis)
	HISTORIES=$(or $(HISTORIES),200) SEED=$(SEED) FIRST=$(FIRST) e2e/with-cluster bash -c 'cd e2e && E2E=1 go test -v -count 1 -timeout 120m -run TestNemesis ./acceptance'

.PHONY: upgrade-test
upgrade-test: images ## The upgrade with the programs of an earlier revision, built from its sources (FROM=2fe4822)
	$(call say,the upgrade from $(or $(FROM),2fe4822))
	e2e/previous-release $(or $(FROM),2fe4822)
	E2E_PREVIOUS=$(CURDIR)/target/previous e2e/with-cluster bash -c 'cd e2e && E2E=1 go test -v -count 1 -timeout 10m -run TestAnUpgradeIsNotNoticedByASigner ./acceptance'

.PHONY: bench-rust
bench-rust: # Decoding, deciding, and signatures by SoftHSM2, AWS KMS and sealed keys, each by itself (needs the Debian package softhsm2)
	$(call say,benchmarks)
	cargo bench --locked --package tezos-signer-core --bench decision
	cargo bench --locked --package tezos-signer --bench keystore
	cargo test --release --locked --package tezos-signer --test signer -- --ignored --nocapture kms_speed sealed_speed

# What bench measures beside the signer: the release before, built from its sources once, and a PKCS#11 module that is slow on purpose.
.PHONY: bench-programs
bench-programs: $(if $(BUILT),,build)
	go -C e2e build -o ../target/tools/ ./cmd/bench
	e2e/previous-signer $(or $(FROM),2fe4822)
	cargo build --quiet --release --locked --package pkcs11-faults

.PHONY: bench
bench: bench-programs ## Measure the signer beside its floors and release 0.2, in 10 minutes without other load (ONLY=one,many BRIEF=1 ROUNDS=5 FROM=2fe4822)
	$(call say,the figures)
	target/tools/bench $(if $(ONLY),--only $(ONLY)) $(if $(BRIEF),--brief) $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: bench-docs
bench-docs: ## Write docs/performance.md and its plots from a run of make bench (DATA=target/bench/….json; default: the latest)
	go -C e2e run ./cmd/bench --checkout .. --docs $(if $(DATA),--data '$(abspath $(DATA))')

.PHONY: instructions
instructions: $(if $(BUILT),,build) # No signature takes 5 % more instructions than recorded (WRITE=1 records them)
	$(call say,instructions of a signature)
	target/tools/bench --instructions $(if $(WRITE),--write)

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
	for resource in tezossigners tezossignersidecars; do target/debug/tezos-signer-operator crd $$resource > crds/$$resource.signer.tezos.io.yaml || exit 1; done
	target/debug/tezos-signer-operator crd --helm > $(CHART)/templates/crd.yaml

.PHONY: chart
chart: check-tools ## Write the table of values in the chart's README, and what each value changes (e2e/chart/testdata)
	cd e2e && go test ./chart -count 1 -write

.PHONY: images
images: $(if $(BUILT),,build) ## Build the container images, without a container engine
	$(if $(BUILT),,target/tools/images build $(if $(REGISTRY),--registry $(REGISTRY)))

.PHONY: images-arm64
images-arm64: tools ## Cross-build the two images for arm64, and run their programs (Debian: gcc-aarch64-linux-gnu, qemu-user)
	$(call say,the images for arm64)
	images/arm64

.PHONY: images-engine
images-engine: images ## Build images/Dockerfile with ENGINE=buildah (or docker, podman), and compare with what make images built
	$(call say,the images by $(or $(ENGINE),buildah))
	images/compare-engine $(or $(ENGINE),buildah)

.PHONY: images-reproducible
images-reproducible: images ## Build all anew elsewhere, a while later, and compare: an image depends on its sources alone
	$(call say,the images once more)
	images/compare-rebuilt

.PHONY: sbom
sbom: images ## Write what each image is made of, as CycloneDX: target/images/*.cdx.json
	$(call say,what the images are made of)
	target/tools/images sbom

.PHONY: deb
deb: $(if $(BUILT),,build) ## Build the Debian package for a host without Kubernetes: target/debian/*.deb
	$(if $(BUILT),,$(call say,the Debian package))
	$(if $(BUILT),,packaging/build)

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
