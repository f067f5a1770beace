package reconcile

import (
	"net/http"
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

// A Service sends nothing to a pod that is not Ready, whoever's container it is that is
// not: the TezosSigner is not Ready then, names it, and the metric that the alert asks says
// so. Then one of two, then both are Ready.
func TestASignerWithoutAnEndpointIsNotReady(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	key := env.NewKey()
	env.Create(env.Signer("a", operatorenv.Service, key))
	env.AwaitCreated("a")
	env.Await("both pods are there", func() bool { return len(pods(env, "a")) == 2 })
	both := pods(env, "a")
	k := newKubelet(t, env, 71, operatorenv.RecordName(key))
	all := func(s state) {
		for _, pod := range both {
			k.set(pod, s)
		}
	}
	all(state{signerReady: true, beside: sidecarStatus("mesh", false)})
	awaitCondition(t, env, "a", "Ready", "False", "NoEndpoint", "container mesh is running, but not ready", "no endpoint")
	env.Await("the metric says so", func() bool { // once the watch has delivered the status
		return o.Metrics()[`tezos_signer_operator_condition{name="a",namespace="bakers",status="False",type="Ready"}`] == 1
	})
	crashing := sidecarStatus("mesh", false)
	crashing["state"] = object{"waiting": object{"reason": "CrashLoopBackOff"}}
	all(state{signerReady: true, beside: crashing})
	awaitCondition(t, env, "a", "Ready", "False", "NoEndpoint", "container mesh repeatedly exits")
	all(state{signerReady: true, gate: `the status of pod readiness gate "example.org/lb" is not "True", but False`})
	awaitCondition(t, env, "a", "Ready", "False", "NoEndpoint", "example.org/lb")

	k.set(both[0], state{signerReady: true})
	k.set(both[1], state{signerReady: true, beside: sidecarStatus("mesh", false)})
	awaitCondition(t, env, "a", "Ready", "True", "Degraded", "1 of 2 replicas is ready", both[1]+": container mesh")
	all(state{signerReady: true, beside: sidecarStatus("mesh", true)})
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "2 of 2 replicas are ready", "above level 1000")

	// One that waits to be ended is no endpoint either; others come.
	for _, pod := range both {
		path := operatorenv.Path("pods", operatorenv.Namespace, pod)
		env.Change(path, func(o object) { o["metadata"].(object)["finalizers"] = []any{"e2e/kubelet"} })
		env.Delete(path)
	}
	awaitCondition(t, env, "a", "Ready", "False", "Starting", "no endpoint")
}

// Of a baker's pod that is not Ready because of another container, that one is named.
func TestABakersPodThatIsNotReadyIsSaid(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	env.StartReady(image)
	key := env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, key))
	env.AwaitCreated("a")
	env.Await("its pod is there", func() bool { return len(pods(env, "a")) == 1 })
	pod := pods(env, "a")[0]
	k := newKubelet(t, env, 72, operatorenv.RecordName(key))
	k.set(pod, state{signerReady: true, beside: sidecarStatus("mesh", false)})
	awaitCondition(t, env, "a", "Ready", "False", "PodNotReady", pod, "container mesh is running, but not ready")
	k.set(pod, state{signerReady: true, beside: sidecarStatus("mesh", true)})
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "signing for "+key.Hash()+" above level 1000")
}

// A ceiling that somebody sets is in the status at once, and when it is reached the
// TezosSigner is not Ready, and says what to do. So is suspend.
func TestACeilingIsToldAtOnce(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	env.StartReady(image)
	key := env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, key))
	env.AwaitCreated("a")
	env.Await("its pod is there", func() bool { return len(pods(env, "a")) == 1 })
	newKubelet(t, env, 73, operatorenv.RecordName(key)).set(pods(env, "a")[0], state{signerReady: true, beside: sidecarStatus("baker", true)})
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "signing for")
	env.Await("the image ran well", func() bool { return status(env, "a", "image") == image })

	record := operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
	set := func(row string, value any) {
		change := env.Get(record)
		data := change["data"].(object)
		if data[row] = value; value == nil {
			delete(data, row)
		}
		if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", http.MethodPut, record, change); err != nil {
			t.Fatal(err)
		}
	}
	ceiling := func() any {
		keys, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, "a")), "status", "keys").([]any)
		return operatorenv.FieldOf(keys[0], "ceiling")
	}
	set("ceiling", "2000")
	took := awaitCondition(t, env, "a", "Ready", "True", "Signing", "above level 1000, up to level 2000")
	if took > reconcileLimit || ceiling() != float64(2000) {
		t.Errorf("after %v the ceiling is %v", took, ceiling())
	}
	set("ceiling", nil)
	awaitCondition(t, env, "a", "Ready", "True", "Signing", "above level 1000")
	set("ceiling", "1000")
	took = awaitCondition(t, env, "a", "Ready", "False", "CeilingReached", "nothing above level 1000 is signed with", "delete this TezosSigner", "docs/record.md")
	if took > reconcileLimit || ceiling() != float64(1000) {
		t.Errorf("after %v the ceiling is %v", took, ceiling())
	}
	set("ceiling", nil)
	set("suspend", "true")
	if took := awaitCondition(t, env, "a", "Ready", "False", "Suspended"); took > reconcileLimit {
		t.Errorf("suspend is in the status after %v", took)
	}
}
