// The key of a client, by which a signer knows who asks. Octez' bakers sign each
// request with one where the signer lists authorized keys.

package octezclient

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

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
func (k *ClientKey) PublicKey() string { return base58checkEncode(Ed25519.publicKey, k.public()) }

// Hash is the key as tz1…, which a signer lists.
func (k *ClientKey) Hash() string { return base58checkEncode(Ed25519.hash, hash160(k.public())) }

// authenticate signs a request for a signature of key over payload.
func (k *ClientKey) authenticate(key *PublicKey, payload []byte) string {
	request := append([]byte{0x04, 0x01}, key.TaggedHash()...)
	digest := blake2b.Sum256(append(request, payload...))
	return base58checkEncode(Ed25519.signature, ed25519.Sign(k.private, digest[:]))
}
