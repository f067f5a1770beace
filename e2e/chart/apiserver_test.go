package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/controlplane"
	"signer.tezos.io/e2e/fields"
)

// What the chart makes is taken by a real API server, word by word; Helm 4 upgrades what
// Helm 3 installed; the operator's rights are where they should be; and what remembers
// outlives it. A bare API server and etcd of the test's own: no node, so nothing runs.
func TestOnAnAPIServer(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it takes half a minute, and E2E=1")
	}
	server := startAPIServer(t)
	for _, name := range []string{namespace, "monitoring", "bakers", "more-bakers"} {
		server.must(t, "", "create", "namespace", name)
	}
	helm := func(helm string, args ...string) {
		t.Helper()
		if _, err := run(helm, append(args, "--kubeconfig", server.Kubeconfig(), "--namespace", namespace)...); err != nil {
			t.Fatal(err)
		}
	}
	helm(helms[0], "install", release, directory)
	server.definePrometheusOperator(t)

	for _, values := range append(switchFiles(t), everyValueFile, eksctlFile) {
		text, err := template(helms[0], "--values", values)
		if err != nil {
			t.Fatal(err)
		}
		if output, err := server.Kubectl(text, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename", "-"); err != nil {
			t.Errorf("%s: %v: %s", values, err, output)
		}
	}

	// What the notes offer to apply, and what Artifact Hub shows, but for what only the reader knows.
	manifest, isThere := cutOut(notes(t, "--set-json", `watchNamespaces=["bakers"]`), "<<'EOF'\n", "\nEOF\n")
	if !isThere {
		t.Fatal("the notes have no manifest")
	}
	fill := strings.NewReplacer("p2pk…", "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk", "Image: … ", "Image: example ", "image: … ", "image: example ", "level: …", "level: 15181990")
	manifest = fill.Replace(manifest)
	var examples []map[string]any
	annotation(t, chartFile(t), "crdsExamples", &examples)
	for _, example := range examples {
		text, err := yaml.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		manifest += "\n---\n" + string(text)
	}
	output, err := server.Kubectl(manifest, "apply", "--dry-run=server", "--validate=strict", "--filename", "-")
	if err != nil || strings.Count(output, "created") != 1+len(examples) {
		t.Errorf("the manifest of the notes: %v: %s\n%s", err, output, manifest)
	}

	// The previous release's package too, and what Helm makes of it: the definition goes with it, up and down.
	for _, file := range releases(t) {
		helm(helms[0], "upgrade", release, file)
		helm(helms[1], "upgrade", release, directory)
		live := server.must(t, "", "get", "customresourcedefinition", "tezossigners.signer.tezos.io", "--output", "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties}")
		wanted := fields.At(render(t, helms[0])["CustomResourceDefinition tezossigners.signer.tezos.io"].fields,
			"spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec", "properties")
		var now any
		if err := yaml.Unmarshal([]byte(live), &now); err != nil || len(wanted.(map[string]any)) == 0 {
			t.Fatal(err)
		}
		for name := range wanted.(map[string]any) {
			if fields.At(now, name) == nil {
				t.Errorf("after an upgrade from %s the definition has no spec.%s", file, name)
			}
		}
	}

	watches := func(where string) bool {
		output, err := server.Kubectl("", "auth", "can-i", "watch", "tezossigners.signer.tezos.io", "--namespace", where,
			"--as", "system:serviceaccount:"+namespace+":"+release)
		answer := strings.TrimSpace(output)
		if answer != "yes" && answer != "no" {
			t.Fatalf("can-i: %v: %s", err, output)
		}
		return answer == "yes"
	}
	awaitRights := func(bakers, elsewhere bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			inBakers, inDefault := watches("bakers"), watches("default")
			if inBakers == bakers && inDefault == elsewhere {
				return
			}
			if time.Now().After(end) { // the authorizer learns of a change a moment later
				t.Fatalf("the operator may watch in bakers: %v, in default: %v", inBakers, inDefault)
			}
		}
	}
	awaitRights(true, true)
	helm(helms[1], "upgrade", release, directory, "--set-json", `watchNamespaces=["bakers"]`)
	awaitRights(true, false)
	helm(helms[1], "upgrade", release, directory, "--reset-values")
	awaitRights(true, true)

	helm(helms[1], "uninstall", release, "--no-hooks") // nothing runs here, the uninstall check neither
	awaitRights(false, false)
	for _, kept := range []string{
		"customresourcedefinition/tezossigners.signer.tezos.io", "namespace/tezos-signer-records",
		"validatingadmissionpolicy/tezos-signer-records-rise", "validatingadmissionpolicybinding/tezos-signer-records-rise",
	} {
		server.must(t, "", "get", kept)
	}
	helm(helms[1], "install", release, directory)
	awaitRights(true, true)
}

type apiServer struct {
	*controlplane.Plane
	tools string
}

func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	plane, err := controlplane.Start(t.Context(), checkout, t.TempDir(), 1)
	if plane != nil {
		t.Cleanup(plane.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &apiServer{plane, filepath.Join(checkout, "target/tools")}
}

func (s *apiServer) must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	output, err := s.Kubectl(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// releases are the packages of earlier releases, as they were published.
func releases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/releases/*.tgz")
	if err != nil || len(files) == 0 {
		t.Fatal("no releases", err)
	}
	return files
}
