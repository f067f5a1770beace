// The guard: the ValidatingAdmissionPolicies of the watermark records refuse each write that
// their rules name, by every verb. What a record may contain: guard_writers_cluster_test.go.

package acceptance

import (
	"maps"
	"strings"
	"testing"

	"signer.tezos.io/e2e/fixture"
)

// Every rule of the guard refuses what it is for, whoever tries; and not one is left
// that was not seen to refuse. What the writers of a record do goes through.
func TestTheGuard(t *testing.T) {
	t.Parallel()
	// Subtests end before the check that follows them.
	t.Run("what a record may become", testInvalidContents)
	t.Run("who writes what", testWritersOfFields)
	t.Run("who makes one", testCreation)
	t.Run("who deletes one", testDeletion)
	t.Run("every way to write", testEveryVerb)

	var policies struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Validations []struct{ Message string }
			}
		}
	}
	if err := suite.Cluster.Get(t.Context(), &policies, "validatingadmissionpolicies", "-l", "app.kubernetes.io/name=tezos-signer-operator"); err != nil {
		t.Fatal(err)
	}
	rules, guards := 0, 0
	for _, policy := range policies.Items {
		if !strings.HasPrefix(policy.Metadata.Name, "tezos-signer-records-") {
			continue // those of the pods are tried in chart/
		}
		guards++
		for _, rule := range policy.Spec.Validations {
			rules++
			if !strings.Contains(guardRefusals.text.String(), rule.Message) {
				t.Errorf("policy %s: no test has seen this rule refuse: %s", policy.Metadata.Name, rule.Message)
			}
		}
	}
	t.Logf("%d rules in %d policies", rules, guards)
	if guards != 3 || rules == 0 {
		t.Errorf("expected three policies with rules")
	}
}

func testCreation(t *testing.T) {
	record := func(name string, rows map[string]string) string {
		all := map[string]string{"version": "1"}
		maps.Copy(all, rows)
		return marshalled(t, fixture.Record{APIVersion: "v1", Kind: "ConfigMap", Metadata: fixture.RecordMetadata{Name: name}, Data: all})
	}
	fresh := record(testRecordName("made"), map[string]string{"block": floor(100)})
	const rule = "is created by the operator"
	for who, as := range map[string][]string{"an administrator": clusterAdmin, "a pod": otherPod, "a host": host} {
		mustRefuse(t, who+" creates", runAs(t, as, fresh, "create", "-f", "-"), rule)
		mustRefuse(t, who+" applies", runAs(t, as, fresh, "apply", "--server-side", "-f", "-"), rule)
		// By this rule, or because the name that is made is not that of a record.
		generated := strings.Replace(fresh, `"name":"`+testRecordName("made"), `"generateName":"`+testRecordName("made")[:62], 1)
		mustRefuse(t, who+" has the name made", runAs(t, as, generated, "create", "-f", "-"), "")
	}
	mustRefuse(t, "another name", runAs(t, breakGlass, record("watermark-baker-one", nil), "create", "-f", "-"), "expected the name watermark-")
	mustRefuse(t, "the operator makes up a signature", runAs(t, operator, record(testRecordName("made"), map[string]string{"block": row(100, 0, "a")}), "create", "-f", "-"), "row block: the operator")
	for who, as := range map[string][]string{"the operator": operator, "break-glass": breakGlass} {
		if err := runAs(t, as, fresh, "create", "--dry-run=server", "-f", "-"); err != nil {
			t.Errorf("%s creates: %v", who, err)
		}
	}
	// The namespace has other ConfigMaps, which are nobody's business.
	if err := runAs(t, clusterAdmin, record("something-else", nil), "create", "--dry-run=server", "-f", "-"); err != nil {
		t.Error(err)
	}
}

