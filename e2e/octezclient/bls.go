// BLS signatures as Tezos has them for tz4, by gnark-crypto: the signer has another implementation.

package octezclient

import (
	"errors"
	"fmt"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

const (
	blsPublicKeyLength = bls12381.SizeOfG1AffineCompressed
	blsSignatureLength = bls12381.SizeOfG2AffineCompressed
)

// The proof-of-possession suite of the draft standard: the payload itself is hashed to a point, without blake2b before.
var (
	blsSignatureDomain = []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_")
	blsProofDomain     = []byte("BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_")
)

func parseBLS(key []byte) (verifier, error) {
	point, err := parseG1(key)
	if err != nil {
		return nil, err
	}
	return func(payload, signature []byte) bool { return verifyBLS(point, blsSignatureDomain, payload, signature) }, nil
}

func parseG1(key []byte) (*bls12381.G1Affine, error) {
	var point bls12381.G1Affine
	// Also refuses what is not in the subgroup.
	if _, err := point.SetBytes(key); err != nil {
		return nil, err
	}
	if point.IsInfinity() {
		return nil, errors.New("the point at infinity")
	}
	return &point, nil
}

// verifyBLS: e(key, H(message)) = e(generator, signature).
func verifyBLS(key *bls12381.G1Affine, domain, message, signature []byte) bool {
	var signed bls12381.G2Affine
	if _, err := signed.SetBytes(signature); err != nil || signed.IsInfinity() {
		return false
	}
	hashed, err := bls12381.HashToG2(message, domain)
	if err != nil {
		return false
	}
	_, _, generator, _ := bls12381.Generators()
	generator.Neg(&generator)
	same, err := bls12381.PairingCheck([]bls12381.G1Affine{*key, generator}, []bls12381.G2Affine{hashed, signed})
	return err == nil && same
}

// VerifyProof reports whether proof (BLsig…) shows that whoever made it has the private half of this tz4 key.
func (k *PublicKey) VerifyProof(proof string) error {
	if k.Curve != BLS12381 {
		return fmt.Errorf("%s is no tz4 key", k.Hash())
	}
	raw, err := k.SignatureBytes(proof)
	if err != nil {
		return err
	}
	point, err := parseG1(k.bytes)
	if err == nil && !verifyBLS(point, blsProofDomain, k.bytes, raw) {
		err = fmt.Errorf("proof %s is not one of the possession of %s", proof, k.Hash())
	}
	return err
}
