package plugin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

// A change of consensus key from beginning to end, against a played node: at each stage the plugin says what is next, and never
// that the old key may go before its time.
func TestRotate(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	octez := newOctezNode(t)
	old, next := env.NewKey(), env.NewKey()
	const baker = "tz1burnburnburnburnburnburnburjAYjjX"
	const blocksPerCycle = 14_400
	level, cycle, position := 15_182_089, 1369, 100
	at := func(block string) string {
		return fmt.Sprintf("/chains/main/blocks/%s/context/delegates/%s/consensus_key", block, baker)
	}
	keys := func(active *octezclient.PublicKey, pending ...any) object {
		answer := object{"active": object{"pkh": active.Hash(), "pk": active.String()}}
		if len(pending) > 0 {
			answer["pendings"] = pending
		}
		return answer
	}
	move := func(levels int) {
		level, cycle, position = level+levels, cycle+(position+levels)/blocksPerCycle, (position+levels)%blocksPerCycle
		octez.head(level)
		octez.set("/chains/main/blocks/head/helpers/current_level", object{"level": level, "cycle": cycle, "cycle_position": position})
	}
	move(0)
	octez.set("/chains/main/blocks/head/context/constants", object{"blocks_per_cycle": blocksPerCycle, "minimal_block_delay": "6"})
	octez.set(at("head"), keys(old))

	// No operator runs: the test writes the status.
	signer := env.Signer("baker-one", operatorenv.Baker, old)
	spec := signer["spec"].(object)
	spec["baker"] = object{"octez": object{"image": "octez", "nodeEndpoint": "http://octez-node:8732"}}
	env.Create(signer)
	path := operatorenv.Path("tezossigners", operatorenv.Namespace, "baker-one")
	status := func(ready string, signed map[*octezclient.PublicKey]int, claimed ...*octezclient.PublicKey) {
		var all []any
		for _, key := range claimed {
			row := object{"level": 15_000_000, "round": 2147483647}
			if signed[key] > 0 {
				row = object{"level": signed[key], "round": 0}
			}
			now := time.Now().UTC().Format(time.RFC3339)
			all = append(all, object{
				"chain": "NetXdQprcVkpaWU", "publicKeyHash": key.Hash(), "record": operatorenv.RecordName(key), "recordUID": "u", "suspended": false,
				"rows": object{"attestation": row, "readAt": now},
			})
		}
		env.ChangeStatus(path, func(o object) {
			o["status"] = object{
				"keys": all, "observedGeneration": operatorenv.FieldOf(o, "metadata", "generation"),
				"conditions": []any{object{
					"type": "Ready", "status": ready, "reason": "X", "message": "the signer says something", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
				}},
			}
		})
	}
	edit := func(change func(spec object)) {
		env.Change(path, func(o object) { change(o["spec"].(object)) })
	}
	type plan struct {
		Active, New string
		Steps       []struct{ State, What string }
		Next, Apply string
	}
	stage := func(step int, state string, words string, args ...string) plan {
		t.Helper()
		var p plan
		jsonOf(t, env, &p, append([]string{"rotate", "baker-one", "--baker", baker, "--node-endpoint", octez.URL}, args...)...)
		for i, s := range p.Steps {
			expected := map[bool]string{true: "done", false: "later"}[i < step]
			if i == step {
				expected = state
			}
			if s.State != expected {
				t.Errorf("step %d (%s) is %s, expected %s; next: %s", i, s.What, s.State, expected, p.Next)
			}
		}
		says(t, p.Next+"\n"+p.Apply, words)
		if step < 7 && strings.Contains(p.Next, "remove "+old.Hash()) {
			t.Errorf("the old key may go at step %d: %s", step, p.Next)
		}
		return p
	}

	status("True", map[*octezclient.PublicKey]int{old: level}, old)
	stage(1, "now", "tezos-signer keys generate")
	p := stage(1, "now", "publicKey: "+next.String(), "--new-key", next.String())
	says(t, p.Apply, fmt.Sprintf("level: %d", level+10), fmt.Sprintf("delegates: [%s, %s]", old.Hash(), next.Hash()))

	// The new key alone is not enough: the baker must have both before one replaces the other.
	bakesWith := func(octez object, keys ...*octezclient.PublicKey) {
		var delegates []any
		for _, key := range keys {
			delegates = append(delegates, key.Hash())
		}
		delete(octez, "delegate")
		octez["delegates"] = delegates
	}
	octezOf := func(spec object) object { return spec["baker"].(object)["octez"].(object) }
	edit(func(spec object) {
		spec["keys"] = append(spec["keys"].([]any), object{"publicKey": next.String(), "label": "next"})
		octezOf(spec)["delegate"] = old.Hash()
	})
	p = stage(1, "now", "baker.octez does not bake with "+next.Hash())
	says(t, p.Apply, fmt.Sprintf(`"delegate":null,"delegates":["%s","%s"]`, old.Hash(), next.Hash()))
	edit(func(spec object) { bakesWith(octezOf(spec), old, next) })
	stage(2, "wait", "the signer cannot sign with "+next.Hash())
	status("True", map[*octezclient.PublicKey]int{old: level}, old, next)
	stage(3, "now", "octez-client set consensus key for "+baker)

	octez.set(at("head"), keys(old, object{"cycle": cycle + 3, "pkh": next.Hash(), "pk": next.String()}))
	p = stage(4, "wait", fmt.Sprintf("active at level %d, where cycle %d begins, in %d levels", level-position+3*blocksPerCycle, cycle+3, 3*blocksPerCycle-position))
	says(t, p.Next, "Until then "+old.Hash()+" signs. Both keys stay", "no pod is replaced at that level")

	move(3*blocksPerCycle - position)
	octez.set(at("head"), keys(next))
	octez.set(at(fmt.Sprintf("head~%d", 2*blocksPerCycle)), keys(old))
	status("True", map[*octezclient.PublicKey]int{old: level - 1}, old, next)
	stage(5, "wait", "has not signed", "--new-key", next.String())
	move(10)
	status("True", map[*octezclient.PublicKey]int{old: level - 11, next: level - 1}, old, next)
	stage(6, "wait", "less than two cycles")
	move(2 * blocksPerCycle)
	octez.set(at(fmt.Sprintf("head~%d", 2*blocksPerCycle)), keys(next))
	status("True", map[*octezclient.PublicKey]int{old: level - 2*blocksPerCycle - 11, next: level - 1}, old, next)
	p = stage(7, "now", "remove "+old.Hash())
	says(t, p.Apply, old.String(), "delegates: ["+next.Hash()+"]")
	edit(func(spec object) {
		spec["keys"] = spec["keys"].([]any)[1:]
		bakesWith(octezOf(spec), next)
	})
	status("True", map[*octezclient.PublicKey]int{next: level - 1}, next)
	text := well(t, env, "rotate", "baker-one", "--baker", baker, "--node-endpoint", octez.URL, "--new-key", next.String())
	says(t, text, "Active: "+next.Hash(), "done  the old key is removed from spec.keys", "Next: nothing")

	// What cannot be led through is said.
	failed := func(words string, args ...string) {
		t.Helper()
		r := run(t, env, append([]string{"rotate", "baker-one", "--namespace", operatorenv.Namespace}, args...)...)
		if r.status == 0 || !strings.Contains(r.stderr, words) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	failed("Is "+old.Hash()+" the address of a registered baker", "--baker", old.Hash(), "--node-endpoint", octez.URL)
	failed("there is no Service octez-node in the namespace bakers", "--baker", baker)
	octez.set("/chains/main/blocks/head/header", object{"chain_id": "NetXnHfVqm9iesp", "level": 1})
	failed("is a node of the chain NetXnHfVqm9iesp, but the TezosSigner signs for NetXdQprcVkpaWU", "--baker", baker, "--node-endpoint", octez.URL)
}
