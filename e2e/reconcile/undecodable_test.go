package reconcile

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operator"
)

const definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tezossigners.signer.tezos.io"

// takeAnything has the API server take TezosSigners of any shape, as a later release's definition would.
func takeAnything(p *operator.Place) {
	p.Change(definition, func(o object) {
		for _, version := range o["spec"].(object)["versions"].([]any) {
			schema := version.(object)["schema"].(object)["openAPIV3Schema"].(object)
			delete(schema, "x-kubernetes-validations")
			schema["properties"].(object)["spec"] = object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
		}
	})
}

// A TezosSigner that cannot be read is told of and left as it is; the others go on; and it can be deleted, which frees its records.
func TestOneThatCannotBeReadIsToldOfAndStopsNobody(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartControllers()
	o := p.StartReady(image)
	key := p.NewKey()
	p.Create(p.Signer("later", operator.Baker, key))
	p.AwaitMade("later")
	p.AwaitQuiet(o, time.Second)
	takeAnything(p)
	path := operator.Path("tezossigners", operator.Namespace, "later")
	var before object
	p.Await("the API server takes it", func() bool { // it serves the new definition a moment later
		before = p.Get(path)
		before["spec"].(object)["leaseDurationSeconds"] = "quite long"
		_, err := p.Do(t.Context(), http.MethodPut, path, before)
		return err == nil
	})
	p.Await("it says so", func() bool { return operator.Text(p.Condition("later", "Ready"), "reason") == "Undecodable" })
	t.Log(operator.Text(p.Condition("later", "Ready"), "message"))
	if message := operator.Text(p.Condition("later", "Ready"), "message"); !strings.Contains(message, "quite long") {
		t.Errorf("the sentence does not say what cannot be read: %s", message)
	}
	if keys, _ := json.Marshal(operator.At(p.Get(path), "status", "keys")); !strings.Contains(string(keys), operator.RecordName(key)) {
		t.Errorf("the status does not remember the record any more: %s", keys)
	}
	p.Await("an event says so", func() bool {
		return strings.Contains(string(p.Must(http.MethodGet, operator.Path("events", operator.Namespace, ""), nil)), `"reason":"Undecodable"`)
	})
	if value := o.Metrics()["tezos_signer_operator_undecodable_tezossigners"]; value != 1 {
		t.Errorf("the metric says %v", value)
	}
	if !o.Says("cannot read this TezosSigner") {
		t.Error("the log does not say so")
	}
	p.Create(p.Signer("other", operator.Baker))
	p.AwaitMade("other")
	p.AwaitQuiet(o, 2*time.Second) // it is not looked at again and again
	if p.Get(operator.Path("deployments", operator.Namespace, "later")) == nil {
		t.Error("its Deployment is gone")
	}

	p.Delete(path)
	p.Await("it is gone", func() bool { return p.Get(path) == nil })
	record := p.Get(operator.Path("configmaps", operator.Records, operator.RecordName(key)))
	if owner := operator.At(record, "metadata", "annotations", "signer.tezos.io/owner"); record == nil || owner != nil {
		t.Errorf("its record still belongs to %v", owner)
	}
	if p.Get(operator.Path("roles", operator.Records, "signer."+operator.Namespace+".later")) != nil {
		t.Error("its rights are still there")
	}
}
