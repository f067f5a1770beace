package reconcile

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

// The deletion of a TezosSigner ends, whatever state it is in, and leaves no rights on
// the records behind; its records are free for another one then.
func TestADeletionEndsInEveryState(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	shared := env.NewKey()
	env.Create(env.Signer("owner", operatorenv.Baker, shared))
	env.AwaitCreated("owner")

	path := func(name string) string { return operatorenv.Path("tezossigners", operatorenv.Namespace, name) }
	record := func(key *octezclient.PublicKey) string {
		return operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
	}
	change := func(name string, to func(object)) { env.Change(path(name), to) }
	reason := func(name, reason string) {
		env.Await(name+" is "+reason, func() bool { return operatorenv.TextOf(env.Condition(name, "Ready"), "reason") == reason })
	}
	asBreakGlass := func(method, path string, body any) {
		if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", method, path, body); err != nil {
			t.Fatal(err)
		}
	}
	limit := 15 * time.Second
	for name, c := range map[string]struct {
		state func(name string, key *octezclient.PublicKey)
		limit time.Duration
	}{
		"unscheduled": {func(name string, _ *octezclient.PublicKey) {
			env.Await("its pods are there", func() bool { return len(pods(env, name)) > 0 })
		}, limit},
		"invalid": {func(name string, _ *octezclient.PublicKey) {
			change(name, func(o object) {
				o["spec"].(object)["baker"].(object)["template"].(object)["spec"].(object)["shareProcessNamespace"] = true
			})
			reason(name, "Invalid")
		}, limit},
		"refused": {func(name string, _ *octezclient.PublicKey) {
			change(name, func(o object) {
				o["spec"].(object)["keys"] = append(o["spec"].(object)["keys"].([]any), object{"publicKey": shared.String(), "label": "b"})
			})
			reason(name, "ClaimedByAnother")
		}, limit},
		"record-gone": {func(name string, key *octezclient.PublicKey) {
			asBreakGlass(http.MethodDelete, record(key), nil)
			reason(name, "RecordVanished")
		}, limit},
		"paused": {func(name string, _ *octezclient.PublicKey) {
			change(name, func(o object) { annotations(o)["signer.tezos.io/paused"] = "true" })
			env.Await("it is paused", func() bool { return env.Condition(name, "Paused") != nil })
		}, limit},
		"name-taken": {func(name string, _ *octezclient.PublicKey) {
			env.Must(http.MethodPost, operatorenv.Path("services", operatorenv.Namespace, ""), object{
				"metadata": object{"name": name}, "spec": object{"ports": []any{object{"port": 80}}},
			})
			change(name, func(o object) { operatorenv.Service(o["spec"].(object)) })
			reason(name, "NameTaken")
		}, limit},
		// A node that does not answer: nobody ends the pod.
		"pods-do-not-end": {func(name string, _ *octezclient.PublicKey) {
			env.Await("its pods are there", func() bool { return len(pods(env, name)) > 0 })
			for _, pod := range pods(env, name) {
				env.Change(operatorenv.Path("pods", operatorenv.Namespace, pod), func(o object) { o["metadata"].(object)["finalizers"] = []any{"e2e/kubelet"} })
			}
		}, 75 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			key := env.NewKey()
			env.Create(env.Signer(name, operatorenv.Baker, key))
			env.AwaitCreated(name)
			c.state(name, key)
			env.Delete(path(name))
			if name == "pods-do-not-end" {
				env.Await("it says what it waits for", func() bool {
					return strings.Contains(operatorenv.TextOf(env.Condition(name, "Ready"), "message"), "waiting for its pods to end")
				})
				t.Log(operatorenv.TextOf(env.Condition(name, "Ready"), "message"))
			}
			took := env.Await(name+" is gone", func() bool { return env.Get(path(name)) == nil })
			t.Logf("gone after %v", took.Round(time.Millisecond))
			if took > c.limit {
				t.Errorf("that is longer than %v", c.limit)
			}
			for _, kind := range []string{"roles", "rolebindings"} {
				if env.Get(operatorenv.Path(kind, operatorenv.Records, "signer."+operatorenv.Namespace+"."+name)) != nil {
					t.Errorf("its rights are left: %s", kind)
				}
			}
			if found := env.Get(record(key)); found != nil && annotations(found)["signer.tezos.io/owner"] != nil {
				t.Errorf("its record still belongs to %v", annotations(found)["signer.tezos.io/owner"])
			}
		})
	}

	t.Run("half-created", func(t *testing.T) {
		o.Stop()
		signer := env.Signer("half", operatorenv.Baker)
		signer["metadata"].(object)["finalizers"] = []any{"signer.tezos.io/release-records"}
		env.Create(signer)
		env.Delete(path("half"))
		o = env.StartReady(image)
		env.Await("it is gone", func() bool { return env.Get(path("half")) == nil })
	})
	t.Run("namespace", func(t *testing.T) {
		env.Must(http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": "leaving"}})
		key := env.NewKey()
		signer := env.Signer("a", operatorenv.Service, key)
		signer["metadata"].(object)["namespace"] = "leaving"
		env.Create(signer)
		env.Await("it is made", func() bool { return env.Get(operatorenv.Path("deployments", "leaving", "a")) != nil })
		env.Delete("/api/v1/namespaces/leaving")
		took := env.Await("the namespace is gone", func() bool { return env.Get("/api/v1/namespaces/leaving") == nil })
		t.Logf("the namespace is gone after %v", took.Round(time.Millisecond))
		if owner := annotations(env.Get(record(key)))["signer.tezos.io/owner"]; owner != nil {
			t.Errorf("its record still belongs to %v", owner)
		}
	})
}

