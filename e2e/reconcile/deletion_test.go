package reconcile

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/operator"
)

// The deletion of a TezosSigner ends, whatever state it is in, and leaves no rights on
// the records behind; its records are free for another one then.
func TestADeletionEndsInEveryState(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartControllers()
	o := p.StartReady(image)
	shared := p.NewKey()
	p.Create(p.Signer("owner", operator.Baker, shared))
	p.AwaitMade("owner")

	path := func(name string) string { return operator.Path("tezossigners", operator.Namespace, name) }
	record := func(key *octez.PublicKey) string {
		return operator.Path("configmaps", operator.Records, operator.RecordName(key))
	}
	change := func(name string, to func(object)) { p.Change(path(name), to) }
	reason := func(name, reason string) {
		p.Await(name+" is "+reason, func() bool { return operator.Text(p.Condition(name, "Ready"), "reason") == reason })
	}
	asBreakGlass := func(method, path string, body any) {
		if _, err := p.DoAs(t.Context(), "tezos-signer:break-glass", method, path, body); err != nil {
			t.Fatal(err)
		}
	}
	limit := 15 * time.Second
	for name, c := range map[string]struct {
		state func(name string, key *octez.PublicKey)
		limit time.Duration
	}{
		"unscheduled": {func(name string, _ *octez.PublicKey) {
			p.Await("its pods are there", func() bool { return len(pods(p, name)) > 0 })
		}, limit},
		"invalid": {func(name string, _ *octez.PublicKey) {
			change(name, func(o object) {
				o["spec"].(object)["baker"].(object)["template"].(object)["spec"].(object)["shareProcessNamespace"] = true
			})
			reason(name, "Invalid")
		}, limit},
		"refused": {func(name string, _ *octez.PublicKey) {
			change(name, func(o object) {
				o["spec"].(object)["keys"] = append(o["spec"].(object)["keys"].([]any), object{"publicKey": shared.String(), "label": "b"})
			})
			reason(name, "ClaimedByAnother")
		}, limit},
		"record-gone": {func(name string, key *octez.PublicKey) {
			asBreakGlass(http.MethodDelete, record(key), nil)
			reason(name, "RecordVanished")
		}, limit},
		"paused": {func(name string, _ *octez.PublicKey) {
			change(name, func(o object) { annotations(o)["signer.tezos.io/paused"] = "true" })
			p.Await("it is paused", func() bool { return p.Condition(name, "Paused") != nil })
		}, limit},
		"name-taken": {func(name string, _ *octez.PublicKey) {
			p.Must(http.MethodPost, operator.Path("services", operator.Namespace, ""), object{
				"metadata": object{"name": name}, "spec": object{"ports": []any{object{"port": 80}}},
			})
			change(name, func(o object) { operator.Service(o["spec"].(object)) })
			reason(name, "NameTaken")
		}, limit},
		// A node that does not answer: nobody ends the pod.
		"pods-do-not-end": {func(name string, _ *octez.PublicKey) {
			p.Await("its pods are there", func() bool { return len(pods(p, name)) > 0 })
			for _, pod := range pods(p, name) {
				p.Change(operator.Path("pods", operator.Namespace, pod), func(o object) { o["metadata"].(object)["finalizers"] = []any{"e2e/kubelet"} })
			}
		}, 75 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			key := p.NewKey()
			p.Create(p.Signer(name, operator.Baker, key))
			p.AwaitMade(name)
			c.state(name, key)
			p.Delete(path(name))
			if name == "pods-do-not-end" {
				p.Await("it says what it waits for", func() bool {
					return strings.Contains(operator.Text(p.Condition(name, "Ready"), "message"), "waiting for its pods to end")
				})
				t.Log(operator.Text(p.Condition(name, "Ready"), "message"))
			}
			took := p.Await(name+" is gone", func() bool { return p.Get(path(name)) == nil })
			t.Logf("gone after %v", took.Round(time.Millisecond))
			if took > c.limit {
				t.Errorf("that is longer than %v", c.limit)
			}
			for _, kind := range []string{"roles", "rolebindings"} {
				if p.Get(operator.Path(kind, operator.Records, "signer."+operator.Namespace+"."+name)) != nil {
					t.Errorf("its rights are left: %s", kind)
				}
			}
			if found := p.Get(record(key)); found != nil && annotations(found)["signer.tezos.io/owner"] != nil {
				t.Errorf("its record still belongs to %v", annotations(found)["signer.tezos.io/owner"])
			}
		})
	}

	t.Run("half-created", func(t *testing.T) {
		o.Stop()
		signer := p.Signer("half", operator.Baker)
		signer["metadata"].(object)["finalizers"] = []any{"signer.tezos.io/release-records"}
		p.Create(signer)
		p.Delete(path("half"))
		o = p.StartReady(image)
		p.Await("it is gone", func() bool { return p.Get(path("half")) == nil })
	})
	t.Run("namespace", func(t *testing.T) {
		p.Must(http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": "leaving"}})
		key := p.NewKey()
		signer := p.Signer("a", operator.Service, key)
		signer["metadata"].(object)["namespace"] = "leaving"
		p.Create(signer)
		p.Await("it is made", func() bool { return p.Get(operator.Path("deployments", "leaving", "a")) != nil })
		p.Delete("/api/v1/namespaces/leaving")
		took := p.Await("the namespace is gone", func() bool { return p.Get("/api/v1/namespaces/leaving") == nil })
		t.Logf("the namespace is gone after %v", took.Round(time.Millisecond))
		if owner := annotations(p.Get(record(key)))["signer.tezos.io/owner"]; owner != nil {
			t.Errorf("its record still belongs to %v", owner)
		}
	})
}

