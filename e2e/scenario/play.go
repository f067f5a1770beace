package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"signer.tezos.io/e2e/octezclient"
)

// Result is what one run of a script found.
type Result struct {
	OK   bool  `json:"ok"`
	Rows []Row `json:"rows"`
	// Signatures are those of the recalled block or attestation, by key hash: what a later run,
	// perhaps of another process, expects to get again.
	Signatures map[string]string `json:"signatures"`
}

// Row is one step for one key.
type Row struct {
	Key      string `json:"key"` // tz1 to tz4, or companion
	What     string `json:"what"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	OK       bool   `json:"ok"`
	Millis   int64  `json:"millis"`
}

// Baker is whom a script is played for: a key, and in the tz4 scripts its companion key.
type Baker struct{ Key, Companion *octezclient.PublicKey }

// Play runs one script for each baker. Every answer, wanted or not, becomes a row;
// the error is for what cannot be played at all.
func Play(ctx context.Context, client *octezclient.Client, name string, bakers []Baker, earlier map[string]string) (*Result, error) {
	script, known := scripts[name]
	if !known {
		return nil, fmt.Errorf("script %q: must be one of %v", name, Scripts())
	}
	result := &Result{OK: true, Signatures: maps.Clone(earlier)}
	if result.Signatures == nil {
		result.Signatures = map[string]string{}
	}
	for _, baker := range bakers {
		for _, step := range script {
			key, whose := baker.Key, baker.Key.Curve.Address
			if step.companion {
				key, whose = baker.Companion, "companion"
			}
			if key == nil {
				return nil, fmt.Errorf("script %s needs a companion key", name)
			}
			start := time.Now()
			signature, err := client.Sign(ctx, key, step.payload)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if step.remember {
				result.Signatures[key.Hash()] = signature
			}
			row := Row{Key: whose, What: step.what, Expected: step.expect.String(), Millis: time.Since(start).Milliseconds()}
			row.Got, row.OK = check(step.expect, result.Signatures[key.Hash()], signature, err)
			result.Rows = append(result.Rows, row)
			result.OK = result.OK && row.OK
		}
	}
	return result, nil
}

// check compares an answer with what was expected. Without an error the client
// has verified the signature.
func check(expect expectation, remembered, signature string, err error) (got string, ok bool) {
	var answer *octezclient.AnswerError
	switch {
	case errors.As(err, &answer):
		return answer.Error(), answer.Status == expect.status
	case err != nil:
		return err.Error(), false
	case expect.again && remembered == "":
		return "200, but the signature of the first time is not known here", false
	case expect.again && signature != remembered:
		return "200, but ANOTHER SIGNATURE: " + signature, false
	case expect.again:
		return "200 the same, byte for byte: " + begin(signature), expect.status == 200
	default:
		return "200 verified " + begin(signature), expect.status == 200
	}
}

func begin(signature string) string { return signature[:min(16, len(signature))] + "…" }
