// Package scale tries what many TezosSigners cost: on a real API server, with the
// controllers that make their pods, which no node takes.
//
//	E2E=1 go test -count 1 -v ./scale                     # 1 000 of them, some minutes: `make scale`
//	E2E=1 go test -count 1 -v -short ./scale              # 100: `make test`
//
// Without E2E=1 it does nothing. It needs `make images`, or the operator that TEZOS_SIGNER_OPERATOR names.
package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

type object = operatorenv.Object

type parameters struct {
	signers, writesPerSecond int
	writing                  time.Duration
}

func TestManyTezosSigners(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it starts an API server, and needs E2E=1")
	}
	n := parameters{1000, 100, time.Minute}
	if testing.Short() {
		n = parameters{100, 50, 10 * time.Second}
	}
	env := operatorenv.New(t)
	env.StartControllers()
	client := newClient(t, env)
	o := env.StartReady("registry.example/tezos-signer:1")

	began := time.Now()
	var keys []*octezclient.PublicKey
	for i := range n.signers {
		keys = append(keys, env.NewKey())
		form := operatorenv.Baker
		if i%2 == 1 {
			form = operatorenv.Service
		}
		client.send(t, http.MethodPost, operatorenv.Path("tezossigners", operatorenv.Namespace, ""), env.Signer(name(i), form, keys[i]))
	}
	created := time.Since(began)
	for await := time.Now().Add(20 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		if count(env, "deployments") == n.signers {
			break
		}
		if time.Now().After(await) {
			t.Fatalf("%d Deployments of %d", count(env, "deployments"), n.signers)
		}
	}
	made := time.Since(began)
	env.AwaitIdle(o, 5*time.Second)
	steady := time.Since(began) - 5*time.Second
	cpu := o.CPU()
	now, most := o.Memory()
	requests := env.Requests(began, time.Now())
	t.Logf("%d TezosSigners: created in %v, all Deployments after %v, steady after %v; %d reconciles, %v of a CPU, %d MiB (at most %d)\n%d requests\n%s",
		n.signers, created.Round(time.Second), made.Round(time.Second), steady.Round(time.Second), int(o.Reconciles()), cpu, now, most, len(requests), operatorenv.CountByResource(requests))
	if most >= 100 {
		t.Errorf("the operator had %d MiB", most)
	}

	// As signers do: a position and a renewal, by PUT.
	reconciles, cpu, began := o.Reconciles(), o.CPU(), time.Now()
	writes := client.write(t, keys, n)
	took := time.Since(began)
	cpu = o.CPU() - cpu
	requests = env.Requests(began, time.Now())
	t.Logf("%d records written in %v: the operator reconciled %d times, wrote %d times, asked %d times, and used %.2f %% of a CPU",
		writes, took.Round(time.Second), int(o.Reconciles()-reconciles), len(operatorenv.Writes(requests)), len(requests), float64(cpu)/float64(took)*100)
	if o.Reconciles() != reconciles || len(operatorenv.Writes(requests)) != 0 {
		t.Errorf("it reacts to signatures:\n%s", operatorenv.CountByResource(requests))
	}
	// It sees each, and drops it. 0.6 ms were seen where it read each alone, and twice; 0.2 ms now.
	if each := cpu / time.Duration(writes); each > 500*time.Microsecond {
		t.Errorf("a signature costs the operator %v", each)
	}

	// And to nothing but that: another holder, a record that is free, one that is deleted.
	react := func(what string, i int, do func(path string), is func() bool) {
		t.Helper()
		reconciles := o.Reconciles()
		do(operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(keys[i])))
		took := env.Await(what, is)
		env.AwaitIdle(o, time.Second)
		t.Logf("%s: %v, %d reconciles", what, took.Round(time.Millisecond), int(o.Reconciles()-reconciles))
		if o.Reconciles()-reconciles > 10 {
			t.Errorf("%s was of interest to others too", what)
		}
	}
	react("another holder is in the status", 0, func(path string) {
		record := env.Get(path)
		lease(record, "another-pod", time.Now())
		client.send(t, http.MethodPut, path, record)
	}, func() bool {
		keys, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, name(0))), "status", "keys").([]any)
		return len(keys) == 1 && operatorenv.TextOf(keys[0], "holder", "identity") == "another-pod"
	})
	second := env.Signer("second", operatorenv.Baker, keys[1])
	env.Create(second)
	env.Await("the second waits", func() bool {
		return operatorenv.TextOf(env.Condition("second", "Ready"), "reason") == "ClaimedByAnother"
	})
	react("a deleted TezosSigner's record is another's", 1, func(string) {
		env.Delete(operatorenv.Path("tezossigners", operatorenv.Namespace, name(1)))
	}, func() bool { return env.Get(operatorenv.Path("deployments", operatorenv.Namespace, "second")) != nil })
	react("a deleted record is reported", 2, func(path string) {
		if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", http.MethodDelete, path, nil); err != nil {
			t.Fatal(err)
		}
	}, func() bool { return operatorenv.TextOf(env.Condition(name(2), "Ready"), "reason") == "RecordVanished" })
}

