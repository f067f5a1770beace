package history

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/vectors"
)

// Signatures are of these, so that the checker verifies real ones.
var (
	block       = vectors.Get("block-2332654")
	attestation = vectors.Get("attestation-2244610")
)

// The checker of these tests must not fail for a signature that is made up.
func checkUnverified(events ...Event) *Verdict {
	verdict := CheckLog(events)
	var kept []string
	for _, sentence := range verdict.Broken {
		if !strings.HasPrefix(sentence, "a wrong signature") {
			kept = append(kept, sentence)
		}
	}
	verdict.Broken = kept
	return verdict
}

func second(s float64) Moment { return Moment(s * float64(time.Second)) }

// asked is a request of a block, of "a" with the signature "s1" and so on.
func asked(from, to float64, level int32, payload string, signature string) Event {
	r := &Request{Asked: second(from), Answered: second(to), Replica: "one", Key: "tz3", Kind: "block", Level: level, Payload: payload, Signature: signature, Status: 409}
	if signature != "" {
		r.Status = 200
	}
	return Event{Request: r}
}

func with(e Event, change func(*Request)) Event {
	changed := *e.Request
	change(&changed)
	return Event{Request: &changed}
}

func edited(what Change, level int32, sent, acknowledged float64) Event {
	e := &Edit{Sent: second(sent), What: what, Key: "tz3", Level: level, By: "break-glass"}
	if acknowledged > 0 {
		at := second(acknowledged)
		e.Acknowledged = &at
	}
	return Event{Edit: e}
}

func refusedEdit(what Change, sent float64) Event {
	return Event{Edit: &Edit{Sent: second(sent), What: what, Key: "tz3", Refused: true}}
}

func due(from, within float64) Event {
	return Event{Due: &Due{From: second(from), Within: second(within), Key: "tz3"}}
}

func status(s int) func(*Request) { return func(r *Request) { r.Status = s } }

