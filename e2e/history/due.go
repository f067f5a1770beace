// Where nothing is broken, a signature is given in time, and again when it is asked for
// again.

package history

import (
	"fmt"
	"time"
)

func whatIsDueIsSigned(l *ledger) (broken []string, slowest time.Duration) {
	for _, due := range l.due {
		first := never
		for _, r := range l.signed() {
			if r.Key == due.Key && r.Due && r.Asked >= due.From {
				first = min(first, r.Answered)
			}
		}
		switch {
		case first == never:
			broken = append(broken, fmt.Sprintf("nothing was signed by %s, where nothing was broken from %s on", due.Key, due.From))
		case first-due.From > due.Within:
			broken = append(broken, fmt.Sprintf("a signature by %s took %s from where nothing was broken, %s at most were promised",
				due.Key, first-due.From, due.Within))
		}
		if first != never {
			slowest = max(slowest, time.Duration(first-due.From))
		}
	}
	return broken, slowest
}

func identicalIsSignedAgain(l *ledger) (broken []string) {
	for _, r := range l.requests {
		refused := r.Status != 0 && r.Status != 502
		if r.Signature == "" && (r.Again || r.Due && refused) {
			broken = append(broken, fmt.Sprintf("not signed where nothing was broken: %v %s", r, r.Error))
		}
	}
	return broken
}
