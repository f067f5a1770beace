package plugin

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
	"signer.tezos.io/e2e/payload"
)

type explained struct {
	Kind, Chain, Digest string
	Level, Round        int
	Answer              *struct {
		Status *int
		Reason string
	}
	Keys []struct {
		PublicKeyHash string
		Answer        struct {
			Status *int
			Reason string
		}
	}
}

// A payload is decoded without a cluster; what a key would answer follows its pod's configuration and its record.
func TestExplain(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	env.StartControllers()
	kubelet := newKubelet(t, env)
	key := env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, key))
	env.AwaitCreated("a")

	block := func(level int32) string {
		t.Helper()
		bytes, err := payload.New("block", level, 2)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(bytes)
	}
	ask := func(args ...string) (e explained) {
		t.Helper()
		jsonOf(t, env, &e, append([]string{"explain"}, args...)...)
		return e
	}
	next := block(5000)
	alone := ask(next, "--kubeconfig", "/nowhere")
	if alone.Kind != "block" || alone.Level != 5000 || alone.Round != 2 || alone.Chain != "NetXdQprcVkpaWU" || len(alone.Digest) != 64 || alone.Answer != nil {
		t.Errorf("%+v", alone)
	}
	says(t, well(t, env, "explain", "0x"+next), "kind", "block", "level", "5000", "digest", alone.Digest)
	r := run(t, env, "explain", "nothex")
	if r.status != 1 || !strings.Contains(r.stderr, "the payload is not hexadecimal") {
		t.Errorf("%+v", r)
	}

	kubelet.runs("a")
	answer := func(status int, words string, args ...string) {
		t.Helper()
		e := ask(args...)
		if e.Answer == nil || e.Answer.Status == nil || *e.Answer.Status != status || !strings.Contains(e.Answer.Reason, words) ||
			len(e.Keys) != 1 || e.Keys[0].PublicKeyHash != key.Hash() {
			t.Errorf("%+v %+v, expected %d %s", e, e.Answer, status, words)
		}
	}
	answer(200, "would be signed", block(5000), "a")
	answer(409, "", block(1000), "a")                                        // at the floor
	answer(400, "malformed", "1100", "a")                                    // no block
	answer(409, "maxLevelJump", block(50_000_000), "a", "--key", key.Hash()) // absurd
	says(t, well(t, env, "explain", block(5000), "a"), "STATUS", key.Hash(), "200", "would be signed")
	well(t, env, "suspend", "a")
	answer(403, "suspend", block(5000), "a")

	// A record that was deleted.
	gone := env.Get(recordPath(key))
	if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", http.MethodDelete, recordPath(key), nil); err != nil {
		t.Fatal(err)
	}
	answer(409, "the watermark record is missing", block(5000), "a")
	delete(gone["metadata"].(object), "resourceVersion")
	if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", http.MethodPost, operatorenv.Path("configmaps", operatorenv.Records, ""), gone); err != nil {
		t.Fatal(err)
	}

	// Without a right to the record, and none to exec: what is known.
	viewer(env, "eve")
	e := ask(block(5000), "a", "--as", "eve")
	if e.Answer == nil || e.Answer.Status != nil {
		t.Fatalf("%+v", e.Answer)
	}
	says(t, e.Answer.Reason, "the key's policy allows it", "you have no right to get configmaps in the namespace tezos-signer-records", "get,create pods/exec")
}
