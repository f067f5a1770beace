package localkms

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
)

func TestKeysAreMadeAndDisabled(t *testing.T) {
	program, err := filepath.Abs("../../target/tools/local-kms")
	if err != nil {
		t.Fatal(err)
	}
	kms, err := Start(t.Context(), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kms.Stop)
	for curve, prefix := range map[*octezclient.Curve]string{octezclient.P256: "p2pk", octezclient.Secp256k1: "sppk"} {
		arn, key, err := kms.CreateSigningKey(t.Context(), curve)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(key.String(), prefix) || !strings.HasPrefix(arn, "arn:aws:kms:"+Region+":") {
			t.Errorf("%s: %s", arn, key)
		}
		if err := errors.Join(kms.CreateAlias(t.Context(), "alias/"+curve.Name, arn), kms.Disable(t.Context(), arn), kms.Enable(t.Context(), arn)); err != nil {
			t.Error(err)
		}
	}
	if arn, err := kms.CreateSealingKey(t.Context()); err != nil || arn == "" {
		t.Errorf("%s: %v", arn, err)
	}
}