func pods(env *operatorenv.Env, signer string) (names []string) {
	list, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("pods", operatorenv.Namespace, "")+"?labelSelector=app.kubernetes.io%2Finstance%3D"+signer), "items").([]any)
	for _, pod := range list {
		names = append(names, operatorenv.TextOf(pod, "metadata", "name"))
	}
	return names
}

// A record that nobody can read, in its rows, its lease or its owner: the policies keep that from happening, and where there are
// none, the TezosSigner can be deleted all the same. The record stays as it is, but for whose it was.
func TestOneWithADamagedRecordCanBeDeleted(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t, "--set", "admissionPolicy.enabled=false")
	env.StartControllers()
	env.StartReady(image)
	for name, c := range map[string]struct {
		damage func(record object)
		reason string // empty: its signer finds it
	}{
		"rows":    {func(record object) { record["data"].(object)["block"] = "nonsense" }, "RecordUnreadable"},
		"version": {func(record object) { record["data"].(object)["version"] = "2" }, "RecordUnreadable"},
		"nothing": {func(record object) { delete(record, "data") }, "RecordUnreadable"},
		"lease":   {func(record object) { annotations(record)["control-plane.alpha.kubernetes.io/leader"] = "{" }, ""},
		"owner":   {func(record object) { annotations(record)["signer.tezos.io/owner"] = "somebody" }, "RecordUnreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			key := env.NewKey()
			env.Create(env.Signer(name, operatorenv.Baker, key))
			env.AwaitCreated(name)
			record := operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
			env.Change(record, c.damage)
			damaged := env.Get(record)
			path := operatorenv.Path("tezossigners", operatorenv.Namespace, name)
			// A change of rows triggers no reconcile: the next one finds it.
			env.Change(path, func(signer object) { annotations(signer)["e2e/reconcile"] = "now" })
			env.Await("it is reported", func() bool {
				return c.reason == "" || operatorenv.TextOf(env.Condition(name, "Ready"), "reason") == c.reason
			})
			t.Log(operatorenv.TextOf(env.Condition(name, "Ready"), "message"))
			env.Delete(path)
			took := env.Await(name+" is gone", func() bool { return env.Get(path) == nil })
			left := env.Get(record)
			t.Logf("gone after %v; the record is left with %v, %v", took.Round(time.Millisecond), left["data"], annotations(left))
			if left == nil || !reflect.DeepEqual(left["data"], damaged["data"]) {
				t.Errorf("its rows are not what they were: %v", left)
			}
			if owner := annotations(left)["signer.tezos.io/owner"]; owner != nil && name != "owner" {
				t.Errorf("it still belongs to %v", owner)
			}
		})
	}
}

// Where the namespace of the records is missing nothing can be claimed, which the status says; and a deletion ends.
func TestWithoutTheNamespaceOfTheRecords(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t, "--set", "admissionPolicy.enabled=false")
	env.StartControllers()
	env.Delete("/api/v1/namespaces/" + operatorenv.Records)
	env.Await("the namespace is gone", func() bool { return env.Get("/api/v1/namespaces/"+operatorenv.Records) == nil })
	env.StartReady(image)
	env.Create(env.Signer("a", operatorenv.Baker))
	env.Await("the status says so", func() bool { return operatorenv.TextOf(env.Condition("a", "Ready"), "status") == "False" })
	t.Log(operatorenv.TextOf(env.Condition("a", "Ready"), "message"))
	path := operatorenv.Path("tezossigners", operatorenv.Namespace, "a")
	env.Delete(path)
	env.Await("it says what it waits for", func() bool { return operatorenv.TextOf(env.Condition("a", "Ready"), "reason") == "Deleting" })
	t.Log(operatorenv.TextOf(env.Condition("a", "Ready"), "message"))
	// Its rights there are gone as well, and may come back: the test waits for that, a minute and a reconcile.
	took := env.AwaitLong("it is gone", 3*time.Minute, func() bool { return env.Get(path) == nil })
	t.Logf("gone after %v", took.Round(time.Millisecond))
}
