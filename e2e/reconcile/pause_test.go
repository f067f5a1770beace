package reconcile

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

// Of a TezosSigner with the annotation nothing is changed, whatever becomes of what belongs to it; its status says so, and
// Ready stays what it was. Without the annotation the operator goes on. Deletion works all the time.
func TestPaused(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	o := env.StartReady(image)
	for _, name := range []string{"a", "never", "deleted"} {
		signer := env.Signer(name, operatorenv.Service)
		if name == "never" {
			signer["metadata"].(object)["annotations"] = object{"signer.tezos.io/paused": "true"}
		}
		env.Create(signer)
	}
	env.AwaitCreated("a")
	env.AwaitCreated("deleted")
	env.AwaitIdle(o, time.Second)
	ready := env.Condition("a", "Ready")
	pause := func(name string, is bool) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, name), func(signer object) {
			if is {
				annotations(signer)["signer.tezos.io/paused"] = "true"
			} else {
				delete(annotations(signer), "signer.tezos.io/paused")
			}
		})
	}
	for _, name := range []string{"a", "deleted"} {
		pause(name, true)
		env.Await("it says that it is paused", func() bool { return operatorenv.TextOf(env.Condition(name, "Paused"), "status") == "True" })
	}
	for value, pauses := range map[string]bool{"yes": true, "True": true, "1": true, "no": false, "false": false} {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { annotations(o)["signer.tezos.io/paused"] = value })
		env.Await(value+" counts", func() bool { return (operatorenv.TextOf(env.Condition("a", "Paused"), "reason") == "Paused") == pauses })
	}
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { annotations(o)["signer.tezos.io/paused"] = "ture" })
	awaitCondition(t, env, "a", "Paused", "True", "UnknownValue", `signer.tezos.io/paused is "ture"`, "true, yes, on, 1")
	env.Await("an event says so", func() bool {
		return strings.Contains(string(env.Must(http.MethodGet, operatorenv.Path("events", operatorenv.Namespace, ""), nil)), `"reason":"UnknownValue"`)
	})
	pause("a", true)
	awaitCondition(t, env, "a", "Paused", "True", "Paused")
	if paused := operatorenv.TextOf(env.Condition("a", "Paused"), "message"); !strings.Contains(paused, "signer.tezos.io/paused") {
		t.Errorf("the sentence does not name the annotation: %s", paused)
	}
	now := env.Condition("a", "Ready")
	if now["status"] != ready["status"] || now["reason"] != ready["reason"] || now["lastTransitionTime"] != ready["lastTransitionTime"] ||
		now["message"] != "paused: "+ready["message"].(string) {
		t.Errorf("Ready was %v, and is %v", ready, now)
	}
	if value := o.Metrics()[`tezos_signer_operator_paused{name="a",namespace="bakers"}`]; value != 1 {
		t.Errorf("the metric says %v", value)
	}

	// Drift, and another spec: neither is followed.
	service, deployment := operatorenv.Path("services", operatorenv.Namespace, "a"), operatorenv.Path("deployments", operatorenv.Namespace, "a")
	env.AwaitIdle(o, time.Second)
	began := time.Now()
	env.Delete(service)
	env.Change(deployment, func(o object) { o["spec"].(object)["replicas"] = 7 })
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { o["spec"].(object)["service"].(object)["replicas"] = 4 })
	reconciles := o.Reconciles()
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { annotations(o)["touched"] = "yes" })
	env.Await("it was reconciled", func() bool { return o.Reconciles() > reconciles })
	env.AwaitIdle(o, time.Second)
	for _, write := range operatorenv.Writes(env.Requests(began, time.Now())) {
		if write.ObjectRef.Subresource != "status" { // which has observedGeneration
			t.Errorf("a write while it is paused: %v", write)
		}
	}
	if env.Get(service) != nil || operatorenv.FieldOf(env.Get(deployment), "spec", "replicas") != float64(7) {
		t.Error("what was changed while it is paused did not stay")
	}
	if never := env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, "never")); operatorenv.FieldOf(never, "metadata", "finalizers") != nil ||
		env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "never")) != nil {
		t.Errorf("something was made of one that was paused from the start: %v", never["metadata"])
	}

	for _, name := range []string{"deleted", "never"} {
		path := operatorenv.Path("tezossigners", operatorenv.Namespace, name)
		if _, err := env.Do(t.Context(), http.MethodDelete, path, nil); err != nil {
			t.Fatal(err)
		}
		env.Await(name+" is gone", func() bool { return env.Get(path) == nil })
	}

	pause("a", false)
	env.Await("the Service is back", func() bool { return env.Get(service) != nil })
	env.Await("the replicas are those of the spec", func() bool { return operatorenv.FieldOf(env.Get(deployment), "spec", "replicas") == float64(4) })
	env.Await("the condition Paused is gone", func() bool {
		return env.Condition("a", "Paused") == nil && !strings.HasPrefix(operatorenv.TextOf(env.Condition("a", "Ready"), "message"), "paused")
	})
}

