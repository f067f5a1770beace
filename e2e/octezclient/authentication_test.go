package octezclient

import "testing"

func TestAnEd25519KeyHasItsTezosHash(t *testing.T) {
	// Octez' src/lib_crypto/test/key_encoding_vectors.ml.
	raw, err := base58checkDecode("edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM")
	if err != nil {
		t.Fatal(err)
	}
	if hash := ed25519HashOf(raw[len(ed25519PublicKey):]); hash != "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr" {
		t.Errorf("the hash is %s", hash)
	}
}
