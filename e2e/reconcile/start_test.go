package reconcile

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// No record is made at a level that cannot be right: above every chain's, far above the
// chain of the node that is named, or by a manifest that is good for too long. A node that
// cannot be asked does not keep objects from being made, and that is reported.
func TestWhereARecordStarts(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	const head = 5_000_000
	var asked atomic.Int32
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/chains/main/blocks/head/header" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		json.NewEncoder(w).Encode(object{"chain_id": "NetXdQprcVkpaWU", "level": head, "timestamp": time.Now().UTC().Format(time.RFC3339)})
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	node := "http://" + listener.Addr().String()

	create := func(name string, level int, goodFor time.Duration, change func(spec object)) string {
		key := env.NewKey()
		signer := env.Signer(name, operatorenv.Baker, key)
		spec := signer["spec"].(object)
		spec["initialWatermark"] = object{"level": level, "notAfter": time.Now().Add(goodFor).UTC().Format(time.RFC3339)}
		change(spec)
		env.Create(signer)
		return operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
	}
	none := func(object) {}
	byNode := func(spec object) { spec["nodeEndpoint"] = node }
	byBaker := func(spec object) {
		spec["baker"] = object{"octez": object{"image": "baker", "nodeEndpoint": node + "/"}}
	}
	for name, c := range map[string]struct {
		level   int
		goodFor time.Duration
		change  func(object)
		reason  string
		words   []string
	}{
		"a-zero-too-many":  {head * 10, time.Hour, byNode, "InitialWatermarkTooHigh", []string{"level is 50000000", "at level 5000000", node}},
		"of-the-bakers":    {head * 10, time.Hour, byBaker, "InitialWatermarkTooHigh", []string{"level is 50000000", "at level 5000000"}},
		"more-than-a-day":  {head + 14_401, time.Hour, byNode, "InitialWatermarkTooHigh", []string{"14400 above"}},
		"good-for-a-month": {head, 30 * 24 * time.Hour, none, "InitialWatermarkTooLong", []string{"notAfter", "24 hours"}},
	} {
		record := create(name, c.level, c.goodFor, c.change)
		awaitCondition(t, env, name, "Ready", "False", c.reason, c.words...)
		if env.Get(record) != nil || env.Get(operatorenv.Path("deployments", operatorenv.Namespace, name)) != nil {
			t.Errorf("%s: something was made", name)
		}
	}
	if asked.Load() == 0 {
		t.Error("the node was not asked")
	}
	// What is mended is made.
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a-zero-too-many"), func(o object) {
		o["spec"].(object)["initialWatermark"].(object)["level"] = head
	})
	env.AwaitCreated("a-zero-too-many")
	// And a node is not asked where there is a record: another level of the chain's is no reason. The others, which are refused, ask
	// again and again: they go first.
	for _, name := range []string{"of-the-bakers", "more-than-a-day"} {
		other := operatorenv.Path("tezossigners", operatorenv.Namespace, name)
		env.Delete(other)
		env.Await(name+" is gone", func() bool { return env.Get(other) == nil })
	}
	before := asked.Load()
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a-zero-too-many"), func(o object) {
		o["spec"].(object)["initialWatermark"].(object)["level"] = head * 10
		o["spec"].(object)["leaseDurationSeconds"] = 9
	})
	env.Await("it is followed", func() bool {
		found := env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, "a-zero-too-many"))
		return operatorenv.FieldOf(found, "status", "observedGeneration") == operatorenv.FieldOf(found, "metadata", "generation")
	})
	if asked.Load() != before {
		t.Error("the node was asked for a record that is there")
	}

	server.Close()
	record := create("no-node", head*10, time.Hour, byNode)
	env.AwaitCreated("no-node")
	if found := env.Get(record); !strings.HasPrefix(operatorenv.TextOf(found, "data", "block"), fmt.Sprint(head*10)) {
		t.Errorf("its record is %v", found["data"])
	}
	env.Await("an event says so", func() bool {
		events := string(env.Must(http.MethodGet, operatorenv.Path("events", operatorenv.Namespace, ""), nil))
		return strings.Contains(events, `"reason":"NodeNotAsked"`) && strings.Contains(events, node)
	})
}
