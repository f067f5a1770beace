package reconcile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// A labelled pod is created with its signer or not at all, also in a namespace that the operator does not watch, or does not watch any more.
func TestALabelledPodNeedsItsSignerInEveryNamespace(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	env.Must(http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": "elsewhere"}})
	account(env, "elsewhere", operatorenv.InjectedAccount)
	env.Install("--set", "watchNamespaces={elsewhere}")
	env.Await("it watches another namespace", func() bool {
		_, refusal := tryPod(t, env, "elsewhere", bakersPod("a"))
		return strings.Contains(refusal, "is in the namespace elsewhere") && strings.Contains(refusal, "does not watch this namespace")
	})
	if made := taken(t, env, "where it has watched", bakersPod("a")); named(listOf(made, "spec", "initContainers"), "signer") == nil {
		t.Errorf("the pod is %v", made)
	}
}

// A change of the ServiceAccount does not take the right to sign from a running pod, and the status names it. During a pause the pods are named too.
func TestAPodWithTheServiceAccountFromBeforeSignsOn(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	create := func(name, serviceAccount string) {
		pod := bakersPod("a")
		pod["spec"].(object)["serviceAccountName"] = serviceAccount
		createPod(env, name, pod)
	}
	accounts := func() string {
		return fmt.Sprint(namesOf(listOf(env.Get(operatorenv.Path("rolebindings", operatorenv.Records, "signer."+operatorenv.Namespace+".a")), "subjects")))
	}
	account(env, operatorenv.Namespace, "new")
	create("first", operatorenv.InjectedAccount)
	awaitCondition(t, env, "a", "SidecarCurrent", "True", "Current", "pod first")
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) {
		o["spec"].(object)["inject"].(object)["serviceAccountName"] = "new"
	})
	awaitCondition(t, env, "a", "SidecarCurrent", "False", "AnotherAccount", "pod first has another ServiceAccount")
	if is := accounts(); is != "[a-signer new tezos-baker]" {
		t.Errorf("the right to sign have %s", is)
	}
	env.Await("a new pod needs the new account", func() bool {
		_, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
		return strings.Contains(refusal, "no TezosSigner a with inject.serviceAccountName: tezos-baker")
	})
	create("second", "new")
	removePod(env, "first")
	awaitCondition(t, env, "a", "SidecarCurrent", "True", "Current", "pod second has the present sidecar")
	env.Await("the account from before has lost the right", func() bool { return accounts() == "[a-signer new]" })

	if output, err := env.Kubectl("", "annotate", "tezossigner", "a", "signer.tezos.io/paused=true", "--namespace", operatorenv.Namespace); err != nil {
		t.Fatal(output)
	}
	awaitCondition(t, env, "a", "Paused", "True", "Paused")
	removePod(env, "second")
	awaitCondition(t, env, "a", "SidecarCurrent", "Unknown", "NoPod")
}

// Where the sidecar stands in the pod template, the one from before is accepted after the removal of a key, and therefore keeps the rights on all of its
// records: a signer without one of them signs with no key.
func TestTheSidecarFromBeforeKeepsItsRecords(t *testing.T) {
	needsE2E(t)
	env, _ := withInjectedAccount(t, "--emulated-version=1.35")
	publish(env, env.Signer("a", operatorenv.Inject, env.NewKey(), env.NewKey()))
	awaitCondition(t, env, "a", "Ready", "False", "NoPod")
	pod := withSidecar(t, env, "a", nil)
	env.Await("the pod is created", func() bool {
		_, refusal := tryPod(t, env, operatorenv.Namespace, pod)
		return refusal == ""
	})
	createPod(env, "first", pod)
	records := func() int {
		names, _ := listOf(env.Get(operatorenv.Path("roles", operatorenv.Records, "signer."+operatorenv.Namespace+".a")), "rules")[0]["resourceNames"].([]any)
		return len(names)
	}
	change := func(change func(spec object)) {
		before := digestOf(env, "a")
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { change(o["spec"].(object)) })
		env.Await("the next sidecar", func() bool { return digestOf(env, "a") != before })
	}
	change(func(spec object) { spec["keys"] = spec["keys"].([]any)[:1] })
	removePod(env, "first")
	awaitCondition(t, env, "a", "SidecarCurrent", "Unknown", "NoPod")
	time.Sleep(2 * time.Second)
	if is := records(); is != 2 {
		t.Errorf("it has rights on %d records", is)
	}
	taken(t, env, "with the sidecar from before", pod)
	change(func(spec object) { spec["env"] = []any{object{"name": "RUST_LOG", "value": "debug"}} })
	env.Await("the record is released", func() bool { return records() == 1 })
}
