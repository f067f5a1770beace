// Package stats summarises the measurements of a benchmark, and compares them with
// the limits that the project promises.
package stats

import (
	"fmt"
	"io"
	"time"
)

// What is promised: a vote takes at most this much of a bare PUT of the record
// and a bare signature of the token together, at the median; and this memory.
const (
	RatioLimit  = 1.3
	MemoryLimit = 28 << 20
)

// Summary is the result of one run of the benchmark.
type Summary struct {
	Votes        int     `json:"votes"`
	Vote         Latency `json:"vote"`
	Put          Latency `json:"put"`
	CSign        Latency `json:"cSign"`
	Ratio        float64 `json:"ratio"` // vote / (put + cSign), each at p50
	SignerMemory int64   `json:"signerMemoryBytes"`
}

// Latency is in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// New takes the samples of each of the three and the signer's resident memory.
func New(votes, puts, cSigns []time.Duration, memory int64) *Summary {
	f := &Summary{Votes: len(votes), Vote: latency(votes), Put: latency(puts), CSign: latency(cSigns), SignerMemory: memory}
	f.Ratio = f.Vote.P50 / (f.Put.P50 + f.CSign.P50)
	return f
}

func latency(samples []time.Duration) Latency {
	at := func(percent int) float64 { return float64(Percentile(samples, percent)) / float64(time.Millisecond) }
	return Latency{P50: at(50), P99: at(99)}
}

// FastEnough reports whether the median vote is within the promise.
func (f *Summary) FastEnough() bool { return f.Ratio <= RatioLimit }

// SmallEnough reports whether the signer's memory is within the promise.
func (f *Summary) SmallEnough() bool { return f.SignerMemory < MemoryLimit }

// OK reports whether all is as promised.
func (f *Summary) OK() bool { return f.FastEnough() && f.SmallEnough() }

// Write prints the summary as an aligned table and two verdicts.
func (f *Summary) Write(to io.Writer) {
	fmt.Fprintf(to, "%-32s  %8s  %8s\n", fmt.Sprintf("%d of each, interleaved", f.Votes), "p50 ms", "p99 ms")
	for _, row := range []struct {
		what string
		Latency
	}{{"vote signed through the sidecar", f.Vote}, {"bare PUT of such a record", f.Put}, {"bare C_Sign on the token", f.CSign}} {
		fmt.Fprintf(to, "%-32s  %8.2f  %8.2f\n", row.what, row.P50, row.P99)
	}
	fmt.Fprintf(to, "a vote is %.2f × (PUT + C_Sign) at p50: %s the promised %.1f\n", f.Ratio, side(f.FastEnough()), RatioLimit)
	fmt.Fprintf(to, "the signer holds %.1f MiB of memory: %s the promised %d MiB\n", float64(f.SignerMemory)/(1<<20), side(f.SmallEnough()), MemoryLimit>>20)
}

func side(within bool) string {
	if within {
		return "within"
	}
	return "BEYOND"
}
