// Package race asks signers, from many connections at once, for signatures of
// different payloads at one level and round, and counts what gets out. It knows
// the promise (at most one payload is ever signed), not how it is kept.
package race

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/payload"
)

// Race is one position fought for.
type Race struct {
	Signers      []string // base URLs
	Key          *octez.PublicKey
	Connections  int // per signer
	Kind         string
	Level, Round int32
}

// Result says what got out. Signed has each payload, in hexadecimal, that got a
// valid signature, with the different signatures it got.
type Result struct {
	PublicKeyHash string              `json:"publicKeyHash"`
	Kind          string              `json:"kind"`
	Level         int32               `json:"level"`
	Round         int32               `json:"round"`
	Answers       map[string]int      `json:"answers"` // by status, or "no answer"
	Signed        map[string][]string `json:"signed"`
	Wrong         []string            `json:"wrong,omitempty"` // 200s that do not verify, answers Octez cannot read
}

// Run holds the race. Each connection behaves as an Octez client of its own.
func (r *Race) Run(ctx context.Context) (*Result, error) {
	result := &Result{
		PublicKeyHash: r.Key.Hash(), Kind: r.Kind, Level: r.Level, Round: r.Round,
		Answers: map[string]int{}, Signed: map[string][]string{},
	}
	var lock sync.Mutex
	var runners sync.WaitGroup
	start := make(chan struct{})
	for _, signer := range r.Signers {
		for range r.Connections {
			toSign, err := payload.New(r.Kind, r.Level, r.Round)
			if err != nil {
				return nil, err
			}
			runners.Go(func() {
				client := octez.NewClient(signer)
				defer client.Close()
				<-start
				signature, err := client.Sign(ctx, r.Key, toSign)
				lock.Lock()
				defer lock.Unlock()
				result.add(toSign, signature, err)
			})
		}
	}
	close(start)
	runners.Wait()
	return result, context.Cause(ctx)
}

func (r *Result) add(asked []byte, signature string, err error) {
	var answer *octez.AnswerError
	switch {
	case errors.As(err, &answer):
		r.Answers[fmt.Sprint(answer.Status)]++
	case err == nil:
		r.Answers["200"]++
		text := hex.EncodeToString(asked)
		r.Signed[text] = append(r.Signed[text], signature)
	case signature != "": // 200, but it does not verify
		r.Answers["200"]++
		r.Wrong = append(r.Wrong, err.Error())
	default:
		r.Answers["no answer"]++
		r.Wrong = append(r.Wrong, err.Error())
	}
}

// OK says whether the promise was kept: at most one payload was signed.
func (r *Result) OK() bool { return len(r.Signed) <= 1 && r.Answers["200"] == len(r.Signed) }

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
		fmt.Fprintf(table, "%s\t%s %d round %d\t%s\t%d\t%s\n", r.PublicKeyHash, r.Kind, r.Level, r.Round, r.counts(), len(r.Signed), ok)
	}
	table.Flush()
	for _, r := range results {
		for _, wrong := range r.Wrong {
			fmt.Fprintf(to, "%s: %s\n", r.PublicKeyHash, wrong)
		}
	}
}
