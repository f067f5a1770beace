// The key of a client, by which a signer knows who asks. Octez' bakers sign each
// request with one where the signer lists authorized keys.

package octezclient

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// The Ed25519 prefixes of base58check texts: edpk…, tz1…, edsig….
var (
	ed25519PublicKey = []byte{0x0d, 0x0f, 0x25, 0xd9}
	ed25519Hash      = []byte{0x06, 0xa1, 0x9f}
	ed25519Signature = []byte{0x09, 0xf5, 0xcd, 0x86, 0x12}
)

// Which scheme the key is of that a signature is asked of, in what the client signs.
var authenticationScheme = map[*Curve]byte{Secp256k1: 1, P256: 2}

// ClientKey is an Ed25519 key of a client.
type ClientKey struct{ private ed25519.PrivateKey }

// NewClientKey makes one.
func NewClientKey() (*ClientKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("a client key: %w", err)
	}
	return &ClientKey{private}, nil
}

func (k *ClientKey) public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// PublicKey is the key as edpk…, as the configuration of a signer has it.
func (k *ClientKey) PublicKey() string { return base58checkEncode(ed25519PublicKey, k.public()) }

// Hash is the key as tz1…, which a signer lists.
func (k *ClientKey) Hash() string { return ed25519HashOf(k.public()) }

func ed25519HashOf(key ed25519.PublicKey) string {
	hash, err := blake2b.New(20, nil)
	if err != nil {
		panic("blake2b-160: " + err.Error()) // only for a bad size or key
	}
	hash.Write(key)
	return base58checkEncode(ed25519Hash, hash.Sum(nil))
}

// authenticate signs a request for a signature of key over payload.
func (k *ClientKey) authenticate(key *PublicKey, payload []byte) string {
	request := append([]byte{0x04, 0x01, authenticationScheme[key.Curve]}, key.HashBytes()...)
	digest := blake2b.Sum256(append(request, payload...))
	return base58checkEncode(ed25519Signature, ed25519.Sign(k.private, digest[:]))
}
