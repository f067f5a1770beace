// How long the operator takes to make what TezosSigners ask for, beside a bare loop that applies the same objects one after the other: a
// section of `make bench`, which runs this test and reads E2E_ROWS.

package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
	"signer.tezos.io/e2e/performance"
)

const (
	operatorSection = "The operator"
	quiet           = time.Second
	idleFor         = 10 * time.Second
	longest         = 5 * time.Minute
	mostMemory      = 60 // MiB
)

func TestTheOperatorBesideABareLoop(t *testing.T) {
	path := os.Getenv("E2E_ROWS")
	if path == "" {
		t.Skip("not run: it measures, and make bench runs it")
	}
	rounds, err := strconv.Atoi(os.Getenv("E2E_ROUNDS"))
	if err != nil {
		t.Fatalf("E2E_ROUNDS: %v", err)
	}
	var rows []performance.Row
	var idle []float64 // requests a minute
	var most int       // MiB
	for _, part := range []struct {
		name   string
		sizes  []int
		rounds int
	}{
		{"few", []int{10, 100}, rounds},
		{"many", []int{1000}, 1}, // each takes a minute and more
	} {
		t.Run(part.name, func(t *testing.T) {
			b := bench{env: operatorenv.New(t)}
			b.client, b.operator = newClient(t, b.env), b.env.StartReady("registry.example/tezos-signer:1")
			for _, n := range part.sizes {
				rows = append(rows, b.row(t, n, part.rounds))
				idle = append(idle, b.idle())
			}
			_, most = b.operator.Memory()
		})
		if t.Failed() {
			return
		}
	}
	constant := row("idle", "idle requests a minute with 1000 TezosSigners", "", fmt.Sprintf("with %d", 10*rounds), performance.Bar{Factor: 1, Plus: 6})
	constant.Rounds = []performance.Round{{Subject: idle[2], Floor: idle[0]}}
	memory := row("memory", "the most resident memory, up to 1000 TezosSigners", "MiB", "", performance.Bar{Plus: mostMemory})
	memory.Rounds = []performance.Round{{Subject: float64(most)}}
	text, err := json.Marshal(append(rows, constant, memory))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func row(id, what, unit, floor string, bar performance.Bar) performance.Row {
	return performance.Row{ID: "operator/" + id, Section: operatorSection, What: what, Unit: unit, Floor: floor, Bar: bar}
}

// bench is an operator and the TezosSigners that it has so far.
type bench struct {
	env      *operatorenv.Env
	client   *client
	operator *operatorenv.Process
	made     int
}

// row is how long n more TezosSigners take, that many times.
func (b *bench) row(t *testing.T, n, rounds int) performance.Row {
	took := row(fmt.Sprint(n, "/time"), fmt.Sprintf("%d more TezosSigners: until the operator's last write", n), "s", "creating them, and a loop that applies the same objects", performance.Bar{Factor: 1.2})
	for range rounds {
		by := operatorTakes(t, b.env, b.client, b.operator, b.made, n)
		b.made += n
		floor := by.creating + loopTakes(t, b.env, b.client, by.objects)
		t.Logf("%d TezosSigners: %v, a loop of their %d objects %v", n, by.took, len(by.objects), floor)
		took.Rounds = append(took.Rounds, performance.Round{Subject: by.took.Seconds(), Floor: floor.Seconds()})
		took.Note = fmt.Sprintf("%d objects, for which the operator sent %d requests", len(by.objects), by.requests)
	}
	return took
}

// idle is how many requests a minute the operator sends when nothing changes.
func (b *bench) idle() float64 {
	b.env.AwaitIdle(b.operator, quiet)
	began := time.Now()
	time.Sleep(idleFor)
	return float64(len(b.env.Requests(began, time.Now()))) * float64(time.Minute) / float64(idleFor)
}

// work is what the operator did for some TezosSigners.
type work struct {
	// From the first TezosSigner to the last that was created, and to the operator's last write.
	creating, took time.Duration
	requests       int
	objects        []object
}

func operatorTakes(t *testing.T, env *operatorenv.Env, client *client, o *operatorenv.Process, made, n int) work {
	t.Helper()
	var keys []*octezclient.PublicKey
	for range n {
		keys = append(keys, env.NewKey())
	}
	before, began := o.Reconciles(), time.Now()
	for i, key := range keys {
		client.send(t, http.MethodPost, operatorenv.Path("tezossigners", operatorenv.Namespace, ""), env.Signer(name(made+i), operatorenv.Baker, key))
	}
	creating := time.Since(began)
	// Not by AwaitIdle alone, which loses patience with many.
	for reconciled := before + float64(n); o.Reconciles() < reconciled && time.Since(began) < longest; time.Sleep(quiet / 4) {
	}
	for env.AwaitIdle(o, quiet); deploymentsOf(env) < made+n; env.AwaitIdle(o, quiet) {
		if time.Since(began) > longest {
			t.Fatalf("%d Deployments of %d", deploymentsOf(env), made+n)
		}
	}
	requests := env.Requests(began, time.Now())
	var last time.Time
	var paths []string
	for _, write := range operatorenv.Writes(requests) {
		if write.Received.After(last) {
			last = write.Received
		}
		if of := write.ObjectRef; write.ResponseStatus.Code < 300 && of.Subresource == "" && of.Name != "" && of.Resource != "events" && of.Resource != "tezossigners" {
			paths = append(paths, operatorenv.Path(of.Resource, of.Namespace, of.Name))
		}
	}
	for _, key := range keys { // created, which may be logged without a name
		paths = append(paths, operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key)))
	}
	slices.Sort(paths)
	var objects []object
	for _, path := range slices.Compact(paths) {
		objects = append(objects, client.send(t, http.MethodGet, path, nil))
	}
	return work{creating, last.Sub(began), len(requests), objects}
}

