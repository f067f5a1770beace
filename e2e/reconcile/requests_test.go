// What a new TezosSigner costs, and that the operator takes over nothing of somebody else's, although it creates objects without looking for
// them first.
package reconcile

import (
	"net/http"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// Each request is time until the pods start, and work for the API server. These are all until the operator waits for the pods: the
// finalizer, the trial of the pod, the record, the status that remembers it, the objects, the status, and two events.
func TestANewTezosSignerCostsFewRequests(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	o := env.StartReady(image)
	for _, row := range []struct {
		name   string
		form   operatorenv.Workload
		writes int
	}{
		{"baker", operatorenv.Baker, 7 + 5},     // ServiceAccount, Role, RoleBinding, ConfigMap, Deployment
		{"service", operatorenv.Service, 7 + 8}, // and NetworkPolicy, PodDisruptionBudget, Service
	} {
		env.AwaitIdle(o, time.Second)
		began := time.Now()
		env.Create(env.Signer(row.name, row.form))
		env.AwaitCreated(row.name)
		env.AwaitIdle(o, 2*time.Second)
		requests := env.Requests(began, time.Now())
		writes := len(operatorenv.Writes(requests))
		// An answer that takes longer than 200 ms, which a busy machine's may, is one more reconcile, of three reads.
		if reads := len(requests) - writes; writes != row.writes || reads > 3 {
			t.Errorf("%s: %d writes, want %d, and %d reads:", row.name, writes, row.writes, reads)
			for _, r := range requests {
				t.Logf("%v %v", r.Received.Sub(began).Round(time.Millisecond), r)
			}
		}
	}
}

// Objects without the operator's labels are in no watch of the operator's, so it does not know that they exist.
func TestNothingOfSomebodyElsesIsOverwritten(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	o := env.StartReady(image)
	pod := object{"metadata": object{"labels": object{"a": "b"}}, "spec": object{"containers": []any{object{"name": "c", "image": "registry.example/c:1"}}}}
	selector := object{"matchLabels": object{"a": "b"}}
	for _, row := range []struct {
		plural, name string
		spec         object
		key          string // of the record, if one is claimed before the object is found
	}{
		{"deployments", "one", object{"selector": selector, "template": pod}, ""},
		{"serviceaccounts", "two-signer", nil, "claimed"},
		{"networkpolicies", "three-signer", object{"podSelector": object{}}, "claimed"},
		{"poddisruptionbudgets", "four-signer", object{"selector": selector, "minAvailable": 1}, "claimed"},
		{"services", "five", object{"ports": []any{object{"port": 80}}, "selector": object{"a": "b"}}, "claimed"},
	} {
		theirs := object{"metadata": object{"name": row.name, "namespace": operatorenv.Namespace}}
		if row.spec != nil {
			theirs["spec"] = row.spec
		}
		path := operatorenv.Path(row.plural, operatorenv.Namespace, row.name)
		env.Must(http.MethodPost, operatorenv.Path(row.plural, operatorenv.Namespace, ""), theirs)
		version := func() string { return operatorenv.TextOf(env.Get(path), "metadata", "resourceVersion") }
		before := version()

		signer, key := row.name, env.NewKey()
		for _, name := range []string{"two", "three", "four"} {
			if signer == name+"-signer" {
				signer = name
			}
		}
		env.Create(env.Signer(signer, operatorenv.Service, key))
		env.Await(row.plural+": the name is taken", func() bool {
			return operatorenv.TextOf(env.Condition(signer, "Ready"), "reason") == "NameTaken"
		})
		env.AwaitIdle(o, time.Second/2)
		if now := version(); now != before {
			t.Errorf("the %s of somebody else was changed: %v", row.plural, env.Get(path))
		}
		record := operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
		if claimed := env.Get(record) != nil; claimed != (row.key == "claimed") {
			t.Errorf("%s: the record is claimed: %v", row.plural, claimed)
		}
		env.Delete(path)
		env.AwaitCreated(signer)
	}
}
