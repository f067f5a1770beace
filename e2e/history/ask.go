// The clock of a log, the event that begins it, and one request, as a client makes it, with its times and its answer.

package history

import (
	"encoding/hex"
	"errors"
	"time"

	"signer.tezos.io/e2e/octezclient"
)

// Clock gives the time since Began. Requests of one log have one clock.
type Clock struct{ Began time.Time }

// StartClock begins a history.
func StartClock() Clock { return Clock{time.Now()} }

// Now is the time since Began.
func (c Clock) Now() Moment { return Moment(time.Since(c.Began)) }

// Begin is the first event of a log whose signatures are by these keys.
func (c Clock) Begin(keys ...*octezclient.PublicKey) *Begin {
	begin := &Begin{Time: c.Began.UTC().Format(time.RFC3339Nano)}
	for _, key := range keys {
		begin.Keys = append(begin.Keys, key.String())
	}
	return begin
}

// Ask sends the payload of a request, and returns the request with its times and its answer.
func (c Clock) Ask(r Request, send func(payload []byte) (signature string, err error)) Request {
	raw, err := hex.DecodeString(r.Payload)
	if err != nil {
		panic("a payload that a test wrote itself: " + err.Error())
	}
	r.Asked = c.Now()
	r.Signature, err = send(raw)
	r.Answered = c.Now()
	var answer *octezclient.AnswerError
	var unreadable *octezclient.UnreadableAnswer
	switch {
	case r.Signature != "": // also one that does not verify: that is for the checker
		r.Status = 200
	case errors.As(err, &answer):
		r.Status, r.Error = answer.Status, answer.Message()
	case errors.As(err, &unreadable):
		r.Status, r.Unreadable, r.Error = unreadable.Status, true, unreadable.Why
	case err != nil:
		r.Error = err.Error()
	default:
		r.Status = 200
	}
	return r
}
