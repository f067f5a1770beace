// Never two signatures for one key, kind, level and round: neither of two payloads,
// nor two of one payload.

package history

import "fmt"

func onePositionOneSignature(l *ledger) (broken []string) {
	type place struct {
		row
		position
	}
	first := map[place]*Request{}
	for _, r := range l.signed() {
		at := place{r.row(), r.position()}
		before := first[at]
		switch {
		case before == nil:
			first[at] = r
		case before.Payload != r.Payload:
			broken = append(broken, fmt.Sprintf("two payloads of one position were signed: %v; and before: %v", r, before))
		case before.Signature != r.Signature:
			broken = append(broken, fmt.Sprintf("two signatures of one payload were given: %v; and before: %v", r, before))
		}
	}
	return broken
}
