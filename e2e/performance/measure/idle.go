// A signer that nobody asks.

package measure

import (
	"context"
	"fmt"
	"time"

	"signer.tezos.io/e2e/performance"
)

const (
	// Until every session has found and tried every key.
	settles    = 15 * time.Second
	idleWindow = 4 * time.Second
)

func idle(b *Bench, ctx context.Context, c *collector) error {
	row := c.row("100", "100 keys, nobody asks: processor time", "%", "", performance.Bar{Plus: 1})
	row.Note = fmt.Sprintf("windows of %v", idleWindow)
	records, err := newDirectory(b.disk, "idle")
	if err != nil {
		return err
	}
	s, err := b.start(ctx, setup{program: b.Program, keys: b.tz3[:100], records: records})
	if err != nil {
		return err
	}
	defer s.kill()
	if err := sleep(ctx, settles); err != nil {
		return err
	}
	for range b.Rounds {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := sleep(ctx, max(b.duration(idleWindow), time.Second)); err != nil {
			return err
		}
		after, err := s.cpu()
		if err != nil {
			return err
		}
		add(row, 100*float64(after-before)/float64(time.Since(began)), 0)
	}
	b.say("  %.2f %% of a core", row.Subject().Median)
	return nil
}

// sleep ends early, with an error, where the run is interrupted.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
