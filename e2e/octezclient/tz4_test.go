package octezclient

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"signer.tezos.io/e2e/vectors"
)

func parsed(t *testing.T, text string) *PublicKey {
	t.Helper()
	key, err := ParsePublicKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWhatOctezSignsByTz4AndTz1Verifies(t *testing.T) {
	curves := map[*Curve]int{}
	for _, v := range vectors.Tz4Signatures() {
		key := parsed(t, vectors.GetTz4Key(v.Key).PublicKey)
		curves[key.Curve]++
		for _, version := range []string{"absent", "0", "1", "2", "3"} {
			signature, given := v.Signatures[version]
			if !given || strings.HasPrefix(signature, "status") {
				continue
			}
			// Version 1 is another suite: message augmentation. For a tz1 there is only one.
			wanted := key.Curve == Ed25519 || version != "1"
			if err := CheckSignature(key, v.Payload, signature); (err == nil) != wanted {
				t.Errorf("%s, %s, version %s: %v", v.Key, v.What, version, err)
			}
			changed := bytes.Clone(v.Payload)
			changed[len(changed)-1] ^= 1
			if key.Verify(changed, signature) == nil {
				t.Errorf("%s, %s, version %s: the signature of another payload was accepted", v.Key, v.What, version)
			}
		}
	}
	if curves[Ed25519] == 0 || curves[BLS12381] == 0 {
		t.Errorf("both schemes must be tried: %v", curves)
	}
}

func TestProofsOfPossession(t *testing.T) {
	consensus, companion := vectors.GetTz4Key("consensus"), vectors.GetTz4Key("companion")
	for _, c := range []struct {
		name, key, proof string
		valid            bool
	}{
		{"consensus", consensus.PublicKey, consensus.ProofOfPossession, true},
		{"companion", companion.PublicKey, companion.ProofOfPossession, true},
		{"another's", consensus.PublicKey, companion.ProofOfPossession, false},
		{"over another key", consensus.PublicKey, consensus.ProofOverTheOtherKey, false},
		{"of a tz1", vectors.GetTz4Key("ed25519").PublicKey, consensus.ProofOfPossession, false},
	} {
		if err := parsed(t, c.key).VerifyProof(c.proof); (err == nil) != c.valid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A proof is no signature, not even of the key's bytes.
	key := parsed(t, consensus.PublicKey)
	if key.Verify(key.bytes, consensus.ProofOfPossession) == nil {
		t.Error("a proof was accepted as a signature")
	}
}

func TestTz4KeysHaveTheirHashes(t *testing.T) {
	for _, name := range []string{"consensus", "companion", "ed25519"} {
		v := vectors.GetTz4Key(name)
		if key := parsed(t, v.PublicKey); key.Hash() != v.PublicKeyHash || key.String() != v.PublicKey {
			t.Errorf("%s: %s, %s", name, key.Hash(), key)
		}
	}
}

func TestTheFormsOfASecret(t *testing.T) {
	made, err := GenerateSecretKey()
	if err != nil || !strings.HasPrefix(made, "BLsk") || len(made) != len(vectors.GetTz4Key("consensus").SecretKey) {
		t.Errorf("a secret key: %v", err)
	}
	if forms, err := SecretForms(made); err != nil || len(forms) != 14 {
		t.Errorf("%d forms: %v", len(forms), err)
	}
	secret := vectors.GetTz4Key("consensus").SecretKey
	forms, err := SecretForms(secret)
	if err != nil || !slices.Contains(forms, secret) || len(forms) != 14 {
		t.Fatalf("%d forms: %v", len(forms), err)
	}
	for _, form := range forms {
		if len(form) < 32 {
			t.Errorf("a form of %d characters may be found anywhere", len(form))
		}
	}
	if _, err := SecretForms(vectors.GetTz4Key("ed25519").SecretKey); err == nil {
		t.Error("an edsk was taken for a BLsk")
	}
}
