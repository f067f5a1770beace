// An answer is one of those that Octez can tell apart, or none.

package history

import (
	"fmt"
	"slices"
)

// 0 is no answer: a connection that broke, or a client that went away. 500 would be a bug.
var allowedStatuses = []int{0, 200, 400, 401, 403, 404, 409, 502}

func answersAreAllowed(l *ledger) (broken []string) {
	for _, r := range l.requests {
		switch {
		case !slices.Contains(allowedStatuses, r.Status):
			broken = append(broken, fmt.Sprintf("an answer with a status that must not be: %v %s", r, r.Error))
		case r.Unreadable || (r.Status == 200) != (r.Signature != ""):
			broken = append(broken, fmt.Sprintf("an answer that Octez could not read: %v %s", r, r.Error))
		case r.Kind == NotToBeSigned && r.Signature != "":
			broken = append(broken, fmt.Sprintf("something was signed that is nothing to be signed: %v", r))
		}
	}
	return broken
}