func name(i int) string { return fmt.Sprintf("baker-%04d", i) }

// count is how many objects of that kind there are beside the TezosSigners.
func count(env *operatorenv.Env, plural string) int {
	list := env.Get(operatorenv.Path(plural, operatorenv.Namespace, "") + "?limit=1")
	items, _ := list["items"].([]any)
	left, _ := operatorenv.FieldOf(list, "metadata", "remainingItemCount").(float64)
	return len(items) + int(left)
}

// lease writes into a record who holds it, as its signer would.
func lease(record object, holder string, renewed time.Time) {
	const times = "2006-01-02T15:04:05.000000Z"
	// The guard wants the order and the form that the signer writes.
	text := fmt.Sprintf(`{"holderIdentity":%q,"leaseDurationSeconds":5,"acquireTime":"2026-11-25T15:14:01.000000Z","renewTime":%q,"leaderTransitions":1}`,
		holder, renewed.UTC().Format(times))
	record["metadata"].(object)["annotations"].(object)["control-plane.alpha.kubernetes.io/leader"] = text
}

// client sends many requests by few connections.
type client struct {
	env  *operatorenv.Env
	http http.Client
}

func newClient(t *testing.T, env *operatorenv.Env) *client {
	t.Helper()
	return &client{env, http.Client{Transport: &http.Transport{TLSClientConfig: env.ClientTLS(), ForceAttemptHTTP2: true}}}
}

func (c *client) send(t *testing.T, method, path string, body any) object {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := c.env.Request(t.Context(), "tezos-signer:break-glass", method, path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer object
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s, %v: %v", method, path, response.Status, err, answer)
	}
	return answer
}

// write has each record in turn renewed and its position raised, so many a second; and says how many were.
func (c *client) write(t *testing.T, keys []*octezclient.PublicKey, n parameters) (writes int) {
	t.Helper()
	var records []object
	for _, key := range keys {
		record := c.send(t, http.MethodGet, operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key)), nil)
		records = append(records, record)
	}
	ticks := time.NewTicker(time.Second / time.Duration(n.writesPerSecond))
	defer ticks.Stop()
	var sent sync.WaitGroup
	locks := make([]sync.Mutex, len(keys))
	for until := time.Now().Add(n.writing); time.Now().Before(until); writes++ {
		<-ticks.C
		i := writes % len(keys)
		level := 2000 + writes
		sent.Go(func() {
			locks[i].Lock()
			defer locks[i].Unlock()
			record := records[i]
			record["data"].(object)["block"] = fmt.Sprint(level, " 2147483647 - -")
			lease(record, "", time.Now())
			records[i] = c.send(t, http.MethodPut, operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(keys[i])), record)
		})
	}
	sent.Wait()
	return writes
}
