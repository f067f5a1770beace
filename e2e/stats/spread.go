// Figures of several rounds, and percentiles of one.

package stats

import (
	"math"
	"slices"
	"time"
)

// Spread is what the rounds of a measurement gave.
type Spread struct {
	Median, Least, Most float64
}

// SpreadOf is that of at least one value. The median of an even number of values is the mean of the two in the middle.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{median, sorted[0], sorted[len(sorted)-1]}
}

// Percentile of samples by nearest rank; 0 if there are none.
func Percentile(samples []time.Duration, percent int) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}
