// The checker of a log: it knows the promise and nothing else, no watermark, lease,
// record or replica. One promise is one file.

package history

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/blake2b"

	"signer.tezos.io/e2e/octezclient"
)

// Verdict is what a log shows.
type Verdict struct {
	Broken []string // a sentence for each broken promise
	Counts Counts
	// Slowest is the longest time from where nothing was broken any more to the first
	// signature.
	Slowest time.Duration
}

// Counts says what a log is made of, to see that it tried what it meant to try.
type Counts struct {
	Requests, Signed, Replayed, Refused, Unavailable, NoAnswer, Edits, Faults int

	Failed int // faults that could not be made, or not be ended as meant
}

// Add sums up.
func (c *Counts) Add(other Counts) {
	c.Requests += other.Requests
	c.Signed += other.Signed
	c.Replayed += other.Replayed
	c.Refused += other.Refused
	c.Unavailable += other.Unavailable
	c.NoAnswer += other.NoAnswer
	c.Edits += other.Edits
	c.Faults += other.Faults
	c.Failed += other.Failed
}

// row is what has an order of its own.
type row struct{ key, kind string }

type position struct{ level, round int32 }

func (p position) compare(other position) int {
	if p.level != other.level {
		return int(p.level) - int(other.level)
	}
	return int(p.round) - int(other.round)
}

func (r *Request) row() row           { return row{r.Key, r.Kind} }
func (r *Request) position() position { return position{r.Level, r.Round} }

func (r *Request) String() string {
	return fmt.Sprintf("%s %s %d/%d, digest %s, asked of %s at %s, answered at %s with %d %s", r.Key, r.Kind, r.Level, r.Round,
		r.digest(), r.Replica, r.Asked, r.Answered, r.Status, r.Signature)
}

// digest is how the record and the audit log name the payload.
func (r *Request) digest() string {
	raw, err := hex.DecodeString(r.Payload)
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("%x", blake2b.Sum256(raw))
}

// CheckLog looks for broken promises.
func CheckLog(events []Event) *Verdict {
	verdict := &Verdict{}
	var all ledger
	for _, event := range events {
		switch {
		case event.Begin != nil:
			all.keys = event.Begin.Keys
		case event.Request != nil:
			all.requests = append(all.requests, event.Request)
		case event.Edit != nil:
			all.edits = append(all.edits, event.Edit)
			verdict.Counts.Edits++
		case event.Due != nil:
			all.due = append(all.due, event.Due)
		case event.Fault != nil:
			verdict.Counts.Faults++
			if event.Fault.Error != "" {
				verdict.Counts.Failed++
			}
		}
	}
	slices.SortStableFunc(all.requests, func(a, b *Request) int { return int(a.Answered - b.Answered) })
	for _, promise := range []func(*ledger) []string{
		answersAreAllowed, signaturesVerify, onePositionOneSignature, positionsRise, editsAreObeyed, identicalIsSignedAgain,
	} {
		verdict.Broken = append(verdict.Broken, promise(&all)...)
	}
	missed, slowest := whatIsDueIsSigned(&all)
	verdict.Broken, verdict.Slowest = append(verdict.Broken, missed...), slowest
	verdict.Counts.count(all.requests)
	return verdict
}

// ledger is sorted by the time of the answers.
type ledger struct {
	keys     []string
	requests []*Request
	edits    []*Edit
	due      []*Due
}

// signed are the requests that got a signature.
func (l *ledger) signed() []*Request {
	var signed []*Request
	for _, r := range l.requests {
		if r.Signature != "" {
			signed = append(signed, r)
		}
	}
	return signed
}

func (c *Counts) count(requests []*Request) {
	known := map[string]bool{}
	for _, r := range requests {
		c.Requests++
		switch {
		case r.Signature != "" && known[r.Signature]:
			c.Replayed++
		case r.Signature != "":
			known[r.Signature] = true
			c.Signed++
		case r.Status == 0:
			c.NoAnswer++
		case r.Status == 502:
			c.Unavailable++
		default:
			c.Refused++
		}
	}
}

// signaturesVerify tries each signature with the key, by code that shares nothing with
// the signer.
func signaturesVerify(l *ledger) (broken []string) {
	keys := map[string]*octezclient.PublicKey{}
	for _, text := range l.keys {
		key, err := octezclient.ParsePublicKey(text)
		if err != nil {
			return []string{err.Error()}
		}
		keys[key.Hash()] = key
	}
	for _, r := range l.signed() {
		payload, err := hex.DecodeString(r.Payload)
		if err == nil && keys[r.Key] == nil {
			err = fmt.Errorf("there is no key %s", r.Key)
		}
		if err == nil {
			err = octezclient.CheckSignature(keys[r.Key], payload, r.Signature)
		}
		if err != nil {
			broken = append(broken, fmt.Sprintf("a wrong signature: %v: %s", r, err))
		}
	}
	return broken
}
