package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// Where the API server does not add sidecars, a labelled workload makes no pod and its events say why. With the patch that the plugin prints, it has
// its signer. Not parallel: it takes the policy away that adds sidecars, as on Kubernetes before 1.36.
func TestASidecarInTheTemplateSigns(t *testing.T) {
	ctx := t.Context()
	chart := filepath.Join(suite.Checkout, "charts/tezos-signer-operator")
	if err := suite.InstallChartFrom(ctx, chart, "--set", "injection.mutatingPolicy=never"); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"mutatingadmissionpolicybinding", "mutatingadmissionpolicy"} { // an upgrade keeps them
		if _, err := suite.Cluster.Run(ctx, "", "delete", kind, "tezos-signer-inject"); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := suite.InstallChart(ctx); err != nil {
			t.Error(err)
		}
	}()

	s := newSigner(t, "static", octezclient.P256)
	w := injectedWorkload(t, s)
	if err := suite.Cluster.Apply(ctx, w.tezosSigner("info")); err != nil {
		t.Fatal(err)
	}
	w.awaitCondition("Accepted", "True", "")
	// The API server notices a little later that the policy is gone.
	w.apply("0", true)
	pod := strings.NewReplacer("NAME", s.Name, "IMAGE", w.player).Replace(`{apiVersion: v1, kind: Pod, metadata: {name: NAME-try, labels: {signer.tezos.io/inject: NAME}},
  spec: {serviceAccountName: NAME, securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}},
    containers: [{name: baker, image: IMAGE, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}`)
	var refusal error
	if err := kubectl.Await(ctx, 30*time.Second, func() (bool, error) {
		_, refusal = suite.Cluster.Run(ctx, pod, "create", "--dry-run=server", "-n", namespace, "-f", "-")
		return refusal != nil && strings.Contains(refusal.Error(), "does not add the sidecar"), nil
	}); err != nil {
		t.Fatalf("a pod without a sidecar is not refused: %v: %v", err, refusal)
	}
	w.apply("1", true)
	err := kubectl.Await(ctx, readyTimeout, func() (bool, error) {
		events, err := suite.Cluster.Run(ctx, "", "get", "events", "-n", namespace, "--field-selector", "involvedObject.name="+s.Name)
		return strings.Contains(events, "this cluster does not add the sidecar of the TezosSigner "+s.Name+" by itself"), err
	})
	if err != nil {
		t.Error(err)
	}

	patch, err := plugin(t, "sidecar", s.Name, "--patch", "StatefulSet/"+s.Name)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "patch.yaml")
	if err := os.WriteFile(file, []byte(patch), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "-n", namespace, "patch", "statefulset", s.Name, "--type", "strategic", "--patch-file", file)
	made := w.awaitReady(0, "")
	if _, err := clientInPod(t, signerContainer(t, made.Metadata.Name)).Sign(ctx, s.Keys[0].Parsed(), newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}
	checkNoSecretVisible(t, made.Metadata.Name, bakersVolume)
	w.awaitCondition("SidecarCurrent", "True", "pod "+made.Metadata.Name)
}
