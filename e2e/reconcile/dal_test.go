package reconcile

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// If the signer of a baker with a DAL node reports an hour of attestations without DAL, the operator writes the status once and publishes one event,
// however many attestations follow, and writes once more when it is over. It polls the signer: no object changes.
func TestABakerWithoutDALIsToldOfOnce(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	key := env.NewKey()
	signer := env.Signer("a", operatorenv.Baker, key)
	signer["spec"].(object)["baker"] = object{"octez": object{
		"image": "octez", "nodeEndpoints": []any{"http://octez-node:8732", "http://octez-node-2:8732"}, "dalNode": "http://octez-dal-node:10732",
		"delegates": []any{key.Hash()},
	}}
	env.Create(signer)
	env.AwaitCreated("a")
	env.Await("its pod is there", func() bool { return len(pods(env, "a")) == 1 })
	pod := pods(env, "a")[0]
	k := newKubelet(t, env, 78, operatorenv.RecordName(key))
	well := state{signerReady: true, beside: sidecarStatus("baker", true)}
	// An attestation without DAL a moment ago, and the last one with DAL at that time before.
	attests := func(withDAL time.Duration) func(_, signersKey object) {
		return func(_, signersKey object) {
			now := time.Now().UTC()
			signersKey["publicKeyHash"] = key.Hash()
			signersKey["attestations"] = object{
				"since": now.Add(-3 * time.Hour).Format(time.RFC3339), "withoutDal": now.Format(time.RFC3339), "withDal": now.Add(-withDAL).Format(time.RFC3339),
			}
		}
	}
	k.says(attests(time.Minute), pod, well)
	awaitCondition(t, env, "a", "Ready", "True", "Signing")

	k.says(attests(61*time.Minute), pod, well)
	awaitCondition(t, env, "a", "Ready", "True", "AttestsWithoutDal", "no attestation by "+key.Hash()+" was with DAL for an hour", "acl allows PATCH /profiles")
	told := func() int {
		return strings.Count(string(env.Must(http.MethodGet, operatorenv.Path("events", operatorenv.Namespace, ""), nil)), `"reason":"AttestsWithoutDal"`)
	}
	env.Await("there is an event", func() bool { return told() == 1 })
	env.AwaitIdle(o, 3*time.Second)
	since := time.Now()
	for range 3 {
		k.says(attests(61*time.Minute), pod, well) // each time at a later time
		time.Sleep(1100 * time.Millisecond)
	}
	env.AwaitIdle(o, 3*time.Second)
	if writes := operatorenv.Writes(env.Requests(since, time.Now())); len(writes) > 0 || told() != 1 {
		t.Errorf("an attestation wrote %v, and %d events", writes, told())
	}

	k.lock.Lock()
	k.say = attests(time.Minute)
	k.lock.Unlock()
	// No pod changes: the operator asks each minute.
	took := env.AwaitLong("it is over", 70*time.Second, func() bool { return operatorenv.TextOf(env.Condition("a", "Ready"), "reason") == "Signing" })
	t.Logf("noticed after %s", took.Round(time.Second))
}
