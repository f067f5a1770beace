// Many voters at once, for a while.

package measure

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"signer.tezos.io/e2e/stats"
)

// load is what many voters saw.
type load struct {
	rate    float64 // signatures a second
	p99     time.Duration
	refused int // answers that are no signatures
}

// loadFor has all voters ask for signatures at once, over a connection each, for that long and a little before.
func loadFor(ctx context.Context, to *signer, voters []*voter, warm, measured time.Duration) (load, error) {
	for _, v := range voters {
		if err := v.connect(to); err != nil {
			return load{}, err
		}
		defer v.close()
	}
	begin := time.Now().Add(warm)
	end := begin.Add(measured)
	var failed atomic.Value
	var wait sync.WaitGroup
	took, refused := make([][]time.Duration, len(voters)), make([]int, len(voters))
	for i, v := range voters {
		wait.Go(func() {
			for now := time.Now(); now.Before(end) && failed.Load() == nil && ctx.Err() == nil; now = time.Now() {
				if err := v.next(); err != nil {
					failed.CompareAndSwap(nil, err)
					return
				}
				one, status, err := v.ask()
				switch done := time.Now(); {
				case err != nil:
					failed.CompareAndSwap(nil, fmt.Errorf("%s: %w", v.key.Hash(), err))
					return
				case done.Before(begin) || done.After(end):
				case status != http.StatusOK:
					refused[i]++
				default:
					took[i] = append(took[i], one)
				}
			}
		})
	}
	wait.Wait()
	if err, is := failed.Load().(error); is {
		return load{}, err
	}
	if ctx.Err() != nil {
		return load{}, context.Cause(ctx)
	}
	var all []time.Duration
	result := load{}
	for i, v := range voters {
		all = append(all, took[i]...)
		result.refused += refused[i]
		if v.status == http.StatusOK {
			if err := v.verify(); err != nil {
				return load{}, err
			}
		}
	}
	result.rate, result.p99 = float64(len(all))/measured.Seconds(), stats.Percentile(all, 99)
	return result, nil
}
