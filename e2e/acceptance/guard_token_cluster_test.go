// The guard with the real tokens of a pod, instead of impersonation.

package acceptance

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// A pod's real token, and one of the same ServiceAccount that is bound to no pod.
func TestThePodsOwnTokenWritesItsRows(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "own-token", octezclient.Secp256k1)
	pod := applyReady(t, s)
	name := newTestRecord(t, "own-token", func(record *fixture.Record) {
		record.Metadata.Annotations[leaseAnnotation] = lease(pod.Metadata.UID, "")
	})
	access, err := suite.BenchAccess(t.Context(), pod, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { suite.ClearBench(context.Background(), name) })
	bound := accessFile(t, access)
	mint := []string{"create", "token", pod.Spec.ServiceAccountName, "-n", namespace, "--duration", "10m"}
	token, err := suite.Cluster.Run(t.Context(), "", append(mint, kubectl.BreakGlass...)...)
	if err != nil {
		t.Fatal(err)
	}
	unbound := accessFile(t, withToken(t, access, token))

	var record fixture.Record
	put := func(kubeconfig string) error {
		return runAs(t, []string{"--kubeconfig=" + kubeconfig}, marshalled(t, record), "replace", "--validate=false", "-f", "-")
	}
	if err := suite.Cluster.Get(t.Context(), &record, "configmap", name, "-n", fixture.RecordsNamespace); err != nil {
		t.Fatal(err)
	}
	record.Data["block"], record.Data["audit"] = row(101, 0, "b"), anchor(logID, 8)
	mustRefuse(t, "the same account, no pod", put(unbound), "row block is written by the pod that holds")
	if err := put(bound); err != nil {
		t.Fatalf("the pod's own token: %v", err)
	}
	// Rights by RBAC it has for this record only, and none to patch or delete.
	record.Metadata.Annotations[leaseAnnotation] = lease(otherUID, "")
	mustRefuse(t, "the pod makes another the holder", put(bound), "the lease (annotation")
}

// accessFile writes a kubeconfig for the time of the test.
func accessFile(t *testing.T, kubeconfig string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func withToken(t *testing.T, kubeconfig, token string) string {
	t.Helper()
	var config values
	if err := json.Unmarshal([]byte(kubeconfig), &config); err != nil {
		t.Fatal(err)
	}
	config["users"].([]any)[0].(values)["user"] = values{"token": strings.TrimSpace(token)}
	return marshalled(t, config)
}
