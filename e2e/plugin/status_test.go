package plugin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// octezNode plays an Octez node: what GET of a path answers.
type octezNode struct {
	*httptest.Server
	lock    sync.Mutex
	answers map[string]any
}

func newOctezNode(t *testing.T) *octezNode {
	n := &octezNode{answers: map[string]any{}}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.lock.Lock()
		defer n.lock.Unlock()
		answer, found := n.answers[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *octezNode) set(path string, answer any) {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.answers[path] = answer
}

func (n *octezNode) head(level int) {
	n.set("/chains/main/blocks/head/header", object{"chain_id": "NetXdQprcVkpaWU", "level": level, "timestamp": time.Now().UTC().Format(time.RFC3339)})
}

type keyStatus struct {
	PublicKeyHash string
	Ready, Hsm    *bool
	Holder        string
	Block         *struct {
		Level  int
		Signed bool
	}
	Attestation *struct {
		Level  int
		Signed bool
	}
	Head, Behind, LastSignatureAgeSeconds *int
	WhyNot, Source                        string
	Suspended                             bool
}

type signerStatus struct {
	Namespace, Name, Ready, Reason, Message string
	Keys                                    []keyStatus
	Notes                                   []string
}

// What the signer, its log, the node and the operator say, in one line for each key; each of them may be missing.
func TestStatus(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	env.StartControllers()
	kubelet, octez := newKubelet(t, env), newOctezNode(t)
	octez.head(15_182_003)

	if text := well(t, env, "status"); !strings.Contains(text, "There are no TezosSigners here") {
		t.Error(text)
	}
	key := env.NewKey()
	one := env.Signer("baker-one", operatorenv.Baker, key)
	one["spec"].(object)["nodeEndpoint"] = "http://octez-node:8732" // which is not there yet
	env.Create(one)
	env.Create(env.Signer("signer-two", operatorenv.Service, env.NewKey(), env.NewKey()))
	env.AwaitCreated("baker-one")
	env.AwaitCreated("signer-two")
	pod, _ := kubelet.runs("baker-one")
	kubelet.set(pod, `{"level":"INFO","message":"ready"}`+"\n"+signedLine(key.Hash(), 15_182_001, time.Now().Add(-9*time.Second))+"\n", map[string]string{
		"/status": statusOf(key.Hash(), operatorenv.RecordName(key), 15_182_001, nil),
	})

	look := func(args ...string) []signerStatus {
		t.Helper()
		var all []signerStatus
		jsonOf(t, env, &all, append([]string{"status"}, args...)...)
		return all
	}
	all := look("--node-endpoint", octez.URL)
	if len(all) != 2 || all[0].Name != "baker-one" || all[1].Name != "signer-two" || len(all[1].Keys) != 2 {
		t.Fatalf("%+v", all)
	}
	first := all[0].Keys[0]
	if first.PublicKeyHash != key.Hash() || first.Ready == nil || !*first.Ready || !*first.Hsm || first.Holder != pod || first.Attestation.Level != 15_182_001 ||
		*first.Behind != 2 || *first.Head != 15_182_003 || *first.LastSignatureAgeSeconds < 9 || *first.LastSignatureAgeSeconds > 60 || first.Source != "signer" {
		t.Errorf("%+v, notes %q", first, all[0].Notes)
	}
	for _, key := range all[1].Keys {
		if key.Ready != nil && *key.Ready || key.WhyNot == "" || key.Attestation == nil || key.Attestation.Signed || key.Attestation.Level != 1000 {
			t.Errorf("%+v", key)
		}
	}
	text := well(t, env, "status", "--node-endpoint", octez.URL)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "NAME KEY READY HOLDER BLOCK VOTE BEHIND HSM SIGNED WHY NOT" {
		t.Errorf("%s", text)
	}
	says(t, lines[1], "baker-one", key.Hash()[:5], "yes", "…"+pod[len(pod)-5:], "15182001")
	says(t, lines[2], "signer-two", ">1000", "no")

	// The HSM fails. The signer says so at once; the operator will within a minute.
	kubelet.set(pod, "", map[string]string{"/status": statusOf(key.Hash(), operatorenv.RecordName(key), 15_182_001, "C_Login: CKR_DEVICE_ERROR")})
	first = look("baker-one")[0].Keys[0]
	if *first.Ready || *first.Hsm || first.WhyNot == "" || first.Behind != nil || first.LastSignatureAgeSeconds != nil {
		t.Errorf("%+v", first)
	}

	// Other namespaces, a node that does not answer, a name that is none.
	r := run(t, env, "status", "--all-namespaces", "--node-endpoint", "http://127.0.0.1:1")
	says(t, r.stdout, "NAMESPACE", "bakers", "Note: without the head of the chain: asking the node http://127.0.0.1:1 failed")
	r = run(t, env, "status", "baker-three", "--namespace", operatorenv.Namespace)
	if r.status != 1 || !strings.Contains(r.stderr, "there is no TezosSigner baker-three in the namespace bakers") {
		t.Errorf("%+v", r)
	}
	// The node that the TezosSigner names, as its pods reach it: by a Service, whose pod is asked.
	env.Must(http.MethodPost, operatorenv.Path("pods", operatorenv.Namespace, ""), object{
		"metadata": object{"name": "octez-node-0", "labels": object{"app": "octez-node"}},
		"spec": object{"automountServiceAccountToken": false, "containers": []any{object{
			"name": "node", "image": "octez", "ports": []any{object{"name": "rpc", "containerPort": 18732}},
		}}},
	})
	env.Must(http.MethodPost, operatorenv.Path("services", operatorenv.Namespace, ""), object{
		"metadata": object{"name": "octez-node"},
		"spec":     object{"selector": object{"app": "octez-node"}, "ports": []any{object{"port": 8732, "targetPort": "rpc"}}},
	})
	kubelet.run("octez-node-0")
	kubelet.set("octez-node-0", "", map[string]string{"/chains/main/blocks/head/header": fmt.Sprintf(
		`{"chain_id": "NetXdQprcVkpaWU", "level": 15182006, "timestamp": %q}`, time.Now().UTC().Format(time.RFC3339))})
	kubelet.set(pod, "", map[string]string{"/status": statusOf(key.Hash(), operatorenv.RecordName(key), 15_182_001, nil)})
	if one := look("baker-one")[0]; one.Keys[0].Behind == nil || *one.Keys[0].Behind != 5 {
		t.Errorf("%+v, notes %q", one.Keys[0], one.Notes)
	}

	// Without access to the pods, the log and the operator's words are left.
	viewer(env, "eve")
	kubelet.set(pod, signedLine(key.Hash(), 15_182_007, time.Now())+"\n", nil)
	all = nil
	jsonOf(t, env, &all, "status", "baker-one", "--as", "eve")
	if one := all[0].Keys[0]; one.Source != "log" || one.Attestation.Level != 15_182_007 {
		t.Errorf("%+v", one)
	}
	says(t, strings.Join(all[0].Notes, "\n"), "you have no right to get,create pods/portforward in the namespace bakers")
}

// One line of JSON for each look, until it is interrupted.
func TestStatusWatches(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.Create(env.Signer("a", operatorenv.Baker))
	lines := watch(t, env, 2, "status", "--watch", "--interval", "1", "--output", "json", "--namespace", operatorenv.Namespace)
	for _, line := range lines {
		var all []signerStatus
		if err := json.Unmarshal([]byte(line), &all); err != nil || len(all) != 1 || all[0].Reason != "NoStatus" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// Ten bakers fit on a screen of 24 lines, in what the plugin prints to one.
func TestTenBakersFitOnAScreen(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	for i := range 10 {
		env.Create(env.Signer(fmt.Sprint("baker-", i), operatorenv.Baker))
	}
	for i := range 10 {
		env.AwaitCreated(fmt.Sprint("baker-", i))
	}
	text := wellIn(t, env, []string{"COLUMNS=80"}, "status")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > 24 {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
