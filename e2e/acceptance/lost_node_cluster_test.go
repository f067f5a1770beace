package acceptance

import (
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

const (
	spareNode  = "spare" // of e2e/cluster: nothing is scheduled to it that does not ask for it
	toleration = 30 * time.Second
	// Until Kubernetes says that a node is lost, whose kubelet is silent; 50 s by default.
	noticed = 90 * time.Second
)

// The node of a baker is lost: its kubelet is silent, and what ran there runs on. The
// operator names the pod that replaces it, the signer on the lost node lets go, and
// the new one signs.
func TestABakerOnALostNodeIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "lost-node", octezclient.P256)
	s.OnSpareNode = true
	old := applyReady(t, s)
	if old.Spec.NodeName != spareNode {
		t.Fatalf("the baker is on node %s", old.Spec.NodeName)
	}
	key := s.Keys[0].Parsed()
	insideOld := clientInPod(t, signerContainer(t, old.Metadata.Name))
	if _, err := insideOld.Sign(t.Context(), key, newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}

	controlComponent(t, "pause", "kubelet-spare")
	if err := kubectl.Await(t.Context(), noticed, func() (bool, error) { return isUnreachable(t, spareNode), nil }); err != nil {
		t.Fatalf("nobody notices that the node is lost: %v", err)
	}
	lost := time.Now()
	// Its baker bakes on, as far as it can.
	if _, err := insideOld.Sign(t.Context(), key, newBlock(t, firstLevel+1)); err != nil {
		t.Errorf("the signer on the lost node, before it is replaced: %v", err)
	}
	var next *kubectl.Pod
	err := kubectl.Await(t.Context(), toleration+20*time.Second, func() (bool, error) {
		for _, pod := range pods(t, s.Name) {
			if pod.Metadata.UID != old.Metadata.UID && pod.Spec.NodeName != "" {
				next = &pod
			}
		}
		return next != nil, nil
	})
	if err != nil {
		t.Fatalf("no pod replaces the lost one: %v", err)
	}
	t.Logf("the next pod is scheduled to node %s %s after the node was lost", next.Spec.NodeName, time.Since(lost).Round(100*time.Millisecond))
	insideNext := clientInPod(t, signerContainer(t, next.Metadata.Name))
	took := timeToSignature(t, insideNext, key, "block", firstLevel+2, lost, toleration+time.Minute)
	t.Logf("it signs %s after the node was lost", took.Round(100*time.Millisecond))
	// It is scheduled 1.5 s after the toleration. The rest is the start of a pod, which takes 3 s alone and 9 s beside all other tests.
	if took > toleration+20*time.Second {
		t.Errorf("the next pod signs only %s after the node was lost", took)
	}
	// The other runs on, and signs no more.
	if _, err := insideOld.RequestOnce(t.Context(), key, newBlock(t, firstLevel+50_000)); !refusedWith(err, 502) {
		t.Errorf("the signer on the lost node, after it was replaced: %v", err)
	}
	controlComponent(t, "resume", "kubelet-spare")
}

// isUnreachable reports whether Kubernetes has marked the node as one that pods leave.
func isUnreachable(t *testing.T, name string) bool {
	t.Helper()
	var node struct {
		Spec struct {
			Taints []struct{ Key, Effect string } `json:"taints"`
		} `json:"spec"`
	}
	if err := suite.Cluster.Get(t.Context(), &node, "node", name); err != nil {
		t.Fatal(err)
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == "node.kubernetes.io/unreachable" && taint.Effect == "NoExecute" {
			return true
		}
	}
	return false
}
