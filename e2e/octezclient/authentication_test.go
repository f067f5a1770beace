package octezclient

import "testing"

func TestAnEd25519KeyHasItsTezosHash(t *testing.T) {
	// Octez' src/lib_crypto/test/key_encoding_vectors.ml.
	key, err := ParsePublicKey("edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM")
	if err != nil {
		t.Fatal(err)
	}
	if hash := key.Hash(); hash != "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr" {
		t.Errorf("the hash is %s", hash)
	}
}
