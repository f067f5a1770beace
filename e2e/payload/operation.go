// Operations that are no votes: what an owner may allow a key to sign beside blocks and votes.

package payload

import (
	"encoding/hex"
	"fmt"
	"slices"

	"signer.tezos.io/e2e/octezclient"
)

const (
	magicOperation        = 0x03
	tagTransaction        = 0x6c
	tagUpdateConsensusKey = 0x72
	branchLength          = 32
)

var (
	// Fee, counter, gas and storage of each.
	limits = unhex("830af8948c2f80bd3fe0d403")
	// 6 000 tez.
	amount = unhex("80f882ad16")
	// The entrypoint stake, with Unit.
	stake = unhex("ff0600000002030b")
)

// Stake puts tez of the key's account at stake.
func Stake(source *octezclient.PublicKey) []byte {
	const implicitAccount = 0x00
	return slices.Concat(manage(tagTransaction, source), amount, []byte{implicitAccount}, source.TaggedHash(), stake)
}

// UpdateConsensusKey has the key's baker sign by another one, a tz4 with its proof of possession.
func UpdateConsensusKey(source, next *octezclient.PublicKey, proof string) ([]byte, error) {
	raw, err := next.SignatureBytes(proof)
	if err != nil {
		return nil, fmt.Errorf("proof of possession: %w", err)
	}
	return slices.Concat(manage(tagUpdateConsensusKey, source), next.TaggedBytes(), []byte{0xff, 0, 0, 0, byte(len(raw))}, raw), nil
}

// manage is what all operations of a manager begin with.
func manage(tag byte, source *octezclient.PublicKey) []byte {
	return slices.Concat([]byte{magicOperation}, make([]byte, branchLength), []byte{tag}, source.TaggedHash(), limits)
}

func unhex(text string) []byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic("a constant: " + err.Error())
	}
	return raw
}
