// What the operator asked of the API server, by that one's own log.

package operatorenv

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Request is a line of the audit log.
type Request struct {
	Stage          string
	Verb           string
	RequestURI     string
	UserAgent      string
	User           struct{ Username string }
	ObjectRef      struct{ Resource, Subresource, Name, Namespace string }
	Received       time.Time `json:"requestReceivedTimestamp"`
	ResponseStatus struct{ Code int }
}

// IsWrite reports whether it may have changed something.
func (r Request) IsWrite() bool { return !slices.Contains([]string{"get", "list", "watch"}, r.Verb) }

func (r Request) String() string {
	resource := r.ObjectRef.Resource
	if r.ObjectRef.Subresource != "" {
		resource += "/" + r.ObjectRef.Subresource
	}
	return fmt.Sprintf("%s %s %s/%s: %d", r.Verb, resource, r.ObjectRef.Namespace, r.ObjectRef.Name, r.ResponseStatus.Code)
}

// Requests are those of the operator that came in that time, each once.
func (e *Env) Requests(from, to time.Time) (found []Request) {
	e.t.Helper()
	log, err := os.Open(e.AuditLog())
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var r Request
		if json.Unmarshal(lines.Bytes(), &r) != nil { // the last line may be half written
			continue
		}
		// A watch has a line when it begins, and another one when it ends.
		once := r.Stage == "ResponseStarted" || r.Verb != "watch"
		if once && r.User.Username == "system:serviceaccount:"+system+":"+release && r.Received.After(from) && r.Received.Before(to) {
			found = append(found, r)
		}
	}
	return found
}

// Writes are those that may have changed something.
func Writes(requests []Request) []Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r Request) bool { return !r.IsWrite() })
}

// CountByResource counts requests by verb and resource.
func CountByResource(requests []Request) string {
	counts := map[string]int{}
	for _, r := range requests {
		resource := r.ObjectRef.Resource
		if r.ObjectRef.Subresource != "" {
			resource += "/" + r.ObjectRef.Subresource
		}
		counts[fmt.Sprintf("%-7s %s", r.Verb, resource)]++
	}
	var rows []string
	for row, n := range counts {
		rows = append(rows, fmt.Sprintf("%7d %s", n, row))
	}
	slices.Sort(rows)
	slices.Reverse(rows)
	return strings.Join(rows, "\n")
}