// deploymentsOf counts those of the operator, and not those of the loop.
func deploymentsOf(env *operatorenv.Env) int {
	list := env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "") + "?labelSelector=" + notOfTheLoop)
	items, _ := list["items"].([]any)
	return len(items)
}

const (
	ofTheLoop    = "bare-loop"
	notOfTheLoop = "%21" + ofTheLoop // !bare-loop
)

// loopTakes is how long it takes to apply copies of these objects, one after the other over one connection.
func loopTakes(t *testing.T, env *operatorenv.Env, client *client, objects []object) time.Duration {
	t.Helper()
	type request struct {
		path string
		body []byte
	}
	var requests []request
	for _, original := range objects {
		metadata := original["metadata"].(object)
		// No policy knows a record by this name.
		name, namespace := "bare-loop-"+metadata["name"].(string), metadata["namespace"].(string)
		original["metadata"] = object{"name": name[:min(len(name), 63)], "namespace": namespace, "labels": object{ofTheLoop: "yes"}, "annotations": metadata["annotations"]}
		delete(original, "status")
		text, err := json.Marshal(original)
		if err != nil {
			t.Fatal(err)
		}
		plural := plurals[original["kind"].(string)]
		requests = append(requests, request{operatorenv.Path(plural, namespace, name[:min(len(name), 63)]), text})
	}
	began := time.Now()
	for _, r := range requests {
		made, err := env.Request(t.Context(), "tezos-signer:break-glass", http.MethodPatch, r.path+"?fieldManager=bare-loop&force=true", bytes.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		made.Header.Set("Content-Type", "application/apply-patch+yaml")
		response, err := client.http.Do(made)
		if err != nil {
			t.Fatal(err)
		}
		answer := new(bytes.Buffer)
		answer.ReadFrom(response.Body)
		response.Body.Close()
		if response.StatusCode >= 300 {
			t.Fatalf("%s: %s: %.500s", r.path, response.Status, answer)
		}
	}
	return time.Since(began)
}

var plurals = map[string]string{
	"ConfigMap": "configmaps", "Deployment": "deployments", "ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings",
	"NetworkPolicy": "networkpolicies", "PodDisruptionBudget": "poddisruptionbudgets", "Service": "services",
}
