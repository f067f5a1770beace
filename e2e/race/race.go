// Package race asks signers, from many connections at once, for signatures of
// different payloads at one level and round, and counts what gets out. The promise (at most
// one payload is ever signed) is checked by package history.
package race

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

// Race is one position fought for.
type Race struct {
	Signers      []string // base URLs
	Key          *octezclient.PublicKey
	Connections  int // per signer
	Kind         string
	Level, Round int32
}

// Result says what got out.
type Result struct {
	PublicKeyHash string         `json:"publicKeyHash"`
	Kind          string         `json:"kind"`
	Level         int32          `json:"level"`
	Round         int32          `json:"round"`
	Answers       map[string]int `json:"answers"` // by status, or "no answer"
	// Signed counts the payloads that got a signature.
	Signed int `json:"signed"`
	// Broken has a sentence for each broken promise, of history.CheckLog.
	Broken []string `json:"broken,omitempty"`

	// Events is the log, for who adds to it.
	Events []history.Event `json:"-"`
}

// Run holds the race. Each connection behaves as an Octez client of its own.
func (r *Race) Run(ctx context.Context) (*Result, error) {
	result := &Result{PublicKeyHash: r.Key.Hash(), Kind: r.Kind, Level: r.Level, Round: r.Round, Answers: map[string]int{}}
	clock := history.StartClock()
	result.Events = append(result.Events, history.Event{Begin: clock.Begin(r.Key)})
	var lock sync.Mutex
	var runners sync.WaitGroup
	start := make(chan struct{})
	for _, signer := range r.Signers {
		for range r.Connections {
			toSign, err := payload.New(r.Kind, r.Level, r.Round)
			if err != nil {
				return nil, err
			}
			request := history.Request{
				Replica: signer, Key: r.Key.Hash(), Kind: r.Kind, Level: r.Level, Round: r.Round, Payload: hex.EncodeToString(toSign),
			}
			runners.Go(func() {
				client := octezclient.NewClient(signer)
				defer client.Close()
				<-start
				request := clock.Ask(request, func(payload []byte) (string, error) { return client.Sign(ctx, r.Key, payload) })
				lock.Lock()
				defer lock.Unlock()
				result.add(&request)
			})
		}
	}
	close(start)
	runners.Wait()
	result.Broken = history.CheckLog(result.Events).Broken
	return result, context.Cause(ctx)
}

// Again asks one signer for each payload of a log once more, one after the other, and returns what was answered.
func (r *Race) Again(ctx context.Context, signer string, log []history.Event) []history.Event {
	client := octezclient.NewClient(signer)
	defer client.Close()
	clock := history.StartClock()
	var again []history.Event
	for _, event := range log {
		if event.Request != nil {
			request := clock.Ask(*event.Request, func(payload []byte) (string, error) { return client.Sign(ctx, r.Key, payload) })
			again = append(again, history.Event{Request: &request})
		}
	}
	return again
}

func (r *Result) add(request *history.Request) {
	r.Events = append(r.Events, history.Event{Request: request})
	if request.Status == 0 {
		r.Answers["no answer"]++
	} else {
		r.Answers[fmt.Sprint(request.Status)]++
	}
	if request.Signature != "" {
		r.Signed++
	}
}

// OK reports whether the promise was kept: at most one payload was signed.
func (r *Result) OK() bool { return len(r.Broken) == 0 }

func (r *Result) counts() string {
	var counts []string
	for _, answer := range slices.Sorted(maps.Keys(r.Answers)) {
		counts = append(counts, fmt.Sprintf("%d × %s", r.Answers[answer], answer))
	}
	return strings.Join(counts, ", ")
}

// Write shows the results as one aligned table, then what was wrong.
func Write(to io.Writer, results []*Result) {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tPOSITION\tANSWERS\tPAYLOADS SIGNED\tOK")
	for _, r := range results {
		ok := "yes"
		if !r.OK() {
			ok = "NO"
		}
		fmt.Fprintf(table, "%s\t%s %d round %d\t%s\t%d\t%s\n", r.PublicKeyHash, r.Kind, r.Level, r.Round, r.counts(), r.Signed, ok)
	}
	table.Flush()
	for _, r := range results {
		for _, broken := range r.Broken {
			fmt.Fprintln(to, broken)
		}
	}
}