func TestPlantedViolationsAreFound(t *testing.T) {
	isDue, isAgain := func(r *Request) { r.Due = true }, func(r *Request) { r.Again = true }
	attested := func(r *Request) { r.Kind = "attestation" }
	for name, c := range map[string]struct {
		events []Event
		begins string // how the only sentence begins; empty: nothing is broken
	}{
		"rising":                                 {[]Event{asked(1, 2, 1, "a", "s1"), asked(3, 4, 2, "b", "s2")}, ""},
		"the same again":                         {[]Event{asked(1, 2, 1, "a", "s1"), asked(3, 4, 1, "a", "s1")}, ""},
		"a conflict that is refused":             {[]Event{asked(1, 2, 1, "a", "s1"), asked(3, 4, 1, "b", "")}, ""},
		"two payloads":                           {[]Event{asked(1, 2, 1, "a", "s1"), asked(3, 4, 1, "b", "s2")}, "two payloads"},
		"two payloads at once":                   {[]Event{asked(1, 4, 1, "a", "s1"), asked(1, 4, 1, "b", "s2")}, "two payloads"},
		"two signatures of one":                  {[]Event{asked(1, 2, 1, "a", "s1"), asked(1, 2, 1, "a", "s2")}, "two signatures"},
		"another round, another kind":            {[]Event{asked(1, 2, 1, "a", "s1"), with(asked(3, 4, 1, "b", "s2"), func(r *Request) { r.Round = 1 }), with(asked(3, 4, 1, "c", "s3"), attested)}, ""},
		"below, asked afterwards":                {[]Event{asked(1, 2, 5, "a", "s1"), asked(3, 4, 4, "b", "s2")}, "signed below"},
		"a lower round, asked afterwards":        {[]Event{with(asked(1, 2, 5, "a", "s1"), func(r *Request) { r.Round = 2 }), with(asked(3, 4, 5, "b", "s2"), func(r *Request) { r.Round = 1 })}, "signed below"},
		"below, with something lower in between": {[]Event{asked(1, 2, 5, "a", "s1"), asked(1, 3, 3, "b", "s2"), asked(4, 5, 4, "c", "s3")}, "signed below"},
		"below, asked before the answer":         {[]Event{asked(1, 3, 5, "a", "s1"), asked(2, 4, 4, "b", "s2")}, ""},
		"below, another kind":                    {[]Event{asked(1, 2, 5, "a", "s1"), with(asked(3, 4, 4, "b", "s2"), attested)}, ""},
		"below, but answered before":             {[]Event{asked(1, 2, 4, "b", "s2"), asked(1, 3, 5, "a", "s1"), asked(4, 5, 4, "b", "s2")}, ""},

		"suspended, and refused":                   {[]Event{edited(Suspend, 0, 1, 2), with(asked(3, 4, 1, "a", ""), status(403))}, ""},
		"signed though suspended":                  {[]Event{edited(Suspend, 0, 1, 2), asked(3, 4, 1, "a", "s1")}, "signed in spite of suspend"},
		"suspended, not acknowledged":              {[]Event{edited(Suspend, 0, 1, 0), asked(3, 4, 1, "a", "s1")}, ""},
		"suspended, asked before":                  {[]Event{edited(Suspend, 0, 1, 2), asked(1.5, 4, 1, "a", "s1")}, ""},
		"suspended, given again":                   {[]Event{asked(0, 1, 1, "a", "s1"), edited(Suspend, 0, 1, 2), asked(3, 4, 1, "a", "s1")}, ""},
		"suspended, an earlier request unanswered": {[]Event{with(asked(0, 9, 1, "a", ""), status(0)), edited(Suspend, 0, 1, 2), asked(3, 4, 1, "a", "s1")}, ""},
		"suspended, an earlier request refused":    {[]Event{with(asked(0, 1, 1, "a", ""), status(409)), edited(Suspend, 0, 1, 2), asked(3, 4, 1, "a", "s1")}, "signed in spite of suspend"},
		"suspended, the lift is on its way":        {[]Event{edited(Suspend, 0, 1, 2), edited(Unsuspend, 0, 3.5, 0), asked(3, 4, 1, "a", "s1")}, ""},
		"signed before the lift was sent":          {[]Event{edited(Suspend, 0, 1, 2), edited(Unsuspend, 0, 5, 6), asked(3, 4, 1, "a", "s1")}, "signed in spite of suspend"},
		"suspended, an old lift may come yet":      {[]Event{edited(Unsuspend, 0, 0, 0), edited(Suspend, 0, 1, 2), asked(3, 4, 1, "a", "s1")}, ""},
		"suspended, an old lift is over":           {[]Event{edited(Unsuspend, 0, 0, 0.5), edited(Suspend, 0, 1, 2), asked(3, 4, 1, "a", "s1")}, "signed in spite of suspend"},
		"suspended, the lift was refused":          {[]Event{edited(Suspend, 0, 1, 2), refusedEdit(Unsuspend, 2.5), asked(3, 4, 1, "a", "s1")}, "signed in spite of suspend"},
		"another key is suspended":                 {[]Event{edited(Suspend, 0, 1, 2), with(asked(3, 4, 1, "a", "s1"), func(r *Request) { r.Key = "tz2" })}, ""},

		"at a floor":                   {[]Event{edited(Floor, 7, 1, 2), asked(3, 4, 7, "a", "s1")}, "signed in spite of floor"},
		"at a floor, a high round":     {[]Event{edited(Floor, 7, 1, 2), with(asked(3, 4, 7, "a", "s1"), func(r *Request) { r.Round = 99 })}, "signed in spite of floor"},
		"above a floor":                {[]Event{edited(Floor, 7, 1, 2), asked(3, 4, 8, "a", "s1")}, ""},
		"at a floor, signed before":    {[]Event{asked(0, 1, 7, "a", "s1"), edited(Floor, 7, 1, 2), asked(3, 4, 7, "a", "s1")}, ""},
		"above a ceiling":              {[]Event{edited(Ceiling, 7, 1, 2), asked(3, 4, 8, "a", "s1")}, "signed in spite of ceiling"},
		"at a ceiling":                 {[]Event{edited(Ceiling, 7, 1, 2), asked(3, 4, 7, "a", "s1")}, ""},
		"above a ceiling that is gone": {[]Event{edited(Ceiling, 7, 1, 2), edited(NoCeiling, 0, 2.5, 3), asked(4, 5, 8, "a", "s1")}, ""},
		"above a lowered ceiling":      {[]Event{edited(Ceiling, 7, 1, 2), edited(Ceiling, 6, 2.5, 0), asked(4, 5, 8, "a", "s1")}, "signed in spite of ceiling"},
		"above a raised ceiling":       {[]Event{edited(Ceiling, 7, 1, 2), edited(Ceiling, 9, 2.5, 3), asked(4, 5, 8, "a", "s1")}, ""},
		"touched":                      {[]Event{edited(Touch, 0, 1, 2), asked(3, 4, 8, "a", "s1")}, ""},

		"all statuses there are": {[]Event{
			with(asked(1, 2, 1, "a", ""), status(0)), with(asked(1, 2, 1, "a", ""), status(400)), with(asked(1, 2, 1, "a", ""), status(401)),
			with(asked(1, 2, 1, "a", ""), status(403)), with(asked(1, 2, 1, "a", ""), status(404)), with(asked(1, 2, 1, "a", ""), status(502)),
		}, ""},
		"500":                       {[]Event{with(asked(1, 2, 1, "a", ""), status(500))}, "an answer with a status"},
		"503":                       {[]Event{with(asked(1, 2, 1, "a", ""), status(503))}, "an answer with a status"},
		"200 without a signature":   {[]Event{with(asked(1, 2, 1, "a", ""), status(200))}, "an answer that Octez could not read"},
		"409 with a signature":      {[]Event{with(asked(1, 2, 1, "a", "s1"), status(409))}, "an answer that Octez could not read"},
		"a 409 that does not parse": {[]Event{with(asked(1, 2, 1, "a", ""), func(r *Request) { r.Unreadable = true })}, "an answer that Octez could not read"},
		"something else was signed": {[]Event{with(asked(1, 2, 0, "a", "s1"), func(r *Request) { r.Kind = NotToBeSigned })}, "something was signed"},

		"due, and signed":            {[]Event{due(5, 6), with(asked(6, 7, 1, "a", "s1"), isDue)}, ""},
		"due, 502, then signed":      {[]Event{due(5, 6), with(with(asked(6, 7, 1, "a", ""), isDue), status(502)), with(asked(8, 9, 1, "a", "s1"), isDue)}, ""},
		"due, no answer, then it":    {[]Event{due(5, 6), with(with(asked(6, 7, 1, "a", ""), isDue), status(0)), with(asked(8, 9, 1, "a", "s1"), isDue)}, ""},
		"due, and late":              {[]Event{due(5, 6), with(asked(6, 11.5, 1, "a", "s1"), isDue)}, "a signature by tz3 took"},
		"due, and never":             {[]Event{due(5, 6), with(with(asked(6, 7, 1, "a", ""), isDue), status(502))}, "nothing was signed"},
		"due, and signed before":     {[]Event{due(5, 6), with(asked(4, 7, 1, "a", "s1"), isDue)}, "nothing was signed"},
		"due, and refused":           {[]Event{with(asked(6, 7, 1, "a", ""), isDue)}, "not signed where nothing was broken"},
		"again, and signed":          {[]Event{asked(1, 2, 1, "a", "s1"), with(asked(3, 4, 1, "a", "s1"), isAgain)}, ""},
		"again, and another one":     {[]Event{asked(1, 2, 1, "a", "s1"), with(asked(3, 4, 1, "a", "s2"), isAgain)}, "two signatures"},
		"again, and refused":         {[]Event{with(asked(3, 4, 1, "a", ""), isAgain)}, "not signed where nothing was broken"},
		"again, and nobody answered": {[]Event{with(with(asked(3, 4, 1, "a", ""), isAgain), status(0))}, "not signed where nothing was broken"},
	} {
		verdict := checkUnverified(c.events...)
		right := len(verdict.Broken) == 0
		if c.begins != "" {
			right = len(verdict.Broken) == 1 && strings.HasPrefix(verdict.Broken[0], c.begins)
		}
		if !right {
			t.Errorf("%s: expected %q, got %q", name, c.begins, verdict.Broken)
		}
	}
}

