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

	"signer.tezos.io/e2e/operator"
)

type object = operator.Object

const image = "registry.example/tezos-signer:1"

func needsE2E(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it starts an API server, and needs E2E=1")
	}
	t.Parallel()
}

// A look comes this long after a change at the latest, on a machine that is not busy: 200 ms of them are waited for
// further changes. The next look at what nobody has told of is a minute later.
const atOnce = 20 * time.Second

func TestDriftIsRepairedAtOnceAndWhatOthersAddStays(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	o := p.StartReady(image)
	p.Create(p.Signer("baker", operator.Baker))
	p.Create(p.Signer("service", operator.Service))
	p.AwaitMade("baker")
	p.AwaitMade("service")
	p.AwaitQuiet(o, 2*time.Second)

	type row struct {
		path, kind string
		edit       func(object)
		field      []string // what the edit has changed
	}
	var rows []row
	for _, signer := range []string{"baker", "service"} {
		far := "signer." + operator.Namespace + "." + signer
		rows = append(rows,
			row{operator.Path("deployments", operator.Namespace, signer), signer + " Deployment", func(o object) { o["spec"].(object)["replicas"] = 7 }, []string{"spec", "replicas"}},
			row{operator.Path("serviceaccounts", operator.Namespace, signer+"-signer"), signer + " ServiceAccount", func(o object) { o["automountServiceAccountToken"] = true }, []string{"automountServiceAccountToken"}},
			row{operator.Path("roles", operator.Records, far), signer + " Role", func(o object) { o["rules"] = []any{} }, []string{"rules"}},
			row{operator.Path("rolebindings", operator.Records, far), signer + " RoleBinding", func(o object) { o["subjects"] = []any{} }, []string{"subjects"}},
			row{config(p, signer), signer + " ConfigMap", func(o object) { delete(labels(o), "app.kubernetes.io/name") }, []string{"metadata", "labels", "app.kubernetes.io/name"}},
		)
	}
	// What says that it is another's now, or nobody's: who made it must be told of it all the same.
	const instance = "app.kubernetes.io/instance"
	for kind, path := range map[string]string{
		"Role":           operator.Path("roles", operator.Records, "signer."+operator.Namespace+".baker"),
		"ServiceAccount": operator.Path("serviceaccounts", operator.Namespace, "baker-signer"),
		"ConfigMap":      config(p, "baker"),
	} {
		label := []string{"metadata", "labels", instance}
		rows = append(rows,
			row{path, kind + " of another", func(o object) { labels(o)[instance] = "service" }, label},
			row{path, kind + " of nobody", func(o object) { delete(labels(o), instance) }, label},
		)
	}
	for signer, containers := range map[string]string{"baker": "initContainers", "service": "containers"} {
		path := []string{"spec", "template", "spec", containers}
		setImage := func(o object) { operator.At(o, path...).([]any)[0].(object)["image"] = "registry.example/another:1" }
		rows = append(rows, row{operator.Path("deployments", operator.Namespace, signer), signer + " image", setImage, path})
	}
	rows = append(rows,
		row{operator.Path("services", operator.Namespace, "service"), "Service", func(o object) { o["spec"].(object)["ports"].([]any)[0].(object)["port"] = 1 }, []string{"spec", "ports"}},
		row{operator.Path("networkpolicies", operator.Namespace, "service-signer"), "NetworkPolicy", func(o object) { o["spec"].(object)["ingress"] = []any{} }, []string{"spec", "ingress"}},
		row{operator.Path("poddisruptionbudgets", operator.Namespace, "service-signer"), "PodDisruptionBudget", func(o object) { o["spec"].(object)["maxUnavailable"] = 2 }, []string{"spec", "maxUnavailable"}},
	)
	for _, row := range rows {
		before := fmt.Sprint(operator.At(p.Get(row.path), row.field...))
		p.Change(row.path, func(o object) {
			labels(o)["somebody"] = "else"
			annotations(o)["somebody/else"] = "here"
		})
		p.Change(row.path, row.edit)
		if after := fmt.Sprint(operator.At(p.Get(row.path), row.field...)); after == before {
			t.Logf("%s: repaired before it could be read", row.kind)
		}
		edited := p.Await(row.kind+" is as it was", func() bool { return fmt.Sprint(operator.At(p.Get(row.path), row.field...)) == before })
		if found := p.Get(row.path); labels(found)["somebody"] != "else" || annotations(found)["somebody/else"] != "here" {
			t.Errorf("%s: what somebody had added is gone: %v", row.kind, found["metadata"])
		}
		uid := operator.Text(p.Get(row.path), "metadata", "uid")
		p.Delete(row.path)
		deleted := p.Await(row.kind+" is back", func() bool {
			now := operator.Text(p.Get(row.path), "metadata", "uid")
			return now != "" && now != uid
		})
		if now := fmt.Sprint(operator.At(p.Get(row.path), row.field...)); now != before {
			t.Errorf("%s came back with %v, it was %v", row.kind, now, before)
		}
		t.Logf("%-28s repaired after %4d ms, back after %4d ms", row.kind, edited.Milliseconds(), deleted.Milliseconds())
		if edited > atOnce || deleted > atOnce {
			t.Errorf("%s: that is not at once", row.kind)
		}
	}

	// A binding made anew with another role, which no apply can change; and a configuration with another content.
	binding := operator.Path("rolebindings", operator.Records, "signer."+operator.Namespace+".baker")
	replaced := p.Get(binding)
	replaced["metadata"] = object{"name": operator.Text(replaced, "metadata", "name"), "labels": operator.At(replaced, "metadata", "labels")}
	replaced["roleRef"].(object)["name"] = "another"
	o.Stop()
	p.Delete(binding)
	p.Must(http.MethodPost, operator.Path("rolebindings", operator.Records, ""), replaced)
	p.StartReady(image)
	p.Await("the binding has its role again", func() bool {
		return operator.Text(p.Get(binding), "roleRef", "name") == "signer."+operator.Namespace+".baker"
	})
}

