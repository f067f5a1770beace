package gitops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const checkout = "../.."

// Each recorded object has the health of its state, and a message for whoever looks.
func TestArgoCDKnowsEveryState(t *testing.T) {
	files, err := filepath.Glob("testdata/tezossigners/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []string
	documented := read(t, "docs/gitops.md")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		recorded = append(recorded, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		status, message, err := Health(filepath.Join(checkout, "deploy/argocd/health.lua"), object)
		if err != nil || status != States[name] || message == "" || message == "nil" {
			t.Errorf("%s: %s (%q), not %s: %v", name, status, message, States[name], err)
		}
		// The reader finds each reason beside its health.
		status_, _ := object["status"].(map[string]any)
		conditions, _ := status_["conditions"].([]any)
		for _, condition := range conditions {
			fields := condition.(map[string]any)
			if fields["type"] != "Ready" {
				continue
			}
			row := slices.ContainsFunc(strings.Split(documented, "\n"), func(line string) bool {
				return strings.HasPrefix(line, "| "+status+" |") && (strings.Contains(line, "`"+fields["reason"].(string)+"`") || strings.Contains(line, "every other") ||
					name == "changed" || name == "deleting" || strings.HasPrefix(name, "paused"))
			})
			if !row {
				t.Errorf("docs/gitops.md has no row of %s with %v", status, fields["reason"])
			}
		}
	}
	for name := range States {
		if !slices.Contains(recorded, name) {
			t.Errorf("testdata has no %s: E2E=1 go -C e2e test ./reconcile -run TestArgoCD -record", name)
		}
	}
}

// What a reader patches into argocd-cm is the script that is tested.
func TestTheConfigMapHasTheScript(t *testing.T) {
	script := strings.ReplaceAll("    "+strings.TrimSuffix(read(t, "deploy/argocd/health.lua"), "\n"), "\n", "\n    ") + "\n"
	if !strings.HasSuffix(read(t, "deploy/argocd/argocd-cm.yaml"), "  resource.customizations.health.signer.tezos.io_TezosSigner: |\n"+script) {
		t.Errorf("deploy/argocd/argocd-cm.yaml does not end with deploy/argocd/health.lua, indented:\n%s", script)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
