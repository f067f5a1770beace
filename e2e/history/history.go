// Package history holds what clients asked and were answered while things broke, and checks it against the promise alone: it knows
// nothing of watermarks, leases or records. Every test in which signers run beside faults is checked by it: the nemesis, the race, the
// kills and the cost of records in Go, the soak of the signer in Rust (by cmd/history-checker).
//
// A log is a list of events (event.go), a client asks by ask.go, and checker.go has a file for each promise.
package history
