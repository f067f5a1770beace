package stage

import (
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/softhsm"
)

func TestManifestsAreYAML(t *testing.T) {
	for _, file := range []string{"namespace.yaml", "signer.yaml", "bench-role.yaml"} {
		for _, baker := range []bool{false, true} {
			text, err := fill(file, map[string]any{
				"Signer":     &Signer{Name: "one", Keys: []*Key{{PublicKey: "p2pk", Label: "a"}, {PublicKey: "sppk", Label: "b"}}, BakerHasToken: baker},
				"TokenFiles": []softhsm.File{{Key: "a", Path: "tokens/a"}}, "Namespace": "n", "RecordsNamespace": "r", "Run": "x", "NotAfter": "2026-11-23T18:00:00Z",
			})
			if err != nil {
				t.Fatal(err)
			}
			var parsed struct {
				Kind string `json:"kind"`
				Spec struct {
					Keys  []struct{ Label string } `json:"keys"`
					Baker struct {
						Template struct {
							Spec struct {
								Volumes []any `json:"volumes"`
							} `json:"spec"`
						} `json:"template"`
					} `json:"baker"`
				} `json:"spec"`
			}
			if err := yaml.Unmarshal([]byte(text), &parsed); err != nil || parsed.Kind == "" {
				t.Errorf("%s: %v\n%s", file, err, text)
			}
			if file != "signer.yaml" {
				continue
			}
			if got := len(parsed.Spec.Baker.Template.Spec.Volumes); len(parsed.Spec.Keys) != 2 || (got == 2) != baker {
				t.Errorf("%d keys, %d volumes of the baker", len(parsed.Spec.Keys), got)
			}
		}
	}
}
