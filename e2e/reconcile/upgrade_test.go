package reconcile

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"signer.tezos.io/e2e/operator"
)

// A new operator with another default image restarts no signer; a signer that is made later has the new image; and a change of
// one TezosSigner restarts that one only.
func TestAnUpgradeRestartsNobodyAndAChangeOnlyItsOwn(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartControllers()
	o := p.StartReady("registry.example/tezos-signer:1")
	forms := map[string]operator.Form{"baker": operator.Baker, "service": operator.Service, "cloudhsm": operator.CloudHSM}
	for name, form := range forms {
		p.Create(p.Signer(name, form))
	}
	for name := range forms {
		p.AwaitMade(name)
	}
	p.AwaitQuiet(o, 2*time.Second)
	// The pods by their UIDs, and what they are made from.
	all := func(name string) string {
		template, _ := json.Marshal(operator.At(p.Get(operator.Path("deployments", operator.Namespace, name)), "spec", "template"))
		var pods []any
		list, _ := operator.At(p.Get(operator.Path("pods", operator.Namespace, "")+"?labelSelector=app.kubernetes.io%2Finstance%3D"+name), "items").([]any)
		for _, pod := range list {
			pods = append(pods, operator.At(pod, "metadata", "uid"))
		}
		return fmt.Sprintf("%d pods %v of %s", len(pods), pods, template)
	}
	before := map[string]string{}
	for name := range forms {
		before[name] = all(name)
	}
	o.Stop()
	began := time.Now()
	o = p.StartReady("registry.example/tezos-signer:2")
	p.AwaitQuiet(o, 2*time.Second)
	for name := range forms {
		if now := all(name); now != before[name] {
			t.Errorf("%s was changed by the upgrade:\n%s\n%s", name, before[name], now)
		}
	}
	for _, write := range operator.Writes(p.Requests(began, time.Now())) {
		// What the API server writes in another way is applied once by a new process, without effect.
		if write.ObjectRef.Resource != "deployments" {
			t.Errorf("the upgrade wrote %v", write)
		}
	}
	p.Create(p.Signer("new", operator.Baker))
	p.AwaitMade("new")
	if image := signerImage(p, "new"); image != "registry.example/tezos-signer:2" {
		t.Errorf("a new TezosSigner has %v", image)
	}
	p.Change(operator.Path("tezossigners", operator.Namespace, "baker"), func(o object) { o["spec"].(object)["leaseDurationSeconds"] = 9 })
	p.Await("its pods are replaced", func() bool { return all("baker") != before["baker"] })
	p.AwaitQuiet(o, 2*time.Second)
	for _, name := range []string{"service", "cloudhsm"} {
		if now := all(name); now != before[name] {
			t.Errorf("%s was changed with another one", name)
		}
	}
	if image := signerImage(p, "baker"); image != "registry.example/tezos-signer:1" {
		t.Errorf("a change of something else brought the image %s", image)
	}
	deployment := operator.Path("deployments", operator.Namespace, "cloudhsm")
	p.Delete(deployment)
	p.Await("the Deployment is back", func() bool { return signerImage(p, "cloudhsm") != "" })
	if image := signerImage(p, "cloudhsm"); image != "registry.example/tezos-signer:1" {
		t.Errorf("a Deployment that was deleted came back with the image %s", image)
	}
}

func signerImage(p *operator.Place, name string) string {
	containers, _ := operator.At(p.Get(operator.Path("deployments", operator.Namespace, name)), "spec", "template", "spec", "initContainers").([]any)
	for _, container := range containers {
		if operator.Text(container, "name") == "signer" {
			return operator.Text(container, "image")
		}
	}
	return ""
}
