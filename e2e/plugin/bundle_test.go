package plugin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/bundle"
	"signer.tezos.io/e2e/operatorenv"
)

func readBundle(t *testing.T, path string) map[string]string {
	t.Helper()
	files, err := bundle.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A bundle has what a maintainer needs, no secret of the run, and a list of what could not be read. No Secret is asked for.
func TestSupportBundle(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartReady(image)
	env.StartControllers()
	kubelet := newKubelet(t, env)
	secrets := map[string]string{
		"pin": "baker-one:the-pin-of-this-run", "password": "the-password-of-this-run", "variable": "the-variable-of-this-run",
		"argument": "the-argument-of-this-run", "key": "edsk3gUfUPyBSfrS9CCgmCiQsTCHGkviBDusMxDJstFtojtc1zcpsh", "probe": "the-probe-of-this-run",
	}
	env.Must(http.MethodPost, operatorenv.Path("secrets", operatorenv.Namespace, ""), object{
		"metadata": object{"name": "pin"}, "stringData": object{"pin": secrets["pin"], "password": secrets["password"]},
	})
	key := env.NewKey()
	signer := env.Signer("a", operatorenv.Baker, key)
	spec := signer["spec"].(object)
	spec["hsm"].(object)["pkcs11"].(object)["env"] = []any{object{"name": "VENDOR_PASSWORD", "value": secrets["password"]}}
	container := spec["baker"].(object)["template"].(object)["spec"].(object)["containers"].([]any)[0].(object)
	container["args"] = []any{"--token", secrets["argument"]}
	container["env"] = []any{object{"name": "TOKEN", "value": secrets["variable"]}}
	container["livenessProbe"] = object{"exec": object{"command": []any{secrets["probe"]}}}
	manifest, _ := json.Marshal(signer)
	signer["metadata"].(object)["annotations"] = object{"kubectl.kubernetes.io/last-applied-configuration": string(manifest)}
	env.Create(signer)
	env.AwaitCreated("a")
	pod, _ := kubelet.runs("a")
	log := `{"level":"INFO","message":"a client sent ` + secrets["key"] + `"}` + "\n" + signedLine(key.Hash(), 15_182_001, time.Now()) + "\n"
	kubelet.set(pod, log, map[string]string{
		"/status": statusOf(key.Hash(), operatorenv.RecordName(key), 15_182_001, nil), "/metrics": "tezos_signer_hsm_up 1\n",
	})

	file := filepath.Join(t.TempDir(), "bundle.tar")
	says(t, well(t, env, "support-bundle", "--file", file), file, "No Secret was read")
	files := readBundle(t, file)
	for path, part := range map[string]string{
		"bakers/tezossigners/a.json":                       key.String(),
		"bakers/deployments/a.json":                        "signer.tezos.io/config",
		"bakers/pods/" + pod + ".json":                     `"phase": "Running"`,
		"bakers/logs/" + pod + "/signer.log":               "a client sent <removed>",
		"bakers/audit/" + pod + ".jsonl":                   "15182001",
		"bakers/metrics/" + pod + ".txt":                   "tezos_signer_hsm_up 1",
		"bakers/status/" + pod + ".json":                   key.Hash(),
		"records/" + operatorenv.RecordName(key) + ".json": "2147483647",
		"cluster/version.json":                             "gitVersion",
		"contents.json":                                    `"missing": []`,
	} {
		if !strings.Contains(files[path], part) {
			t.Errorf("%s has no %q: %.2000s", path, part, files[path])
		}
	}
	has := func(prefix, part string) {
		t.Helper()
		for path, text := range files {
			if strings.HasPrefix(path, prefix) && strings.Contains(text, part) {
				return
			}
		}
		t.Errorf("no file of %s has %q", prefix, part)
	}
	has("bakers/events/", "reason")
	has("bakers/configurations/", "p11.so")
	has("operator/deployments/", "tezos-signer-operator")
	has("bakers/tezossigners/", `"reason": "Valid"`)
	for path, text := range files {
		for name, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(text, form) {
					t.Errorf("%s has the secret %s", path, name)
				}
			}
		}
	}
	if asked := requests(t, env); slices.ContainsFunc(asked, func(r string) bool { return strings.Contains(r, "secrets") }) {
		t.Errorf("Secrets were asked for: %q", asked)
	}

	// What may not be read is listed with the right; the rest is there.
	viewer(env, "eve")
	var report struct {
		Files   []string
		Missing []struct{ What, Why string }
	}
	jsonOf(t, env, &report, "support-bundle", "--file", file, "--as", "eve")
	files = readBundle(t, file)
	if files["bakers/tezossigners/a.json"] == "" || files["bakers/logs/"+pod+"/signer.log"] == "" || len(files) != len(report.Files) {
		t.Errorf("%q", report.Files)
	}
	missing := files["contents.json"]
	for _, right := range []string{
		"get configmaps in the namespace tezos-signer-records", "get,create pods/portforward in the namespace bakers", "list deployments.apps in all namespaces",
	} {
		says(t, missing, "you have no right to "+right)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// kubectl finds the plugin, and completes its words.
func TestCompletion(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.Create(env.Signer("baker-one", operatorenv.Baker))
	says(t, well(t, env, "completion", "bash"), "complete -F", "kubectl-tezos_signer", "support-bundle")
	says(t, well(t, env, "completion", "kubectl"), "#!/bin/sh", "exec kubectl-tezos_signer __complete")
	complete := func(expected string, words ...string) {
		t.Helper()
		if r := run(t, env, append([]string{"__complete"}, words...)...); r.stdout != expected {
			t.Errorf("%q: %q, expected %q", words, r.stdout, expected)
		}
	}
	complete("suspend\nsupport-bundle\n:4\n", "su")
	complete("baker-one\n:4\n", "suspend", "--namespace", "bakers", "b")
	complete(":4\n", "suspend", "--namespace", "elsewhere", "b")
	complete("--all-namespaces\n:4\n", "status", "--all")
}
