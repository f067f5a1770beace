package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/scenario"
	"signer.tezos.io/e2e/vectors"
)

// A baker whose consensus and companion key are tz4, sealed by a key of the token: each is asked as Octez asks, the signatures verify,
// the record keeps its say through a replacement of the pod, and the token keeps its own. The secret, which is known here, is seen
// nowhere in all of it.
func TestTz4KeysSignAsOctezAsks(t *testing.T) {
	t.Parallel()
	secret, err := octezclient.GenerateSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	consensus, err := suite.Seal(t.Context(), sealingKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	companion, err := suite.GenerateSealedKey(t.Context(), sealingKey)
	if err != nil {
		t.Fatal(err)
	}
	consensus.Allow = []string{"block", "preattestation", "attestation", "stake", "update_consensus_key"}
	companion.Companion = true
	s := newSigner(t, "tz4")
	s.Keys, s.InitialLevel = []*fixture.Key{consensus, companion}, scenario.Tz4InitialLevel
	pin := ownPIN(t, s)
	pin.apply(t, pin.right)
	text := editedManifest(t, s, func(_, spec map[string]any) {
		pkcs11(spec)["pin"] = map[string]any{"secret": pin.secret, "key": "pin"}
		spec["sealedCheckSeconds"] = 2
		spec["keys"].([]any)[0].(map[string]any)["allowProofOfPossession"] = true
	})
	if err := suite.Cluster.Apply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}

	first := playTz4(t, pod, s, "tz4", nil)
	url := forward(t, pod.Metadata.Name)
	checkTz4Operations(t, octezclient.NewClient(url), s)
	checkOldSuitesAreRefused(t, url, consensus)

	seen := seenOf(t, pod) // before it goes
	if _, err := suite.Cluster.Run(t.Context(), "", "delete", "pod", pod.Metadata.Name, "-n", namespace, "--wait=false"); err != nil {
		t.Fatal(err)
	}
	if pod, err = suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, pod.Metadata.UID, readyTimeout); err != nil {
		t.Fatal(err)
	}
	playTz4(t, pod, s, "tz4-replaced", first.Signatures)

	checkThePINStopsSealedKeys(t, pod, s, pin)

	forms, err := octezclient.SecretForms(secret)
	if err != nil {
		t.Fatal(err)
	}
	seen += seenOf(t, pod) + seenOfAll(t)
	for i, form := range forms {
		if strings.Contains(seen, form) {
			t.Errorf("the secret is seen, in form %d of octezclient.SecretForms", i)
		}
	}
	// That it would be found.
	if !strings.Contains(seen, consensus.PublicKey) || !strings.Contains(seen, consensus.Sealed) {
		t.Error("neither the public key nor the sealed text is seen: the search shows nothing")
	}
}

// What Octez made is sealed as what it is.
func TestASecretOfOctezIsSealed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"consensus", "companion"} {
		v := vectors.GetTz4Key(name)
		key, err := suite.Seal(t.Context(), sealingKey, v.SecretKey)
		if err != nil {
			t.Fatal(err)
		}
		if key.PublicKey != v.PublicKey || key.PublicKeyHash != v.PublicKeyHash || !strings.HasPrefix(key.Sealed, "v1.pkcs11.") {
			t.Errorf("%s: %+v", name, key)
		}
	}
}

func playTz4(t *testing.T, pod *kubectl.Pod, s *fixture.Signer, script string, earlier map[string]string) *scenario.Result {
	t.Helper()
	args := []string{"play", "--output", "json", "--script", script, "--public-key", s.Keys[0].PublicKey, "--companion", s.Keys[1].PublicKey}
	for hash, signature := range earlier {
		args = append(args, "--expect", hash+"="+signature)
	}
	var result scenario.Result
	if err := suite.Player(t.Context(), pod, "", &result, args...); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	result.Write(&table)
	t.Logf("%s:\n%s", script, table.String())
	if !result.OK {
		t.Errorf("%s: not all was answered as expected", script)
	}
	return &result
}

// checkTz4Operations asks for operations and for proofs of possession, of the key that is allowed to give them and of the other.
func checkTz4Operations(t *testing.T, client *octezclient.Client, s *fixture.Signer) {
	t.Helper()
	consensus, companion := s.Keys[0].Parsed(), s.Keys[1].Parsed()
	proof, err := client.ProvePossession(t.Context(), consensus)
	if err != nil {
		t.Fatalf("a proof of possession that is allowed: %v", err)
	}
	if _, err := client.ProvePossession(t.Context(), companion); !refusedWith(err, 403) {
		t.Errorf("a proof of possession that is not allowed: %v", err)
	}
	update, err := payload.UpdateConsensusKey(consensus, consensus, proof)
	if err != nil {
		t.Fatal(err)
	}
	for name, operation := range map[string][]byte{"stake": payload.Stake(consensus), "update_consensus_key": update} {
		if _, err := client.Sign(t.Context(), consensus, operation); err != nil {
			t.Errorf("%s, which is allowed: %v", name, err)
		}
		if _, err := client.Sign(t.Context(), companion, operation); !refusedWith(err, 403) {
			t.Errorf("%s by the companion key: %v", name, err)
		}
	}
}