// config is the path of the configuration that the Deployment's pods have.
func config(p *operator.Place, signer string) string {
	name := operator.Text(p.Get(operator.Path("deployments", operator.Namespace, signer)), "spec", "template", "metadata", "annotations", "signer.tezos.io/config")
	return operator.Path("configmaps", operator.Namespace, name)
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
	p := operator.NewPlace(t)
	o := p.StartReady(image)
	p.Create(p.Signer("a", operator.Baker))
	p.AwaitMade("a")
	front := []string{
		operator.Path("services", operator.Namespace, "a"), operator.Path("networkpolicies", operator.Namespace, "a-signer"),
		operator.Path("poddisruptionbudgets", operator.Namespace, "a-signer"),
	}
	are := func(there ...bool) func() bool {
		return func() bool {
			for i, path := range front {
				if (p.Get(path) != nil) != there[i] {
					return false
				}
			}
			return true
		}
	}
	change := func(to operator.Form) {
		p.Change(operator.Path("tezossigners", operator.Namespace, "a"), func(signer object) { to(signer["spec"].(object)) })
	}
	change(operator.Service)
	p.Await("a Service, a NetworkPolicy and a budget", are(true, true, true))
	change(func(spec object) { spec["service"].(object)["replicas"] = 1 })
	p.Await("no budget for a single one", are(true, true, false))
	change(func(spec object) { spec["service"].(object)["replicas"] = 3 })
	p.Await("a budget", are(true, true, true))
	before := config(p, "a")
	change(operator.Baker)
	p.Await("nothing of it", are(false, false, false))
	p.Await("the baker's Deployment", func() bool {
		containers, _ := operator.At(p.Get(operator.Path("deployments", operator.Namespace, "a")), "spec", "template", "spec", "initContainers").([]any)
		return len(containers) > 0
	})
	p.Await("one configuration, another one", func() bool { return p.Get(before) == nil && p.Get(config(p, "a")) != nil })
	p.AwaitQuiet(o, time.Second)

	// What is somebody else's stays, under whatever name.
	foreign := operator.Path("services", operator.Namespace, "b")
	p.Must(http.MethodPost, operator.Path("services", operator.Namespace, ""), object{
		"metadata": object{"name": "b"}, "spec": object{"ports": []any{object{"port": 80}}},
	})
	p.Create(p.Signer("b", operator.Baker))
	p.AwaitMade("b")
	p.Change(operator.Path("tezossigners", operator.Namespace, "b"), func(signer object) { operator.Service(signer["spec"].(object)) })
	p.Await("the name is taken", func() bool { return operator.Text(p.Condition("b", "Ready"), "reason") == "NameTaken" })
	if owners := operator.At(p.Get(foreign), "metadata", "ownerReferences"); owners != nil {
		t.Errorf("somebody's Service belongs to %v now", owners)
	}
}

// Whoever is not well is looked at again after 1 s, 2 s, 4 s and so on, and only he.
func TestEachWaitsLongerByItself(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartReady(image)
	key := p.NewKey()
	p.Create(p.Signer("first", operator.Baker, key))
	p.AwaitMade("first")
	p.Create(p.Signer("second", operator.Baker, key))
	began := time.Now()
	time.Sleep(17 * time.Second)
	var waits []time.Duration
	var last time.Time
	others := 0
	for _, r := range p.Requests(began, time.Now()) {
		if r.ObjectRef.Resource == "tezossigners" && r.Verb == "get" {
			switch r.ObjectRef.Name {
			case "second":
				// The owner is looked for by the same look.
				if !last.IsZero() && r.Received.Sub(last) > 500*time.Millisecond {
					waits = append(waits, r.Received.Sub(last).Round(100*time.Millisecond))
				}
				last = r.Received
			default:
				others++
			}
		}
	}
	t.Logf("waits between looks: %v", waits)
	if len(waits) < 3 || !slices.IsSorted(waits) || waits[len(waits)-1] < 3*time.Second {
		t.Errorf("they do not grow")
	}
}
