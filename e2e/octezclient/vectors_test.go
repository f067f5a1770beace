package octezclient

import (
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"signer.tezos.io/e2e/vectors"
)

func TestRecordedSignaturesVerify(t *testing.T) {
	curves := map[*Curve]int{}
	for _, v := range vectors.All() {
		if digest := blake2b.Sum256(v.Payload); string(digest[:]) != string(v.Digest) {
			t.Errorf("%s: digest %x, recorded %x", v.ID, digest, []byte(v.Digest))
		}
		if v.Signature == "" {
			continue
		}
		key, err := ParsePublicKey(v.PublicKey)
		if err != nil {
			t.Fatalf("%s: %v", v.ID, err)
		}
		curves[key.Curve]++
		if err := key.Verify(v.Payload, v.Signature); err != nil {
			t.Errorf("%s: %v", v.ID, err)
		}
		if high := key.LowS(v.Signature) != nil; high != v.HighS {
			t.Errorf("%s: high S is %v, recorded %v", v.ID, high, v.HighS)
		}
		if got := key.String(); got != v.PublicKey {
			t.Errorf("%s: key encodes as %s", v.ID, got)
		}
		changed := append([]byte(nil), v.Payload...)
		changed[len(changed)-1] ^= 1
		if key.Verify(changed, v.Signature) == nil {
			t.Errorf("%s: the signature of another payload was accepted", v.ID)
		}
	}
	if curves[P256] == 0 || curves[Secp256k1] == 0 {
		t.Errorf("both curves must be tried: %v", curves)
	}
}

// Key encodings and signatures over plain messages that Octez publishes with its tests.
func TestOctezKeyVectors(t *testing.T) {
	for _, c := range []struct{ key, hash string }{
		{"sppk7aFpmJLm3ZxMd3F4osvGBq77R1NeSpiJVnof3Wiv4mt84EBE9aX", "tz2SSuN7FRcAurZPSAQS1swNWE8xxf71MTjt"},
		{"sppk7cNMvaoPostzGxnKFNkqx2QKUKs2YHjokroHEGq1S2hUvRJa89X", "tz2EoucBgYrBemSsLszAZP86cEfsz13idBaT"},
		{"p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24", "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t"},
		{"p2pk64ie1DPcsWgEazYYWkFWNVwqs7jCdKeVwF8NVZRu5yr757vWaTM", "tz3e8QcfwZce1z5YmgZjgAdd7aNr8yBnYbv8"},
	} {
		key, err := ParsePublicKey(c.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Hash(); got != c.hash {
			t.Errorf("%s: hash %s, want %s", c.key, got, c.hash)
		}
	}
	negative := "\x55\x38\xe2\xcc\x90\xc9\xb0\x53\xa1\x2e\x2d\x2f\x3a\x98\x5a\xff\x18\x09\xea\xc5\x95\x01\xdb\x4d\x64\x4e\x4b\xb3\x81\xb0\x6b\x4b"
	for _, c := range []struct {
		key, message, signature string
		valid                   bool
	}{
		{"p2pk65p7HKSGvkMdeK5yckM2nmi59oGNw4ksqdcvwxxF3AV3hopkfGS", "hello, message", "sigfMaQ3pkpywf3q5ZqfNzJuKd6apUa1gRpoGb4hK25dBuiTY5u2vVCJcPGdpUqDT1RwfeGy6gvnHuhbTgfKhn2EZVYMatnN", true},
		{"sppk7a2WEfU54QzcQZ2EMjihtcxLeRtNTVxHw4FW2e8W5kEJ8ZargSb", "hello, test", "siggWynZ1jzFuv67FWSAvhX8948jgL5szpwT2fZAL5brmU9egqoXd3fDXCLQJ2EBcYVLBkev3HvkQ6xnFxSBjthdonajN8JX", true},
		{"sppk7Zik17H7AxECMggqD1FyXUQdrGRFtz9X7aR8W2BhaJoWwSnPEGA", negative, "sigrJ2jqanLupARzKGvzWgL1Lv6NGUqDovHKQg9MX4PtNtHXgcvG6131MRVzujJEXfvgbuRtfdGbXTFaYJJjuUVLNNZTf5q1", false},
		{"p2pk67VpBjWwoPULwXCpayec6rFxaAKv8VjJ8cVMHmLDCYARu31zx5Z", negative, "sigNCaj9CnmD94eZH9C7aPPqBbVCJF72fYmCFAXqEbWfqE633WNFWYQJFnDUFgRUQXR8fQ5tKSfJeTe6UAi75eTzzQf7AEc1", false},
	} {
		key, err := ParsePublicKey(c.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Verify([]byte(c.message), c.signature); (err == nil) != c.valid {
			t.Errorf("%s over %q: %v", c.signature, c.message, err)
		}
	}
}

func TestBadKeysAndSignaturesAreRefused(t *testing.T) {
	good := vectors.Get("attestation-2244610")
	for name, text := range map[string]string{
		"one character changed": strings.Replace(good.PublicKey, "7", "8", 1),
		"not base58":            good.PublicKey + "0",
		"empty":                 "",
		"a hash":                "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t",
		"the point at infinity": base58checkEncode(BLS12381.publicKey, append([]byte{0xc0}, make([]byte, 47)...)),
	} {
		if _, err := ParsePublicKey(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	key, err := ParsePublicKey(good.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if key.Verify(good.Payload, vectors.Get("attestation-2244609").Signature) == nil {
		t.Error("a p2sig was accepted for a secp256k1 key")
	}
}
