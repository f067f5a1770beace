// Signatures: their text forms, and their verification by code that shares
// nothing with the signer.

package octezclient

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/blake2b"
)

var genericSignature = []byte{0x04, 0x82, 0x2b}

// Verify reports whether signature (p2sig…, spsig1… or sig…) is one of payload by
// this key. Octez accepts a high S on P-256; LowS tells them apart.
func (k *PublicKey) Verify(payload []byte, signature string) error {
	raw, err := k.parseSignature(signature)
	if err != nil {
		return err
	}
	digest := blake2b.Sum256(payload)
	valid := false
	if k.Curve == P256 {
		valid = ecdsa.Verify(k.p256, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
	} else {
		var r, s secp256k1.ModNScalar
		if r.SetByteSlice(raw[:32]) || s.SetByteSlice(raw[32:]) {
			return fmt.Errorf("signature %s: r or s is not below the order of the curve", signature)
		}
		valid = k1ecdsa.NewSignature(&r, &s).Verify(digest[:], k.secp256k1)
	}
	if !valid {
		return fmt.Errorf("signature %s is not one of this payload by %s", signature, k.Hash())
	}
	return nil
}

// LowS refuses a signature whose s is above half the order of the curve: on
// secp256k1 Octez rejects it, on P-256 verifiers elsewhere do.
func (k *PublicKey) LowS(signature string) error {
	raw, err := k.parseSignature(signature)
	if err != nil {
		return err
	}
	half := new(big.Int).Rsh(k.Curve.order, 1)
	if new(big.Int).SetBytes(raw[32:]).Cmp(half) > 0 {
		return fmt.Errorf("signature %s has a high S", signature)
	}
	return nil
}

// parseSignature returns r‖s. A signature that names another curve is refused.
func (k *PublicKey) parseSignature(text string) ([]byte, error) {
	raw, err := base58checkDecode(text)
	if err != nil {
		return nil, fmt.Errorf("signature %q: %w", text, err)
	}
	for _, prefix := range [][]byte{k.Curve.signature, genericSignature} {
		if rs, found := bytes.CutPrefix(raw, prefix); found && len(rs) == 64 {
			return rs, nil
		}
	}
	return nil, fmt.Errorf("signature %q: %w of %s", text, errWrongSignatureForm, k.Curve.Name)
}

var errWrongSignatureForm = errors.New("neither sig… nor the form")
