package reconcile

import (
	"fmt"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

// Whatever else of a TezosSigner is refused, suspend comes into the records that are its own, and into no other; and it is lifted
// only with a spec that is accepted.
func TestSuspendGetsThroughWhereTheSpecIsRefused(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	theirs, mine, former := env.NewKey(), env.NewKey(), env.NewKey()
	env.Create(env.Signer("other", operatorenv.Baker, theirs))
	env.AwaitCreated("other")
	env.Create(env.Signer("a", operatorenv.Baker, mine, former))
	env.AwaitCreated("a")

	record := func(key *octezclient.PublicKey) string {
		return operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
	}
	isSuspended := func(key *octezclient.PublicKey) bool {
		return operatorenv.TextOf(env.Get(record(key)), "data", "suspend") == "true"
	}
	edit := func(change func(spec object)) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) { change(o["spec"].(object)) })
	}
	awaitReady := func(reason string) {
		t.Helper()
		env.Await(reason, func() bool {
			generation := operatorenv.FieldOf(env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, "a")), "metadata", "generation")
			ready := env.Condition("a", "Ready")
			return operatorenv.TextOf(ready, "reason") == reason && operatorenv.FieldOf(ready, "observedGeneration") == generation
		})
	}
	pod := func(spec object) object { return spec["baker"].(object)["template"].(object)["spec"].(object) }
	keys := func(spec object, keys ...*octezclient.PublicKey) {
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
		env.Await("suspend is in both records", func() bool { return isSuspended(mine) && isSuspended(former) })
		awaitReady(refused.reason)
		edit(func(spec object) { spec["suspend"] = false })
		awaitReady(refused.reason)
		if !isSuspended(mine) || !isSuspended(former) {
			t.Errorf("%s: lifted with a spec that is refused", refused.reason)
		}
		edit(refused.undo)
		env.Await("it is lifted", func() bool { return !isSuspended(mine) && !isSuspended(former) })
	}
	if isSuspended(theirs) {
		t.Error("another's record is suspended")
	}
}

// INVARIANT O8: A key that is taken out of the spec stops, also where the rest of the spec is refused, or cannot be applied: what runs has the spec
// from before. The key that stays goes on, and so does the other one once it is back.
func TestAKeyThatIsTakenOutStopsWhereTheSpecIsRefused(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	theirs, mine, former := env.NewKey(), env.NewKey(), env.NewKey()
	env.Create(env.Signer("other", operatorenv.Baker, theirs))
	env.AwaitCreated("other")
	env.Create(env.Signer("a", operatorenv.Baker, mine, former))
	env.AwaitCreated("a")
	isSuspended := func(key *octezclient.PublicKey) bool {
		return operatorenv.TextOf(env.Get(operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))), "data", "suspend") == "true"
	}
	edit := func(change func(spec, pod object)) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) {
			spec := o["spec"].(object)
			change(spec, spec["baker"].(object)["template"].(object)["spec"].(object))
		})
	}
	podField := func(name string, value any) func(spec, pod object) {
		return func(_, pod object) {
			if value == nil {
				delete(pod, name)
			} else {
				pod[name] = value
			}
		}
	}
	deployment := operatorenv.Path("deployments", operatorenv.Namespace, "a")
	owners := operatorenv.FieldOf(env.Get(deployment), "metadata", "ownerReferences")
	owned := func(by any) func(spec, pod object) {
		return func(object, object) {
			env.Change(deployment, func(o object) { o["metadata"].(object)["ownerReferences"] = by })
		}
	}
	for _, refused := range []struct {
		reason, says string
		change, undo func(spec, pod object)
	}{
		{"Invalid", "shareProcessNamespace", podField("shareProcessNamespace", true), podField("shareProcessNamespace", nil)},
		{"Invalid", "restartPolicy", podField("restartPolicy", "Never"), podField("restartPolicy", nil)}, // by the API server
		{
			"ClaimedByAnother", "", // with the key of another
			func(spec, _ object) {
				theirs := object{"publicKey": theirs.String(), "label": "theirs"}
				spec["keys"] = []any{spec["keys"].([]any)[0], theirs}
			},
			func(object, object) {},
		},
		{"NameTaken", "Deployment a", owned([]any{}), owned(owners)}, // which it may not change
	} {
		var keys []any
		edit(func(spec, pod object) {
			keys = spec["keys"].([]any)
			spec["keys"] = keys[:1]
			refused.change(spec, pod)
		})
		env.Await("the record of the key that is taken out is suspended", func() bool { return isSuspended(former) })
		awaitCondition(t, env, "a", "Ready", "False", refused.reason, refused.says)
		if isSuspended(mine) || isSuspended(theirs) {
			t.Errorf("%s: another key is suspended", refused.reason)
		}
		edit(func(spec, pod object) { spec["keys"] = keys; refused.undo(spec, pod) })
		env.Await("it is lifted", func() bool { return !isSuspended(former) })
	}
}

// A TezosSigner that is refused for one of its keys takes no other, so that two of them cannot keep each other waiting.
func TestWhoIsRefusedForOneKeyTakesNone(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	free, taken := env.NewKey(), env.NewKey()
	env.Create(env.Signer("first", operatorenv.Baker, taken))
	env.AwaitCreated("first")
	env.Create(env.Signer("second", operatorenv.Baker, free, taken))
	env.Await("it is refused", func() bool {
		return operatorenv.TextOf(env.Condition("second", "Ready"), "reason") == "ClaimedByAnother"
	})
	if found := env.Get(operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(free))); found != nil {
		t.Errorf("it has made a record: %v", found["metadata"])
	}
	env.Create(env.Signer("third", operatorenv.Baker, free))
	env.AwaitCreated("third")

	// At the same time, in another order.
	one, two := env.NewKey(), env.NewKey()
	env.Create(env.Signer("left", operatorenv.Baker, one, two))
	env.Create(env.Signer("right", operatorenv.Baker, two, one))
	isMade := func(name string) bool {
		return env.Get(operatorenv.Path("deployments", operatorenv.Namespace, name)) != nil
	}
	env.Await("one of them has both keys", func() bool { return isMade("left") || isMade("right") })
}
