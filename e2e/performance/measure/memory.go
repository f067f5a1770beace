// Memory after much work and under hostile connections; what those do to an honest client; the size of the program.

package measure

import (
	"context"
	"os"
	"sync"
	"time"

	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/stats"
)

const (
	workBefore         = 10_000 // signatures
	hostileConnections = 2_000
	honestVotes        = 600
)

func memory(b *Bench, ctx context.Context, c *collector) error {
	worked := c.row("worked", "memory after 10 000 signatures", "MiB", "", performance.Bar{Plus: 22})
	worked.Note = "once"
	attacked := c.row("hostile", "memory under 2 000 hostile connections", "MiB", "", performance.Bar{Plus: 35})
	honest := c.row("honest/p99", "honest client under hostile load, p99", "ms", "its own p99 without", performance.Bar{Factor: 1.5})
	size := c.row("binary", "program, stripped, with AWS KMS", "MB", "", performance.Bar{Plus: 20})
	size.Note = "the bar is for one without AWS KMS"
	program, err := os.Stat(b.Program)
	if err != nil {
		return err
	}
	add(size, float64(program.Size())/1e6, 0)

	records, err := newDirectory(b.disk, "memory")
	if err != nil {
		return err
	}
	const workers = 8
	s, err := b.start(ctx, setup{program: b.Program, keys: b.tz3[:workers], records: records})
	if err != nil {
		return err
	}
	defer s.kill()
	client := newVoter(b.tz3[0])
	if err := b.work10000(s, workers, client); err != nil {
		return err
	}
	resident, err := s.memory()
	if err != nil {
		return err
	}
	add(worked, resident, 0)
	b.say("  %.1f MiB after the signatures", resident)

	if err := client.connect(s); err != nil {
		return err
	}
	defer client.close()
	for round := range b.Rounds {
		before, err := client.votes(b.amount(honestVotes))
		if err != nil {
			return err
		}
		most, under, err := b.attacked(ctx, s, client)
		if err != nil {
			return err
		}
		add(attacked, most, 0)
		add(honest, milliseconds(stats.Percentile(under, 99)), milliseconds(stats.Percentile(before, 99)))
		b.say("  round %d: at most %.1f MiB under attack, p99 %s", round+1, most, last(honest))
	}
	return nil
}

// work10000 has them signed by several keys; the first one's voter goes on from there.
func (b *Bench) work10000(s *signer, workers int, first *voter) error {
	var wait sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		v := first
		if i > 0 {
			v = newVoter(b.tz3[i])
		}
		wait.Go(func() {
			defer v.close()
			if errs[i] = v.connect(s); errs[i] == nil {
				_, errs[i] = v.votes(b.amount(workBefore) / workers)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// attacked is the most memory of a signer under attack, and how long the honest client's votes took then.
func (b *Bench) attacked(ctx context.Context, s *signer, client *voter) (most float64, took []time.Duration, err error) {
	end := attack(ctx, s.address, b.amount(hostileConnections))
	defer end()
	if err := sleep(ctx, b.duration(2*time.Second)); err != nil {
		return 0, nil, err
	}
	for range 10 {
		some, err := client.votes(b.amount(honestVotes) / 10)
		if err != nil {
			return 0, nil, err
		}
		resident, err := s.memory()
		if err != nil {
			return 0, nil, err
		}
		most, took = max(most, resident), append(took, some...)
	}
	return most, took, nil
}
