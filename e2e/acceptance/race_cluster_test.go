package acceptance

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/race"
)

const (
	connections = 50
	rounds      = 6
)

// Two signers and one record: whatever 2 × 50 connections ask for at one position,
// one payload is signed. In every second round the holder is frozen somewhere near
// the start, and wakes up when the other has taken over and has been asked.
func TestTwoSignersRaceForOneRecord(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "race", octezclient.P256)
	first := applyReady(t, s)
	second := startDuplicatePod(t, first.Metadata.Name)
	urls := map[string]string{first.Metadata.UID: forward(t, first.Metadata.Name), second.Metadata.UID: forward(t, second.Metadata.Name)}
	names := map[string]string{first.Metadata.UID: first.Metadata.Name, second.Metadata.UID: second.Metadata.Name}
	both := []string{urls[first.Metadata.UID], urls[second.Metadata.UID]}
	key := s.Keys[0].Parsed()
	holders := map[string]bool{}

	for round := range int32(rounds) {
		fight := race.Race{Signers: both, Key: key, Connections: connections, Kind: "block", Level: firstLevel, Round: round}
		holder := holderOf(t, key)
		holders[holder] = true
		if urls[holder] == "" {
			t.Fatalf("the record names the holder %q, which is neither pod", holder)
		}
		freeze := round%2 == 1
		container := signerContainer(t, names[holder])
		frozen := make(chan error, 1)
		if freeze {
			go func() { frozen <- signalContainer(t, container, "SIGSTOP") }()
			time.Sleep(rand.N(200 * time.Millisecond)) // before, in or after what the signal takes
		}
		results := make(chan *race.Result, 1)
		go func() {
			result, err := fight.Run(t.Context())
			if err != nil {
				t.Error(err)
			}
			results <- result
		}()
		var events []history.Event
		if freeze {
			if err := <-frozen; err != nil {
				t.Fatal(err)
			}
			if err := kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) { return holderOf(t, key) != holder, nil }); err != nil {
				t.Fatalf("round %d: nobody takes the record from a frozen holder: %v", round, err)
			}
			other := fight
			other.Signers = nil
			for uid, url := range urls {
				if uid != holder {
					other.Signers = []string{url}
				}
			}
			result, err := other.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("round %d, the other while the holder is frozen: %v", round, result.Answers)
			events = append(events, result.Events...)
			if err := signalContainer(t, container, "SIGCONT"); err != nil {
				t.Error(err)
			}
		}
		result := <-results
		t.Logf("round %d: %v", round, result.Answers)
		events = append(events, result.Events...)
		verdict := history.CheckLog(events)
		// A holder that is frozen between its commit and its answer has signed what nobody got: it is given to who asks for it again.
		if verdict.Counts.Signed == 0 {
			again, done := context.WithTimeout(t.Context(), time.Minute)
			verdict = history.CheckLog(append(events, fight.Again(again, urls[awaitHolder(t, key, urls)], events)...))
			done()
			t.Logf("round %d, asked again: %+v", round, verdict.Counts)
		}
		if verdict.Counts.Signed != 1 || len(verdict.Broken) > 0 {
			t.Errorf("round %d: %d payloads were signed, exactly one must be: %q", round, verdict.Counts.Signed, verdict.Broken)
		}
	}
	if len(holders) < 2 {
		t.Errorf("the record never changed hands: the freezing showed nothing")
	}
}

// awaitHolder is who holds the record, as soon as that is one of the signers again. The other one does not sign, and forwards nothing.
func awaitHolder(t *testing.T, key *octezclient.PublicKey, signers map[string]string) (holder string) {
	t.Helper()
	err := kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		holder = holderOf(t, key)
		return signers[holder] != "", nil
	})
	if err != nil {
		t.Fatalf("the record is held by %q, which is neither signer: %v", holder, err)
	}
	return holder
}

