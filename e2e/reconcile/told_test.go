package reconcile

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// A Secret that is missing is reported as soon as the kubelet says so, with its key; and a mistyped part of a pod by its field, in the
// status and in the log.
func TestWhatIsMissingOrMistypedIsToldByItsName(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	begin := time.Now()
	o := env.StartReady(image)

	env.Create(env.Signer("waits", operatorenv.Service))
	env.AwaitCreated("waits")
	waitForVolumes(env, "waits")
	awaitCondition(t, env, "waits", "Ready", "False", "Starting", "are being set up (it needs Secret pin (key pin))")
	sayNotMounted(env, "waits", "said", `secret "pin" not found`)
	took := awaitCondition(t, env, "waits", "Ready", "False", "NoAnswer", `secret "pin" not found (volume signer-pin needs Secret pin (key pin)); create what is missing`)
	if took > 35*time.Second { // a reconcile of what is not Ready comes 30 s after the last one at the latest
		t.Errorf("it took %v", took)
	}

	mistyped := env.Signer("mistyped", operatorenv.Service)
	mistyped["spec"].(object)["placement"] = object{"affinity": object{"nodeAfinity": object{}}}
	env.Create(mistyped)
	const field = "spec.placement.affinity.nodeAfinity: unknown field (to this cluster's API server)"
	awaitCondition(t, env, "mistyped", "Accepted", "False", "Invalid", field)
	time.Sleep(5 * time.Second) // it is tried again
	log, err := os.ReadFile(o.Log)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), field) || strings.Contains(string(log), `"ERROR"`) || strings.Count(string(log), field) > 2 {
		t.Errorf("the log should have the field, and no ERROR:\n%s", log)
	}

	// Who asks, and who wrote.
	requests := env.Requests(begin, time.Now())
	if len(requests) == 0 {
		t.Error("no requests")
	}
	for _, r := range requests {
		if !strings.HasPrefix(r.UserAgent, "tezos-signer-operator/") {
			t.Errorf("%s is of %q", r, r.UserAgent)
		}
	}
	for _, path := range []string{
		operatorenv.Path("tezossigners", operatorenv.Namespace, "waits"), operatorenv.Path("deployments", operatorenv.Namespace, "waits"),
		"/api/v1/namespaces/" + operatorenv.Records + "/configmaps/" + recordsOf(env, "waits")[0],
	} {
		managers, _ := operatorenv.FieldOf(env.Get(path), "metadata", "managedFields").([]any)
		ours := false
		for _, manager := range managers {
			name := operatorenv.TextOf(manager, "manager")
			ours = ours || name == "tezos-signer-operator"
			if name == "unknown" {
				t.Errorf("%s: %v", path, manager)
			}
		}
		if !ours {
			t.Errorf("%s: %v", path, managers)
		}
	}
}

// recordsOf are the records that the status of a TezosSigner remembers.
func recordsOf(env *operatorenv.Env, name string) (records []string) {
	keys, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, name)), "status", "keys").([]any)
	for _, key := range keys {
		records = append(records, operatorenv.TextOf(key, "record"))
	}
	return records
}

// What users add to the pods and their ServiceAccount is taken by the API server, and a steady state writes nothing.
func TestAdditionsToThePodsAreApplied(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	o := env.StartReady(image)
	signer := env.Signer("more", operatorenv.Service)
	additions := object{
		"pod":            object{"labels": object{"team": "bakers"}, "annotations": object{"example.org/owner": "me"}, "terminationGracePeriodSeconds": 60},
		"serviceAccount": object{"annotations": object{"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
		"env":            []any{object{"name": "RUST_LOG", "value": "debug"}, object{"name": "EMPTY"}},
		"placement": object{"topologySpreadConstraints": []any{object{
			"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": object{"matchLabels": object{"team": "bakers"}},
		}}},
	}
	for name, value := range additions {
		signer["spec"].(object)[name] = value
	}
	env.Create(signer)
	env.AwaitCreated("more")
	template := operatorenv.FieldOf(env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "more")), "spec", "template")
	for _, c := range []struct {
		want string
		path []any
	}{
		{"bakers", []any{"metadata", "labels", "team"}},
		{"me", []any{"metadata", "annotations", "example.org/owner"}},
		{"60", []any{"spec", "terminationGracePeriodSeconds"}},
		{"rack", []any{"spec", "topologySpreadConstraints", 0, "topologyKey"}},
	} {
		var found any = template
		for _, step := range c.path {
			if index, is := step.(int); is {
				found = found.([]any)[index]
			} else {
				found = found.(object)[step.(string)]
			}
		}
		if fmt.Sprint(found) != c.want {
			t.Errorf("%v is %v", c.path, found)
		}
	}
	account := env.Get(operatorenv.Path("serviceaccounts", operatorenv.Namespace, "more-signer"))
	if arn := operatorenv.TextOf(account, "metadata", "annotations", "eks.amazonaws.com/role-arn"); arn == "" {
		t.Errorf("the ServiceAccount has no annotation: %v", account)
	}
	env.AwaitIdle(o, 3*time.Second)
	since := time.Now()
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "more"), func(o object) {
		o["metadata"].(object)["labels"] = object{"wakes": "it"}
	})
	env.AwaitIdle(o, 3*time.Second)
	if writes := operatorenv.Writes(env.Requests(since, time.Now())); len(writes) > 0 {
		t.Errorf("a steady state wrote %v", writes)
	}
}
