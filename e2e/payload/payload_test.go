package payload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"signer.tezos.io/e2e/vectors"
)

// What is built for the position of a recorded request differs from that request
// only in the payload hash.
func TestPayloadsAreTheRecordedOnesWithAnotherHash(t *testing.T) {
	for id, hashAt := range map[string]int{
		"block-2244609": blockPayloadHash, "block-2244616": blockPayloadHash,
		"attestation-2244609": votePayloadHash, "preattestation-2429880": votePayloadHash,
	} {
		v := vectors.Get(id)
		made, err := New(v.Kind, v.Level, v.Round)
		if err != nil {
			t.Fatal(err)
		}
		positions := [][2]int{{blockLevel, 4}, {blockFitnessLevel, 4}, {blockRound, 4}, {blockPayloadRound, 4}}
		if v.Kind != "block" {
			positions = [][2]int{{voteLevel, 4}, {voteRound, 4}, {voteTag, 1}}
		}
		for _, p := range positions {
			if !bytes.Equal(made[p[0]:p[0]+p[1]], v.Payload[p[0]:p[0]+p[1]]) {
				t.Errorf("%s: offset %d is %x, recorded %x", id, p[0], made[p[0]:p[0]+p[1]], []byte(v.Payload[p[0]:p[0]+p[1]]))
			}
		}
		if len(made) != len(v.Payload) || bytes.Equal(made[hashAt:hashAt+32], v.Payload[hashAt:hashAt+32]) {
			t.Errorf("%s: same payload hash, or another length", id)
		}
	}
	if _, err := New("ballot", 1, 0); err == nil {
		t.Error("a ballot has no level")
	}
}

func TestWithDAL(t *testing.T) {
	recorded := vectors.Get("attestation-with-dal-15181989").Payload
	plain := append([]byte(nil), recorded[:voteLength]...)
	plain[voteTag] = 21
	if !bytes.Equal(WithDAL(plain), recorded) {
		t.Error("not the layout of the recorded attestation with DAL")
	}
}

func TestTz4VotesHaveTheLayoutThatOctezSigned(t *testing.T) {
	for kind, what := range map[string]string{"preattestation": "preattestation round 0", "attestation": "attestation round 3"} {
		recorded := vectors.GetTz4Payload(what)
		level, round := int32(binary.BigEndian.Uint32(recorded[38:])), int32(binary.BigEndian.Uint32(recorded[42:]))
		made, err := NewTz4(kind, level, round)
		if err != nil {
			t.Fatal(err)
		}
		// All but the branch and the payload hash.
		for _, piece := range [][2]int{{0, 5}, {37, 46}} {
			if !bytes.Equal(made[piece[0]:piece[1]], recorded[piece[0]:piece[1]]) {
				t.Errorf("%s: from byte %d on it is %x, recorded %x", kind, piece[0], made[piece[0]:piece[1]], []byte(recorded[piece[0]:piece[1]]))
			}
		}
		if len(made) != len(recorded) {
			t.Errorf("%s: %d bytes, recorded %d", kind, len(made), len(recorded))
		}
	}
	block, err := NewTz4("block", 5, 0)
	if err != nil || len(block) != len(vectors.Get("block-2332654").Payload) {
		t.Errorf("a block has one layout: %d bytes, %v", len(block), err)
	}
}
