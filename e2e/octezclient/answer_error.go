// What a signer answers when it does not sign, as Octez reads it.

package octezclient

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// AnswerError is an answer other than 200.
type AnswerError struct {
	Status   int
	Trace    []TraceError // the parsed error array; empty for 400, whose body is plain text
	Body     string
	Attempts int // how often the request was sent: above 1 only for 502
}

// UnreadableAnswer is one that Octez could not read.
type UnreadableAnswer struct {
	Status int
	Why    string
}

func (e *UnreadableAnswer) Error() string {
	return fmt.Sprintf("the signer answered %d %s", e.Status, e.Why)
}

// TraceError is one element of an Octez error trace.
type TraceError struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Msg  string `json:"msg"`
}

func (e *AnswerError) Error() string {
	text := fmt.Sprintf("%d %s", e.Status, e.Message())
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (after %d attempts)", e.Attempts)
	}
	return text
}

// Message is the sentence for a human: that of the trace, or the plain body.
func (e *AnswerError) Message() string {
	sentences := make([]string, len(e.Trace))
	for i, t := range e.Trace {
		sentences[i] = t.Msg
		if t.Msg == "" {
			sentences[i] = t.ID
		}
	}
	if len(sentences) == 0 {
		return strings.TrimSpace(e.Body)
	}
	return strings.Join(sentences, "; ")
}

// Octez parses the bodies of these statuses as an error trace; a body of another
// shape reaches the baker's log only as "Unparsable_RPC_error".
var traceStatuses = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusConflict, http.StatusGone, http.StatusInternalServerError,
}

var traceKinds = []string{"temporary", "permanent", "branch"}

// parseAnswerError fails where Octez could not parse the answer either. Octez
// registers the id "failure" with the kind "temporary": with another one it prints
// «Unregistered error» and the JSON in place of the message.
func parseAnswerError(status int, contentType string, body []byte, attempts int) error {
	answer := &AnswerError{Status: status, Body: string(body), Attempts: attempts}
	// A 502 may come from anything between the client and the signer, and Octez
	// does not parse it before it has given up.
	if err := json.Unmarshal(body, &answer.Trace); err != nil {
		answer.Trace = nil
	}
	if !slices.Contains(traceStatuses, status) {
		return answer
	}
	wellFormed := isJSON(contentType) && len(answer.Trace) > 0
	for _, t := range answer.Trace {
		wellFormed = wellFormed && slices.Contains(traceKinds, t.Kind) && t.ID != "" && (t.ID != "failure" || t.Kind == "temporary")
	}
	if !wellFormed {
		return &UnreadableAnswer{status, fmt.Sprintf("with a body that is no Octez error array (%s): %.200q", contentType, body)}
	}
	return answer
}
