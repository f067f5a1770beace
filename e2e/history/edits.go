// From an edit's acknowledgement until the one that lifts it is sent, nothing new is
// signed that it forbids. What may have been signed before may be given again.

package history

import (
	"fmt"
	"math"
)

const never = Moment(math.MaxInt64)

func editsAreObeyed(l *ledger) (broken []string) {
	for _, edit := range l.edits {
		if edit.Acknowledged == nil || !edit.forbidsSomething() {
			continue
		}
		from, until := *edit.Acknowledged, l.liftedAt(edit)
		for _, r := range l.signed() {
			if edit.forbids(r) && from < r.Asked && r.Answered < until && !l.mayHaveBeenSigned(r, from) {
				broken = append(broken, fmt.Sprintf("signed in spite of %s %d, which was acknowledged at %s: %v", edit.What, edit.Level, from, r))
			}
		}
	}
	return broken
}

func (e *Edit) forbidsSomething() bool {
	return e.What == Suspend || e.What == Floor || e.What == Ceiling
}

func (e *Edit) forbids(r *Request) bool {
	if r.Key != e.Key {
		return false
	}
	return e.What == Suspend || e.What == Floor && r.Level <= e.Level || e.What == Ceiling && r.Level > e.Level
}

// liftedAt is when the first edit was sent that may have lifted this one. One that was
// sent before counts too as long as it may still have come later.
func (l *ledger) liftedAt(edit *Edit) Moment {
	until := never
	for _, other := range l.edits {
		lifts := edit.What == Suspend && other.What == Unsuspend ||
			edit.What == Ceiling && (other.What == NoCeiling || other.What == Ceiling && other.Level > edit.Level)
		over := other.Refused || other.Acknowledged != nil && *other.Acknowledged < edit.Sent
		if lifts && other.Key == edit.Key && !over {
			until = min(until, other.Sent)
		}
	}
	return until
}

// mayHaveBeenSigned reports whether the payload was asked for before, and not refused: the
// signature may be of that time.
func (l *ledger) mayHaveBeenSigned(r *Request, before Moment) bool {
	for _, other := range l.requests {
		open := other.Signature != "" || other.Status == 0 || other.Status == 502
		if other != r && open && other.Key == r.Key && other.Payload == r.Payload && other.Asked <= before {
			return true
		}
	}
	return false
}