func TestSignaturesAreVerified(t *testing.T) {
	text := func(h vectors.Hex) string { return hex.EncodeToString(h) }
	begin := Event{Begin: &Begin{Keys: []string{attestation.PublicKey}}}
	of := func(payload vectors.Hex, signature string) Event {
		key := hashOf(t, attestation.PublicKey)
		return Event{Request: &Request{Key: key, Kind: "attestation", Payload: text(payload), Status: 200, Signature: signature}}
	}
	if broken := CheckLog([]Event{begin, of(attestation.Payload, attestation.Signature)}).Broken; len(broken) != 0 {
		t.Errorf("a real signature: %q", broken)
	}
	for name, event := range map[string]Event{
		"of another payload": of(block.Payload, attestation.Signature),
		"of no key there is": {Request: &Request{Key: "tz3", Payload: text(attestation.Payload), Status: 200, Signature: attestation.Signature}},
		"no signature":       of(attestation.Payload, "p2sig"),
	} {
		if broken := CheckLog([]Event{begin, event}).Broken; len(broken) != 1 || !strings.HasPrefix(broken[0], "a wrong signature") {
			t.Errorf("%s: %q", name, broken)
		}
	}
}

func TestALogIsReadAsItWasWritten(t *testing.T) {
	events := []Event{
		{Begin: &Begin{Seed: 1, Number: 2, Keys: []string{"p2pk"}}}, asked(1, 2.5, 1, "a", "s1"), edited(Suspend, 0, 1, 2), edited(Touch, 0, 1, 0),
		{Fault: &Fault{Begin: second(1), End: second(2), What: "SIGKILL"}}, due(5, 6),
	}
	var lines bytes.Buffer
	for _, event := range events {
		if err := json.NewEncoder(&lines).Encode(event); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(lines.String(), `"answered":"2.5s"`) || strings.Count(lines.String(), "\n") != len(events) {
		t.Errorf("no lines for people: %s", lines.String())
	}
	before, _ := json.Marshal(events)
	read, err := Read(&lines)
	after, _ := json.Marshal(read)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v: read %s, wrote %s", err, after, before)
	}
}

