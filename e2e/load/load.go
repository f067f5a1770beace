// Package load asks for one signature after the other, at rising levels, through
// whatever happens to the signer, and keeps a history. It tries to be misled:
// where a request got no answer it asks for another payload of that position too,
// and after a disturbance it asks again for what was signed last.
package load

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/payload"
)

const (
	pause      = 20 * time.Millisecond
	askAgainAt = 10 // levels
)

// Load is one key's requests.
type Load struct {
	Client *octez.Client
	Key    *octez.PublicKey
	Level  int32 // the first
	Record func(history.Entry)

	last map[string]history.Entry // by kind: what was signed last
}

// Run asks until the context ends.
func (l *Load) Run(ctx context.Context) error {
	l.last = map[string]history.Entry{}
	for level := l.Level; ctx.Err() == nil; level++ {
		kind := payload.Kinds[int(level)%len(payload.Kinds)]
		disturbed, err := l.settle(ctx, kind, level)
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

// settle asks for two payloads of that position in turn, until one is signed or
// both are refused. One that got no answer may have been signed all the same, so
// a refusal of the other settles nothing.
func (l *Load) settle(ctx context.Context, kind string, level int32) (disturbed bool, err error) {
	wanted, err := payload.New(kind, level, 0)
	if err != nil {
		return false, err
	}
	other, err := payload.New(kind, level, 0)
	if err != nil {
		return false, err
	}
	refused := 0 // in a row
	for ctx.Err() == nil {
		for _, asked := range [][]byte{wanted, other} {
			entry := l.ask(ctx, history.Entry{Kind: kind, Level: level, Payload: hex.EncodeToString(asked)})
			switch {
			case entry.Signature != "":
				l.last[kind] = entry
				return disturbed, nil
			case !answered(entry):
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

// answered tells an answer from silence and from 502, which is "not now".
func answered(entry history.Entry) bool { return entry.Status != 0 && entry.Status != 502 }

func (l *Load) askAgain(ctx context.Context) {
	for _, signed := range l.last {
		for ctx.Err() == nil {
			entry := l.ask(ctx, history.Entry{Kind: signed.Kind, Level: signed.Level, Payload: signed.Payload, Again: true})
			if answered(entry) {
				break
			}
			wait(ctx, pause)
		}
	}
}

func (l *Load) ask(ctx context.Context, entry history.Entry) history.Entry {
	raw, err := hex.DecodeString(entry.Payload)
	if err != nil {
		panic("a payload that this package wrote itself: " + err.Error())
	}
	entry.Key = l.Key.Hash()
	entry.Signature, err = l.Client.Sign(ctx, l.Key, raw)
	var answer *octez.AnswerError
	switch {
	case errors.As(err, &answer):
		entry.Status, entry.Error = answer.Status, answer.Message()
	case err != nil:
		entry.Error = err.Error()
	default:
		entry.Status = 200
	}
	if entry.Signature != "" {
		entry.Status = 200
	}
	l.Record(entry)
	return entry
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
