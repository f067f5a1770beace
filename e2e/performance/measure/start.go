// From the start of the process to the first signature, with a token whose searches are slow.

package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"signer.tezos.io/e2e/performance"
)

const (
	searchTakes = 60 * time.Millisecond
	sessions    = 4 // the signer's default
)

// startCase is a number of keys.
type startCase struct {
	keys             []*key
	ready, signature *performance.Row
	voters           [2]*voter // without and with slow searches
}

func start(b *Bench, ctx context.Context, c *collector) error {
	floor := fmt.Sprintf("start without delay + searches × %d ms ÷ %d sessions", searchTakes.Milliseconds(), sessions)
	var cases []*startCase
	for _, n := range []int{1, 100} {
		what := fmt.Sprintf("%d keys", n)
		if n == 1 {
			what = "1 key"
		}
		cases = append(cases, &startCase{
			keys:      b.tz3[:n],
			ready:     c.row(fmt.Sprintf("%d/ready", n), what+", searches take 60 ms: ready", "ms", floor, performance.Bar{Factor: 1.5}),
			signature: c.row(fmt.Sprintf("%d/signature", n), what+", searches take 60 ms: first signature", "ms", floor, performance.Bar{None: true}),
			voters:    [2]*voter{newVoter(b.tz3[0]), newVoter(b.tz3[0])},
		})
	}
	slow, fast := filepath.Join(b.work, "slow.json"), filepath.Join(b.work, "fast.json")
	for path, delay := range map[string]time.Duration{slow: searchTakes, fast: 0} {
		text, err := json.Marshal(object{"rules": []object{{"function": "C_FindObjectsInit", "delayMs": delay.Milliseconds()}}})
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
	}
	for round := range b.Rounds {
		for _, this := range cases {
			undelayed, _, err := b.startOnce(ctx, this, 0, fast)
			if err != nil {
				return err
			}
			ready, signed, err := b.startOnce(ctx, this, 1, slow)
			if err != nil {
				return err
			}
			searches := searchTakes * time.Duration(max(len(this.keys), sessions)) / sessions // one key is found by one search
			limit := milliseconds(undelayed + searches)
			add(this.ready, milliseconds(ready), limit)
			add(this.signature, milliseconds(signed), limit)
		}
		b.say("  round %d: 100 keys ready after %s", round+1, last(cases[1].ready))
	}
	return nil
}

// startOnce starts a signer, and says when it was ready and when the first signature was there.
func (b *Bench) startOnce(ctx context.Context, this *startCase, which int, control string) (ready, signed time.Duration, err error) {
	records := filepath.Join(b.memory, fmt.Sprintf("start-%d-%d", len(this.keys), which))
	if _, err := newDirectory(records, ""); err != nil {
		return 0, 0, err
	}
	s, err := b.launch(ctx, setup{
		program: b.Program, keys: this.keys, records: records, module: b.FaultModule, env: []string{"PKCS11_FAULTS_CONTROL=" + control},
	})
	if err != nil {
		return 0, 0, err
	}
	defer s.kill()
	firstSignature := make(chan error, 1)
	go func() {
		var err error
		signed, err = this.voters[which].firstSignature(s)
		firstSignature <- err
	}()
	ready, err = s.awaitReady(ctx)
	if err != nil {
		s.kill() // so that the other one ends
	}
	if failed := <-firstSignature; err == nil {
		err = failed
	}
	return ready, signed, err
}

// firstSignature asks from the launch on until there is one.
func (v *voter) firstSignature(s *signer) (time.Duration, error) {
	defer v.close()
	for {
		select {
		case <-s.ended:
			return 0, fmt.Errorf("the signer ended: %s", s.lastLog())
		default:
		}
		if v.connection == nil && v.connect(s) != nil {
			time.Sleep(pollPeriod)
			continue
		}
		if err := v.next(); err != nil {
			return 0, err
		}
		_, status, err := v.ask()
		switch {
		case err != nil:
			v.close()
		case status == http.StatusOK:
			return time.Since(s.launch), v.verify()
		case status != http.StatusBadGateway:
			return 0, fmt.Errorf("the first vote was answered %d: %.300s", status, v.answer)
		}
		time.Sleep(pollPeriod)
	}
}
