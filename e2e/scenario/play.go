package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"signer.tezos.io/e2e/octezclient"
)

// Result is what one run of a script found.
type Result struct {
	OK   bool  `json:"ok"`
	Rows []Row `json:"rows"`
	// Signatures are those of the recalled block, by key hash: what a later run,
	// perhaps of another process, expects to get again.
	Signatures map[string]string `json:"signatures"`
}

// Row is one step for one key.
type Row struct {
	Key      string `json:"key"` // tz2 or tz3
	What     string `json:"what"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	OK       bool   `json:"ok"`
	Millis   int64  `json:"millis"`
}

// Play runs one script for each key. Every answer, wanted or not, becomes a row;
// the error is for what cannot be played at all.
func Play(ctx context.Context, client *octezclient.Client, name string, keys []*octezclient.PublicKey, earlier map[string]string) (*Result, error) {
	script, known := scripts[name]
	if !known {
		return nil, fmt.Errorf("script %q: must be one of %v", name, Scripts())
	}
	result := &Result{OK: true, Signatures: map[string]string{}}
	for _, key := range keys {
		remembered := earlier[key.Hash()]
		for _, step := range script {
			start := time.Now()
			signature, err := client.Sign(ctx, key, step.payload)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if step.remember {
				remembered = signature
			}
			row := Row{Key: key.Curve.Address, What: step.what, Expected: step.expect.String(), Millis: time.Since(start).Milliseconds()}
			row.Got, row.OK = check(step.expect, remembered, signature, err)
			result.Rows = append(result.Rows, row)
			result.OK = result.OK && row.OK
		}
		if remembered != "" {
			result.Signatures[key.Hash()] = remembered
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