func testDeletion(t *testing.T) {
	name := newTestRecord(t, "stays", nil)
	const rule = "may delete one, or their namespace"
	namespaces, maps := "/api/v1/namespaces/"+fixture.RecordsNamespace, "/api/v1/namespaces/"+fixture.RecordsNamespace+"/configmaps"
	for who, as := range map[string][]string{
		"an administrator": clusterAdmin, "the operator": operator, "the holder": holder,
		// Who deletes what is in a namespace that goes, and what is owned by something that went.
		"the namespace controller": {"--as=system:serviceaccount:kube-system:namespace-controller", "--as-group=system:masters"},
		"the garbage collector":    {"--as=system:serviceaccount:kube-system:generic-garbage-collector", "--as-group=system:masters"},
	} {
		mustRefuse(t, who+" deletes", runAs(t, as, "", "delete", "configmap", name), rule)
		mustRefuse(t, who+" deletes at once", runAs(t, as, "", "delete", "configmap", name, "--force", "--grace-period=0"), rule)
		mustRefuse(t, who+" deletes a collection", runAs(t, as, "", "delete", "--raw", maps+"?fieldSelector=metadata.name%3D"+name), rule)
		mustRefuse(t, who+" deletes the namespace", runAs(t, as, "", "delete", "namespace", fixture.RecordsNamespace, "--wait=false"), rule)
		mustRefuse(t, who+" deletes the namespace, raw", runAs(t, as, "", "delete", "--raw", namespaces+"?propagationPolicy=Background"), rule)
	}
	// What the namespace policy looks at cannot be taken away, as a label could.
	label := "kubernetes.io/metadata.name"
	for _, change := range []string{label + "-", label + "=other"} {
		// Whether that is an error or put right by the API server.
		suite.Cluster.Run(t.Context(), "", "label", "namespace", fixture.RecordsNamespace, change, "--overwrite")
	}
	mustRefuse(t, "a row falls after that", patchRecord(t, breakGlass, name, dataPatch(values{"block": floor(1)}), false), "only rises")
	// A namespace without its finalizer goes at once when it is deleted; so it is not deleted.
	finalizers := func(list ...string) {
		t.Helper()
		var object values
		if err := suite.Cluster.Get(t.Context(), &object, "namespace", fixture.RecordsNamespace); err != nil {
			t.Fatal(err)
		}
		object["spec"] = values{"finalizers": list}
		if err := runAs(t, clusterAdmin, marshalled(t, object), "replace", "--raw", namespaces+"/finalize", "-f", "-"); err != nil {
			t.Error(err)
		}
	}
	finalizers()
	mustRefuse(t, "the namespace without a finalizer", runAs(t, clusterAdmin, "", "delete", "namespace", fixture.RecordsNamespace, "--wait=false"), rule)
	finalizers("kubernetes")

	for what, args := range map[string][]string{"the record": {"configmap", name}, "the namespace": {"namespace", fixture.RecordsNamespace}} {
		if err := runAs(t, breakGlass, "", append([]string{"delete", "--dry-run=server"}, args...)...); err != nil {
			t.Errorf("break-glass deletes %s: %v", what, err)
		}
	}
	// The group needs no other.
	if err := runAs(t, []string{"--as=anybody", "--as-group=tezos-signer:break-glass"}, "", "delete", "configmap", name, "--dry-run=server"); err != nil {
		t.Errorf("the break-glass group alone: %v", err)
	}
}

// The same slip of an administrator by every verb that there is.
func testEveryVerb(t *testing.T) {
	name := newTestRecord(t, "ways", nil)
	const rule = "row block is written by the pod that holds"
	record := func() *fixture.Record {
		var record fixture.Record
		if err := suite.Cluster.Get(t.Context(), &record, "configmap", name, "-n", fixture.RecordsNamespace); err != nil {
			t.Fatal(err)
		}
		record.Data["block"] = floor(200)
		return &record
	}
	whole := marshalled(t, record())
	partial := marshalled(t, fixture.Record{APIVersion: "v1", Kind: "ConfigMap", Metadata: fixture.RecordMetadata{Name: name}, Data: map[string]string{"block": floor(200)}})
	patch := marshalled(t, dataPatch(values{"block": floor(200)}))
	for what, run := range map[string]func() error{
		"merge patch": func() error {
			return runAs(t, clusterAdmin, "", "patch", "configmap", name, "--type=merge", "-p", patch)
		},
		"strategic patch": func() error {
			return runAs(t, clusterAdmin, "", "patch", "configmap", name, "--type=strategic", "-p", patch)
		},
		"JSON patch": func() error {
			return runAs(t, clusterAdmin, "", "patch", "configmap", name, "--type=json", "-p", `[{"op":"replace","path":"/data/block","value":"`+floor(200)+`"}]`)
		},
		"server-side apply": func() error {
			return runAs(t, clusterAdmin, partial, "apply", "--server-side", "--force-conflicts", "-f", "-")
		},
		"replace": func() error { return runAs(t, clusterAdmin, whole, "replace", "-f", "-") },
		"raw PUT": func() error {
			return runAs(t, clusterAdmin, whole, "replace", "--raw", "/api/v1/namespaces/"+fixture.RecordsNamespace+"/configmaps/"+name, "-f", "-")
		},
	} {
		mustRefuse(t, what, run(), rule)
	}
	// Delete-and-create is the deletion's business.
	mustRefuse(t, "forced replace", runAs(t, clusterAdmin, whole, "replace", "--force", "-f", "-"), "may delete one")
	// A ConfigMap has no subresource to get past the guard by.
	for _, subresource := range []string{"status", "scale"} {
		err := runAs(t, breakGlass, "", "patch", "configmap", name, "--subresource="+subresource, "--type=merge", "-p", patch)
		if err == nil {
			t.Errorf("subresource %s: was let through", subresource)
		}
	}
	if now := record(); now.Metadata.Annotations[leaseAnnotation] != lease(holderUID, "") {
		t.Errorf("the record has changed: %+v", now)
	}
}
