package reconcile

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/gitops"
	"signer.tezos.io/e2e/operatorenv"
)

var record = flag.Bool("record", false, "write the TezosSigners of TestArgoCDIsToldTheHealthOfEveryState into gitops/testdata")

// Argo CD's health check says of a TezosSigner what gitops.States has, in each state that the operator reports. The signers' answers are
// those of a signer; what a real one answers is tested with the signer.
func TestArgoCDIsToldTheHealthOfEveryState(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	tried := map[string]bool{}
	is := func(state, name string) {
		t.Helper()
		tried[state] = true
		object := env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, name))
		health, message, err := gitops.Health("../../deploy/argocd/health.lua", object)
		if err != nil || health != gitops.States[state] {
			t.Errorf("%s: %s (%q), not %s: %v", state, health, message, gitops.States[state], err)
		}
		if *record {
			writeRecorded(t, state, object)
		}
	}
	path := func(name string) string { return operatorenv.Path("tezossigners", operatorenv.Namespace, name) }
	change := func(name string, to func(object)) { env.Change(path(name), to) }
	spec := func(name, field string, value any) {
		change(name, func(o object) { o["spec"].(object)[field] = value })
	}
	ready := func(name, status, reason string, words ...string) {
		t.Helper()
		awaitCondition(t, env, name, "Ready", status, reason, words...)
	}

	key := env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, key))
	is("new", "a")
	o := env.StartReady(image)
	env.AwaitCreated("a")
	env.Await("its pod is there", func() bool { return len(pods(env, "a")) == 1 })
	pod := pods(env, "a")[0]
	ready("a", "False", "Starting")
	is("starting", "a")
	k := newKubelet(t, env, 175, operatorenv.RecordName(key))
	well := state{signerReady: true, beside: sidecarStatus("baker", true)}
	k.set(pod, well)
	ready("a", "True", "Signing")
	is("signing", "a")

	hsmDown := func(answer, _ object) {
		answer["ready"], answer["hsm"] = false, object{"ready": false, "reason": "C_Login: CKR_DEVICE_ERROR"}
	}
	sealed := func(refused bool, since any) func(_, key object) {
		return func(_, key object) {
			key["sealed"] = object{"opened": nil, "unreachableSince": since, "refused": refused, "reason": "CKR_PIN_INCORRECT"}
		}
	}
	for _, c := range []struct {
		state, status, reason string
		say                   func(answer, key object)
	}{
		{"hsm-down", "False", "NotUsable", hsmDown},
		{"lease-not-held", "False", "NotHeld", func(_, key object) { key["held"] = false }},
		{"not-ready", "False", "NotReady", func(answer, _ object) {
			answer["ready"], answer["reasons"] = false, []any{"the audit log cannot be written"}
		}},
		{"record-went-back", "False", "RecordWentBack", func(_, key object) { key["wentBack"], key["reason"] = true, "the record is lower than before" }},
		{"sealed-key-refused", "False", "SealedKeyRefused", sealed(true, nil)},
		{"sealing-key-away", "True", "SealingKeyUnreachable", sealed(false, "2026-12-01T00:00:00Z")},
	} {
		k.says(c.say, pod, well)
		ready("a", c.status, c.reason)
		is(c.state, "a")
	}
	nothing := func(_, _ object) {}
	k.says(nothing, pod, state{signerReady: true, beside: sidecarStatus("mesh", false)})
	ready("a", "False", "PodNotReady")
	is("pod-not-ready", "a")
	crashing := sidecarStatus("baker", false)
	crashing["state"] = object{"waiting": object{"reason": "CrashLoopBackOff"}}
	k.says(nothing, pod, state{signerReady: true, beside: crashing})
	ready("a", "False", "BakerNotRunning")
	is("baker-not-running", "a")
	k.says(nothing, pod, well)
	ready("a", "True", "Signing")

	spec("a", "suspend", true)
	ready("a", "False", "Suspended")
	is("suspended", "a")
	spec("a", "suspend", false)
	ready("a", "True", "Signing")
	change("a", func(o object) { annotations(o)["signer.tezos.io/paused"] = "true" })
	ready("a", "True", "Signing", "paused: ")
	is("paused", "a")
	k.says(hsmDown, pod, well)
	ready("a", "False", "NotUsable", "paused: ")
	is("paused-with-hsm-down", "a")
	change("a", func(o object) { delete(annotations(o), "signer.tezos.io/paused") })
	k.says(nothing, pod, well)
	ready("a", "True", "Signing", "signing for")

	never := env.Signer("never", operatorenv.Baker)
	never["metadata"].(object)["annotations"] = object{"signer.tezos.io/paused": "true"}
	env.Create(never)
	ready("never", "False", "Paused")
	is("paused-from-the-start", "never")

	shared := env.NewKey()
	env.Create(env.Signer("b", operatorenv.Service, shared))
	env.AwaitCreated("b")
	env.Await("both pods are there", func() bool { return len(pods(env, "b")) == 2 })
	both := pods(env, "b")
	two := newKubelet(t, env, 176, operatorenv.RecordName(shared))
	two.set(both[0], state{signerReady: true})
	two.set(both[1], state{signerReady: true, beside: sidecarStatus("mesh", false)})
	ready("b", "True", "Degraded")
	is("one-replica-down", "b")
	two.set(both[0], state{signerReady: true, beside: sidecarStatus("mesh", false)})
	ready("b", "False", "NoEndpoint")
	is("no-endpoint", "b")

	invalid := env.Signer("invalid", operatorenv.Baker)
	invalid["spec"].(object)["baker"].(object)["template"].(object)["spec"].(object)["shareProcessNamespace"] = true
	env.Create(invalid)
	ready("invalid", "False", "Invalid")
	is("invalid", "invalid")
	env.Create(env.Signer("second", operatorenv.Baker, shared))
	ready("second", "False", "ClaimedByAnother")
	is("claimed-by-another", "second")
	for state, watermark := range map[string]any{"no-initial-watermark": nil, "watermark-expired": object{"level": 1, "notAfter": "2026-01-01T00:00:00Z"}} {
		signer := env.Signer(state, operatorenv.Baker)
		if delete(signer["spec"].(object), "initialWatermark"); watermark != nil {
			signer["spec"].(object)["initialWatermark"] = watermark
		}
		env.Create(signer)
		ready(state, "False", map[bool]string{true: "NoInitialWatermark", false: "InitialWatermarkExpired"}[watermark == nil])
		is(state, state)
	}
	env.Must(http.MethodPost, operatorenv.Path("services", operatorenv.Namespace, ""), object{
		"metadata": object{"name": "taken"}, "spec": object{"ports": []any{object{"port": 80}}},
	})
	env.Create(env.Signer("taken", operatorenv.Service))
	ready("taken", "False", "NameTaken")
	is("name-taken", "taken")

	lost := env.NewKey()
	env.Create(env.Signer("lost", operatorenv.Baker, lost))
	env.AwaitCreated("lost")
	ofRecord := operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(lost))
	if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", http.MethodDelete, ofRecord, nil); err != nil {
		t.Fatal(err)
	}
	ready("lost", "False", "RecordVanished")
	is("record-vanished", "lost")

	ofRecord = operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
	env.Change(ofRecord, func(o object) { o["data"].(object)["ceiling"] = "1000" })
	ready("a", "False", "CeilingReached")
	is("ceiling-reached", "a")
	env.Change(ofRecord, func(o object) { delete(o["data"].(object), "ceiling") })
	ready("a", "True", "Signing")

	// A node that does not answer: nobody ends the pod.
	env.Change(operatorenv.Path("pods", operatorenv.Namespace, pod), func(o object) { o["metadata"].(object)["finalizers"] = []any{"e2e/kubelet"} })
	env.Create(env.Signer("leaves", operatorenv.Baker))
	env.AwaitCreated("leaves")
	env.Await("its pod is there", func() bool { return len(pods(env, "leaves")) == 1 })
	env.Change(operatorenv.Path("pods", operatorenv.Namespace, pods(env, "leaves")[0]), func(o object) { o["metadata"].(object)["finalizers"] = []any{"e2e/kubelet"} })
	env.Delete(path("leaves"))
	ready("leaves", "False", "Deleting")
	is("deleting", "leaves")

	acceptAnySpec(env)
	env.Await("the API server takes it", func() bool { // it serves the new definition a moment later
		signer := env.Get(path("b"))
		signer["spec"].(object)["leaseDurationSeconds"] = "quite long"
		_, err := env.Do(t.Context(), http.MethodPut, path("b"), signer)
		return err == nil
	})
	ready("b", "Unknown", "Undecodable")
	is("undecodable", "b")

	o.Stop()
	spec("a", "leaseDurationSeconds", 7)
	is("changed", "a")

	for state := range gitops.States {
		if !tried[state] {
			t.Errorf("%s was not tried", state)
		}
	}
}

