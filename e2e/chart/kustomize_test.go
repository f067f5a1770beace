// What Kustomize makes of the chart, and why TezosSigners are no part of a release: docs/gitops.md.

package chart

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// From what Helm has printed, and by calling Helm: the same objects. kubectl has Kustomize in it.
func TestOnAnAPIServerKustomizeMakesTheSame(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it needs kubectl, and E2E=1")
	}
	const values = "podLabels: {team: bakers}\n"
	work := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("values.yaml", values)
	text, err := template(helms[0], "--values", filepath.Join(work, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := objectsOf(t, text)
	write("printed/operator.yaml", text)
	write("printed/kustomization.yaml", "resources: [operator.yaml]\n")
	write("moved/operator.yaml", text)
	write("moved/kustomization.yaml", "resources: [operator.yaml]\nnamespace: elsewhere\n")
	write("calls/values.yaml", values)
	if err := os.CopyFS(filepath.Join(work, "calls/charts", release), os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	write("calls/kustomization.yaml", "helmGlobals: {chartHome: charts}\nhelmCharts:\n- name: "+release+"\n  releaseName: "+release+"\n  namespace: "+namespace+"\n  valuesFile: values.yaml\n")
	build := func(folder string) map[string]object {
		t.Helper()
		helm, err := filepath.Abs(helms[0])
		if err != nil {
			t.Fatal(err)
		}
		output, err := exec.Command("../../target/tools/kubectl", "kustomize", "--enable-helm", "--helm-command", helm, filepath.Join(work, folder)).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
		}
		return objectsOf(t, "# Source: kustomize\n"+strings.ReplaceAll(string(output), "\n---\n", "\n---\n# Source: kustomize\n"))
	}
	for _, folder := range []string{"printed", "calls"} {
		made := build(folder)
		for name, o := range wanted {
			if is, should := onOneLine(t, made[name].fields), onOneLine(t, o.fields); is != should {
				t.Errorf("%s: %s is\n%s\nnot\n%s", folder, name, is, should)
			}
		}
		if len(made) != len(wanted) {
			t.Errorf("%s: %d objects, not %d", folder, len(made), len(wanted))
		}
	}
	// Why the page says not to: the operator's rights on the records would be elsewhere.
	for name, o := range build("moved") {
		if o.Kind == "Role" && o.Metadata.Namespace == "tezos-signer-records" {
			t.Errorf("%s stays where it is: docs/gitops.md need not warn", name)
		}
	}
}

// onOneLine is the object with each white space as one space: Kustomize writes folded texts with more line breaks. They are expressions in CEL.
func onOneLine(t *testing.T, fields map[string]any) string {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(\\n|\s)+`).ReplaceAllString(string(text), " ")
}

// The definition of a kind and an object of it cannot be installed by one release.
func TestOnAnAPIServerATezosSignerIsNoPartOfTheRelease(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it takes half a minute, and E2E=1")
	}
	server := startAPIServer(t)
	server.must(t, "", "create", "namespace", namespace)
	const signer = `extraObjects=[{"apiVersion":"signer.tezos.io/v1alpha1","kind":"TezosSigner","metadata":{"name":"a"},"spec":{}}]`
	for _, helm := range helms {
		_, err := run(helm, "install", release, directory, "--set-json", signer, "--kubeconfig", server.Kubeconfig(), "--namespace", namespace)
		if err == nil || !strings.Contains(err.Error(), `no matches for kind "TezosSigner"`) {
			t.Errorf("%s: %v", helm, err)
		}
	}
}
