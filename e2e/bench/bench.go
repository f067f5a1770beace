// Package bench measures a vote signed through the signer beside its two
// inevitable parts, one bare PUT of a record and one bare C_Sign, interleaved so
// that all three meet the same machine. The summary is of package stats.
package bench

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/blake2b"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/stats"
)

// Votes before the measured ones: connections, caches, and a record that has a
// signature in it and so its full size.
const warmUp = 20

// Bench is one run.
type Bench struct {
	Signer   *octezclient.Client
	Key      *octezclient.PublicKey
	Record   *Record
	Token    *Token
	Votes    int
	Level    int32 // of the first vote; each next one is a level higher
	Progress io.Writer
}

// Run measures. The signer's memory is added by the caller.
func (b *Bench) Run(ctx context.Context) (votes, puts, cSigns []time.Duration, err error) {
	if err := b.Signer.CheckAuthorizedKeys(ctx); err != nil {
		return nil, nil, nil, err
	}
	for i := range warmUp + b.Votes {
		level := b.Level + int32(i)
		vote, err := payload.New("attestation", level, 0)
		if err != nil {
			return nil, nil, nil, err
		}
		digest := blake2b.Sum256(vote)

		start := time.Now()
		signature, err := b.Signer.RequestSignature(ctx, b.Key, vote)
		voteTook := time.Since(start)
		if err == nil {
			err = octezclient.CheckSignature(b.Key, vote, signature)
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("vote at level %d: %w", level, err)
		}

		putTook, err := b.Record.Put(ctx, fmt.Sprintf("%d 0 %s %s", level, hex.EncodeToString(digest[:]), signature))
		if err != nil {
			return nil, nil, nil, err
		}

		start = time.Now()
		err = b.Token.Sign(digest[:])
		cSignTook := time.Since(start)
		if err != nil {
			return nil, nil, nil, err
		}

		if i < warmUp {
			continue
		}
		votes, puts, cSigns = append(votes, voteTook), append(puts, putTook), append(cSigns, cSignTook)
		if done := len(votes); done%250 == 0 {
			fmt.Fprintf(b.Progress, "%d of %d votes: p50 %.2f ms so far\n", done, b.Votes, stats.New(votes, puts, cSigns, 0).Vote.P50)
		}
	}
	return votes, puts, cSigns, nil
}
