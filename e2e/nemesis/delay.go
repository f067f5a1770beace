// The API server or etcd takes long to answer. This kernel may have no netem, so the
// process is frozen for a moment, once or many times in a row.

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

func drawDelay(random *rand.Rand, _ int) fault {
	component := []string{"kube-apiserver", "etcd"}[random.IntN(2)]
	pause, times := between(random, 200*time.Millisecond, 3*time.Second), 1
	if random.IntN(2) == 0 {
		pause, times = between(random, 100*time.Millisecond, 900*time.Millisecond), 3
	}
	const breath = 150 * time.Millisecond
	lasts := time.Duration(times)*pause + time.Duration(times-1)*breath
	what := fmt.Sprintf("SIGSTOP %s, %d times %s", component, times, pause.Round(time.Millisecond))
	return fault{what: what, duration: lasts, begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		for i := range times {
			if err := t.target.cluster(ctx, "", "pause", component); err != nil {
				return nil, "", err
			}
			if i == times-1 {
				break
			}
			time.Sleep(pause)
			if err := t.target.cluster(ctx, "", "resume", component); err != nil {
				return nil, "", err
			}
			time.Sleep(breath)
		}
		end := func(ctx context.Context) error { return t.target.cluster(ctx, "", "resume", component) }
		return end, "", nil
	}}
}
