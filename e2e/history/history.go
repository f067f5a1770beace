// Package history holds what clients asked and were answered while things broke,
// and checks it against the promise alone: it knows nothing of watermarks, leases
// or records.
//
// This file: one client's questions, one after the other. Many clients at once, faults
// and edits with their times: event.go, and judge.go with a file for each promise.
package history

import (
	"fmt"
	"maps"
	"slices"
)

// Entry is one question and its answer.
type Entry struct {
	Key     string `json:"key"`
	Kind    string `json:"kind"`
	Level   int32  `json:"level"`
	Round   int32  `json:"round"`
	Payload string `json:"payload"` // in hexadecimal
	// Again: this payload was signed before, and nothing higher of its kind since.
	Again     bool   `json:"again,omitempty"`
	Status    int    `json:"status,omitempty"` // 0: no answer
	Signature string `json:"signature,omitempty"`
	Error     string `json:"error,omitempty"` // with a signature: it does not verify
}

// Summary says what a history is made of, for a test's log and to see that it
// tried what it meant to try.
type Summary struct {
	Signed, Replayed, Refused, NoAnswer int
}

// Check returns a sentence for each broken promise.
func Check(entries []Entry) (broken []string, summary Summary) {
	type position struct {
		key, kind    string
		level, round int32
	}
	signatures := map[position]map[string]string{} // signature → payload
	for _, e := range entries {
		switch {
		case e.Signature != "" && e.Again:
			summary.Replayed++
		case e.Signature != "":
			summary.Signed++
		case e.Status == 0:
			summary.NoAnswer++
		default:
			summary.Refused++
		}
		if e.Signature != "" && e.Error != "" {
			broken = append(broken, fmt.Sprintf("%s %s %d/%d: a wrong signature was released: %s", e.Key, e.Kind, e.Level, e.Round, e.Error))
		}
		// 502 and silence are no answers; 200 is looked at below.
		if e.Again && e.Status != 0 && e.Status != 200 && e.Status != 502 {
			broken = append(broken, fmt.Sprintf("%s %s %d/%d: the identical request was refused: %d %s", e.Key, e.Kind, e.Level, e.Round, e.Status, e.Error))
		}
		if e.Signature != "" {
			at := position{e.Key, e.Kind, e.Level, e.Round}
			if signatures[at] == nil {
				signatures[at] = map[string]string{}
			}
			signatures[at][e.Signature] = e.Payload
		}
	}
	for at, released := range signatures {
		payloads := map[string]bool{}
		for payload := range maps.Values(released) {
			payloads[payload] = true
		}
		if len(payloads) > 1 || len(released) > 1 {
			broken = append(broken, fmt.Sprintf("%s %s %d/%d: %d payloads were signed, and %d signatures released",
				at.key, at.kind, at.level, at.round, len(payloads), len(released)))
		}
	}
	slices.Sort(broken)
	return broken, summary
}
