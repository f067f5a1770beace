// What a baker with a tz4 consensus key and a companion key sends: an attestation is asked of the consensus key and then, the same
// bytes, of the companion key. The payloads are those that Octez' own signer has signed.

package scenario

import (
	"fmt"

	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/vectors"
)

// Tz4InitialLevel is the initial watermark of the tz4 scripts.
const Tz4InitialLevel = 15181989

// The attestation that is asked for again and again.
const (
	tz4Recalled             = "attestation round 3"
	tz4Level, tz4Round      = 15181991, 3
	tz4RecalledName         = "attestation 15181991 round 3"
	tz4LowerAttestation     = "attestation round 0"
	tz4LowerAttestationName = "attestation 15181990 round 0"
)

var tz4First = []step{
	tz4("preattestation 15181990 round 0", "preattestation round 0", signed),
	tz4(tz4LowerAttestationName, tz4LowerAttestation, signed),
	ofCompanion(tz4(tz4LowerAttestationName, tz4LowerAttestation, signed)),
	remembered(tz4(tz4RecalledName, tz4Recalled, signed)),
	ofCompanion(remembered(tz4(tz4RecalledName, tz4Recalled, signed))),
	tz4("block 15181992 round 0", "block round 0", signed),
	tz4("block 15181993 round 2, locked", "block round 2 locked", signed),
	tz4("the identical attestation again", tz4Recalled, replayed),
	ofCompanion(tz4("the identical attestation again", tz4Recalled, replayed)),
	anotherTz4Attestation,
	ofCompanion(anotherTz4Attestation),
	tz4("a lower attestation, 15181990", tz4LowerAttestation, watermark),
	ofCompanion(tz4("a lower attestation, 15181990", tz4LowerAttestation, watermark)),
	ofCompanion(tz4("a block", "block round 0", forbidden)),
	ofCompanion(tz4("a preattestation", "preattestation round 0", forbidden)),
	tz4("a generic operation: delegation", "generic operation (delegation withdrawal shape)", forbidden),
	{what: "a vote in the layout of tz1 to tz3", payload: vectors.GetTz4Payload("attestation"), expect: malformed},
}

var tz4Replaced = []step{
	tz4("the identical attestation again", tz4Recalled, replayed),
	ofCompanion(tz4("the identical attestation again", tz4Recalled, replayed)),
	anotherTz4Attestation,
	ofCompanion(anotherTz4Attestation),
	tz4("a lower attestation, 15181990", tz4LowerAttestation, watermark),
	newTz4("attestation", tz4Level+1, 0, signed),
	ofCompanion(newTz4("attestation", tz4Level+1, 0, signed)),
}

var anotherTz4Attestation = func() step {
	another := newTz4("attestation", tz4Level, tz4Round, watermark)
	another.what = "another " + tz4RecalledName
	return another
}()

func tz4(what, vector string, expect expectation) step {
	return step{what: what, payload: vectors.GetTz4Payload(vector), expect: expect}
}

// newTz4 is a vote or block with hashes of its own.
func newTz4(kind string, level, round int32, expect expectation) step {
	made, err := payload.NewTz4(kind, level, round)
	if err != nil {
		panic("a payload of a script: " + err.Error())
	}
	return step{what: fmt.Sprintf("%s %d round %d", kind, level, round), payload: made, expect: expect}
}

func ofCompanion(s step) step {
	s.companion = true
	return s
}

func remembered(s step) step {
	s.remember = true
	return s
}
