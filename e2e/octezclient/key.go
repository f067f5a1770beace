// Public keys of the two curves a CloudHSM can hold, and their hashes.

package octezclient

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/blake2b"
)

// Curve is one of the curves of Tezos keys that this client can verify.
type Curve struct {
	Name      string   // as the command line of the signer has it
	Address   string   // how key hashes of this curve begin: tz2, tz3
	order     *big.Int // of the group, for low-S
	publicKey []byte   // base58check prefixes
	hash      []byte
	signature []byte
}

var (
	// P256 is NIST P-256, tz3.
	P256 = &Curve{
		Name: "p256", Address: "tz3", order: elliptic.P256().Params().N,
		publicKey: []byte{0x03, 0xb2, 0x8b, 0x7f},
		hash:      []byte{0x06, 0xa1, 0xa4},
		signature: []byte{0x36, 0xf0, 0x2c, 0x34},
	}
	// Secp256k1 is the curve of Bitcoin, tz2.
	Secp256k1 = &Curve{
		Name: "secp256k1", Address: "tz2", order: secp256k1.S256().Params().N,
		publicKey: []byte{0x03, 0xfe, 0xe2, 0x56},
		hash:      []byte{0x06, 0xa1, 0xa1},
		signature: []byte{0x0d, 0x73, 0x65, 0x13, 0x3f},
	}
)

// PublicKey is a parsed p2pk… or sppk… key: a point that lies on its curve.
type PublicKey struct {
	Curve      *Curve
	compressed [33]byte
	p256       *ecdsa.PublicKey     // set for P256
	secp256k1  *secp256k1.PublicKey // set for Secp256k1
}

// ParsePublicKey reads a p2pk… or sppk… key.
func ParsePublicKey(text string) (*PublicKey, error) {
	raw, err := base58checkDecode(text)
	if err != nil {
		return nil, fmt.Errorf("public key %q: %w", text, err)
	}
	for _, curve := range []*Curve{P256, Secp256k1} {
		point, found := bytes.CutPrefix(raw, curve.publicKey)
		if !found || len(point) != 33 {
			continue
		}
		key := &PublicKey{Curve: curve, compressed: [33]byte(point)}
		if curve == P256 {
			x, y := elliptic.UnmarshalCompressed(elliptic.P256(), point)
			if x == nil {
				return nil, fmt.Errorf("public key %q: not a point of P-256", text)
			}
			key.p256 = &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
		} else if key.secp256k1, err = secp256k1.ParsePubKey(point); err != nil {
			return nil, fmt.Errorf("public key %q: not a point of secp256k1: %w", text, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("public key %q: neither p2pk… (P-256) nor sppk… (secp256k1)", text)
}

// NewP256 makes a key of P-256 whose private half nobody has: for what is never signed with.
func NewP256() (*PublicKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	point := elliptic.MarshalCompressed(elliptic.P256(), private.X, private.Y)
	return ParsePublicKey(base58checkEncode(P256.publicKey, point))
}

// String is the key as p2pk… or sppk….
func (k *PublicKey) String() string {
	return base58checkEncode(k.Curve.publicKey, k.compressed[:])
}

// Hash is the key's hash as tz3… or tz2…, the name by which a signer is asked.
func (k *PublicKey) Hash() string { return base58checkEncode(k.Curve.hash, k.HashBytes()) }

// HashBytes are the 20 bytes of the hash.
func (k *PublicKey) HashBytes() []byte {
	hash, err := blake2b.New(20, nil)
	if err != nil {
		panic("blake2b-160: " + err.Error()) // only for a bad size or key
	}
	hash.Write(k.compressed[:])
	return hash.Sum(nil)
}
