// A secret key that is known, for the one purpose of finding it where it may not be.

package octezclient

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

var blsSecretKey = []byte{0x03, 0x96, 0xc0, 0x28}

// GenerateSecretKey makes a BLsk… key: 32 bytes, the scalar in little-endian.
func GenerateSecretKey() (string, error) {
	scalar, err := new(fr.Element).SetRandom()
	if err != nil {
		return "", fmt.Errorf("a secret key: %w", err)
	}
	raw := scalar.Bytes()
	slices.Reverse(raw[:])
	return base58checkEncode(blsSecretKey, raw[:]), nil
}

// SecretForms are the ways in which text could contain a BLsk… key: itself, and its 32 bytes in either order, as they are, in
// hexadecimal, in base64 and in base58.
func SecretForms(secretKey string) ([]string, error) {
	raw, err := base58checkDecode(secretKey)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	scalar, found := bytes.CutPrefix(raw, blsSecretKey)
	if !found || len(scalar) != 32 {
		return nil, errors.New("secret key: not BLsk…")
	}
	forms := []string{secretKey, strings.TrimPrefix(secretKey, "BLsk")}
	backwards := slices.Clone(scalar)
	slices.Reverse(backwards)
	for _, b := range [][]byte{scalar, backwards} {
		hexadecimal := hex.EncodeToString(b)
		forms = append(forms, string(b), hexadecimal, strings.ToUpper(hexadecimal),
			base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), base58checkEncode(nil, b))
	}
	return forms, nil
}