func pods(p *operator.Place, signer string) (names []string) {
	list, _ := operator.At(p.Get(operator.Path("pods", operator.Namespace, "")+"?labelSelector=app.kubernetes.io%2Finstance%3D"+signer), "items").([]any)
	for _, pod := range list {
		names = append(names, operator.Text(pod, "metadata", "name"))
	}
	return names
}

// A record that nobody can read, in its rows, its lease or its owner: the policies keep that from happening, and where there are
// none, the TezosSigner can be deleted all the same. The record stays as it is, but for whose it was.
func TestOneWithADamagedRecordCanBeDeleted(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t, "--set", "admissionPolicy.enabled=false")
	p.StartControllers()
	p.StartReady(image)
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
			key := p.NewKey()
			p.Create(p.Signer(name, operator.Baker, key))
			p.AwaitMade(name)
			record := operator.Path("configmaps", operator.Records, operator.RecordName(key))
			p.Change(record, c.damage)
			damaged := p.Get(record)
			path := operator.Path("tezossigners", operator.Namespace, name)
			// Rows wake nobody: the next look finds it.
			p.Change(path, func(signer object) { annotations(signer)["e2e/look"] = "now" })
			p.Await("it is told of", func() bool {
				return c.reason == "" || operator.Text(p.Condition(name, "Ready"), "reason") == c.reason
			})
			t.Log(operator.Text(p.Condition(name, "Ready"), "message"))
			p.Delete(path)
			took := p.Await(name+" is gone", func() bool { return p.Get(path) == nil })
			left := p.Get(record)
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
	p := operator.NewPlace(t, "--set", "admissionPolicy.enabled=false")
	p.StartControllers()
	p.Delete("/api/v1/namespaces/" + operator.Records)
	p.Await("the namespace is gone", func() bool { return p.Get("/api/v1/namespaces/"+operator.Records) == nil })
	p.StartReady(image)
	p.Create(p.Signer("a", operator.Baker))
	p.Await("the status says so", func() bool { return operator.Text(p.Condition("a", "Ready"), "status") == "False" })
	t.Log(operator.Text(p.Condition("a", "Ready"), "message"))
	path := operator.Path("tezossigners", operator.Namespace, "a")
	p.Delete(path)
	p.Await("it says what it waits for", func() bool { return operator.Text(p.Condition("a", "Ready"), "reason") == "Deleting" })
	t.Log(operator.Text(p.Condition("a", "Ready"), "message"))
	// Its rights there are gone as well, and may come back: that is waited for, a minute and a look.
	took := p.AwaitLong("it is gone", 3*time.Minute, func() bool { return p.Get(path) == nil })
	t.Logf("gone after %v", took.Round(time.Millisecond))
}