// INVARIANT O1, O8: The right to sign is taken away while a TezosSigner is paused: suspend is written into all its records, the
// record of a key that is taken out of the spec is suspended, and nothing of that is given back before the pause ends. The status says so.
func TestTheRightToSignIsTakenAwayWhilePaused(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	env.StartReady(image)
	first, second := env.NewKey(), env.NewKey()
	env.Create(env.Signer("a", operatorenv.Service, first, second))
	env.AwaitCreated("a")
	env.Await("its pods are there", func() bool { return len(pods(env, "a")) == 2 })
	k := newKubelet(t, env, 77, operatorenv.RecordName(first), operatorenv.RecordName(second))
	for _, pod := range pods(env, "a") {
		k.set(pod, state{signerReady: true})
	}
	awaitCondition(t, env, "a", "Ready", "True", "Signing")
	isSuspended := func(key *octezclient.PublicKey) bool {
		return operatorenv.TextOf(env.Get(operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))), "data", "suspend") == "true"
	}
	edit := func(change func(spec object)) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { change(o["spec"].(object)) })
	}
	pause := func(value string) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) {
			if annotations(o)["signer.tezos.io/paused"] = value; value == "" {
				delete(annotations(o), "signer.tezos.io/paused")
			}
		})
	}
	pause("true")
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "paused: 2 of 2 replicas are ready")
	// Not its version: the Deployment controller writes its status.
	generation := func() any {
		return operatorenv.FieldOf(env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "a")), "metadata", "generation")
	}
	before := generation()

	edit(func(spec object) { spec["suspend"] = true })
	env.Await("suspend is in both records", func() bool { return isSuspended(first) && isSuspended(second) })
	awaitCondition(t, env, "a", "Ready", "False", "Suspended", "paused: signing is suspended")
	edit(func(spec object) { spec["suspend"] = false })
	awaitCondition(t, env, "a", "Ready", "False", "Suspended", "paused: signing is suspended. It is not lifted during the pause")
	awaitCondition(t, env, "a", "Paused", "True", "Paused", "of the spec is in use, not ")
	if !isSuspended(first) || !isSuspended(second) {
		t.Error("suspend was lifted while it is paused")
	}
	pause("")
	env.Await("it is lifted", func() bool { return !isSuspended(first) && !isSuspended(second) })
	awaitCondition(t, env, "a", "Ready", "True", "Signing")

	pause("true")
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "paused: ")
	edit(func(spec object) { spec["keys"] = spec["keys"].([]any)[:1] })
	env.Await("the record of the other key is suspended", func() bool { return isSuspended(second) })
	awaitCondition(t, env, "a", "Ready", "False", "Suspended", "paused: signing is suspended for "+second.Hash()+"; the other key continues to sign", "a key was removed from spec.keys")
	if isSuspended(first) {
		t.Error("the record of the key that stays is suspended too")
	}
	if now := generation(); now != before {
		t.Errorf("the Deployment was changed: generation %v, then %v", before, now)
	}

	// No pod any more: it does not say that it signs.
	edit(func(spec object) {
		spec["keys"] = append(spec["keys"].([]any), object{"publicKey": second.String(), "label": "key-1"})
	})
	pause("")
	env.Await("it is lifted", func() bool { return !isSuspended(second) })
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "2 of 2")
	pause("true")
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "paused: 2 of 2")

	// Nor without a Service that leads to them.
	service := operatorenv.Path("services", operatorenv.Namespace, "a")
	env.Change(service, func(o object) { o["spec"].(object)["selector"].(object)["other"] = "yes" })
	awaitCondition(t, env, "a", "Ready", "False", "NoEndpoint", "paused: the selector of its Service was changed")
	env.Delete(service)
	awaitCondition(t, env, "a", "Ready", "False", "NoEndpoint", "paused: its Service was deleted, and is restored after the pause")
	pause("")
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "2 of 2")
	pause("true")
	env.Change(operatorenv.Path("deployments", operatorenv.Namespace, "a"), func(o object) { o["spec"].(object)["replicas"] = 0 })
	awaitCondition(t, env, "a", "Ready", "False", "NoPod", "paused: ", "0 replicas")
}
