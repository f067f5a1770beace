// What is broken, when, and for how long: drawn from a seed, so that a history can be
// tried again, although the world will not do the same twice.

package nemesis

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is one thing that goes wrong.
type fault struct {
	what  string
	lasts time.Duration
	// The whole cluster is slow to get over it: controllers ask again after half a minute.
	disruptive bool
	// begin does it, and returns what ends it, and whom it met. Nothing to end: nil.
	begin func(context.Context, *trial) (end func(context.Context) error, met string, err error)
}

// planned is a fault with its time.
type planned struct {
	fault
	at time.Duration
}

type kind struct {
	weight int
	draw   func(random *rand.Rand, keys int) fault
}

// kinds are drawn by their weights. What takes long to recover from is rare.
var kinds = []kind{
	{4, drawKill},
	{5, drawPause},
	{7, drawCutFromAPIServer},
	{3, drawCutBetweenReplicas},
	{4, drawDelay},
	{1, drawRestart},
	{1, drawDeletion},
	{6, drawEdit},
}

const (
	healthyAtFirst = 400 * time.Millisecond
	withinThat     = 1500 * time.Millisecond // all faults have begun
	healthyAtLast  = 300 * time.Millisecond
)

// draw plans one history: one to three faults that may overlap.
func draw(random *rand.Rand, keys int) []planned {
	sum := 0
	for _, kind := range kinds {
		sum += kind.weight
	}
	plan := make([]planned, 1+random.IntN(3))
	for i := range plan {
		at := random.IntN(sum)
		chosen := slices.IndexFunc(kinds, func(k kind) bool {
			at -= k.weight
			return at < 0
		})
		plan[i] = planned{kinds[chosen].draw(random, keys), healthyAtFirst + between(random, 0, withinThat)}
	}
	return plan
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)))
}

// undisruptive leaves out what others who use the cluster would suffer from.
func undisruptive(plan []planned) []planned {
	return slices.DeleteFunc(plan, func(p planned) bool { return p.disruptive })
}

// end is when all of a plan is over.
func end(plan []planned) time.Duration {
	last := healthyAtFirst
	for _, p := range plan {
		last = max(last, p.at+p.lasts)
	}
	return last + healthyAtLast
}
