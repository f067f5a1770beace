// Package payload builds Tezos signing requests for tests that need more of them
// than were recorded. Layouts: one block or vote of mainnet, as a key of tz1 to tz3
// is asked to sign it (New), or a tz4 key (NewTz4).
package payload

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"signer.tezos.io/e2e/vectors"
)

// Kinds are the kinds of request that have a level and a round.
var Kinds = []string{"block", "preattestation", "attestation"}

const (
	voteTag, voteSlot, voteLevel, voteRound, votePayloadHash, voteLength = 37, 38, 40, 44, 48, 80

	blockLevel, blockFitnessLevel, blockRound, blockContext, blockPayloadHash, blockPayloadRound = 5, 96, 116, 120, 152, 184

	tagAttestationWithDAL = 23
)

// The tags of votes by a tz4 key. Such a vote names no slot, so that all of one block are the same bytes.
var tz4Tags = map[string]byte{"preattestation": 40, "attestation": 41}

var templates = map[string]vectors.Hex{
	"block":          vectors.Get("block-2332654").Payload,
	"preattestation": vectors.Get("preattestation-2429880").Payload,
	"attestation":    vectors.Get("attestation-2429880").Payload,
}

// New makes a payload of that kind at that position, for mainnet. Its payload
// hash is random, so two of them are two different things to sign.
func New(kind string, level, round int32) ([]byte, error) {
	template, known := templates[kind]
	if !known {
		return nil, fmt.Errorf("kind %q: must be one of %v", kind, Kinds)
	}
	made := bytes.Clone(template)
	if kind == "block" {
		putInt(made, blockLevel, level)
		putInt(made, blockFitnessLevel, level)
		putInt(made, blockRound, round)
		putInt(made, blockPayloadRound, round)
		rand.Read(made[blockPayloadHash : blockPayloadHash+32])
	} else {
		putInt(made, voteLevel, level)
		putInt(made, voteRound, round)
		rand.Read(made[votePayloadHash : votePayloadHash+32])
	}
	return made, nil
}

// NewTz4 is New for a tz4 key.
func NewTz4(kind string, level, round int32) ([]byte, error) {
	made, err := New(kind, level, round)
	if tag, vote := tz4Tags[kind]; err == nil && vote {
		made[voteTag] = tag
		made = slices.Delete(made, voteSlot, voteLevel)
	}
	return made, err
}

// AnotherBlock is a different block of the same level and round.
func AnotherBlock(block []byte) []byte {
	made := bytes.Clone(block)
	made[blockContext] ^= 1
	return made
}

// WithDAL is the same attestation as one that also attests data availability:
// other bytes and another tag, but the same kind of vote.
func WithDAL(attestation []byte) []byte {
	made := append(slices.Clip(bytes.Clone(attestation[:voteLength])), 0)
	made[voteTag] = tagAttestationWithDAL
	return made
}

func putInt(b []byte, at int, value int32) {
	binary.BigEndian.PutUint32(b[at:], uint32(value))
}
