package acceptance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/bundle"
	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// plugin runs kubectl tezos-signer in the namespace of the tests. KUBECTL_TEZOS_SIGNER names the program.
func plugin(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	program := os.Getenv("KUBECTL_TEZOS_SIGNER")
	if program == "" {
		program = filepath.Join(suite.Checkout, "target/debug/kubectl-tezos_signer")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: cargo test --workspace --locked --no-run builds it", err)
	}
	command := suite.Cluster.Command(t.Context(), append(append([]string{"tezos-signer"}, args...), "--namespace", namespace)...)
	command.Env = append(command.Env, "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%v: exit status %d: %s", args, exit.ExitCode(), stderr.String())
	}
	return string(output), err
}

// What only a real kubelet shows of the plugin: the signers' own words through forwarded ports, their logs, commands in their
// containers, and a bundle with all of these in which no secret of this run is.
func TestThePluginOnTheCluster(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "plugin", octezclient.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	first := newBlock(t, firstLevel)
	if _, err := client.Sign(t.Context(), key, first); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		output, err := plugin(t, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return output
	}

	var signers []struct {
		Notes []string
		Keys  []struct {
			PublicKeyHash, Holder, Source string
			Ready, Hsm                    bool
			Block                         struct{ Level int }
			LastSignatureAgeSeconds       *int
		}
	}
	if err := json.Unmarshal([]byte(run("status", s.Name, "--output", "json")), &signers); err != nil {
		t.Fatal(err)
	}
	if len(signers) != 1 || len(signers[0].Keys) != 1 || len(signers[0].Notes) != 0 {
		t.Fatalf("%+v", signers)
	}
	one := signers[0].Keys[0]
	if one.PublicKeyHash != s.Keys[0].PublicKeyHash || one.Holder != pod.Metadata.Name || one.Source != "signer" || !one.Ready || !one.Hsm ||
		one.Block.Level != firstLevel || one.LastSignatureAgeSeconds == nil || *one.LastSignatureAgeSeconds > 120 {
		t.Errorf("%+v", one)
	}
	t.Log(run("status", s.Name))

	var checks []struct {
		Pod        string
		ExitStatus int
		Check      struct {
			Fit  bool
			Keys []struct{ PublicKeyHash string }
		}
	}
	if err := json.Unmarshal([]byte(run("check", s.Name, "--output", "json")), &checks); err != nil {
		t.Fatal(err)
	}
	if len(checks) != 1 || checks[0].Pod != pod.Metadata.Name || !checks[0].Check.Fit || len(checks[0].Check.Keys) != 1 {
		t.Errorf("%+v", checks)
	}

	bindEdit(t, "plugin")
	// By exec, as a user who may not read the records: the signer's own words, and the same as the plugin's.
	next, before := hex.EncodeToString(newBlock(t, firstLevel+1)), hex.EncodeToString(first)
	for payload, reason := range map[string]string{next: "would be signed", before: "the stored signature would be given again"} {
		for _, who := range [][]string{nil, {"--as", "system:serviceaccount:" + namespace + ":plugin"}} {
			if text := run(append([]string{"explain", payload, s.Name}, who...)...); !strings.Contains(text, reason) {
				t.Errorf("%v: %s", who, text)
			}
		}
	}

	if text := run("suspend", s.Name); !strings.Contains(text, "suspended: nothing is signed") {
		t.Error(text)
	}
	if _, err := client.RequestOnce(t.Context(), key, newBlock(t, firstLevel+2)); err == nil {
		t.Error("signed while it is suspended")
	}
	run("resume", s.Name)
	if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+3)); err != nil {
		t.Error(err)
	}

	file := filepath.Join(t.TempDir(), "bundle.tar")
	report := run("support-bundle", s.Name, "--file", file)
	files, err := bundle.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	for path, part := range map[string]string{
		namespace + "/logs/" + pod.Metadata.Name + "/signer.log": "{",
		namespace + "/audit/" + pod.Metadata.Name + ".jsonl":     `"outcome":"signed"`,
		namespace + "/metrics/" + pod.Metadata.Name + ".txt":     "tezos_signer_hsm_up 1",
		namespace + "/status/" + pod.Metadata.Name + ".json":     s.Keys[0].PublicKeyHash,
		"records/" + fixture.RecordName(key) + ".json":           "p2sig",
	} {
		if !strings.Contains(files[path], part) {
			t.Errorf("%s has no %q; %s", path, part, report)
		}
	}
	searchForSecrets(t, files)
}

// bindEdit gives a ServiceAccount of the namespace what ClusterRole edit has: exec, and no right to the records.
func bindEdit(t *testing.T, account string) {
	t.Helper()
	who := "--serviceaccount=" + namespace + ":" + account
	_, err := suite.Cluster.Run(t.Context(), "", "create", "rolebinding", account+"-edit", "--clusterrole=edit", who, "-n", namespace)
	if err != nil && !strings.Contains(err.Error(), "AlreadyExists") {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		suite.Cluster.Run(context.Background(), "", "delete", "rolebinding", account+"-edit", "-n", namespace, "--ignore-not-found")
	})
	// The API server's authorizer sees a new binding a little later.
	err = kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		_, err := suite.Cluster.Run(t.Context(), "", "auth", "can-i", "create", "pods/exec", "-n", namespace,
			"--as", "system:serviceaccount:"+namespace+":"+account)
		return err == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// searchForSecrets looks in the files for every value of every Secret of the cluster, as it is and in base64. The files of a
// token are of no use without the PIN, and are searched for too.
func searchForSecrets(t *testing.T, files map[string]string) {
	t.Helper()
	var secrets struct {
		Items []struct {
			Metadata struct{ Namespace, Name string }
			Data     map[string][]byte
			Type     string
		}
	}
	if err := suite.Cluster.Get(t.Context(), &secrets, "secrets", "--all-namespaces"); err != nil {
		t.Fatal(err)
	}
	searched := 0
	for _, secret := range secrets.Items {
		for name, value := range secret.Data {
			value = bytes.TrimSpace(value)
			// Certificates and names of namespaces are no secrets; nor could a few letters be told from others.
			if len(value) < 8 || strings.HasSuffix(name, ".crt") || name == "namespace" || strings.HasPrefix(secret.Type, "helm.sh/") {
				continue
			}
			searched++
			for _, form := range []string{string(value), base64.StdEncoding.EncodeToString(value), hex.EncodeToString(value)} {
				for path, text := range files {
					if strings.Contains(text, form) {
						t.Errorf("%s has the value %s of the Secret %s/%s", path, name, secret.Metadata.Namespace, secret.Metadata.Name)
					}
				}
			}
		}
	}
	if searched == 0 {
		t.Error("there was no secret to search for")
	}
}
