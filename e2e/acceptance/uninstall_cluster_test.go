package acceptance

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// The order of uninstalling, the wrong order and both ways out of it, and taking all away: as
// docs/installing.md has it, by its own commands. Not parallel: there is one chart on a cluster.
func TestUninstalling(t *testing.T) {
	three, four := helmVersions()
	t.Cleanup(func() {
		// The other tests need the chart, however this one ends.
		if err := suite.InstallChart(context.Background()); err != nil {
			t.Error(err)
		}
	})
	install := func() {
		t.Helper()
		if err := suite.InstallChart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := newSigner(t, "uninstall-one", octezclient.P256)
	second := newSigner(t, "uninstall-two", octezclient.Secp256k1)
	apply(t, first)
	applyReady(t, second)
	pod := applyReady(t, first)
	client := clientInPod(t, signerContainer(t, pod.Metadata.Name))
	level := int32(firstLevel)
	signs := func(when string) {
		t.Helper()
		if _, err := client.Sign(t.Context(), first.Keys[0].Parsed(), newBlock(t, level)); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		level++
	}

	// The wrong order is refused, in words, and nothing has changed.
	before := remainingObjects(t)
	for name, helm := range map[string]*fixture.Fixture{"Helm 3": three, "Helm 4": four} {
		output, err := runHelm(t, helm, "uninstall", chartRelease, "--timeout", "2m")
		if err == nil {
			t.Fatalf("%s uninstalls the operator while there are TezosSigners", name)
		}
		output += err.Error()
		for _, wanted := range []string{"nothing was uninstalled", namespace + "/" + first.Name, namespace + "/" + second.Name, "--no-hooks"} {
			if !strings.Contains(output, wanted) {
				t.Errorf("%s does not say %q: %s", name, wanted, output)
			}
		}
	}
	now := slices.DeleteFunc(remainingObjects(t), func(object string) bool { return strings.Contains(object, "uninstall-check") })
	if !slices.Equal(now, before) {
		t.Errorf("a refused uninstallation took something away:\n%v\nof\n%v", now, before)
	}
	signs("after a refused uninstallation")
	history, err := runHelm(t, three, "history", chartRelease, "--max", "1", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var revisions []struct{ Revision int }
	if err := json.Unmarshal([]byte(history), &revisions); err != nil || len(revisions) != 1 {
		t.Fatalf("helm history: %v: %s", err, history)
	}
	if _, err := runHelm(t, three, "rollback", chartRelease, strconv.Itoa(revisions[0].Revision), "--wait", "--timeout", "2m"); err != nil {
		t.Fatal(err)
	}
	install()

	// In the wrong order all the same. Those of the tests before this one need the operator to go.
	if err := awaitDeletions(t.Context(), first.Name, second.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := runHelm(t, four, "uninstall", chartRelease, "--no-hooks", "--wait", "--timeout", "1m"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*fixture.Signer{first, second} {
		_, err := suite.Cluster.Run(t.Context(), "", "delete", "tezossigner", s.Name, "-n", namespace, "--timeout=3s")
		if err == nil || !strings.Contains(err.Error(), "timed out") {
			t.Fatalf("deleting %s without an operator: %v", s.Name, err)
		}
	}
	signs("deleted without an operator")
	seen, err := suite.Cluster.Run(t.Context(), "", "describe", "tezossigner", first.Name, "-n", namespace)
	if err != nil || !strings.Contains(seen, "Deletion Timestamp:") || !strings.Contains(seen, "signer.tezos.io/release-records") {
		t.Errorf("docs/installing.md has another symptom: %v\n%s", err, seen)
	}

	// The way out without an operator: the page's own commands.
	bash(t, suite.Checkout, strings.Replace(documentedCommands(t, "does not go away", 0), "namespace=bakers signer=baker-one", "namespace="+namespace+" signer="+second.Name, 1))
	awaitDeleted(t, second)
	// And the way out that the page prefers.
	install()
	if err := kubectl.Await(t.Context(), 2*time.Minute, func() (bool, error) {
		_, err := suite.Cluster.Run(t.Context(), "", "get", "tezossigner", first.Name, "-n", namespace)
		return kubectl.NotFound(err), nil
	}); err != nil {
		t.Fatalf("%s stays, with an operator again: %v", first.Name, err)
	}
	awaitDeleted(t, first)

	// What was let go by hand is taken up again, with what it remembers: no initialWatermark is good any more.
	second.NotAfter = time.Now().Add(-time.Hour)
	pod = applyReady(t, second)
	client = clientInPod(t, signerContainer(t, pod.Metadata.Name))
	if _, err := client.Sign(t.Context(), second.Keys[0].Parsed(), newBlock(t, firstLevel)); err != nil {
		t.Errorf("a record that was let go by hand: %v", err)
	}

	// The right order, and all that stays.
	bash(t, suite.Checkout, documentedCommands(t, "Uninstalling", 0))
	stays := []string{
		"customresourcedefinition.apiextensions.k8s.io/tezossigners.signer.tezos.io",
		"customresourcedefinition.apiextensions.k8s.io/tezossignersidecars.signer.tezos.io",
		"mutatingadmissionpolicy.admissionregistration.k8s.io/tezos-signer-inject",
		"mutatingadmissionpolicybinding.admissionregistration.k8s.io/tezos-signer-inject",
		"namespace/tezos-signer-records",
		"role.rbac.authorization.k8s.io/tezos-signer-break-glass",
		"rolebinding.rbac.authorization.k8s.io/tezos-signer-break-glass",
	}
	for _, policy := range []string{"records-rise", "records-stay", "records-writers", "pods", "workloads", "configurations", "tokens", "endpoints",
		"injected-pods", "injected-sidecars", "injected-changes", "sidecars"} {
		for _, kind := range []string{"validatingadmissionpolicy", "validatingadmissionpolicybinding"} {
			stays = append(stays, kind+".admissionregistration.k8s.io/tezos-signer-"+policy)
		}
	}
	slices.Sort(stays)
	if now := remainingObjects(t); !slices.Equal(now, stays) {
		t.Errorf("what stays after uninstalling:\n%v\nexpected\n%v", strings.Join(now, "\n"), strings.Join(stays, "\n"))
	}
	for _, s := range []*fixture.Signer{first, second} {
		if !recordExists(t, s.Keys[0]) {
			t.Errorf("the record of %s went", s.Name)
		}
	}

	// All away, on purpose.
	bash(t, suite.Checkout, documentedCommands(t, "Uninstalling", 1))
	if now := remainingObjects(t); len(now) != 0 {
		t.Errorf("what is still there: %v", now)
	}
	firstSignatureAsDocumented(t)
}

// awaitDeleted: nothing is left of a TezosSigner but its records, which are nobody's.
func awaitDeleted(t *testing.T, s *fixture.Signer) {
	t.Helper()
	for _, object := range []string{"tezossigner/" + s.Name, "deployment/" + s.Name} {
		if err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
			_, err := suite.Cluster.Run(t.Context(), "", "get", object, "-n", namespace)
			return kubectl.NotFound(err), nil
		}); err != nil {
			t.Errorf("%s is still there: %v", object, err)
		}
	}
	for _, kind := range []string{"role", "rolebinding"} {
		if _, err := suite.Cluster.Run(t.Context(), "", "get", kind, "signer."+namespace+"."+s.Name, "-n", fixture.RecordsNamespace); !kubectl.NotFound(err) {
			t.Errorf("the %s of %s in %s: %v", kind, s.Name, fixture.RecordsNamespace, err)
		}
	}
	for _, key := range s.Keys {
		record, err := suite.Record(t.Context(), key.Parsed())
		if err != nil {
			t.Fatal(err)
		}
		if owner := record.Metadata.Annotations[ownerAnnotation]; owner != "" {
			t.Errorf("the record of %s still has the owner %s", s.Name, owner)
		}
	}
}

// remainingObjects is what the chart has made and is there, by kind and name.
func remainingObjects(t *testing.T) []string {
	t.Helper()
	const kinds = "customresourcedefinitions,namespaces,clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,deployments,pods,jobs," +
		"services,configmaps,secrets,networkpolicies,poddisruptionbudgets,flowschemas,prioritylevelconfigurations," +
		"validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings"
	text, err := suite.Cluster.Run(t.Context(), "", "get", kinds, "--all-namespaces", "--ignore-not-found", "-o", "name",
		"-l", "app.kubernetes.io/name=tezos-signer-operator")
	if err != nil {
		t.Fatal(err)
	}
	// The definitions are generated, without labels.
	definitions, err := suite.Cluster.Run(t.Context(), "", "get", "customresourcedefinition", "tezossigners.signer.tezos.io", "tezossignersidecars.signer.tezos.io",
		"--ignore-not-found", "-o", "name")
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Fields(text + definitions)
	found = slices.DeleteFunc(found, func(object string) bool { return strings.HasPrefix(object, "pod/") }) // one that ends is not news
	slices.Sort(found)
	return found
}
