package reconcile

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

const definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tezossigners.signer.tezos.io"

// acceptAnySpec has the API server take TezosSigners of any shape, as a later release's definition would.
func acceptAnySpec(env *operatorenv.Env) {
	env.Change(definition, func(o object) {
		for _, version := range o["spec"].(object)["versions"].([]any) {
			schema := version.(object)["schema"].(object)["openAPIV3Schema"].(object)
			delete(schema, "x-kubernetes-validations")
			schema["properties"].(object)["spec"] = object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
		}
	})
}

// A TezosSigner that cannot be read is reported and left as it is; the others go on; and it can be deleted, which frees its records.
func TestOneThatCannotBeReadIsToldOfAndStopsNobody(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	key, former := env.NewKey(), env.NewKey()
	env.Create(env.Signer("later", operatorenv.Baker, key, former))
	env.AwaitCreated("later")
	env.AwaitIdle(o, time.Second)
	acceptAnySpec(env)
	path := operatorenv.Path("tezossigners", operatorenv.Namespace, "later")
	var before object
	env.Await("the API server takes it", func() bool { // it serves the new definition a moment later
		before = env.Get(path)
		before["spec"].(object)["leaseDurationSeconds"] = "quite long"
		_, err := env.Do(t.Context(), http.MethodPut, path, before)
		return err == nil
	})
	env.Await("it says so", func() bool { return operatorenv.TextOf(env.Condition("later", "Ready"), "reason") == "Undecodable" })
	t.Log(operatorenv.TextOf(env.Condition("later", "Ready"), "message"))
	if message := operatorenv.TextOf(env.Condition("later", "Ready"), "message"); !strings.Contains(message, "quite long") {
		t.Errorf("the sentence does not say what cannot be read: %s", message)
	}
	if remembered, _ := json.Marshal(operatorenv.FieldOf(env.Get(path), "status", "keys")); !strings.Contains(string(remembered), operatorenv.RecordName(key)) {
		t.Errorf("the status does not remember the record any more: %s", remembered)
	}
	recordIsSuspended := func(key *octezclient.PublicKey) bool {
		return operatorenv.TextOf(env.Get(operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))), "data", "suspend") == "true"
	}
	isSuspended := func() bool { return recordIsSuspended(key) }
	// INVARIANT O9: A key that is taken out stops, where it is certain that it is. The one that stays goes on.
	awaitCondition(t, env, "later", "Ready", "Unknown", "Undecodable", "its signers continue to sign. Only")
	keys := before["spec"].(object)["keys"].([]any)
	env.Change(path, func(o object) { o["spec"].(object)["keys"] = []any{keys[0], object{"sealedKeyOfALaterRelease": "x"}} })
	env.AwaitIdle(o, 2*time.Second)
	if recordIsSuspended(former) || isSuspended() {
		t.Error("a key is suspended that may be the one that cannot be read")
	}
	env.Change(path, func(o object) { o["spec"].(object)["keys"] = keys[:1] })
	env.Await("the key that is taken out is suspended", func() bool { return recordIsSuspended(former) })
	awaitCondition(t, env, "later", "Ready", "Unknown", "Undecodable", "its signers continue to sign, but not with "+former.Hash())
	if isSuspended() {
		t.Error("the key that stays is suspended")
	}
	env.Change(path, func(o object) { o["spec"].(object)["keys"] = keys; o["spec"].(object)["suspend"] = true })
	env.Await("suspend is followed all the same", isSuspended)
	awaitCondition(t, env, "later", "Ready", "False", "Undecodable", "has suspended all records", "until the TezosSigner can be decoded")
	env.Change(path, func(o object) { o["spec"].(object)["suspend"] = false })
	awaitCondition(t, env, "later", "Ready", "Unknown", "Undecodable", "a suspended record stays suspended")
	if !isSuspended() {
		t.Error("suspend was lifted with a spec that cannot be read")
	}
	env.Await("an event says so", func() bool {
		return strings.Contains(string(env.Must(http.MethodGet, operatorenv.Path("events", operatorenv.Namespace, ""), nil)), `"reason":"Undecodable"`)
	})
	if value := o.Metrics()["tezos_signer_operator_undecodable_tezossigners"]; value != 1 {
		t.Errorf("the metric says %v", value)
	}
	if !o.LogContains("cannot decode this TezosSigner") {
		t.Error("the log does not say so")
	}
	env.Create(env.Signer("other", operatorenv.Baker))
	env.AwaitCreated("other")
	env.AwaitIdle(o, 2*time.Second) // it is not reconciled again and again
	if env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "later")) == nil {
		t.Error("its Deployment is gone")
	}

	env.Delete(path)
	env.Await("it is gone", func() bool { return env.Get(path) == nil })
	record := env.Get(operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key)))
	if owner := operatorenv.FieldOf(record, "metadata", "annotations", "signer.tezos.io/owner"); record == nil || owner != nil {
		t.Errorf("its record still belongs to %v", owner)
	}
	if env.Get(operatorenv.Path("roles", operatorenv.Records, "signer."+operatorenv.Namespace+".later")) != nil {
		t.Error("its rights are still there")
	}
}
