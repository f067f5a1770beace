// What is logged where many clients ask at once: requests, edits of the record, faults
// and what is due, each with its times by one clock. A log is a file of JSON lines,
// one Event each.

package history

import (
	"encoding/json"
	"errors"
	"io"
	"time"
)

// Moment is the time since the history began.
type Moment time.Duration

// MarshalText writes it as 3.412807s.
func (m Moment) MarshalText() ([]byte, error) {
	return []byte(time.Duration(m).Round(time.Microsecond).String()), nil
}

func (m *Moment) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*m = Moment(parsed)
	return err
}

func (m Moment) String() string { return time.Duration(m).Round(time.Millisecond).String() }

// Event has one field set.
type Event struct {
	Begin   *Begin   `json:"begin,omitempty"`
	Request *Request `json:"request,omitempty"`
	Edit    *Edit    `json:"edit,omitempty"`
	Fault   *Fault   `json:"fault,omitempty"`
	Due     *Due     `json:"due,omitempty"`
}

// Begin is the first event.
type Begin struct {
	Seed   uint64   `json:"seed"`
	Number int      `json:"number"` // of the seed's histories
	Time   string   `json:"time"`
	Keys   []string `json:"keys"` // public keys
}

// Request is a payload that a signer was asked to sign, and its answer.
type Request struct {
	Asked    Moment `json:"asked"`
	Answered Moment `json:"answered"` // or given up
	Replica  string `json:"replica"`
	Key      string `json:"key"`  // its hash
	Kind     string `json:"kind"` // NotToBeSigned: nothing of a baker's
	Level    int32  `json:"level,omitempty"`
	Round    int32  `json:"round,omitempty"`
	Payload  string `json:"payload"`          // in hexadecimal
	Status   int    `json:"status,omitempty"` // 0: no answer
	// Unreadable: there was an answer, but not of the form that Octez reads.
	Unreadable bool   `json:"unreadable,omitempty"`
	Signature  string `json:"signature,omitempty"`
	Error      string `json:"error,omitempty"`
	// Due: this is not refused, though it may be unavailable for a while (502, or no answer): nothing is broken any more, or
	// it was signed before, with nothing higher since.
	Due bool `json:"due,omitempty"`
	// Again: all is well, and this was signed before, with nothing higher since: it is signed.
	Again bool `json:"again,omitempty"`
}

// NotToBeSigned is the kind of what must be refused whatever happens.
const NotToBeSigned = "not to be signed"

// Edit is an operator's change of a record.
type Edit struct {
	Sent         Moment  `json:"sent"`
	Acknowledged *Moment `json:"acknowledged,omitempty"` // nil: refused, or nobody knows
	Refused      bool    `json:"refused,omitempty"`      // the API server has said that it was not done
	What         Change  `json:"what"`
	Key          string  `json:"key"`
	Level        int32   `json:"level,omitempty"`
	By           string  `json:"by"`
	Error        string  `json:"error,omitempty"`
}

// Change is what an edit does.
type Change string

const (
	Suspend   Change = "suspend"
	Unsuspend Change = "unsuspend"
	Floor     Change = "floor"      // nothing at or below the level
	Ceiling   Change = "ceiling"    // nothing above the level
	NoCeiling Change = "no ceiling" // takes it away
	Touch     Change = "touch"      // nothing that matters
)

// Fault is for the reader: no check depends on it.
type Fault struct {
	Begin Moment `json:"begin"`
	End   Moment `json:"end"`
	What  string `json:"what"`
	Error string `json:"error,omitempty"` // it could not be made, or not be ended
}

// Due says that from then on nothing is broken: within that time something must be
// signed by the key.
type Due struct {
	From   Moment `json:"from"`
	Within Moment `json:"within"`
	Key    string `json:"key"`
}

// Read reads a log.
func Read(from io.Reader) ([]Event, error) {
	var events []Event
	for decoder := json.NewDecoder(from); ; {
		var event Event
		err := decoder.Decode(&event)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
}
