// An API server, or something before it, that has too much to do and says so: 429 and
// 503 with Retry-After.

package cost

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/payload"
)

// As API Priority and Fairness says it, and as the API server itself does.
var overloads = []struct {
	name string
	say  func(http.ResponseWriter)
}{
	{"429", func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
	}},
	{"503", func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","code":503,"message":"try again","details":{"retryAfterSeconds":1}}`)
	}},
}

func TestAnAPIServerThatAsksToWait(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 1)
	p := s.newProxy()
	holder := s.startPod("holder", 5, p.port)
	s.startPod("standby", 5, p.port)
	_, before := s.record(keys[0])
	level := int32(initialLevel)
	sign := func(within time.Duration) (string, error) {
		level++
		vote, err := payload.New("attestation", level, 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return holder.client.Sign(ctx, keys[0], vote)
	}
	for _, overload := range overloads {
		// Each request the first time: what is sent again comes through, and no client sees it.
		var again sync.Map
		p.set(func(w http.ResponseWriter, r *http.Request) bool {
			same := fmt.Sprint(r.Header.Get("Authorization"), r.Method, r.URL)
			_, seen := again.LoadAndDelete(same)
			if !seen {
				again.Store(same, true)
				overload.say(w)
			}
			return !seen
		})
		for range 6 {
			if _, err := sign(deadline); err != nil {
				t.Errorf("%s the first time: %v", overload.name, err)
			}
		}

		// All of them, for longer than one request may take.
		p.set(func(w http.ResponseWriter, _ *http.Request) bool { overload.say(w); return true })
		began, asked := time.Now(), p.requests.Load()
		time.AfterFunc(3*time.Second, p.open)
		status, took := holder.askOnce(t, level+1)
		if status != http.StatusBadGateway || took > deadline+200*time.Millisecond {
			t.Errorf("%s: the signer answered %d after %v, want 502 within %v", overload.name, status, took, deadline)
		}
		// As Octez asks: its tries outlast the overload.
		signature, err := sign(10 * time.Second)
		if err != nil {
			t.Errorf("%s for 3 s: %v", overload.name, err)
		}
		after := time.Since(began) - 3*time.Second
		t.Logf("%s for 3 s: 502 after %v, signed %v after it ended; %d requests came to the API server in that time",
			overload.name, took.Round(time.Millisecond), after.Round(time.Millisecond), p.requests.Load()-asked)
		if after > nextSignature {
			t.Errorf("that is more than %v", nextSignature)
		}
		s.mustHaveRow(keys[0], "attestation", signature)
	}
	if _, after := s.record(keys[0]); after != before {
		t.Errorf("the lease went from %+v to %+v: nothing was wrong with its holder", before, after)
	}
}
