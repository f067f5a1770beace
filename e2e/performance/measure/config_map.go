// One signature with its record in a ConfigMap, beside one bare PUT of such a record and one raw signature.

package measure

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/blake2b"

	"signer.tezos.io/e2e/bench"
	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/stats"
)

const putsPerRound = 400

func configMap(b *Bench, ctx context.Context, c *collector) error {
	p50 := c.row("p50", "tz3, record in a ConfigMap, p50", "ms", "one PUT + raw", performance.Bar{Factor: 1.1})
	p99 := c.row("p99", "tz3, record in a ConfigMap, p99", "ms", "one PUT + raw", performance.Bar{Factor: 1.5})
	p, err := b.startPlane(ctx, "configmap")
	if err != nil {
		return err
	}
	defer p.Close()
	by := b.tz3[0]
	if err := b.makeRecords(ctx, p, []*key{by}); err != nil {
		return err
	}
	s, err := b.start(ctx, b.onPlane(p, "bench", []*key{by}, 5))
	if err != nil {
		return err
	}
	defer s.kill()
	voter := newVoter(by)
	if err := voter.connect(s); err != nil {
		return err
	}
	defer voter.close()
	if _, err := voter.votes(turn); err != nil {
		return err
	}
	record, err := p.copyOf(ctx, by)
	if err != nil {
		return err
	}
	for round := range b.Rounds {
		var took, floors []time.Duration
		for range b.amount(putsPerRound) {
			one, floor, err := b.voteAndPut(ctx, voter, record)
			if err != nil {
				return err
			}
			took, floors = append(took, one), append(floors, floor)
		}
		if err := voter.verify(); err != nil {
			return err
		}
		add(p50, milliseconds(stats.Percentile(took, 50)), milliseconds(stats.Percentile(floors, 50)))
		add(p99, milliseconds(stats.Percentile(took, 99)), milliseconds(stats.Percentile(floors, 99)))
		b.say("  round %d: p50 %s", round+1, last(p50))
	}
	return nil
}

// voteAndPut has a vote signed; then the same row is put into a record, and the same bytes are signed by the bare token.
func (b *Bench) voteAndPut(ctx context.Context, voter *voter, record *bench.Record) (took, floor time.Duration, err error) {
	if took, err = voter.vote(); err != nil {
		return 0, 0, err
	}
	digest := blake2b.Sum256(voter.payload)
	signature := strings.Split(string(voter.answer), `"`)[3] // {"signature":"sig…"}
	put, err := record.Put(ctx, fmt.Sprintf("%d 0 %s %s", voter.level-1, hex.EncodeToString(digest[:]), signature))
	if err != nil {
		return 0, 0, err
	}
	raw, _, err := b.rawSignatures(voter.key, 1)
	if err != nil {
		return 0, 0, err
	}
	return took, put + raw[0], nil
}
