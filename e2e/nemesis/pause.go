// A signer's process is frozen, for less than its lease or for longer, and goes on
// where it was.

package nemesis

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"
)

func drawPause(random *rand.Rand, keys int) fault {
	lasts := between(random, 200*time.Millisecond, 2*time.Second)
	if random.IntN(2) == 0 {
		lasts = between(random, leaseDuration+200*time.Millisecond, leaseDuration+2*time.Second)
	}
	victim := drawVictim(random, keys)
	return fault{what: "SIGSTOP " + victim.who, duration: lasts, begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		r, err := victim.find(ctx, t.target)
		if err != nil {
			return nil, "", err
		}
		// The process of now: another one may have come when it ends.
		process, err := r.process()
		if err != nil {
			return nil, "", err
		}
		goOn := func(context.Context) error { return syscall.Kill(process, syscall.SIGCONT) }
		return goOn, r.name, syscall.Kill(process, syscall.SIGSTOP)
	}}
}
