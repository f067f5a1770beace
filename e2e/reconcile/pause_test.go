package reconcile

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operator"
)

// Of a TezosSigner with the annotation nothing is changed, whatever becomes of what belongs to it; its status says so, and
// Ready stays what it was. Without the annotation the operator goes on. Deletion works all the time.
func TestPaused(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	o := p.StartReady(image)
	for _, name := range []string{"a", "never", "deleted"} {
		signer := p.Signer(name, operator.Service)
		if name == "never" {
			signer["metadata"].(object)["annotations"] = object{"signer.tezos.io/paused": "true"}
		}
		p.Create(signer)
	}
	p.AwaitMade("a")
	p.AwaitMade("deleted")
	p.AwaitQuiet(o, time.Second)
	ready := p.Condition("a", "Ready")
	pause := func(name string, is bool) {
		p.Change(operator.Path("tezossigners", operator.Namespace, name), func(signer object) {
			if is {
				annotations(signer)["signer.tezos.io/paused"] = "true"
			} else {
				delete(annotations(signer), "signer.tezos.io/paused")
			}
		})
	}
	for _, name := range []string{"a", "deleted"} {
		pause(name, true)
		p.Await("it says that it is paused", func() bool { return operator.Text(p.Condition(name, "Paused"), "status") == "True" })
	}
	if paused := operator.Text(p.Condition("a", "Paused"), "message"); !strings.Contains(paused, "signer.tezos.io/paused") {
		t.Errorf("the sentence does not name the annotation: %s", paused)
	}
	now := p.Condition("a", "Ready")
	if now["status"] != ready["status"] || now["reason"] != ready["reason"] || now["lastTransitionTime"] != ready["lastTransitionTime"] ||
		now["message"] != "paused: "+ready["message"].(string) {
		t.Errorf("Ready was %v, and is %v", ready, now)
	}
	if value := o.Metrics()[`tezos_signer_operator_paused{name="a",namespace="bakers"}`]; value != 1 {
		t.Errorf("the metric says %v", value)
	}

	// Drift, and another spec: neither is followed.
	service, deployment := operator.Path("services", operator.Namespace, "a"), operator.Path("deployments", operator.Namespace, "a")
	p.AwaitQuiet(o, time.Second)
	began := time.Now()
	p.Delete(service)
	p.Change(deployment, func(o object) { o["spec"].(object)["replicas"] = 7 })
	p.Change(operator.Path("tezossigners", operator.Namespace, "a"), func(o object) { o["spec"].(object)["service"].(object)["replicas"] = 4 })
	looks := o.Looks()
	p.Change(operator.Path("tezossigners", operator.Namespace, "a"), func(o object) { annotations(o)["touched"] = "yes" })
	p.Await("it was looked at", func() bool { return o.Looks() > looks })
	p.AwaitQuiet(o, time.Second)
	for _, write := range operator.Writes(p.Requests(began, time.Now())) {
		if write.ObjectRef.Subresource != "status" { // which says of what generation it tells
			t.Errorf("a write while it is paused: %v", write)
		}
	}
	if p.Get(service) != nil || operator.At(p.Get(deployment), "spec", "replicas") != float64(7) {
		t.Error("what was changed while it is paused did not stay")
	}
	if never := p.Get(operator.Path("tezossigners", operator.Namespace, "never")); operator.At(never, "metadata", "finalizers") != nil ||
		p.Get(operator.Path("deployments", operator.Namespace, "never")) != nil {
		t.Errorf("something was made of one that was paused from the start: %v", never["metadata"])
	}

	for _, name := range []string{"deleted", "never"} {
		path := operator.Path("tezossigners", operator.Namespace, name)
		if _, err := p.Do(t.Context(), http.MethodDelete, path, nil); err != nil {
			t.Fatal(err)
		}
		p.Await(name+" is gone", func() bool { return p.Get(path) == nil })
	}

	pause("a", false)
	p.Await("the Service is back", func() bool { return p.Get(service) != nil })
	p.Await("the replicas are those of the spec", func() bool { return operator.At(p.Get(deployment), "spec", "replicas") == float64(4) })
	p.Await("nothing is said of a pause any more", func() bool {
		return p.Condition("a", "Paused") == nil && !strings.HasPrefix(operator.Text(p.Condition("a", "Ready"), "message"), "paused")
	})
}
