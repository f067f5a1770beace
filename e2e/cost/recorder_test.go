// Clients that ask for one signature after the other while something breaks, and
// what must be true of their history in the end: no second signature for a position,
// nothing that was given is missing in the record.

package cost

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/load"
	"signer.tezos.io/e2e/octezclient"
)

type recorder struct {
	s       *signerEnv
	stop    context.CancelFunc
	clients sync.WaitGroup
	clock   history.Clock
	lock    sync.Mutex
	events  []history.Event
}

// startRecorder starts a client for each key, and each at another pod: one of them is not the holder's.
func (s *signerEnv) startRecorder(pods ...*pod) *recorder {
	ctx, stop := context.WithCancel(s.t.Context())
	w := &recorder{s: s, stop: stop, clock: history.StartClock()}
	w.events = append(w.events, history.Event{Begin: w.clock.Begin(keys...)})
	for i, key := range keys {
		client := octezclient.NewClient(pods[i%len(pods)].base)
		one := load.Load{Client: client, Key: key, Level: initialLevel + 1, Clock: w.clock, Record: w.record}
		w.clients.Go(func() {
			if err := one.Run(ctx); err != nil {
				s.t.Error(err)
			}
		})
	}
	s.t.Cleanup(stop)
	return w
}

func (w *recorder) record(request history.Request) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.events = append(w.events, history.Event{Request: &request})
}

// at is a moment of the recorder's clock.
func (w *recorder) at(moment time.Time) history.Moment {
	return history.Moment(moment.Sub(w.clock.Began))
}

// signed are the requests of a key that got a signature, asked for after a moment; in the order of their answers.
func (w *recorder) signed(key string, after history.Moment) (signed []*history.Request) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, event := range w.events {
		if r := event.Request; r != nil && r.Key == key && r.Signature != "" && r.Asked > after {
			signed = append(signed, r)
		}
	}
	return signed
}

// signedAfter waits until each key has signed something new after a moment, and says how long that took.
func (w *recorder) signedAfter(moment time.Time) time.Duration {
	w.s.t.Helper()
	var last history.Moment
	for _, key := range keys {
		eventually(w.s.t, "a new signature of "+key.Hash(), func() bool {
			for _, request := range w.signed(key.Hash(), w.at(moment)) {
				if !request.Due {
					last = max(last, request.Answered)
					return true
				}
			}
			return false
		})
	}
	return time.Duration(last - w.at(moment))
}

// longestGap is the longest time in which a key signed nothing, since a moment.
func (w *recorder) longestGap(since time.Time) (longest time.Duration) {
	now := w.clock.Now()
	for _, key := range keys {
		last := w.at(since)
		for _, request := range w.signed(key.Hash(), last) {
			longest, last = max(longest, time.Duration(request.Answered-last)), request.Answered
		}
		longest = max(longest, time.Duration(now-last))
	}
	return longest
}

// check ends the clients, and checks the answers that they got.
func (w *recorder) check(t *testing.T) {
	t.Helper()
	w.stop()
	w.clients.Wait()
	verdict := history.CheckLog(w.events)
	for _, promise := range verdict.Broken {
		t.Error(promise)
	}
	t.Logf("history: %+v", verdict.Counts)
	if verdict.Counts.Signed < 20 || verdict.Counts.Replayed == 0 {
		t.Errorf("that is too little to show anything: %+v", verdict.Counts)
	}
	type row struct{ key, kind string }
	highest := map[row]*history.Request{}
	for _, key := range keys {
		for _, request := range w.signed(key.Hash(), 0) {
			at := row{request.Key, request.Kind}
			if before := highest[at]; before == nil || request.Level >= before.Level {
				highest[at] = request
			}
		}
	}
	for _, key := range keys {
		rows, _ := w.s.record(key)
		for at, request := range highest {
			if at.key == key.Hash() && !holds(rows[at.kind], request) {
				t.Errorf("%s: row %s is %q, and level %d was signed: %s", at.key, at.kind, rows[at.kind], request.Level, request.Signature)
			}
		}
	}
}

// holds is whether a row is that signature, or something higher: one whose answer was lost.
func holds(row string, request *history.Request) bool {
	var level int32
	if _, err := fmt.Sscan(row, &level); err != nil {
		return false
	}
	return level > request.Level || strings.HasSuffix(row, " "+request.Signature)
}
