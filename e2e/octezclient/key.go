// Public keys of the four schemes of Tezos, and their hashes.

package octezclient

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/blake2b"
)

// Curve is one of the curves of Tezos keys, with the signature scheme that Tezos uses on it.
type Curve struct {
	Name            string   // as the command line of the signer has it
	Address         string   // how key hashes of this curve begin: tz1 to tz4
	tag             byte     // in the binary form of keys and hashes
	order           *big.Int // of the group, for low-S; nil where a signature has one form only
	publicKey       []byte   // base58check prefixes
	hash            []byte
	signature       []byte
	publicKeyLength int
	signatureLength int
	// parse returns what verifies signatures by the key that these bytes are.
	parse func(key []byte) (verifier, error)
}

// verifier reports whether a signature is one of the payload.
type verifier func(payload, signature []byte) bool

var (
	// Ed25519 is tz1.
	Ed25519 = &Curve{
		Name: "ed25519", Address: "tz1", tag: 0,
		publicKey: []byte{0x0d, 0x0f, 0x25, 0xd9}, publicKeyLength: ed25519.PublicKeySize,
		hash:      []byte{0x06, 0xa1, 0x9f},
		signature: []byte{0x09, 0xf5, 0xcd, 0x86, 0x12}, signatureLength: ed25519.SignatureSize,
		parse: parseEd25519,
	}
	// Secp256k1 is the curve of Bitcoin, tz2.
	Secp256k1 = &Curve{
		Name: "secp256k1", Address: "tz2", tag: 1, order: secp256k1.S256().Params().N,
		publicKey: []byte{0x03, 0xfe, 0xe2, 0x56}, publicKeyLength: 33,
		hash:      []byte{0x06, 0xa1, 0xa1},
		signature: []byte{0x0d, 0x73, 0x65, 0x13, 0x3f}, signatureLength: 64,
		parse: parseSecp256k1,
	}
	// P256 is NIST P-256, tz3.
	P256 = &Curve{
		Name: "p256", Address: "tz3", tag: 2, order: elliptic.P256().Params().N,
		publicKey: []byte{0x03, 0xb2, 0x8b, 0x7f}, publicKeyLength: 33,
		hash:      []byte{0x06, 0xa1, 0xa4},
		signature: []byte{0x36, 0xf0, 0x2c, 0x34}, signatureLength: 64,
		parse: parseP256,
	}
	// BLS12381 is tz4: public keys in G1, signatures in G2.
	BLS12381 = &Curve{
		Name: "bls12-381", Address: "tz4", tag: 3,
		publicKey: []byte{0x06, 0x95, 0x87, 0xcc}, publicKeyLength: blsPublicKeyLength,
		hash:      []byte{0x06, 0xa1, 0xa6},
		signature: []byte{0x28, 0xab, 0x40, 0xcf}, signatureLength: blsSignatureLength,
		parse: parseBLS,
	}

	curves = []*Curve{Ed25519, Secp256k1, P256, BLS12381}
)

// PublicKey is a parsed edpk…, sppk…, p2pk… or BLpk… key: a point that lies on its curve.
type PublicKey struct {
	Curve  *Curve
	bytes  []byte // compressed
	verify verifier
}

// ParsePublicKey reads a key of any of the four schemes.
func ParsePublicKey(text string) (*PublicKey, error) {
	raw, err := base58checkDecode(text)
	if err != nil {
		return nil, fmt.Errorf("public key %q: %w", text, err)
	}
	for _, curve := range curves {
		point, found := bytes.CutPrefix(raw, curve.publicKey)
		if !found || len(point) != curve.publicKeyLength {
			continue
		}
		verify, err := curve.parse(point)
		if err != nil {
			return nil, fmt.Errorf("public key %q: not a point of %s: %w", text, curve.Name, err)
		}
		return &PublicKey{curve, point, verify}, nil
	}
	return nil, fmt.Errorf("public key %q: neither edpk… (Ed25519), sppk… (secp256k1), p2pk… (P-256) nor BLpk… (BLS12-381)", text)
}

// NewPublicKey is the key on that curve whose compressed point these bytes are.
func NewPublicKey(curve *Curve, point []byte) (*PublicKey, error) {
	return ParsePublicKey(base58checkEncode(curve.publicKey, point))
}

func parseEd25519(key []byte) (verifier, error) {
	return func(payload, signature []byte) bool {
		digest := blake2b.Sum256(payload)
		return ed25519.Verify(key, digest[:], signature)
	}, nil
}

func parseSecp256k1(key []byte) (verifier, error) {
	point, err := secp256k1.ParsePubKey(key)
	if err != nil {
		return nil, err
	}
	return func(payload, signature []byte) bool {
		var r, s secp256k1.ModNScalar
		if r.SetByteSlice(signature[:32]) || s.SetByteSlice(signature[32:]) {
			return false // not below the order of the curve
		}
		digest := blake2b.Sum256(payload)
		return k1ecdsa.NewSignature(&r, &s).Verify(digest[:], point)
	}, nil
}

func parseP256(key []byte) (verifier, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), key)
	if x == nil {
		return nil, errors.New("no such point")
	}
	point := &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
	return func(payload, signature []byte) bool {
		digest := blake2b.Sum256(payload)
		return ecdsa.Verify(point, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}, nil
}

// NewP256 makes a key of P-256 whose private half nobody has: for what is never signed with.
func NewP256() (*PublicKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	point := elliptic.MarshalCompressed(elliptic.P256(), private.X, private.Y)
	return NewPublicKey(P256, point)
}

// String is the key as edpk…, sppk…, p2pk… or BLpk….
func (k *PublicKey) String() string { return base58checkEncode(k.Curve.publicKey, k.bytes) }

// Hash is the key's hash as tz1… to tz4…, the name by which a signer is asked.
func (k *PublicKey) Hash() string { return base58checkEncode(k.Curve.hash, k.HashBytes()) }

// TaggedBytes are the key in its binary form, as an operation has it.
func (k *PublicKey) TaggedBytes() []byte { return append([]byte{k.Curve.tag}, k.bytes...) }

// TaggedHash is the hash in its binary form.
func (k *PublicKey) TaggedHash() []byte { return append([]byte{k.Curve.tag}, k.HashBytes()...) }

// HashBytes are the 20 bytes of the hash.
func (k *PublicKey) HashBytes() []byte { return hash160(k.bytes) }

func hash160(key []byte) []byte {
	hash, err := blake2b.New(20, nil)
	if err != nil {
		panic("blake2b-160: " + err.Error()) // only for a bad size or key
	}
	hash.Write(key)
	return hash.Sum(nil)
}
