// One connection that is kept alive, one vote after the other: what a baker with one key sees.

package measure

import (
	"context"
	"path/filepath"
	"time"

	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/stats"
)

const (
	// In turns of so many, votes of each signer and of each floor.
	turn = 20
	// So many turns a round.
	turns = 20
)

// places are the signers of this section.
type places struct{ disk, audited, memory *signer }

// schemeRows are the rows of one scheme.
type schemeRows struct {
	key                                   *key
	disk, audited, memory, cpu            *performance.Row
	onDisk, withAudit, inMemory           *voter
	raw, sync, took, tookAudit, tookTmpfs []time.Duration
	rawCPU, signerCPU                     time.Duration
}

func oneConnection(b *Bench, ctx context.Context, c *collector) error {
	keys := []*key{b.tz3[0], b.tz2[0]}
	signers, err := b.startPlaces(ctx, keys)
	defer signers.kill()
	if err != nil {
		return err
	}
	disk, err := newSlots(b.disk)
	if err != nil {
		return err
	}
	defer disk.close()
	schemes := []*schemeRows{
		newSchemeRows(c, keys[0], performance.Bar{Plus: 450}),
		newSchemeRows(c, keys[1], performance.Bar{Factor: 1, Plus: 250}),
	}
	for _, s := range schemes {
		if err := s.connect(signers); err != nil {
			return err
		}
		defer s.close()
	}
	for round := range b.Rounds {
		for _, s := range schemes {
			if err := s.round(ctx, b, signers, disk); err != nil {
				return err
			}
		}
		b.say("  round %d: tz3 on disk %s", round+1, last(schemes[0].disk))
	}
	return nil
}

func newSchemeRows(c *collector, key *key, cpu performance.Bar) *schemeRows {
	scheme := key.Curve.Address
	s := &schemeRows{key: key, onDisk: newVoter(key), withAudit: newVoter(key), inMemory: newVoter(key)}
	plus := func(plus float64) performance.Bar { return performance.Bar{Factor: 1, Plus: plus} }
	s.disk = c.row(scheme+"/disk/p50", scheme+", records on disk, p50", "ms", "raw + fdatasync", plus(0.4))
	s.audited = c.row(scheme+"/audit/p50", scheme+", records and audit file on disk, p50", "ms", "slower of raw and fdatasync, + fdatasync", plus(0.4))
	s.memory = c.row(scheme+"/tmpfs/p50", scheme+", records on tmpfs, p50", "ms", "raw", plus(0.25))
	s.cpu = c.row(scheme+"/tmpfs/cpu", scheme+", records on tmpfs, CPU time a signature", "µs", "raw", cpu)
	return s
}

func (b *Bench) startPlaces(ctx context.Context, keys []*key) (p places, err error) {
	for _, wanted := range []struct {
		at    **signer
		below string
		name  string
		audit bool
	}{{&p.disk, b.disk, "one", false}, {&p.audited, b.disk, "audited", true}, {&p.memory, b.memory, "one", false}} {
		records, err := newDirectory(wanted.below, wanted.name)
		if err != nil {
			return p, err
		}
		set := setup{program: b.Program, keys: keys, records: records, config: object{}}
		if wanted.audit {
			set.config["audit"] = object{"file": filepath.Join(b.disk, "audit.log")}
		}
		if *wanted.at, err = b.start(ctx, set); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p places) kill() {
	for _, s := range []*signer{p.disk, p.audited, p.memory} {
		s.kill()
	}
}

// connect connects, and has the first votes signed, which nobody measures.
func (s *schemeRows) connect(to places) error {
	for voter, signer := range map[*voter]*signer{s.onDisk: to.disk, s.withAudit: to.audited, s.inMemory: to.memory} {
		if err := voter.connect(signer); err != nil {
			return err
		}
		if _, err := voter.votes(turn); err != nil {
			return err
		}
	}
	return nil
}

func (s *schemeRows) close() {
	for _, voter := range []*voter{s.onDisk, s.withAudit, s.inMemory} {
		voter.close()
	}
}

func (s *schemeRows) round(ctx context.Context, b *Bench, signers places, disk *slots) error {
	s.raw, s.sync, s.took, s.tookAudit, s.tookTmpfs, s.rawCPU, s.signerCPU = nil, nil, nil, nil, nil, 0, 0
	for range b.amount(turns) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.turn(b, signers, disk); err != nil {
			return err
		}
	}
	p50 := func(samples []time.Duration) float64 { return milliseconds(stats.Percentile(samples, 50)) }
	raw, sync := p50(s.raw), p50(s.sync)
	add(s.disk, p50(s.took), raw+sync)
	add(s.audited, p50(s.tookAudit), max(raw, sync)+sync)
	add(s.memory, p50(s.tookTmpfs), raw)
	votes := time.Duration(len(s.tookTmpfs))
	add(s.cpu, microseconds(s.signerCPU/votes), microseconds(s.rawCPU/votes))
	return nil
}

// turn is that of each of the five.
func (s *schemeRows) turn(b *Bench, signers places, disk *slots) error {
	raw, cpu, err := b.rawSignatures(s.key, turn)
	if err != nil {
		return err
	}
	s.raw, s.rawCPU = append(s.raw, raw...), s.rawCPU+cpu
	synced, err := disk.writes(turn)
	if err != nil {
		return err
	}
	s.sync = append(s.sync, synced...)
	took, err := s.onDisk.votes(turn)
	if err != nil {
		return err
	}
	s.took = append(s.took, took...)
	if took, err = s.withAudit.votes(turn); err != nil {
		return err
	}
	s.tookAudit = append(s.tookAudit, took...)
	before, err := signers.memory.cpu()
	if err != nil {
		return err
	}
	if took, err = s.inMemory.votes(turn); err != nil {
		return err
	}
	after, err := signers.memory.cpu()
	s.tookTmpfs, s.signerCPU = append(s.tookTmpfs, took...), s.signerCPU+after-before
	return err
}
