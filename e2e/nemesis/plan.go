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
	what     string
	duration time.Duration
	// The whole cluster is slow to get over it: controllers ask again after half a minute.
	disruptive bool
	// begin does it, and returns what ends it, and whom it met. Nothing to end: nil.
	begin func(context.Context, *historyRun) (end func(context.Context) error, met string, err error)
}

// plannedFault is a fault with its time.
type plannedFault struct {
	fault
	at time.Duration
}

type faultKind struct {
	weight int
	draw   func(random *rand.Rand, keys int) fault
}

// faultKinds are drawn by their weights. What takes long to recover from is rare.
var faultKinds = []faultKind{
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
	healthyBefore = 400 * time.Millisecond
	faultWindow   = 1500 * time.Millisecond // all faults have begun
	healthyAfter  = 300 * time.Millisecond
)

// draw plans one history: one to three faults that may overlap.
func draw(random *rand.Rand, keys int) []plannedFault {
	sum := 0
	for _, kind := range faultKinds {
		sum += kind.weight
	}
	plan := make([]plannedFault, 1+random.IntN(3))
	for i := range plan {
		at := random.IntN(sum)
		chosen := slices.IndexFunc(faultKinds, func(k faultKind) bool {
			at -= k.weight
			return at < 0
		})
		plan[i] = plannedFault{faultKinds[chosen].draw(random, keys), healthyBefore + between(random, 0, faultWindow)}
	}
	return plan
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)))
}

// withoutDisruptive leaves out what others who use the cluster would suffer from.
func withoutDisruptive(plan []plannedFault) []plannedFault {
	return slices.DeleteFunc(plan, func(p plannedFault) bool { return p.disruptive })
}

// planDuration is when all of a plan is over.
func planDuration(plan []plannedFault) time.Duration {
	last := healthyBefore
	for _, p := range plan {
		last = max(last, p.at+p.duration)
	}
	return last + healthyAfter
}
