// A hundred keys in one signer, and a preattestation and an attestation of each asked for at the same moment.

package measure

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/stats"
)

const (
	crowdsPerRound = 4
	// As Octez: again after 0, 0.1, 0.2 … s, ten attempts in all.
	attempts  = 10
	sleepStep = 100 * time.Millisecond
)

// crowdConfig lets all of them in at once.
var crowdConfig = object{"maxConcurrentRequests": 256, "maxConnections": 512}

func crowd(b *Bench, ctx context.Context, c *collector) error {
	hundred, fifty := b.tz3[:100], b.tz3[:50]
	refused := c.row("refused", "200 votes at once: refused requests", "", "", performance.Bar{})
	last200 := c.row("last", "200 votes at once: the last answer", "ms", "0.2", performance.Bar{Factor: 0.5})
	linear := c.row("linear", "the same, against half of it", "ms", "100 votes of 50 keys", performance.Bar{Factor: 2.2})
	voters := map[string][]*voter{}
	asked, refusedBefore := 0, 0
	for round := range b.Rounds {
		var last [3]time.Duration
		var not [3]int
		for i := range 3 {
			which := (round + i) % 3
			program, keys := b.Program, hundred
			switch which {
			case 1:
				program = b.Previous
			case 2:
				keys = fifty
			}
			var err error
			if last[which], not[which], err = b.crowdOf(ctx, program, keys, fmt.Sprint("crowd-", which), voters); err != nil {
				return err
			}
		}
		asked += 2 * len(hundred) * crowdsPerRound
		add(refused, float64(not[0]), 0)
		refusedBefore += not[1]
		add(last200, milliseconds(last[0]), milliseconds(last[1]))
		add(linear, milliseconds(last[0]), milliseconds(last[2]))
		b.say("  round %d: the last answer after %.0f ms, of 0.2 after %.0f ms; refused %d, of 0.2 %d", round+1, milliseconds(last[0]), milliseconds(last[1]), not[0], not[1])
	}
	refused.Note = fmt.Sprintf("of %d in each round; 0.2 refused %d in all %d", asked/b.Rounds, refusedBefore, b.Rounds)
	return nil
}

// crowdOf is the time of the last answer, at the median of the crowds, and how many requests were refused in all of them.
func (b *Bench) crowdOf(ctx context.Context, program string, keys []*key, name string, voters map[string][]*voter) (time.Duration, int, error) {
	records := filepath.Join(b.disk, name)
	if _, err := newDirectory(records, ""); err != nil {
		return 0, 0, err
	}
	s, err := b.start(ctx, setup{program: program, keys: keys, records: records, config: crowdConfig})
	if err != nil {
		return 0, 0, err
	}
	defer s.kill()
	if voters[name] == nil {
		for _, key := range keys {
			for _, kind := range []string{"preattestation", "attestation"} {
				v := newVoter(key)
				v.kind = kind
				voters[name] = append(voters[name], v)
			}
		}
	}
	for _, v := range voters[name] {
		if err := v.connect(s); err != nil {
			return 0, 0, err
		}
		defer v.close()
	}
	var lasts []time.Duration
	refused := 0
	for i := range crowdsPerRound + 1 {
		last, not, err := oneCrowd(voters[name])
		if err != nil {
			return 0, 0, err
		}
		if ctx.Err() != nil {
			return 0, 0, context.Cause(ctx)
		}
		if i > 0 { // the first one warms up
			lasts = append(lasts, last)
			refused += not
		}
	}
	return stats.Percentile(lasts, 50), refused, nil
}

// oneCrowd has each voter ask for one vote, and again where it is refused for now.
func oneCrowd(voters []*voter) (last time.Duration, refused int, err error) {
	var wait sync.WaitGroup
	errs, not := make([]error, len(voters)), make([]int, len(voters))
	for _, v := range voters {
		if err := v.next(); err != nil {
			return 0, 0, err
		}
	}
	start := make(chan struct{})
	for i, v := range voters {
		wait.Go(func() {
			<-start
			for attempt := range attempts {
				_, status, err := v.ask()
				if err == nil && status == http.StatusBadGateway && attempt < attempts-1 {
					not[i]++
					time.Sleep(time.Duration(attempt) * sleepStep)
					continue
				}
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("%s was answered %d: %.300s", v.key.Hash(), status, v.answer)
				}
				errs[i] = err
				return
			}
		})
	}
	began := time.Now()
	close(start)
	wait.Wait()
	last = time.Since(began)
	for i, v := range voters {
		if errs[i] != nil {
			return 0, 0, errs[i]
		}
		refused += not[i]
		if i%10 == 0 {
			if err := v.verify(); err != nil {
				return 0, 0, err
			}
		}
	}
	return last, refused, nil
}