// checkOldSuitesAreRefused: versions 0 and 1 of signatures mean another suite, or none.
func checkOldSuitesAreRefused(t *testing.T, url string, key *fixture.Key) {
	t.Helper()
	vote, err := payload.NewTz4("attestation", scenario.Tz4InitialLevel+50, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"0", "1"} {
		address := fmt.Sprintf("%s/keys/%s?version=%s", url, key.PublicKeyHash, version)
		response, err := http.Post(address, "application/json", strings.NewReader(fmt.Sprintf(`"%x"`, vote)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("version %s of signatures by a tz4 key: %s", version, response.Status)
		}
	}
}

// A pinSecret is a Secret with the PIN that one TezosSigner alone uses.
type pinSecret struct{ secret, right string }

func ownPIN(t *testing.T, s *fixture.Signer) pinSecret {
	t.Helper()
	right, err := os.ReadFile(suite.Token.PinFile)
	if err != nil {
		t.Fatal(err)
	}
	return pinSecret{s.Name + "-pin", string(right)}
}

func (p pinSecret) apply(t *testing.T, pin string) {
	t.Helper()
	if err := suite.ApplySecret(t.Context(), p.secret, map[string][]byte{"pin": []byte(pin)}); err != nil {
		t.Fatal(err)
	}
}

// checkThePINStopsSealedKeys: where the token does not take the PIN any more, the keys that it has opened stop within the check's
// period, and say so; with the right one they sign again.
func checkThePINStopsSealedKeys(t *testing.T, pod *kubectl.Pod, s *fixture.Signer, pin pinSecret) {
	t.Helper()
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	key, level := s.Keys[0].Parsed(), int32(scenario.Tz4InitialLevel+100)
	ask := func() error {
		level++
		vote, err := payload.NewTz4("attestation", level, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.RequestOnce(t.Context(), key, vote)
		return err
	}
	if err := ask(); err != nil {
		t.Fatalf("before the PIN is another: %v", err)
	}
	pin.apply(t, "cu_user:another")
	begin := time.Now()
	var refusal error
	if err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		touch(t, pod.Metadata.Name) // or the kubelet takes a minute to give the file to the pod
		refusal = ask()
		return refusal != nil, nil
	}); err != nil {
		t.Fatalf("the PIN is another, and a sealed key signs on: %v", err)
	}
	t.Logf("%s after the PIN was changed: %v", time.Since(begin).Round(time.Millisecond), refusal)
	complaint := awaitConditionNaming(t, s.Name, "PIN")
	t.Logf("the TezosSigner says: %s", complaint)
	if !strings.Contains(complaint, "PIN") {
		t.Error("no condition names the PIN")
	}
	pin.apply(t, pin.right)
	if err := kubectl.Await(t.Context(), 90*time.Second, func() (bool, error) {
		touch(t, pod.Metadata.Name)
		refusal = ask()
		return refusal == nil, nil
	}); err != nil {
		t.Errorf("the PIN is right again, and a sealed key does not sign: %v", refusal)
	}
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Error(err)
	}
}

// seenOf is what a pod lets others see: logs, /status and metrics.
func seenOf(t *testing.T, pod *kubectl.Pod) string {
	t.Helper()
	seen := run(t, "logs", pod.Metadata.Name, "-n", namespace, "--all-containers")
	admin, err := suite.Cluster.PortForward(t.Context(), namespace, pod.Metadata.Name, 9583)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/status", "/metrics", "/readyz", "/startupz"} {
		response, err := http.Get(admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		seen += string(text)
	}
	return seen
}

// seenOfAll is what the cluster lets others see, but for Secrets.
func seenOfAll(t *testing.T) string {
	t.Helper()
	seen := run(t, "logs", "deployment/"+chartRelease, "-n", fixture.SystemNamespace, "--all-containers", "--limit-bytes=20000000")
	seen += run(t, "get", "events", "--all-namespaces", "-o", "yaml")
	seen += run(t, "get", "tezossigners,deployments,replicasets,pods,configmaps", "-n", namespace, "-o", "yaml")
	return seen + run(t, "get", "configmaps", "-n", fixture.RecordsNamespace, "-o", "yaml")
}
