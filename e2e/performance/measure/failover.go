// Two signers with one record: how long a vote waits at the most while one replaces the other.

package measure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"signer.tezos.io/e2e/performance"
)

const (
	lease          = 3 // seconds, the shortest there is
	failovers      = 2 // of each kind, a round and pair
	pairs          = 5 // at the same time, each with a key of its own
	retryPeriod    = 5 * time.Millisecond
	failoverWithin = 30 * time.Second
)

func failover(b *Bench, ctx context.Context, c *collector) error {
	planned := c.row("planned", "holder is asked to end: longest wait", "s", "", performance.Bar{Plus: 0.3})
	killed := c.row("killed", fmt.Sprintf("holder is killed, lease %d s: longest wait", lease), "s", "", performance.Bar{Plus: lease + 0.5})
	p, err := b.startPlane(ctx, "failover")
	if err != nil {
		return err
	}
	defer p.Close()
	keys := b.tz3[1 : 1+pairs]
	if err := b.makeRecords(ctx, p, keys); err != nil {
		return err
	}
	var all []*pair
	defer func() {
		for _, one := range all {
			one.kill()
		}
	}()
	for i, by := range keys {
		all = append(all, &pair{bench: b, plane: p, number: i, key: by, voter: newVoter(by)})
	}
	if err := together(all, func(one *pair) error { return one.fill(ctx) }); err != nil {
		return err
	}
	n := failovers
	if b.Brief {
		n = 1
	}
	for round := range b.Rounds {
		for range n {
			for _, kind := range []struct {
				row *performance.Row
				end func(*signer) error
			}{{planned, (*signer).terminate}, {killed, func(s *signer) error { s.kill(); return nil }}} {
				var took [pairs]time.Duration
				err := together(all, func(one *pair) (err error) {
					took[one.number], err = one.replace(ctx, kind.end)
					return err
				})
				if err != nil {
					return err
				}
				for _, one := range took {
					add(kind.row, one.Seconds(), 0)
				}
			}
		}
		b.say("  round %d: planned %.3f s, killed %.2f s", round+1, planned.Subject().Median, killed.Subject().Median)
	}
	for _, row := range []*performance.Row{planned, killed} {
		row.Note = fmt.Sprintf("%d of them", len(row.Rounds))
	}
	return nil
}

// together does something with all pairs at the same time.
func together(all []*pair, do func(*pair) error) error {
	failed := make([]error, len(all))
	var group sync.WaitGroup
	for i, one := range all {
		group.Go(func() { failed[i] = do(one) })
	}
	group.Wait()
	return errors.Join(failed...)
}

// starting has signers start one after another: SoftHSM2 sometimes says CKR_USER_PIN_NOT_INITIALIZED to one of several processes that open its
// token at the same time, and a signer does not try such a login again.
var starting sync.Mutex

// pair is two signers; the first one holds the record.
type pair struct {
	bench   *Bench
	plane   *plane
	number  int
	key     *key
	voter   *voter
	names   [2]string
	signers [2]*signer
	started int
}

// fill starts what is missing, the holder first.
func (p *pair) fill(ctx context.Context) error {
	for i := range p.signers {
		if p.signers[i] != nil {
			continue
		}
		p.started++
		name := fmt.Sprintf("replica-%d-%d", p.number, p.started)
		starting.Lock()
		s, err := p.bench.start(ctx, p.bench.onPlane(p.plane, name, []*key{p.key}, lease))
		starting.Unlock()
		if err != nil {
			return err
		}
		p.signers[i], p.names[i] = s, name
	}
	return nil
}

func (p *pair) kill() {
	for _, s := range p.signers {
		s.kill()
	}
}

// replace ends the holder while votes are asked for at the other, and returns how long one of them waited at the most. Then the
// pair is complete again.
func (p *pair) replace(ctx context.Context, end func(*signer) error) (longest time.Duration, err error) {
	// The other one has seen a few renewals.
	if err := sleep(ctx, time.Second); err != nil {
		return 0, err
	}
	defer p.voter.close()
	if _, err := p.waited(ctx); err != nil { // and forwards
		return 0, err
	}
	if err := end(p.signers[0]); err != nil {
		return 0, err
	}
	for holder := ""; holder != p.names[1]; {
		took, err := p.waited(ctx)
		if err != nil {
			return 0, err
		}
		longest = max(longest, took)
		if holder, err = p.plane.holder(ctx, p.key); err != nil {
			return 0, err
		}
	}
	p.signers[0].kill()
	p.signers[0], p.names[0] = p.signers[1], p.names[1]
	p.signers[1] = nil
	return longest, p.fill(ctx)
}

// waited is how long the next vote waits for its signature, by whatever many requests.
func (p *pair) waited(ctx context.Context) (time.Duration, error) {
	v := p.voter
	if v.connection == nil {
		if err := v.connect(p.signers[1]); err != nil {
			return 0, err
		}
	}
	if err := v.next(); err != nil {
		return 0, err
	}
	for began := time.Now(); ; {
		_, status, err := v.ask()
		switch {
		case err != nil:
			return 0, fmt.Errorf("the other signer: %w: %s", err, p.signers[1].lastLog())
		case status == http.StatusOK:
			return time.Since(began), v.verify()
		case status != http.StatusBadGateway || time.Since(began) > failoverWithin:
			return 0, fmt.Errorf("a vote was answered %d after %v: %.300s", status, time.Since(began), v.answer)
		}
		if err := sleep(ctx, retryPeriod); err != nil {
			return 0, err
		}
	}
}
