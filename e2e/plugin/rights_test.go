package plugin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

// Each verb has the rights of its caller, and says which one is missing: verb, resource, namespace.
func TestMissingRights(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	key := env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, key))
	env.AwaitCreated("a")

	const signers = "tezossigners.signer.tezos.io"
	denied := func(user string, words string, args ...string) {
		t.Helper()
		r := run(t, env, append(args, "--namespace", operatorenv.Namespace, "--as", user)...)
		if r.status != 1 || r.stdout != "" || !strings.Contains(r.stderr, "you have no right to "+words) {
			t.Errorf("%v: exit status %d\n%s%s", args, r.status, r.stdout, r.stderr)
		}
		if strings.Count(strings.TrimSpace(r.stderr), "\n") > 0 {
			t.Errorf("%v: more than a sentence: %s", args, r.stderr)
		}
	}
	in := " in the namespace bakers: ask for a role with this verb and resource, as kubectl create role NAME --namespace bakers"
	denied("nobody", "list "+signers+in, "status")
	denied("nobody", "get "+signers+in, "status", "a")
	denied("nobody", "get "+signers+in, "suspend", "a")
	denied("nobody", "list "+signers+in, "watermarks")
	denied("nobody", "get "+signers+in, "check", "a")
	denied("nobody", "get "+signers+in, "explain", "00", "a")
	denied("nobody", "get "+signers+in, "rotate", "a", "--baker", "tz1burnburnburnburnburnburnburjAYjjX")
	denied("nobody", "list "+signers+in, "support-bundle", "--file", "/dev/null")
	r := run(t, env, "status", "--all-namespaces", "--as", "nobody")
	says(t, r.stderr, "you have no right to list "+signers+" in all namespaces", "kubectl create clusterrole NAME --verb list")

	// Who may read TezosSigners and pods, and nothing else.
	viewer(env, "eve")
	denied("eve", "patch "+signers+in, "suspend", "a")
	denied("eve", "patch "+signers+in, "resume", "a")
	if isSuspended(env, key) {
		t.Error("it is suspended")
	}
	text := well(t, env, "watermarks", "--as", "eve")
	says(t, text, key.Hash(), ">1000", "status", "Note: the records cannot be read: you have no right to get configmaps in the namespace tezos-signer-records")

	// Who may open the glass (here the administrator, in that name), but not change the TezosSigner.
	says(t, well(t, env, "suspend", "a", "--break-glass", "--as", "eve"), "bakers/a: suspended", "spec.suspend was not changed: you have no right to patch "+signers)
	if !isSuspended(env, key) {
		t.Error("it is not suspended")
	}
}

// requests are those of the plugin, by the API server's log: "verb resource".
func requests(t *testing.T, env *operatorenv.Env) (found []string) {
	t.Helper()
	log, err := os.Open(env.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var r operatorenv.Request
		if json.Unmarshal(lines.Bytes(), &r) == nil && strings.HasPrefix(r.UserAgent, "kubectl-tezos-signer/") {
			found = append(found, fmt.Sprintf("%s %s", r.Verb, strings.TrimSuffix(r.ObjectRef.Resource+"/"+r.ObjectRef.Subresource, "/")))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// What the records say, for who may read them.
func TestWatermarks(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	key, gone := env.NewKey(), env.NewKey()
	env.Create(env.Signer("a", operatorenv.Baker, key, gone))
	env.AwaitCreated("a")
	env.Change(recordPath(key), func(o object) {
		data := o["data"].(object)
		data["block"] = "15181990 1 " + strings.Repeat("ab", 32) + " -"
		data["ceiling"] = "15200000"
	})
	if _, err := env.DoAs(t.Context(), "tezos-signer:break-glass", http.MethodDelete, recordPath(gone), nil); err != nil {
		t.Fatal(err)
	}
	var views []struct {
		Name, PublicKeyHash, Record, Source, Owner, Problem string
		Ceiling                                             int
		Rows                                                map[string]struct {
			Level, Round int
			Signed       bool
			Digest       string
		}
	}
	jsonOf(t, env, &views, "watermarks")
	slices.SortFunc(views, func(a, b struct {
		Name, PublicKeyHash, Record, Source, Owner, Problem string
		Ceiling                                             int
		Rows                                                map[string]struct {
			Level, Round int
			Signed       bool
			Digest       string
		}
	}) int {
		return strings.Compare(a.Problem, b.Problem)
	})
	if len(views) != 2 {
		t.Fatalf("%+v", views)
	}
	v := views[0]
	if v.PublicKeyHash != key.Hash() || v.Record != operatorenv.RecordName(key) || v.Source != "record" || v.Ceiling != 15_200_000 ||
		!strings.HasPrefix(v.Owner, "bakers/a/") || v.Rows["block"].Level != 15_181_990 || v.Rows["block"].Round != 1 || !v.Rows["block"].Signed ||
		v.Rows["attestation"].Level != 1000 || v.Rows["attestation"].Signed {
		t.Errorf("%+v", v)
	}
	if views[1].PublicKeyHash != gone.Hash() || !strings.Contains(views[1].Problem, "the record was deleted") {
		t.Errorf("%+v", views[1])
	}
	says(t, well(t, env, "watermarks", "a"), key.Hash(), "15181990/1", ">1000", "15200000", gone.Hash(), "the record was deleted: nothing is signed")
}
