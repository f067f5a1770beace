// Package reconcile tries how the operator keeps the cluster as TezosSigners say: each
// test has an API server of its own, and the operator as a process on it.
//
//	E2E=1 go test -count 1 -v ./reconcile
//
// Without E2E=1 it does nothing. It needs `make images`, or the operator that
// TEZOS_SIGNER_OPERATOR names. No pod runs here: those are in acceptance/.
//
// This file: what somebody changes or deletes of what the operator has made is as it
// was again at once, and what somebody adds stays.
package reconcile

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

type object = operatorenv.Object

const image = "registry.example/tezos-signer:1"

func needsE2E(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it starts an API server, and needs E2E=1")
	}
	t.Parallel()
}

// A reconcile follows a change within this time, on a machine that is not busy: 200 ms of them are waited for
// further changes. Without an event the next reconcile is a minute later.
const reconcileLimit = 20 * time.Second

func TestDriftIsRepairedAtOnceAndWhatOthersAddStays(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	o := env.StartReady(image)
	env.Create(env.Signer("baker", operatorenv.Baker))
	env.Create(env.Signer("service", operatorenv.Service))
	env.AwaitCreated("baker")
	env.AwaitCreated("service")
	env.AwaitIdle(o, 2*time.Second)

	type row struct {
		path, kind string
		edit       func(object)
		field      []string // what the edit has changed
	}
	var rows []row
	for _, signer := range []string{"baker", "service"} {
		far := "signer." + operatorenv.Namespace + "." + signer
		rows = append(rows,
			row{operatorenv.Path("deployments", operatorenv.Namespace, signer), signer + " Deployment", func(o object) { o["spec"].(object)["replicas"] = 7 }, []string{"spec", "replicas"}},
			row{operatorenv.Path("serviceaccounts", operatorenv.Namespace, signer+"-signer"), signer + " ServiceAccount", func(o object) { o["automountServiceAccountToken"] = true }, []string{"automountServiceAccountToken"}},
			row{operatorenv.Path("roles", operatorenv.Records, far), signer + " Role", func(o object) { o["rules"] = []any{} }, []string{"rules"}},
			row{operatorenv.Path("rolebindings", operatorenv.Records, far), signer + " RoleBinding", func(o object) { o["subjects"] = []any{} }, []string{"subjects"}},
			row{config(env, signer), signer + " ConfigMap", func(o object) { delete(labels(o), "app.kubernetes.io/name") }, []string{"metadata", "labels", "app.kubernetes.io/name"}},
		)
	}
	// What says that it is another's now, or nobody's: who made it must be told of it all the same.
	const instance = "app.kubernetes.io/instance"
	for kind, path := range map[string]string{
		"Role":           operatorenv.Path("roles", operatorenv.Records, "signer."+operatorenv.Namespace+".baker"),
		"ServiceAccount": operatorenv.Path("serviceaccounts", operatorenv.Namespace, "baker-signer"),
		"ConfigMap":      config(env, "baker"),
	} {
		label := []string{"metadata", "labels", instance}
		rows = append(rows,
			row{path, kind + " of another", func(o object) { labels(o)[instance] = "service" }, label},
			row{path, kind + " of nobody", func(o object) { delete(labels(o), instance) }, label},
		)
	}
	for signer, containers := range map[string]string{"baker": "initContainers", "service": "containers"} {
		path := []string{"spec", "template", "spec", containers}
		setImage := func(o object) {
			operatorenv.FieldOf(o, path...).([]any)[0].(object)["image"] = "registry.example/another:1"
		}
		rows = append(rows, row{operatorenv.Path("deployments", operatorenv.Namespace, signer), signer + " image", setImage, path})
	}
	rows = append(rows,
		row{operatorenv.Path("services", operatorenv.Namespace, "service"), "Service", func(o object) { o["spec"].(object)["ports"].([]any)[0].(object)["port"] = 1 }, []string{"spec", "ports"}},
		row{operatorenv.Path("networkpolicies", operatorenv.Namespace, "service-signer"), "NetworkPolicy", func(o object) { o["spec"].(object)["ingress"] = []any{} }, []string{"spec", "ingress"}},
		row{operatorenv.Path("poddisruptionbudgets", operatorenv.Namespace, "service-signer"), "PodDisruptionBudget", func(o object) { o["spec"].(object)["maxUnavailable"] = 2 }, []string{"spec", "maxUnavailable"}},
	)
	for _, row := range rows {
		before := fmt.Sprint(operatorenv.FieldOf(env.Get(row.path), row.field...))
		env.Change(row.path, func(o object) {
			labels(o)["somebody"] = "else"
			annotations(o)["somebody/else"] = "here"
		})
		env.Change(row.path, row.edit)
		if after := fmt.Sprint(operatorenv.FieldOf(env.Get(row.path), row.field...)); after == before {
			t.Logf("%s: repaired before it could be read", row.kind)
		}
		edited := env.Await(row.kind+" is as it was", func() bool { return fmt.Sprint(operatorenv.FieldOf(env.Get(row.path), row.field...)) == before })
		if found := env.Get(row.path); labels(found)["somebody"] != "else" || annotations(found)["somebody/else"] != "here" {
			t.Errorf("%s: what somebody had added is gone: %v", row.kind, found["metadata"])
		}
		uid := operatorenv.TextOf(env.Get(row.path), "metadata", "uid")
		env.Delete(row.path)
		deleted := env.Await(row.kind+" is back", func() bool {
			now := operatorenv.TextOf(env.Get(row.path), "metadata", "uid")
			return now != "" && now != uid
		})
		if now := fmt.Sprint(operatorenv.FieldOf(env.Get(row.path), row.field...)); now != before {
			t.Errorf("%s came back with %v, it was %v", row.kind, now, before)
		}
		t.Logf("%-28s repaired after %4d ms, back after %4d ms", row.kind, edited.Milliseconds(), deleted.Milliseconds())
		if edited > reconcileLimit || deleted > reconcileLimit {
			t.Errorf("%s: that is not at once", row.kind)
		}
	}

	// A binding made anew with another role, which no apply can change; and a configuration with another content.
	binding := operatorenv.Path("rolebindings", operatorenv.Records, "signer."+operatorenv.Namespace+".baker")
	replaced := env.Get(binding)
	replaced["metadata"] = object{"name": operatorenv.TextOf(replaced, "metadata", "name"), "labels": operatorenv.FieldOf(replaced, "metadata", "labels")}
	replaced["roleRef"].(object)["name"] = "another"
	o.Stop()
	env.Delete(binding)
	env.Must(http.MethodPost, operatorenv.Path("rolebindings", operatorenv.Records, ""), replaced)
	env.StartReady(image)
	env.Await("the binding has its role again", func() bool {
		return operatorenv.TextOf(env.Get(binding), "roleRef", "name") == "signer."+operatorenv.Namespace+".baker"
	})
}

