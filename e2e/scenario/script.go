// Package scenario is the demo's play: what a baker sends to its signer, in which
// order, and what must come back. script.go says what is sent, and tz4.go what a baker
// with tz4 keys sends; play.go sends it; table.go shows it.
package scenario

import (
	"fmt"
	"maps"
	"slices"

	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/vectors"
)

// InitialLevel is the initial watermark the scripts are written for: the first
// thing they have signed is above it, and no step is more than 100 000 levels,
// the default of maxLevelJump, above everything before it.
const InitialLevel = 2244600

// expectation is what must come back for one step.
type expectation struct {
	status int  // 200: signed, and the signature verifies
	again  bool // with 200: the very signature the recalled block had before
}

var (
	signed    = expectation{status: 200}
	replayed  = expectation{status: 200, again: true}
	watermark = expectation{status: 409}
	forbidden = expectation{status: 403}
	malformed = expectation{status: 400}
)

func (e expectation) String() string {
	switch {
	case e.again:
		return "200 the same signature"
	case e.status == 200:
		return "200 signed"
	default:
		return fmt.Sprint(e.status)
	}
}

type step struct {
	what      string
	payload   []byte
	expect    expectation
	remember  bool // its signature is what `replayed` steps of the same key compare with
	companion bool // asked of the companion key
}

func recorded(id string, expect expectation) step {
	v := vectors.Get(id)
	return step{what: fmt.Sprintf("%s %d round %d", v.Kind, v.Level, v.Round), payload: v.Payload, expect: expect}
}

// recalled is the block that is asked for again and again.
var recalled = vectors.Get("block-2332654").Payload

var scripts = map[string][]step{
	"first": {
		recorded("attestation-2244609", signed),
		recorded("block-2244609", signed),
		recorded("attestation-2244610", signed),
		recorded("block-2244616", signed),
		{what: "block 2332654 round 0", payload: recalled, expect: signed, remember: true},
		recorded("preattestation-2429880", signed),
		recorded("attestation-2429880", signed),
		{what: "the identical block again", payload: recalled, expect: replayed},
		{what: "another block 2332654 round 0", payload: payload.AnotherBlock(recalled), expect: watermark},
		{what: "the attestation again, but with DAL", payload: payload.WithDAL(vectors.Get("attestation-2429880").Payload), expect: watermark},
		{what: "a lower block, 2244616", payload: vectors.Get("block-2244616").Payload, expect: watermark},
		{what: "a generic operation: delegation", payload: vectors.Get("delegation").Payload, expect: forbidden},
		{what: "a block of another chain", payload: vectors.Get("block-parisnet-66491").Payload, expect: forbidden},
	},
	"replaced": {
		{what: "the identical block again", payload: recalled, expect: replayed},
		{what: "another block 2332654 round 0", payload: payload.AnotherBlock(recalled), expect: watermark},
		{what: "a lower block, 2244616", payload: vectors.Get("block-2244616").Payload, expect: watermark},
		recorded("block-2490372", signed),
	},
	"tz4":          tz4First,
	"tz4-replaced": tz4Replaced,
}

// Scripts are the names that Play knows.
func Scripts() []string { return slices.Sorted(maps.Keys(scripts)) }
