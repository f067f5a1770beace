package reconcile

import (
	"fmt"
	"testing"

	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/operator"
)

// Whatever else of a TezosSigner is refused, suspend comes into the records that are its own, and into no other; and it is lifted
// only with a spec that is accepted.
func TestSuspendGetsThroughWhereTheSpecIsRefused(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartReady(image)
	theirs, mine, former := p.NewKey(), p.NewKey(), p.NewKey()
	p.Create(p.Signer("other", operator.Baker, theirs))
	p.AwaitMade("other")
	p.Create(p.Signer("a", operator.Baker, mine, former))
	p.AwaitMade("a")

	record := func(key *octez.PublicKey) string {
		return operator.Path("configmaps", operator.Records, operator.RecordName(key))
	}
	isSuspended := func(key *octez.PublicKey) bool { return operator.Text(p.Get(record(key)), "data", "suspend") == "true" }
	edit := func(change func(spec object)) {
		p.Change(operator.Path("tezossigners", operator.Namespace, "a"), func(o object) { change(o["spec"].(object)) })
	}
	awaitReady := func(reason string) {
		t.Helper()
		p.Await(reason, func() bool {
			generation := operator.At(p.Get(operator.Path("tezossigners", operator.Namespace, "a")), "metadata", "generation")
			ready := p.Condition("a", "Ready")
			return operator.Text(ready, "reason") == reason && operator.At(ready, "observedGeneration") == generation
		})
	}
	pod := func(spec object) object { return spec["baker"].(object)["template"].(object)["spec"].(object) }
	keys := func(spec object, keys ...*octez.PublicKey) {
		var specs []any
		for i, key := range keys {
			specs = append(specs, object{"publicKey": key.String(), "label": fmt.Sprint("key-", i)})
		}
		spec["keys"] = specs
	}

	for _, refused := range []struct {
		reason       string
		change, undo func(spec object)
	}{
		{
			"Invalid",
			func(spec object) { pod(spec)["shareProcessNamespace"] = true },
			func(spec object) { delete(pod(spec), "shareProcessNamespace") },
		},
		{
			"Invalid", // by the API server
			func(spec object) { pod(spec)["restartPolicy"] = "Never" },
			func(spec object) { delete(pod(spec), "restartPolicy") },
		},
		{
			"ClaimedByAnother", // before its own, and without one whose pods may still run
			func(spec object) { keys(spec, theirs, mine) },
			func(spec object) { keys(spec, mine, former) },
		},
	} {
		edit(func(spec object) { refused.change(spec); spec["suspend"] = true })
		p.Await("suspend is in both records", func() bool { return isSuspended(mine) && isSuspended(former) })
		awaitReady(refused.reason)
		edit(func(spec object) { spec["suspend"] = false })
		awaitReady(refused.reason)
		if !isSuspended(mine) || !isSuspended(former) {
			t.Errorf("%s: lifted with a spec that is refused", refused.reason)
		}
		edit(refused.undo)
		p.Await("it is lifted", func() bool { return !isSuspended(mine) && !isSuspended(former) })
	}
	if isSuspended(theirs) {
		t.Error("another's record is suspended")
	}
}

// A TezosSigner that is refused for one of its keys takes no other, so that two of them cannot keep each other waiting.
func TestWhoIsRefusedForOneKeyTakesNone(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartReady(image)
	free, taken := p.NewKey(), p.NewKey()
	p.Create(p.Signer("first", operator.Baker, taken))
	p.AwaitMade("first")
	p.Create(p.Signer("second", operator.Baker, free, taken))
	p.Await("it is refused", func() bool {
		return operator.Text(p.Condition("second", "Ready"), "reason") == "ClaimedByAnother"
	})
	if found := p.Get(operator.Path("configmaps", operator.Records, operator.RecordName(free))); found != nil {
		t.Errorf("it has made a record: %v", found["metadata"])
	}
	p.Create(p.Signer("third", operator.Baker, free))
	p.AwaitMade("third")

	// At the same time, in another order.
	one, two := p.NewKey(), p.NewKey()
	p.Create(p.Signer("left", operator.Baker, one, two))
	p.Create(p.Signer("right", operator.Baker, two, one))
	isMade := func(name string) bool { return p.Get(operator.Path("deployments", operator.Namespace, name)) != nil }
	p.Await("one of them has both keys", func() bool { return isMade("left") || isMade("right") })
}
