package gitops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"sigs.k8s.io/yaml"
)

// The expressions that docs/gitops.md gives Flux, on the recorded objects: in the order in which Flux asks, which state each is.
func TestFluxIsToldTheHealthOfEveryState(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(apiVersion: kustomize.toolkit.fluxcd.io.*?)```").FindStringSubmatch(read(t, "docs/gitops.md"))
	if block == nil {
		t.Fatal("docs/gitops.md has no Kustomization of Flux")
	}
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(block[1]), &kustomization); err != nil || len(kustomization.Spec.HealthCheckExprs) != 1 {
		t.Fatalf("%v: %s", err, block[1])
	}
	environment, err := cel.NewEnv(cel.Variable("metadata", cel.DynType), cel.Variable("spec", cel.DynType), cel.Variable("status", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	is := func(expression string, object map[string]any) bool {
		t.Helper()
		ast, issues := environment.Compile(kustomization.Spec.HealthCheckExprs[0][expression])
		if issues.Err() != nil {
			t.Fatalf("%s: %v", expression, issues.Err())
		}
		program, err := environment.Program(ast)
		if err != nil {
			t.Fatal(err)
		}
		result, _, err := program.Eval(object)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return result.Value() == true
	}
	for name, health := range States {
		text, err := os.ReadFile("testdata/tezossigners/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		// Flux waits for an object without a status, and for one that is being deleted, whatever the expressions are.
		if object["status"] == nil || strings.Contains(name, "deleting") {
			continue
		}
		found := "waits"
		for _, expression := range []string{"inProgress", "failed", "current"} {
			if is(expression, object) {
				found = expression
				break
			}
		}
		wanted := map[string]string{"Healthy": "current", "Suspended": "current", "Progressing": "inProgress", "Degraded": "failed"}[health]
		if name == "one-replica-down" || name == "sealing-key-away" { // Ready is True: Flux has no word between
			wanted = "current"
		}
		if found != wanted {
			t.Errorf("%s: Flux says %s, not %s", filepath.Base(name), found, wanted)
		}
	}
}
