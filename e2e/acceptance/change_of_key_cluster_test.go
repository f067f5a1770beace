package acceptance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// A change of the consensus key of an Octez baker: from the old key to both, and to the
// new one. Each step replaces the pod once, both keys sign while both are named, and
// no vote is refused: the stand-in ends where one is, and its container would be
// restarted. Nothing is applied when the new key becomes active, so nothing is replaced.
func TestAChangeOfConsensusKeyReplacesTheBakerTwice(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "change-of-key", octezclient.P256, octezclient.Secp256k1)
	s.Octez = true
	old, next := s.Keys[0], s.Keys[1]
	former := ""
	for i, keys := range [][]*fixture.Key{{old}, {old, next}, {next}} {
		s.Keys, s.Delegates = keys, keys
		apply(t, s)
		pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, former, readyTimeout)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		former = pod.Metadata.UID
		awaitVotes(t, pod.Metadata.Name, keys)
		if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		checkRollouts(t, s.Name, i+1)
		for _, other := range pods(t, s.Name) {
			if other.Metadata.UID != former && other.Metadata.DeletionTimestamp == "" {
				t.Errorf("step %d: pod %s is there beside %s", i, other.Metadata.Name, pod.Metadata.Name)
			}
		}
	}
	for _, key := range []*fixture.Key{old, next} {
		record, err := suite.Record(t.Context(), key.Parsed())
		if err != nil {
			t.Fatal(err)
		}
		if row := record.Data["attestation"]; strings.HasSuffix(row, " - -") { // a floor has neither digest nor signature
			t.Errorf("the record of %s: %s", key.PublicKeyHash, row)
		}
	}
}

// awaitVotes waits until the baker in the pod has a vote signed with each of the keys, and checks that it had none refused.
func awaitVotes(t *testing.T, pod string, keys []*fixture.Key) {
	t.Helper()
	logs := ""
	err := kubectl.Await(t.Context(), time.Minute, func() (done bool, err error) {
		logs, err = suite.Cluster.Run(t.Context(), "", "logs", pod, "-n", namespace, "-c", "baker")
		return strings.Count(logs, " verified\n") >= len(keys), err
	})
	t.Log(logs)
	if err != nil {
		t.Fatalf("the baker of %s has not voted with each key: %v", pod, err)
	}
	votes := strings.Split(strings.TrimSpace(logs), "\n")
	for i, key := range keys {
		if len(votes) != len(keys) || !strings.HasPrefix(votes[i], key.PublicKeyHash+": attestation of level ") {
			t.Errorf("vote %d of %d is not of %s: %s", i, len(votes), key.PublicKeyHash, votes[i])
		}
	}
	var found struct {
		Status struct {
			ContainerStatuses []struct {
				Name         string
				RestartCount int
			}
		}
	}
	if err := suite.Cluster.Get(t.Context(), &found, "pod", pod, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	for _, container := range found.Status.ContainerStatuses {
		if container.RestartCount != 0 {
			t.Errorf("container %s of %s was restarted %d times", container.Name, pod, container.RestartCount)
		}
	}
}

// checkRollouts checks how often the pods of a Deployment were to be replaced, with the first time.
func checkRollouts(t *testing.T, name string, expected int) {
	t.Helper()
	var found struct {
		Metadata struct{ Annotations map[string]string }
	}
	if err := suite.Cluster.Get(t.Context(), &found, "deployment", name, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	if revision := found.Metadata.Annotations["deployment.kubernetes.io/revision"]; revision != fmt.Sprint(expected) {
		t.Errorf("rollout %s, expected %d", revision, expected)
	}
}
