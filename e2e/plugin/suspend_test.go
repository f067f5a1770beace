package plugin

import (
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/operatorenv"
)

type outcome struct {
	Namespace, Name string
	Suspend, Done   bool
	Records         []struct {
		Record, PublicKeyHash string
		Suspended             bool
		ByHand                *bool
	}
	Notes []string
}

func recordPath(key *octezclient.PublicKey) string {
	return operatorenv.Path("configmaps", operatorenv.Records, operatorenv.RecordName(key))
}

func isSuspended(env *operatorenv.Env, key *octezclient.PublicKey) bool {
	return operatorenv.TextOf(env.Get(recordPath(key)), "data", "suspend") == "true"
}

// The plugin returns when the records say so, and what a person has suspended stays so until break-glass lifts it.
func TestSuspendAndResume(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	operator := env.StartReady(image)
	mine, other := env.NewKey(), env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, mine))
	env.Create(env.Signer("b", operatorenv.Baker, other))
	env.AwaitCreated("a")
	env.AwaitCreated("b")

	says(t, well(t, env, "suspend", "a"), "bakers/a: suspended: nothing is signed", mine.Hash()+"  suspended")
	if !isSuspended(env, mine) || isSuspended(env, other) {
		t.Error("not exactly the one is suspended")
	}
	var outcomes []outcome
	jsonOf(t, env, &outcomes, "resume", "a")
	if len(outcomes) != 1 || !outcomes[0].Done || outcomes[0].Suspend || len(outcomes[0].Records) != 1 || outcomes[0].Records[0].Suspended {
		t.Errorf("%+v", outcomes)
	}
	if isSuspended(env, mine) {
		t.Error("it is still suspended")
	}
	jsonOf(t, env, &outcomes, "suspend", "--all")
	if len(outcomes) != 2 || !isSuspended(env, mine) || !isSuspended(env, other) {
		t.Errorf("%+v", outcomes)
	}
	well(t, env, "resume", "--all")

	// By hand.
	env.Change(recordPath(mine), func(o object) { o["data"].(object)["suspend"] = "true" })
	r := run(t, env, "resume", "a", "--namespace", operatorenv.Namespace)
	if r.status != 1 || !strings.Contains(r.stderr, "not resumed: a") {
		t.Errorf("%+v", r)
	}
	says(t, r.stdout, "bakers/a: NOT resumed", "suspended, by hand", "resume a --namespace bakers --break-glass")
	says(t, well(t, env, "resume", "a", "--break-glass"), "bakers/a: resumed")
	if isSuspended(env, mine) {
		t.Error("it is still suspended")
	}

	// A tool that would set it back.
	env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "b"), func(o object) {
		o["metadata"].(object)["annotations"] = object{"argocd.argoproj.io/tracking-id": "x"}
	})
	says(t, well(t, env, "suspend", "b"), "Argo CD manages this TezosSigner: it sets spec.suspend back if its source has that field")

	// Without the operator nothing is written to the record, which is said; break-glass writes it.
	operator.Stop()
	r = run(t, env, "suspend", "a", "--wait", "2", "--namespace", operatorenv.Namespace)
	if r.status != 1 || isSuspended(env, mine) {
		t.Errorf("%+v", r)
	}
	says(t, r.stdout, "bakers/a: NOT suspended", "the signer still signs", "Is the operator running?", "suspend a --namespace bakers --break-glass")
	says(t, well(t, env, "suspend", "a", "--break-glass"), "bakers/a: suspended")
	if !isSuspended(env, mine) {
		t.Error("it is not suspended")
	}
	// A record that is another's is not touched.
	env.Change(recordPath(mine), func(o object) {
		o["metadata"].(object)["annotations"].(object)["signer.tezos.io/owner"] = "elsewhere/a/uid"
	})
	r = run(t, env, "resume", "a", "--break-glass", "--namespace", operatorenv.Namespace)
	if r.status != 1 || !strings.Contains(r.stderr, "does not belong to the TezosSigner bakers/a") || !isSuspended(env, mine) {
		t.Errorf("%+v", r)
	}
}
