// One history: healthy at first, then what the plan has, then healed, and judged.

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
	lastOfClients    = 850
	ofRecovery       = 900
)

// Which says which history to run.
type Which struct {
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

// trial is a history in the making.
type trial struct {
	field  *Field
	log    *eventLog
	start  time.Time
	first  int32
	levels []*atomic.Int32 // by key: where its clients are

	lock      sync.Mutex
	tables    map[string]bool // of rules that are in force
	restarted bool            // a signer was killed and must come back
}

// Run makes one history, and writes its log into the directory.
func (f *Field) Run(ctx context.Context, which Which, directory string) (*Result, error) {
	log, err := newEventLog(filepath.Join(directory, fmt.Sprintf("seed-%d-%03d.jsonl", which.Seed, which.Number)))
	if err != nil {
		return nil, err
	}
	defer log.file.Close()
	random := rand.New(rand.NewPCG(which.Seed, uint64(which.Number)))
	t := &trial{field: f, log: log, start: time.Now(), first: which.FirstLevel, tables: map[string]bool{}}
	begin := &history.Begin{Seed: which.Seed, Number: which.Number, Time: t.start.UTC().Format(time.RFC3339Nano)}
	for _, key := range f.Keys {
		begin.Keys = append(begin.Keys, key.String())
		level := &atomic.Int32{}
		level.Store(which.FirstLevel)
		t.levels = append(t.levels, level)
	}
	log.write(history.Event{Begin: begin})

	plan := draw(random, len(f.Keys))
	if which.Undisruptive {
		plan = undisruptive(plan)
	}
	patient, hangUp := context.WithCancel(ctx)
	defer hangUp()
	go t.keepLooking(patient)
	clients := t.startClients(patient, random)
	t.breakAll(ctx, plan)
	clients.stop()
	err = t.mend(ctx)
	hangUp()
	clients.wait()
	if err == nil {
		err = log.err
	}
	result := &Result{Verdict: history.Judge(log.events), Log: log.file.Name(), Took: time.Since(t.start)}
	for _, p := range plan {
		result.Faults = append(result.Faults, p.what)
	}
	return result, err
}

// breakAll carries out a plan, to its end.
func (t *trial) breakAll(ctx context.Context, plan []planned) {
	var running sync.WaitGroup
	for _, p := range plan {
		running.Go(func() {
			t.until(ctx, p.at)
			event := &history.Fault{Begin: t.now()}
			finish, met, err := p.begin(ctx, t)
			event.What = p.what
			if met != "" {
				event.What += " (" + met + ")"
			}
			t.until(ctx, p.at+p.lasts)
			if finish != nil {
				if failed := finish(ctx); err == nil {
					err = failed
				}
			}
			event.End = t.now()
			if err != nil {
				event.Error = err.Error()
			}
			t.log.write(history.Event{Fault: event})
		})
	}
	running.Wait()
	t.until(ctx, end(plan))
}

// keepLooking finds new replicas, so that they are asked as soon as they are there.
func (t *trial) keepLooking(ctx context.Context) {
	for ctx.Err() == nil {
		soon, cancel := context.WithTimeout(ctx, time.Second)
		t.field.look(soon)
		cancel()
		pause(ctx, time.Second)
	}
}

func (t *trial) now() history.Moment { return history.Moment(time.Since(t.start)) }

func (t *trial) until(ctx context.Context, at time.Duration) {
	select {
	case <-time.After(time.Until(t.start.Add(at))):
	case <-ctx.Done():
	}
}

func (t *trial) mustRestart() {
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
