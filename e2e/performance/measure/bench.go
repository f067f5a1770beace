// Package measure starts signers, asks them for signatures, and measures what comes of it beside a floor or the release before: the sections of
// `make bench`, a file each. What it measured is rows of package performance.
//
// A section measures in rounds. Within a round, signer and floor take turns, so that both meet the same machine.
//
// This file: Bench, which has what the sections share.
package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"signer.tezos.io/e2e/bench"
	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/softhsm"
)

// Options are what a person chooses.
type Options struct {
	Checkout string
	// Program is the signer that is measured, Previous the one of the release before, FaultModule the PKCS#11 module of e2e/pkcs11-faults. All are
	// absolute paths.
	Program, Operator, Previous, FaultModule string
	// Disk is a directory on a disk, Memory one on a tmpfs.
	Disk, Memory string
	Rounds       int
	// Brief: a tenth of everything, to see that the harness works.
	Brief bool
	// Only has the names of the sections that are wanted; empty: all.
	Only     []string
	Progress io.Writer
}

// Bench is one run under way.
type Bench struct {
	Options
	began time.Time
	// Directories that are removed at the end: of tokens, configurations and logs, of records on disk, and of records in memory.
	work, disk, memory string
	token              *softhsm.Token
	// raw is this process' own session with the token, and rawKey the key that it signs with.
	raw      *bench.Token
	rawKey   *key
	tz3, tz2 []*key
	// The directories of records that were initialised, with the keys that have a record there.
	initialised map[string]bool
	started     atomic.Int64
}

// section is a part of the table.
type section struct {
	name    string // of Options.Only
	title   string
	measure func(*Bench, context.Context, *collector) error
}

var sections = []section{
	{"one", "One connection", oneConnection},
	{"many", "Many connections", manyConnections},
	{"configmap", "Records in ConfigMaps", configMap},
	{"crowd", "A hundred keys at once", crowd},
	{"start", "Start", start},
	{"idle", "Idle", idle},
	{"memory", "Memory, and hostile clients", memory},
	{"failover", "Failover", failover},
	{"operator", "The operator", operator},
}

// Sections are the names that Options.Only may have.
func Sections() []string {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// Run measures all that is wanted. Where a section fails, the rows of the others are there all the same.
func Run(ctx context.Context, options Options) ([]performance.Row, error) {
	for _, name := range options.Only {
		if !slices.Contains(Sections(), name) {
			return nil, fmt.Errorf("there is no section %q: --only takes %s", name, strings.Join(Sections(), ", "))
		}
	}
	b, err := newBench(options)
	defer b.close()
	if err != nil {
		return nil, err
	}
	for _, program := range []string{b.Operator, b.Previous, b.FaultModule} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("%w: make bench builds it", err)
		}
	}
	var rows []performance.Row
	var failed error
	for _, s := range sections {
		if !b.wants(s.name) {
			continue
		}
		b.say("%s", s.title)
		c := &collector{section: s.title, name: s.name}
		if err := s.measure(b, ctx, c); err != nil {
			if ctx.Err() != nil {
				return rows, context.Cause(ctx)
			}
			b.say("  failed: %v", err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.title, err))
			continue
		}
		for _, row := range c.rows {
			rows = append(rows, *row)
		}
	}
	return rows, failed
}

// newBench has to be closed also where it fails.
func newBench(options Options) (*Bench, error) {
	b := &Bench{Options: options, began: time.Now(), initialised: map[string]bool{}}
	return b, b.prepare()
}

func (b *Bench) wants(name string) bool {
	return len(b.Only) == 0 || slices.Contains(b.Only, name)
}

func (b *Bench) say(format string, args ...any) {
	fmt.Fprintf(b.Progress, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// amount is n, or a tenth of it.
func (b *Bench) amount(n int) int {
	if b.Brief {
		return max(n/10, 5)
	}
	return n
}

// time is d, or a tenth of it.
func (b *Bench) duration(d time.Duration) time.Duration {
	if b.Brief {
		return d / 10
	}
	return d
}

const (
	tokenLabel = "bench"
	tmpfs      = 0x01021994 // of statfs(2)
)

func (b *Bench) prepare() (err error) {
	if onTmpfs, err := isTmpfs(b.Disk); err != nil || onTmpfs {
		return errors.Join(err, fmt.Errorf("--disk %s must be a directory on a disk", b.Disk))
	}
	if onTmpfs, err := isTmpfs(b.Memory); err != nil || !onTmpfs {
		return errors.Join(err, fmt.Errorf("--memory %s must be a directory on a tmpfs", b.Memory))
	}
	if _, err := os.Stat(b.Program); err != nil {
		return fmt.Errorf("%w: make build builds it", err)
	}
	for _, made := range []struct {
		of  string
		dir *string
	}{{"", &b.work}, {b.Disk, &b.disk}, {b.Memory, &b.memory}} {
		if *made.dir, err = os.MkdirTemp(made.of, "tezos-signer-bench-"); err != nil {
			return err
		}
	}
	// In memory, where making keys waits for no disk. Signing reads it only.
	directory, err := newDirectory(b.memory, "token")
	if err != nil {
		return err
	}
	if b.token, err = softhsm.NewToken(directory, tokenLabel); err != nil {
		return err
	}
	pin, err := os.ReadFile(b.token.PinFile)
	if err != nil {
		return err
	}
	if b.raw, err = bench.OpenToken(softhsm.Module, tokenLabel, "", strings.TrimSpace(string(pin))); err != nil {
		return err
	}
	b.say("Making %d keys", tz3Keys+tz2Keys)
	return b.makeKeys()
}

func isTmpfs(path string) (bool, error) {
	var found unix.Statfs_t
	err := unix.Statfs(path, &found)
	return found.Type == tmpfs, err
}

func (b *Bench) close() {
	if b.raw != nil {
		b.raw.Close()
	}
	for _, dir := range []string{b.work, b.disk, b.memory} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
}

// newDirectory is a directory for a signer's records, below one of b's.
func newDirectory(below, name string) (string, error) {
	path := filepath.Join(below, name)
	return path, os.MkdirAll(path, 0o700)
}

// collector makes the rows of a section.
type collector struct {
	section, name string
	rows          []*performance.Row
}

func (c *collector) row(id, what, unit, floor string, bar performance.Bar) *performance.Row {
	row := &performance.Row{ID: c.name + "/" + id, Section: c.section, What: what, Unit: unit, Floor: floor, Bar: bar}
	c.rows = append(c.rows, row)
	return row
}

func add(row *performance.Row, subject, floor float64) {
	row.Rounds = append(row.Rounds, performance.Round{Subject: subject, Floor: floor})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
