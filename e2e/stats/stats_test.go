package stats

import (
	"strings"
	"testing"
	"time"
)

func ms(values ...int) (samples []time.Duration) {
	for _, v := range values {
		samples = append(samples, time.Duration(v)*time.Millisecond)
	}
	return samples
}

func TestPercentilesAreByNearestRank(t *testing.T) {
	var hundred []int
	for i := 100; i > 0; i-- {
		hundred = append(hundred, i)
	}
	if got := latency(ms(hundred...)); got != (Latency{P50: 50, P99: 99}) {
		t.Errorf("%+v", got)
	}
	if got := latency(ms(7)); got != (Latency{P50: 7, P99: 7}) {
		t.Errorf("%+v", got)
	}
}

func TestVerdicts(t *testing.T) {
	good := New(ms(13), ms(9), ms(1), MemoryLimit-1)
	if !good.OK() || good.Ratio != 1.3 {
		t.Errorf("%+v", good)
	}
	slow, large := New(ms(14), ms(9), ms(1), 1), New(ms(10), ms(9), ms(1), MemoryLimit)
	if slow.OK() || large.OK() {
		t.Error("beyond the promise passed")
	}
	var out strings.Builder
	slow.Write(&out)
	if !strings.Contains(out.String(), "1.40 × (PUT + C_Sign) at p50: BEYOND the promised 1.3") {
		t.Error(out.String())
	}
}
