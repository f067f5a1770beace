package acceptance

import (
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
)

// A TezosSigner that never became well is deleted like any other, and lets its record go. (What needs no node is in
// e2e/reconcile.)
func TestWhatNeverSignedCanBeDeleted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, says string
		change     func(metadata, spec map[string]any)
	}{
		{"image-not-pulled", "cannot be pulled", func(_, spec map[string]any) { spec["image"] = "registry.invalid/tezos-signer:none" }},
		{"no-token", "nowhere", func(_, spec map[string]any) { pkcs11(spec)["token"] = "nowhere" }},
		{"no-library", "none.so", func(_, spec map[string]any) { pkcs11(spec)["module"] = "/usr/lib/none.so" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, c.name, octezclient.P256)
			if err := suite.Cluster.Apply(t.Context(), editedManifest(t, s, c.change)); err != nil {
				t.Fatal(err)
			}
			t.Log(awaitConditionNaming(t, s.Name, c.says))
			begin := time.Now()
			if _, err := suite.Cluster.Run(t.Context(), "", "delete", "tezossigner", s.Name, "-n", namespace, "--timeout=90s"); err != nil {
				t.Fatal(err)
			}
			t.Logf("gone after %s", time.Since(begin).Round(time.Millisecond))
			record, err := suite.Record(t.Context(), s.Keys[0].Parsed())
			if err != nil {
				t.Fatal(err)
			}
			if owner(record) != "" {
				t.Errorf("its record is still %s's", owner(record))
			}
		})
	}
}

func pkcs11(spec map[string]any) map[string]any {
	return spec["hsm"].(map[string]any)["pkcs11"].(map[string]any)
}
