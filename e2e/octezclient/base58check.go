// Base58check: the text form of Tezos keys, key hashes and signatures.
// Knows bytes and text only; which prefix means what is in key.go and signature.go.

package octezclient

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

var fiftyEight = big.NewInt(58)

func base58checkEncode(prefix, payload []byte) string {
	raw := append(bytes.Clone(prefix), payload...)
	raw = append(raw, checksum(raw)...)

	var reversed []byte
	number, digit := new(big.Int).SetBytes(raw), new(big.Int)
	for number.Sign() > 0 {
		number.DivMod(number, fiftyEight, digit)
		reversed = append(reversed, base58Alphabet[digit.Int64()])
	}
	for _, b := range raw { // a leading zero byte is a leading '1'
		if b != 0 {
			break
		}
		reversed = append(reversed, base58Alphabet[0])
	}
	text := make([]byte, len(reversed))
	for i, c := range reversed {
		text[len(reversed)-1-i] = c
	}
	return string(text)
}

// base58checkDecode returns prefix and payload together, the checksum verified
// and taken off.
func base58checkDecode(text string) ([]byte, error) {
	number := new(big.Int)
	for i, c := range text {
		digit := strings.IndexRune(base58Alphabet, c)
		if digit < 0 {
			return nil, fmt.Errorf("character %d, %q, is not in the base58 alphabet", i+1, c)
		}
		number.Mul(number, fiftyEight).Add(number, big.NewInt(int64(digit)))
	}
	zeros := len(text) - len(strings.TrimLeft(text, base58Alphabet[:1]))
	raw := append(make([]byte, zeros), number.Bytes()...)
	if len(raw) < 4 {
		return nil, errors.New("too short for a base58check text")
	}
	body, sum := raw[:len(raw)-4], raw[len(raw)-4:]
	if !bytes.Equal(sum, checksum(body)) {
		return nil, errors.New("the base58check checksum is wrong: a character was changed or lost")
	}
	return body, nil
}

func checksum(raw []byte) []byte {
	once := sha256.Sum256(raw)
	twice := sha256.Sum256(once[:])
	return twice[:4]
}