// Two signers that both believe to be the holder, because they have one identity: no
// lease keeps them apart, only that every write is conditional on what was decided on.
func TestTheConditionalWriteAloneKeepsTwoSignersApart(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "one-identity", octezclient.P256)
	first := applyReady(t, s)
	// The API server knows the twin's token, and would not let it write as another.
	if err := suite.ExemptSigner(t.Context(), fixture.RecordName(s.Keys[0].Parsed()), "system:serviceaccount:"+namespace+":"+first.Spec.ServiceAccountName); err != nil {
		t.Fatal(err)
	}
	second := startDuplicatePodAs(t, first.Metadata.Name, first.Metadata.UID)
	both := []string{forward(t, first.Metadata.Name), forward(t, second.Metadata.Name)}
	// A signer that loses none of its writes has not met the other: it read what that one had written before it decided.
	haveMet := func() bool {
		return hasWriteConflict(t, first.Metadata.Name) && hasWriteConflict(t, second.Metadata.Name)
	}
	won, round := 0, int32(0)
	for ; round < rounds || !haveMet(); round++ {
		if round == 20*rounds {
			t.Fatalf("in %d rounds they did not both lose a write: they did not meet", round)
		}
		fight := race.Race{Signers: both, Key: s.Keys[0].Parsed(), Connections: connections, Kind: "block", Level: firstLevel, Round: round}
		result, err := fight.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %v", round, result.Answers)
		if !result.OK() {
			t.Errorf("round %d: %d payloads were signed: %q", round, result.Signed, result.Broken)
		}
		won += result.Signed
	}
	// Each may lose a round to renewals of the other, but not many.
	if won < int(round)/2 {
		t.Errorf("of %d positions only %d were signed", round, won)
	}
}

func hasWriteConflict(t *testing.T, pod string) bool {
	t.Helper()
	metrics, err := suite.Cluster.Run(t.Context(), "", "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+":9583/proxy/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return !strings.Contains(metrics, "\ntezos_signer_commit_failures_total 0\n")
}

// startDuplicatePod starts a second pod like that one, outside its Deployment, which would
// not have two.
func startDuplicatePod(t *testing.T, of string) *kubectl.Pod { return startDuplicatePodAs(t, of, "") }

// startDuplicatePodAs gives its signer another identity than its own, unless that is empty.
func startDuplicatePodAs(t *testing.T, of, identity string) *kubectl.Pod {
	t.Helper()
	var pod map[string]any
	if err := suite.Cluster.Get(t.Context(), &pod, "pod", of, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	name := of + "-twin"
	spec := pod["spec"].(map[string]any)
	delete(spec, "nodeName")
	labels := pod["metadata"].(map[string]any)["labels"].(map[string]any)
	delete(labels, "pod-template-hash") // or the ReplicaSet would adopt it
	// The API server mounts a token by itself where it is wanted.
	for _, list := range []string{"containers", "initContainers"} {
		for _, c := range spec[list].([]any) {
			container := c.(map[string]any)
			container["volumeMounts"] = withoutInjected(container["volumeMounts"])
			delete(container, "startupProbe") // it would not be "running" before it holds the record
			env, _ := container["env"].([]any)
			for i := range env {
				if identity != "" && env[i].(map[string]any)["name"] == "POD_UID" {
					env[i] = map[string]any{"name": "POD_UID", "value": identity}
				}
			}
		}
	}
	spec["volumes"] = withoutInjected(spec["volumes"])
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "spec": spec,
		"metadata": map[string]any{"name": name, "namespace": namespace, "labels": labels},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := suite.Cluster.Run(t.Context(), string(text), append([]string{"create", "-f", "-"}, kubectl.BreakGlass...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		suite.Cluster.Run(context.Background(), "", "delete", "pod", name, "-n", namespace, "--grace-period=1", "--wait=false")
	})
	var twin kubectl.Pod
	if err := kubectl.Await(t.Context(), readyTimeout, func() (bool, error) {
		err := suite.Cluster.Get(t.Context(), &twin, "pod", name, "-n", namespace)
		return twin.Status.Phase == "Running", err
	}); err != nil {
		t.Fatalf("the twin does not run: %v", err)
	}
	return &twin
}

// withoutInjected drops volumes that the service account admission added.
func withoutInjected(list any) []any {
	var kept []any
	entries, _ := list.([]any)
	for _, entry := range entries {
		if name, _ := entry.(map[string]any)["name"].(string); !strings.HasPrefix(name, "kube-api-access-") {
			kept = append(kept, entry)
		}
	}
	return kept
}

func holderOf(t *testing.T, key *octezclient.PublicKey) string {
	t.Helper()
	record, err := suite.Record(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var lease struct {
		Holder string `json:"holderIdentity"`
	}
	if err := json.Unmarshal([]byte(record.Metadata.Annotations["control-plane.alpha.kubernetes.io/leader"]), &lease); err != nil {
		t.Fatalf("the lease of %s: %v", record.Metadata.Name, err)
	}
	return lease.Holder
}
