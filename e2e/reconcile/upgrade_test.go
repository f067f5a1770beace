package reconcile

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// A new operator with another default image restarts no signer that has run well; a signer that is made later has the new image; and a change of
// one TezosSigner restarts that one only.
func TestAnUpgradeRestartsNobodyAndAChangeOnlyItsOwn(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady("registry.example/tezos-signer:1")
	forms := map[string]operatorenv.Workload{"baker": operatorenv.Baker, "service": operatorenv.Service, "cloudhsm": operatorenv.CloudHSM}
	for name, form := range forms {
		env.Create(env.Signer(name, form))
	}
	for name := range forms {
		env.AwaitCreated(name)
	}
	allReady(t, env, 76, "baker", "service", "cloudhsm")
	env.AwaitIdle(o, 2*time.Second)
	// The pods by their UIDs, and what they are made from.
	all := func(name string) string {
		template, _ := json.Marshal(operatorenv.FieldOf(env.Get(operatorenv.Path("deployments", operatorenv.Namespace, name)), "spec", "template"))
		var pods []any
		list, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("pods", operatorenv.Namespace, "")+"?labelSelector=app.kubernetes.io%2Finstance%3D"+name), "items").([]any)
		for _, pod := range list {
			pods = append(pods, operatorenv.FieldOf(pod, "metadata", "uid"))
		}
		return fmt.Sprintf("%d pods %v of %s", len(pods), pods, template)
	}
	before := map[string]string{}
	for name := range forms {
		before[name] = all(name)
	}
	o.Stop()
	began := time.Now()
	o = env.StartReady("registry.example/tezos-signer:2")
	env.AwaitIdle(o, 2*time.Second)
	for name := range forms {
		if now := all(name); now != before[name] {
			t.Errorf("%s was changed by the upgrade:\n%s\n%s", name, before[name], now)
		}
	}
	for _, write := range operatorenv.Writes(env.Requests(began, time.Now())) {
		// What the API server writes in another way is applied once by a new process, without effect.
		if write.ObjectRef.Resource != "deployments" {
			t.Errorf("the upgrade wrote %v", write)
		}
	}
	env.Create(env.Signer("new", operatorenv.Baker))
	env.AwaitCreated("new")
	if image := signerImage(env, "new"); image != "registry.example/tezos-signer:2" {
		t.Errorf("a new TezosSigner has %v", image)
	}
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "baker"), func(o object) { o["spec"].(object)["leaseDurationSeconds"] = 9 })
	env.Await("its pods are replaced", func() bool { return all("baker") != before["baker"] })
	env.AwaitIdle(o, 2*time.Second)
	for _, name := range []string{"service", "cloudhsm"} {
		if now := all(name); now != before[name] {
			t.Errorf("%s was changed with another one", name)
		}
	}
	if image := signerImage(env, "baker"); image != "registry.example/tezos-signer:1" {
		t.Errorf("a change of something else brought the image %s", image)
	}
	deployment := operatorenv.Path("deployments", operatorenv.Namespace, "cloudhsm")
	env.Delete(deployment)
	env.Await("the Deployment is back", func() bool { return signerImage(env, "cloudhsm") != "" })
	if image := signerImage(env, "cloudhsm"); image != "registry.example/tezos-signer:1" {
		t.Errorf("a Deployment that was deleted came back with the image %s", image)
	}
}

func signerImage(env *operatorenv.Env, name string) string {
	containers, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("deployments", operatorenv.Namespace, name)), "spec", "template", "spec", "initContainers").([]any)
	for _, container := range containers {
		if operatorenv.TextOf(container, "name") == "signer" {
			return operatorenv.TextOf(container, "image")
		}
	}
	return ""
}
