package stats

import (
	"math"
	"testing"
)

func TestASpreadIsMedianLeastAndMost(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3, 1, 2}, Spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, Spread{2.5, 1, 4}},
		{[]float64{7}, Spread{7, 7, 7}},
	} {
		if got := SpreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v", c.values, got)
		}
	}
	if got := SpreadOf(nil); !math.IsNaN(got.Median) {
		t.Errorf("nothing was measured, and the median is %v", got.Median)
	}
}

func TestAPercentileOfNothingIsNothing(t *testing.T) {
	if got := Percentile(nil, 99); got != 0 {
		t.Error(got)
	}
	if got := Percentile(ms(3, 1, 2), 99).Milliseconds(); got != 3 {
		t.Error(got)
	}
}
