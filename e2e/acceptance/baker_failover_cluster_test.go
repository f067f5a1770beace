package acceptance

import (
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// A baker that is replaced goes on signing until it has ended, and the signer of the
// next pod signs from then on. One whose signer is restarted waits for no lease.
func testBakerFailover(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "successor", octezclient.P256)
	s.BakerEndsAfter = 8
	old := applyReady(t, s)
	key := s.Keys[0].Parsed()
	oldBaker := firstProcessOf(t, containerOf(t, old.Metadata.Name, "baker"))
	insideOld := clientInPod(t, signerContainer(t, old.Metadata.Name))
	if _, err := insideOld.Sign(t.Context(), key, newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}

	if _, err := suite.Cluster.Run(t.Context(), "", "rollout", "restart", "deployment/"+s.Name, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	next := awaitReplacementPod(t, s, old)
	insideNext := clientInPod(t, signerContainer(t, next.Metadata.Name))
	if _, err := insideOld.Sign(t.Context(), key, newBlock(t, firstLevel+1)); err != nil {
		t.Errorf("the baker that is ending, while the next one waits: %v", err)
	}
	if _, err := insideNext.RequestOnce(t.Context(), key, newBlock(t, firstLevel+2)); !refusedWith(err, 502) {
		t.Errorf("the next signer, while the old baker has not ended: %v", err)
	}
	ended := awaitExit(t, oldBaker, time.Minute)
	took := timeToSignature(t, insideNext, key, "block", firstLevel+3, ended, 2*unplannedLimit)
	t.Logf("the next pod's signer signs %s after the end of the old baker", took.Round(time.Millisecond))
	if took > plannedLimit {
		t.Errorf("the next pod's signer signs only %s after the end of the old baker", took)
	}

	if _, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, old.Metadata.UID, readyTimeout); err != nil {
		t.Fatal(err)
	}
	_, lease := rawRecord(t, s.Keys[0])
	killed := signerContainer(t, next.Metadata.Name)
	begin := time.Now()
	if err := signalContainer(t, killed, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	took = timeToSignature(t, insideNext, key, "block", firstLevel+1000, begin, 2*unplannedLimit)
	t.Logf("a signer that was killed signs after %s", took.Round(time.Millisecond))
	if took > leaseDuration {
		t.Errorf("a signer that was killed signs only after %s", took)
	}
	if _, now := rawRecord(t, s.Keys[0]); now["leaderTransitions"] != lease["leaderTransitions"] || now["holderIdentity"] != next.Metadata.UID {
		t.Errorf("the record changed hands: from %v to %v", lease, now)
	}
}

// awaitReplacementPod waits for the pod that replaces that one.
func awaitReplacementPod(t *testing.T, s *fixture.Signer, old *kubectl.Pod) *kubectl.Pod {
	t.Helper()
	var next *kubectl.Pod
	err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		for _, pod := range pods(t, s.Name) {
			if pod.Metadata.UID != old.Metadata.UID {
				next = &pod
			}
		}
		return next != nil, nil
	})
	if err != nil {
		t.Fatalf("no pod replaces %s: %v", old.Metadata.Name, err)
	}
	return next
}