// config is the path of the configuration that the Deployment's pods have.
func config(env *operatorenv.Env, signer string) string {
	name := operatorenv.TextOf(env.Get(operatorenv.Path("deployments", operatorenv.Namespace, signer)), "spec", "template", "metadata", "annotations", "signer.tezos.io/config")
	return operatorenv.Path("configmaps", operatorenv.Namespace, name)
}

func field(o object, name string) object {
	metadata := o["metadata"].(object)
	if metadata[name] == nil {
		metadata[name] = object{}
	}
	return metadata[name].(object)
}

func labels(o object) object      { return field(o, "labels") }
func annotations(o object) object { return field(o, "annotations") }

// What one form had and the other one has not goes when the form changes or a switch is turned off.
func TestWhatIsNotUsedAnyMoreGoes(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	o := env.StartReady(image)
	env.Create(env.Signer("a", operatorenv.Baker))
	env.AwaitCreated("a")
	front := []string{
		operatorenv.Path("services", operatorenv.Namespace, "a"), operatorenv.Path("networkpolicies", operatorenv.Namespace, "a-signer"),
		operatorenv.Path("poddisruptionbudgets", operatorenv.Namespace, "a-signer"),
	}
	are := func(there ...bool) func() bool {
		return func() bool {
			for i, path := range front {
				if (env.Get(path) != nil) != there[i] {
					return false
				}
			}
			return true
		}
	}
	change := func(to operatorenv.Workload) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(signer object) { to(signer["spec"].(object)) })
	}
	change(operatorenv.Service)
	env.Await("a Service, a NetworkPolicy and a budget", are(true, true, true))
	change(func(spec object) { spec["service"].(object)["replicas"] = 1 })
	env.Await("no budget for a single one", are(true, true, false))
	change(func(spec object) { spec["service"].(object)["replicas"] = 3 })
	env.Await("a budget", are(true, true, true))
	before := config(env, "a")
	change(operatorenv.Baker)
	env.Await("nothing of it", are(false, false, false))
	env.Await("the baker's Deployment", func() bool {
		containers, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "a")), "spec", "template", "spec", "initContainers").([]any)
		return len(containers) > 0
	})
	env.Await("one configuration, another one", func() bool { return env.Get(before) == nil && env.Get(config(env, "a")) != nil })
	env.AwaitIdle(o, time.Second)

	// What is somebody else's stays, under whatever name.
	foreign := operatorenv.Path("services", operatorenv.Namespace, "b")
	env.Must(http.MethodPost, operatorenv.Path("services", operatorenv.Namespace, ""), object{
		"metadata": object{"name": "b"}, "spec": object{"ports": []any{object{"port": 80}}},
	})
	env.Create(env.Signer("b", operatorenv.Baker))
	env.AwaitCreated("b")
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "b"), func(signer object) { operatorenv.Service(signer["spec"].(object)) })
	env.Await("the name is taken", func() bool { return operatorenv.TextOf(env.Condition("b", "Ready"), "reason") == "NameTaken" })
	if owners := operatorenv.FieldOf(env.Get(foreign), "metadata", "ownerReferences"); owners != nil {
		t.Errorf("somebody's Service belongs to %v now", owners)
	}
}

// A TezosSigner that is not Ready is reconciled again after 1 s, 2 s, 4 s and so on, and no other.
func TestEachWaitsLongerByItself(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	key := env.NewKey()
	env.Create(env.Signer("first", operatorenv.Baker, key))
	env.AwaitCreated("first")
	env.Create(env.Signer("second", operatorenv.Baker, key))
	began := time.Now()
	time.Sleep(17 * time.Second)
	var waits []time.Duration
	var last time.Time
	others := 0
	for _, r := range env.Requests(began, time.Now()) {
		if r.ObjectRef.Resource == "tezossigners" && r.Verb == "get" {
			switch r.ObjectRef.Name {
			case "second":
				// The same reconcile looks up the owner.
				if !last.IsZero() && r.Received.Sub(last) > 500*time.Millisecond {
					waits = append(waits, r.Received.Sub(last).Round(100*time.Millisecond))
				}
				last = r.Received
			default:
				others++
			}
		}
	}
	t.Logf("waits between reconciles: %v", waits)
	if len(waits) < 3 || !slices.IsSorted(waits) || waits[len(waits)-1] < 3*time.Second {
		t.Errorf("they do not grow")
	}
}
