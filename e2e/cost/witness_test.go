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
	"signer.tezos.io/e2e/octez"
)

type witness struct {
	s       *site
	stop    context.CancelFunc
	clients sync.WaitGroup
	lock    sync.Mutex
	entries []history.Entry
	times   []time.Time // when each was answered
}

// watch starts a client for each key, and each at another pod: one of them is not the holder's.
func (s *site) watch(pods ...*pod) *witness {
	ctx, stop := context.WithCancel(s.t.Context())
	w := &witness{s: s, stop: stop}
	for i, key := range keys {
		client := octez.NewClient(pods[i%len(pods)].base)
		one := load.Load{Client: client, Key: key, Level: initialLevel + 1, Record: w.record}
		w.clients.Go(func() {
			if err := one.Run(ctx); err != nil {
				s.t.Error(err)
			}
		})
	}
	s.t.Cleanup(stop)
	return w
}

func (w *witness) record(entry history.Entry) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.entries, w.times = append(w.entries, entry), append(w.times, time.Now())
}

// signedAfter waits until each key has signed something new after a moment, and says how long that took.
func (w *witness) signedAfter(moment time.Time) time.Duration {
	w.s.t.Helper()
	var last time.Time
	for _, key := range keys {
		eventually(w.s.t, "a new signature of "+key.Hash(), func() bool {
			w.lock.Lock()
			defer w.lock.Unlock()
			for i, entry := range w.entries {
				// Asked for after the moment: what was on its way then took less than a millisecond to come back.
				if entry.Key == key.Hash() && entry.Signature != "" && !entry.Again && w.times[i].After(moment.Add(time.Millisecond)) {
					if w.times[i].After(last) {
						last = w.times[i]
					}
					return true
				}
			}
			return false
		})
	}
	return last.Sub(moment)
}

// longestGap is the longest time in which a key signed nothing, since a moment.
func (w *witness) longestGap(since time.Time) (longest time.Duration) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, key := range keys {
		last := since
		for i, entry := range w.entries {
			if entry.Key == key.Hash() && entry.Signature != "" && w.times[i].After(since) {
				longest, last = max(longest, w.times[i].Sub(last)), w.times[i]
			}
		}
		longest = max(longest, time.Since(last))
	}
	return longest
}

// judge ends the clients, and looks at what they were told.
func (w *witness) judge(t *testing.T) {
	t.Helper()
	w.stop()
	w.clients.Wait()
	broken, summary := history.Check(w.entries)
	for _, promise := range broken {
		t.Error(promise)
	}
	t.Logf("history: %+v", summary)
	if summary.Signed < 20 || summary.Replayed == 0 {
		t.Errorf("that is too little to show anything: %+v", summary)
	}
	type row struct{ key, kind string }
	highest := map[row]history.Entry{}
	for _, entry := range w.entries {
		at := row{entry.Key, entry.Kind}
		if entry.Signature != "" && !entry.Again && entry.Level >= highest[at].Level {
			highest[at] = entry
		}
	}
	for _, key := range keys {
		rows, _ := w.s.record(key)
		for at, entry := range highest {
			if at.key == key.Hash() && !holds(rows[at.kind], entry) {
				t.Errorf("%s: row %s is %q, and level %d was signed: %s", at.key, at.kind, rows[at.kind], entry.Level, entry.Signature)
			}
		}
	}
}

// holds is whether a row is that signature, or something higher: one whose answer was lost.
func holds(row string, entry history.Entry) bool {
	var level int32
	if _, err := fmt.Sscan(row, &level); err != nil {
		return false
	}
	return level > entry.Level || strings.HasSuffix(row, " "+entry.Signature)
}
