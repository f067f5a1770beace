package acceptance

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/nemesis"
	"signer.tezos.io/e2e/octezclient"
)

// A few histories in the time that there is for it, without what later tests would
// suffer from; `make nemesis` has 200, and restarts API server and etcd too.
const fewHistories = 4

// Clients ask three replicas for conflicting and identical payloads, while those and
// what they stand on are killed, frozen, cut off, delayed and restarted, and their
// records are edited; a checker that knows only the promise finds it kept.
func TestNemesis(t *testing.T) {
	t.Parallel()
	histories, first := envNumber(t, "HISTORIES", fewHistories), envNumber(t, "FIRST", 0)
	seed := uint64(envNumber(t, "SEED", rand.IntN(1_000_000)))
	const replicas = 3
	s := newService(t, "nemesis", replicas, octezclient.P256, octezclient.Secp256k1)
	target := &nemesis.Target{Checkout: suite.Checkout, Namespace: namespace, Name: s.Name, Replicas: replicas, Service: serviceURL(t, s.Name)}
	for _, key := range s.Keys {
		target.Keys = append(target.Keys, key.Parsed())
	}
	if err := target.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(suite.Checkout, "target/nemesis")
	t.Logf("SEED=%d, %d histories from FIRST=%d; their logs are in %s", seed, histories, first, directory)

	var all history.Counts
	violations, slowest, begin := 0, time.Duration(0), time.Now()
	for i := range histories {
		which := nemesis.HistorySpec{
			Seed: seed, Number: first + i, FirstLevel: int32(firstLevel + i*nemesis.LevelsOfAHistory),
			Undisruptive: os.Getenv("HISTORIES") == "",
		}
		result, err := target.Run(t.Context(), which, directory)
		if err != nil {
			t.Fatalf("history %d of SEED=%d: %v", which.Number, seed, err)
		}
		t.Logf("history %d (%d of %d, %s): %q: %+v; signed again after %s", which.Number, i+1, histories,
			result.Took.Round(100*time.Millisecond), result.Faults, result.Counts, result.Slowest.Round(10*time.Millisecond))
		for _, sentence := range result.Broken {
			t.Errorf("history %d: %s", which.Number, sentence)
		}
		if len(result.Broken) > 0 {
			violations++
			t.Errorf("history %d is in %s; to make one like it: make nemesis SEED=%d FIRST=%d HISTORIES=1", which.Number, result.Log, seed, which.Number)
		}
		all.Add(result.Counts)
		slowest = max(slowest, result.Slowest)
	}
	t.Logf("%d histories in %s, SEED=%d: %d with violations; %+v; the slowest first signature after all was healed took %s",
		histories, time.Since(begin).Round(time.Second), seed, violations, all, slowest.Round(10*time.Millisecond))
	if all.Signed < 10*histories || all.Replayed < 10*histories || all.Refused < 10*histories || all.Failed > all.Faults/3 {
		t.Errorf("the clients hardly met the faults, or few could be made: %+v", all)
	}
}

func envNumber(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s must be a number: %v", variable, err)
	}
	return n
}