// writeRecorded writes the object as a client reads it, without what only fills the file.
func writeRecorded(t *testing.T, state string, o object) {
	t.Helper()
	delete(o["metadata"].(object), "managedFields")
	text, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const folder = "../gitops/testdata/tezossigners"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, state+".json"), append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Whoever applies TezosSigners from a repository finds no difference afterwards: the operator writes their status and a finalizer, and
// nothing that anybody else writes.
func TestNobodyFindsADifferenceInATezosSigner(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	for name, form := range map[string]operatorenv.Workload{"baker": operatorenv.Baker, "service": operatorenv.Service, "cloudhsm": operatorenv.CloudHSM} {
		text, err := json.Marshal(env.Signer(name, form))
		if err != nil {
			t.Fatal(err)
		}
		if output, err := env.Kubectl(string(text), "apply", "--server-side", "--field-manager", "argocd-controller", "--filename", "-"); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		env.AwaitCreated(name)
		env.AwaitIdle(o, time.Second)
		noDifference := func() {
			t.Helper()
			for _, way := range [][]string{{"diff", "--server-side", "--field-manager", "argocd-controller"}, {"diff"}} {
				// kubectl reads the object twice, and the operator may write its status in between.
				difference, err := env.Kubectl(string(text), append(way, "--filename", "-")...)
				for range 10 {
					if err == nil {
						break
					}
					time.Sleep(500 * time.Millisecond)
					difference, err = env.Kubectl(string(text), append(way, "--filename", "-")...)
				}
				if err != nil {
					t.Errorf("%s: kubectl %s: %v\n%s", name, strings.Join(way, " "), err, difference)
				}
			}
		}
		noDifference()
		// In an emergency: what the repository does not name, nobody takes back.
		if output, err := env.Kubectl("", "patch", "tezossigner", name, "--namespace", operatorenv.Namespace, "--type", "merge", "--patch", `{"spec":{"suspend":true}}`); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		noDifference()
		if output, err := env.Kubectl(string(text), "apply", "--server-side", "--field-manager", "argocd-controller", "--filename", "-"); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		if operatorenv.FieldOf(env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, name)), "spec", "suspend") != true {
			t.Errorf("%s: a synchronisation has lifted suspend", name)
		}
	}
}
