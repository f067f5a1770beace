// The instructions of a signature beside their recorded number: what makes a signature dearer is seen in a test, on whatever busy machine. The
// number is one of x86-64 with AVX2; on other processors the verification of signatures takes others.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"signer.tezos.io/e2e/performance/measure"
)

const (
	recordedPath = "docs/performance/instructions.json"
	// More than that above the recorded number is an error, in percent.
	tolerated = 5
)

// recorded is the file.
type recorded struct {
	PerSignature int64 `json:"instructionsPerSignature"`
}

func countInstructions(ctx context.Context, options measure.Options, write bool) error {
	path := filepath.Join(options.Checkout, recordedPath)
	counted, err := measure.Instructions(ctx, options)
	if err != nil {
		return err
	}
	fmt.Printf("%.0f instructions a signature, without the HSM's library and the C library\n", counted)
	if write {
		text, err := json.Marshal(recorded{int64(counted)})
		if err != nil {
			return err
		}
		return os.WriteFile(path, append(text, '\n'), 0o644)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%w: make instructions WRITE=1 records them", err)
	}
	var before recorded
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", recordedPath, err)
	}
	change := (counted/float64(before.PerSignature) - 1) * 100
	fmt.Printf("%+.1f %% against the recorded %d\n", change, before.PerSignature)
	if change > tolerated {
		return fmt.Errorf("a signature takes %.1f %% more instructions than recorded, and %d %% are tolerated: find out why, or record the new number by make instructions WRITE=1", change, tolerated)
	}
	return nil
}
