// Package load asks for one signature after the other, at rising levels, through
// whatever happens to the signer, and keeps a history. It tries to be misled:
// where a request got no answer it asks for another payload of that position too,
// and after a disturbance it asks again for what was signed last.
package load

import (
	"context"
	"encoding/hex"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

const (
	pause      = 20 * time.Millisecond
	askAgainAt = 10 // levels
)

// Load is one key's requests.
type Load struct {
	Client *octezclient.Client
	Key    *octezclient.PublicKey
	Level  int32 // the first
	Clock  history.Clock
	Record func(history.Request)

	last map[string]history.Request // by kind: what was signed last
}

// Run asks until the context ends.
func (l *Load) Run(ctx context.Context) error {
	l.last = map[string]history.Request{}
	for level := l.Level; ctx.Err() == nil; level++ {
		kind := payload.Kinds[int(level)%len(payload.Kinds)]
		disturbed, err := l.signOneOfTwo(ctx, kind, level)
		if err != nil {
			return err
		}
		if disturbed || level%askAgainAt == 0 {
			l.askAgain(ctx)
		}
		wait(ctx, pause)
	}
	return nil
}

// signOneOfTwo asks for two payloads of that position in turn, until one is signed or
// both are refused. One that got no answer may have been signed all the same, so
// a refusal of the other settles nothing.
func (l *Load) signOneOfTwo(ctx context.Context, kind string, level int32) (disturbed bool, err error) {
	newPayload := payload.New
	if l.Key.Curve == octezclient.BLS12381 {
		newPayload = payload.NewTz4
	}
	wanted, err := newPayload(kind, level, 0)
	if err != nil {
		return false, err
	}
	other, err := newPayload(kind, level, 0)
	if err != nil {
		return false, err
	}
	refused := 0 // in a row
	for ctx.Err() == nil {
		for _, asked := range [][]byte{wanted, other} {
			request := l.ask(ctx, history.Request{Kind: kind, Level: level, Payload: hex.EncodeToString(asked)})
			switch {
			case request.Signature != "":
				l.last[kind] = request
				return disturbed, nil
			case !answered(request):
				refused = 0
			default:
				if refused++; refused == 2 {
					delete(l.last, kind) // something else may be above it
					return disturbed, nil
				}
			}
			disturbed = true
			wait(ctx, pause)
		}
	}
	return disturbed, nil
}

// answered is false where there was no answer, and for 502, which is "not now".
func answered(request history.Request) bool { return request.Status != 0 && request.Status != 502 }

func (l *Load) askAgain(ctx context.Context) {
	for _, signed := range l.last {
		for ctx.Err() == nil {
			request := l.ask(ctx, history.Request{Kind: signed.Kind, Level: signed.Level, Payload: signed.Payload, Due: true})
			if answered(request) {
				break
			}
			wait(ctx, pause)
		}
	}
}

func (l *Load) ask(ctx context.Context, request history.Request) history.Request {
	request.Key = l.Key.Hash()
	request = l.Clock.Ask(request, func(payload []byte) (string, error) { return l.Client.Sign(ctx, l.Key, payload) })
	l.Record(request)
	return request
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
