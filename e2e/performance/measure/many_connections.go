// Many connections at once, for many keys or for one: throughput and the slowest answers, beside release 0.2.

package measure

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"time"

	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/performance"
)

const (
	loadWarm     = 300 * time.Millisecond
	loadMeasured = 1500 * time.Millisecond
)

// herd is a configuration of a signer, and the numbers of connections that are tried with it.
type herd struct {
	name, what  string
	keys        []*key
	connections []int
	// operations: all connections ask for the only key, and for operations, whose order does not matter.
	operations bool
	rate, p99  performance.Bar
}

// herdRows are the rows of one number of connections.
type herdRows struct {
	rate, p99 *performance.Row
	refused   [2]int // of this signer, of 0.2
}

func manyConnections(b *Bench, ctx context.Context, c *collector) error {
	tz3Rate, tz2Rate, oneRate := performance.Bar{AtLeast: true, Factor: 2.2}, performance.Bar{AtLeast: true, Factor: 1.5}, performance.Bar{AtLeast: true, Factor: 1.5}
	p99 := performance.Bar{Factor: 0.3}
	herds := []herd{
		{"tz3-8", "8 tz3 keys", b.tz3[:8], []int{8}, false, tz3Rate, p99},
		{"tz3-64", "64 tz3 keys", b.tz3[:64], []int{64}, false, tz3Rate, p99},
		{"tz2-8", "8 tz2 keys", b.tz2[:8], []int{8}, false, tz2Rate, p99},
		{"tz2-64", "64 tz2 keys", b.tz2[:64], []int{64}, false, tz2Rate, p99},
		{"one-key", "one tz3 key, operations", b.tz3[:1], []int{8, 64}, true, oneRate, performance.Bar{None: true}},
	}
	rows := map[string]*herdRows{}
	for _, h := range herds {
		for _, n := range h.connections {
			rows[h.id(n)] = h.newRows(c, n)
		}
	}
	voters := map[string][]*voter{}
	for round := range b.Rounds {
		for _, h := range herds {
			if err := b.compare(ctx, h, round, voters, rows); err != nil {
				return err
			}
		}
		b.say("  round %d: 64 tz3 keys %s", round+1, last(rows[herds[1].id(64)].rate))
	}
	for _, r := range rows {
		if r.refused != [2]int{} {
			r.rate.Note = fmt.Sprintf("%d requests were refused, %d by 0.2", r.refused[0], r.refused[1])
		}
	}
	return nil
}

func (h herd) id(connections int) string {
	if h.operations {
		return fmt.Sprintf("%s-%d", h.name, connections)
	}
	return h.name
}

func (h herd) newRows(c *collector, connections int) *herdRows {
	what := fmt.Sprintf("%s, %d connections", h.what, connections)
	return &herdRows{
		rate: c.row(h.id(connections)+"/rate", what, "/s", "0.2", h.rate),
		p99:  c.row(h.id(connections)+"/p99", what+", p99", "ms", "0.2", h.p99),
	}
}

// compare has both signers tried with that herd, the one that was second in the last round first.
func (b *Bench) compare(ctx context.Context, h herd, round int, voters map[string][]*voter, rows map[string]*herdRows) error {
	const now, before = 0, 1
	results := [2]map[int]load{}
	for i := range 2 {
		which := (round + i) % 2
		program := b.Program
		if which == before {
			program = b.Previous
		}
		var err error
		if results[which], err = b.tryHerd(ctx, h, program, filepath.Join(b.disk, fmt.Sprintf("%s-%d", h.name, which)), voters); err != nil {
			return fmt.Errorf("%s by %s: %w", h.what, program, err)
		}
	}
	for _, n := range h.connections {
		r, is, was := rows[h.id(n)], results[now][n], results[before][n]
		add(r.rate, is.rate, was.rate)
		add(r.p99, milliseconds(is.p99), milliseconds(was.p99))
		r.refused[now] += is.refused
		r.refused[before] += was.refused
	}
	return nil
}

func (b *Bench) tryHerd(ctx context.Context, h herd, program, records string, voters map[string][]*voter) (map[int]load, error) {
	if _, err := newDirectory(records, ""); err != nil {
		return nil, err
	}
	s, err := b.start(ctx, setup{program: program, keys: h.keys, records: records})
	if err != nil {
		return nil, err
	}
	defer s.kill()
	if voters[records] == nil { // their levels go on in the next round
		for i := range h.connections[len(h.connections)-1] {
			v := newVoter(h.keys[i%len(h.keys)])
			if h.operations {
				v.make = func() ([]byte, error) { return newOperation(v.key), nil }
			}
			voters[records] = append(voters[records], v)
		}
	}
	results := map[int]load{}
	for _, n := range h.connections {
		if results[n], err = loadFor(ctx, s, voters[records][:n], b.duration(loadWarm), b.duration(loadMeasured)); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// newOperation is one that was never signed: it is on a branch of its own.
func newOperation(of *key) []byte {
	const branch, branchEnd = 1, 33
	operation := payload.Stake(of.PublicKey)
	rand.Read(operation[branch:branchEnd])
	return operation
}

// last is what the last round of a row gave, for who waits.
func last(row *performance.Row) string {
	round := row.Rounds[len(row.Rounds)-1]
	return performance.Quantity(round.Subject, row.Unit) + ", floor " + performance.Quantity(round.Floor, row.Unit)
}