func hashOf(t *testing.T, publicKey string) string {
	t.Helper()
	key, err := octezclient.ParsePublicKey(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key.Hash()
}

// The consensus key and the companion key sign the same bytes, each once: that is no second signature.
func TestTz4KeysAreCheckedAsOthers(t *testing.T) {
	var events []Event
	begin := &Begin{}
	for _, name := range []string{"consensus", "companion"} {
		begin.Keys = append(begin.Keys, vectors.GetTz4Key(name).PublicKey)
	}
	events = append(events, Event{Begin: begin})
	for _, v := range vectors.Tz4Signatures() {
		if v.What == "attestation round 0" {
			events = append(events, Event{Request: &Request{Key: vectors.GetTz4Key(v.Key).PublicKeyHash, Kind: "attestation", Level: 15181990,
				Payload: hex.EncodeToString(v.Payload), Status: 200, Signature: v.Signatures["3"]}})
		}
	}
	if verdict := CheckLog(events); len(verdict.Broken) != 0 || verdict.Counts.Signed != 2 {
		t.Errorf("%d signed: %v", verdict.Counts.Signed, verdict.Broken)
	}
	// Each other's signature.
	events[1].Request.Signature, events[2].Request.Signature = events[2].Request.Signature, events[1].Request.Signature
	if verdict := CheckLog(events); len(verdict.Broken) != 2 {
		t.Errorf("not told: %v", verdict.Broken)
	}
}
