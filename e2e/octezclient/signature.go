// Signatures: their text forms, and their verification by code that shares
// nothing with the signer.

package octezclient

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
)

var genericSignature = []byte{0x04, 0x82, 0x2b}

// Verify reports whether signature (edsig…, spsig1…, p2sig…, BLsig… or sig…) is one of payload by
// this key. Octez accepts a high S on P-256; LowS tells them apart.
func (k *PublicKey) Verify(payload []byte, signature string) error {
	raw, err := k.SignatureBytes(signature)
	if err != nil {
		return err
	}
	if !k.verify(payload, raw) {
		return fmt.Errorf("signature %s is not one of this payload by %s", signature, k.Hash())
	}
	return nil
}

// LowS refuses a signature whose s is above half the order of the curve: on
// secp256k1 Octez rejects it, on P-256 verifiers elsewhere do. Signatures by tz1 and tz4 keys have no such half.
func (k *PublicKey) LowS(signature string) error {
	raw, err := k.SignatureBytes(signature)
	if err != nil || k.Curve.order == nil {
		return err
	}
	half := new(big.Int).Rsh(k.Curve.order, 1)
	if new(big.Int).SetBytes(raw[32:]).Cmp(half) > 0 {
		return fmt.Errorf("signature %s has a high S", signature)
	}
	return nil
}

// SignatureBytes returns the bytes of the signature; for tz2 and tz3 they are r‖s. One that names another curve is refused.
func (k *PublicKey) SignatureBytes(text string) ([]byte, error) {
	raw, err := base58checkDecode(text)
	if err != nil {
		return nil, fmt.Errorf("signature %q: %w", text, err)
	}
	for _, prefix := range [][]byte{k.Curve.signature, genericSignature} {
		if signature, found := bytes.CutPrefix(raw, prefix); found && len(signature) == k.Curve.signatureLength {
			return signature, nil
		}
	}
	return nil, fmt.Errorf("signature %q: %w of %s", text, errWrongSignatureForm, k.Curve.Name)
}

var errWrongSignatureForm = errors.New("neither sig… nor the form")
