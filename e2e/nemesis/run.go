// One history: healthy at first, then what the plan has, then healed, and checked.

package nemesis

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"signer.tezos.io/e2e/history"
)

const (
	leaseDuration = 5 * time.Second // the default
	// LevelsOfAHistory are a history's own: it asks for those above its first one.
	LevelsOfAHistory = 1000
	clientLevels     = 850
	recoveryLevel    = 900
)

// HistorySpec says which history to run.
type HistorySpec struct {
	Seed       uint64
	Number     int   // of the seed's histories
	FirstLevel int32 // above all that was signed
	// Undisruptive: other tests use the cluster afterwards, so API server and etcd are
	// not restarted.
	Undisruptive bool
}

// Result is a history that is over.
type Result struct {
	*history.Verdict
	Faults []string // what was planned
	Log    string   // the file
	Took   time.Duration
}

// historyRun is a history in the making.
type historyRun struct {
	target *Target
	log    *eventLog
	clock  history.Clock
	first  int32
	levels []*atomic.Int32 // by key: where its clients are

	lock      sync.Mutex
	tables    map[string]bool // of rules that are in force
	restarted bool            // a signer was killed and must come back
}

// Run makes one history, and writes its log into the directory.
func (f *Target) Run(ctx context.Context, which HistorySpec, directory string) (*Result, error) {
	log, err := newEventLog(filepath.Join(directory, fmt.Sprintf("seed-%d-%03d.jsonl", which.Seed, which.Number)))
	if err != nil {
		return nil, err
	}
	defer log.file.Close()
	random := rand.New(rand.NewPCG(which.Seed, uint64(which.Number)))
	t := &historyRun{target: f, log: log, clock: history.StartClock(), first: which.FirstLevel, tables: map[string]bool{}}
	begin := t.clock.Begin(f.Keys...)
	begin.Seed, begin.Number = which.Seed, which.Number
	for range f.Keys {
		level := &atomic.Int32{}
		level.Store(which.FirstLevel)
		t.levels = append(t.levels, level)
	}
	log.write(history.Event{Begin: begin})

	plan := draw(random, len(f.Keys))
	if which.Undisruptive {
		plan = withoutDisruptive(plan)
	}
	patient, hangUp := context.WithCancel(ctx)
	defer hangUp()
	go t.keepReplicasFresh(patient)
	clients := t.startClients(patient, random)
	t.breakAll(ctx, plan)
	clients.stop()
	err = t.healAndVerify(ctx)
	hangUp()
	clients.wait()
	if err == nil {
		err = log.err
	}
	result := &Result{Verdict: history.CheckLog(log.events), Log: log.file.Name(), Took: time.Since(t.clock.Began)}
	for _, p := range plan {
		result.Faults = append(result.Faults, p.what)
	}
	return result, err
}

// breakAll carries out a plan, to its end.
func (t *historyRun) breakAll(ctx context.Context, plan []plannedFault) {
	var running sync.WaitGroup
	for _, p := range plan {
		running.Go(func() {
			t.until(ctx, p.at)
			event := &history.Fault{Begin: t.clock.Now()}
			finish, met, err := p.begin(ctx, t)
			event.What = p.what
			if met != "" {
				event.What += " (" + met + ")"
			}
			t.until(ctx, p.at+p.duration)
			if finish != nil {
				if failed := finish(ctx); err == nil {
					err = failed
				}
			}
			event.End = t.clock.Now()
			if err != nil {
				event.Error = err.Error()
			}
			t.log.write(history.Event{Fault: event})
		})
	}
	running.Wait()
	t.until(ctx, planDuration(plan))
}

// keepReplicasFresh finds new replicas, so that they are asked as soon as they are there.
func (t *historyRun) keepReplicasFresh(ctx context.Context) {
	for ctx.Err() == nil {
		soon, cancel := context.WithTimeout(ctx, time.Second)
		t.target.refresh(soon)
		cancel()
		pause(ctx, time.Second)
	}
}

func (t *historyRun) until(ctx context.Context, at time.Duration) {
	select {
	case <-time.After(time.Until(t.clock.Began.Add(at))):
	case <-ctx.Done():
	}
}

func (t *historyRun) noteRestart() {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.restarted = true
}

// eventLog keeps the events, and writes each as a line.
type eventLog struct {
	lock   sync.Mutex
	events []history.Event
	file   *os.File
	err    error // the first one of the file
}

func newEventLog(path string) (*eventLog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	return &eventLog{file: file}, err
}

func (l *eventLog) write(event history.Event) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.events = append(l.events, event)
	if err := json.NewEncoder(l.file).Encode(event); err != nil && l.err == nil {
		l.err = err
	}
}
