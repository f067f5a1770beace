package acceptance

import (
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// What only a kubelet shows of pods that are not well. (What an API server shows is in
// e2e/reconcile.)

// An image that cannot be pulled is taken back by taking spec.image away again: what ran
// well last signs again, and the sentence has said so.
func TestAnImageThatCannotBePulledIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "taken-back", octezclient.P256)
	before := applyReady(t, s)
	patch := func(image string) {
		t.Helper()
		if _, err := suite.Cluster.Run(t.Context(), "", "patch", "tezossigner", s.Name, "-n", namespace, "--type=merge", "-p", `{"spec":{"image":`+image+`}}`); err != nil {
			t.Fatal(err)
		}
	}
	// It is recorded as having run well once the rollout is complete.
	if err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		image, err := suite.Cluster.Run(t.Context(), "", "get", "tezossigner", s.Name, "-n", namespace, "-o=jsonpath={.status.image}")
		return image != "", err
	}); err != nil {
		t.Fatal("status.image is empty:", err)
	}
	patch(`"registry.invalid/tezos-signer:none"`)
	if output := awaitConditionNaming(t, s.Name, "cannot be pulled"); !strings.Contains(output, "is the last image that ran well") {
		t.Errorf("it does not say what to do: %s", output)
	}
	patch("null")
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	after, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, before.Metadata.UID, readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("pod %s, then %s", before.Metadata.Name, after.Metadata.Name)
}

// A container beside the signer that never gets ready keeps the pod from being Ready: the
// TezosSigner is not Ready, and names it.
func TestAContainerThatIsNeverReadyIsNamed(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "never-ready", octezclient.P256)
	text := editedManifest(t, s, func(_, spec map[string]any) {
		baker(spec)["readinessProbe"] = map[string]any{"tcpSocket": map[string]any{"port": 1}, "periodSeconds": 1}
	})
	if err := suite.Cluster.Apply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	var ready kubectl.Condition
	err := kubectl.Await(t.Context(), 3*time.Minute, func() (bool, error) {
		var signer kubectl.TezosSigner
		if err := suite.Cluster.Get(t.Context(), &signer, "tezossigner", s.Name, "-n", namespace); err != nil {
			return false, err
		}
		ready = signer.Condition("Ready")
		return ready.Reason == "PodNotReady", nil
	})
	if err != nil || ready.Status != "False" || !strings.Contains(ready.Message, "is running, but not ready") {
		t.Errorf("%v; it says %s %s: %s", err, ready.Status, ready.Reason, ready.Message)
	}
}
