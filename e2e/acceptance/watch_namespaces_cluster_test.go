package acceptance

import (
	"context"
	"slices"
	"strings"
	"testing"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
)

// From all namespaces to one and back: the operator serves the one, does not see the other, and
// has no right outside; a signer there signs on, and its record stays its own. Not parallel: there
// is one chart on a cluster.
func TestAnOperatorOfOneNamespaceServesItAlone(t *testing.T) {
	t.Cleanup(func() {
		if err := suite.InstallChart(context.Background()); err != nil {
			t.Error(err)
		}
	})
	elsewhere := *suite
	elsewhere.Namespace = otherNamespace
	if _, err := elsewhere.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := suite.Cluster.Run(context.Background(), "", "delete", "namespace", elsewhere.Namespace, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	if err := elsewhere.ApplySecrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	applied := func(s *fixture.Fixture, name string) *fixture.Signer {
		t.Helper()
		signer := newSigner(t, name, octezclient.P256)
		if err := s.ApplySigner(t.Context(), signer); err != nil {
			t.Fatal(err)
		}
		return signer
	}
	ready := func(s *fixture.Fixture, signer *fixture.Signer) {
		t.Helper()
		if err := suite.Cluster.AwaitReady(t.Context(), s.Namespace, signer.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
			t.Fatal(err)
		}
	}
	early := applied(&elsewhere, "early")
	ready(&elsewhere, early)
	uid := podUID(t, elsewhere.Namespace, early)

	chart := suite.Checkout + "/charts/tezos-signer-operator"
	if err := suite.InstallChartFrom(t.Context(), chart, "--set-json", `watchNamespaces=["`+namespace+`"]`); err != nil {
		t.Fatal(err)
	}
	ignored := applied(&elsewhere, "ignored")
	served := applied(suite, "served")
	ready(suite, served)
	// The same key in a namespace that is watched: who owns it cannot be seen, so it is not taken from him.
	rival := &fixture.Signer{Name: reserveName(t, "rival"), Keys: early.Keys, InitialLevel: early.InitialLevel, NotAfter: early.NotAfter}
	t.Cleanup(func() { deleteLater(t, rival.Name) })
	apply(t, rival)
	if output := awaitNotReady(t, rival.Name, readyTimeout); !strings.Contains(output, elsewhere.Namespace+"/"+early.Name) {
		t.Errorf("a key of a namespace that is not watched: %s", output)
	}
	deleteSigner(t, rival.Name)

	// By now the operator has reconciled two that came later.
	text, err := suite.Cluster.Run(t.Context(), "", "get", "tezossigner", ignored.Name, "-n", elsewhere.Namespace, "-o", "jsonpath={.status}{.metadata.finalizers}")
	if err != nil || text != "" {
		t.Errorf("a TezosSigner in a namespace that is not watched has %q: %v", text, err)
	}
	if now := podUID(t, elsewhere.Namespace, early); now != uid {
		t.Errorf("its signer was replaced: %s is now %s", uid, now)
	}
	const account = "system:serviceaccount:" + fixture.SystemNamespace + ":" + chartRelease
	for _, c := range []struct {
		verb, resource, namespace string
		may                       bool
	}{
		{"patch", "tezossigners.signer.tezos.io", namespace, true},
		{"create", "deployments.apps", namespace, true},
		{"update", "configmaps", fixture.RecordsNamespace, true},
		{"get", "tezossigners.signer.tezos.io", elsewhere.Namespace, false},
		{"list", "pods", elsewhere.Namespace, false},
		{"create", "deployments.apps", fixture.RecordsNamespace, false},
		{"get", "secrets", namespace, false},
		{"list", "configmaps", "kube-system", false},
	} {
		answer, _ := suite.Cluster.Run(t.Context(), "", "auth", "can-i", c.verb, c.resource, "-n", c.namespace, "--as", account)
		if (strings.TrimSpace(answer) == "yes") != c.may {
			t.Errorf("may the operator %s %s in %s? %s", c.verb, c.resource, c.namespace, answer)
		}
	}
	clusterWide := strings.Fields(run(t, "get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/name="+chartRelease, "-o", "name"))
	slices.Sort(clusterWide)
	if want := []string{"clusterrole.rbac.authorization.k8s.io/tezos-signer-operator-edit", "clusterrole.rbac.authorization.k8s.io/tezos-signer-operator-view"}; !slices.Equal(clusterWide, want) {
		t.Errorf("in all of the cluster there are %v, expected %v", clusterWide, want)
	}
	if subjects := run(t, "get", "clusterrolebindings", "-o", "jsonpath={.items[*].subjects[*].name}"); slices.Contains(strings.Fields(subjects), chartRelease) {
		t.Error("a ClusterRoleBinding names the operator")
	}

	// And back, by the other Helm.
	_, four := helmVersions()
	if err := four.InstallChartFrom(t.Context(), chart, "--set-json", "watchNamespaces=[]"); err != nil {
		t.Fatal(err)
	}
	ready(&elsewhere, ignored)
	ready(&elsewhere, early)
	if now := podUID(t, elsewhere.Namespace, early); now != uid {
		t.Errorf("its signer was replaced: %s is now %s", uid, now)
	}
}

func podUID(t *testing.T, namespace string, s *fixture.Signer) string {
	t.Helper()
	pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	return pod.Metadata.UID
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	text, err := suite.Cluster.Run(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
