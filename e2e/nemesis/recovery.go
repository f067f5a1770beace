// The end of a history: everything is healed, and then each key must sign in time, and
// every replica must give that signature again.

package nemesis

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

const (
	// A lease that has run out, and a second: what is promised where all others live.
	takeoverLimit = leaseDuration + time.Second
	// What was killed is restarted by the kubelet after a second at most, and starts.
	restartLimit = 5 * time.Second

	apiServerTimeout = 2 * time.Minute // the API server, after all that
	replicasTimeout  = 2 * time.Minute // all replicas, too
	requestTimeout   = 5 * time.Second // of Octez' attempts; then by another connection
)

func (t *historyRun) healAndVerify(ctx context.Context) error {
	if err := t.heal(ctx); err != nil {
		return err
	}
	within := takeoverLimit
	if t.restarted {
		within += restartLimit
	}
	from := t.clock.Now()
	signed := make([]history.Request, len(t.target.Keys))
	var probes sync.WaitGroup
	for i, key := range t.target.Keys {
		t.log.write(history.Event{Due: &history.Due{From: from, Within: history.Moment(within), Key: key.Hash()}})
		probes.Go(func() { signed[i] = t.signAfterHealing(ctx, key, within) })
	}
	probes.Wait()
	if err := t.awaitReplicas(ctx); err != nil {
		return err
	}
	for i, key := range t.target.Keys {
		if signed[i].Signature != "" {
			t.askAllAgain(ctx, key, signed[i])
		}
	}
	return nil
}

// heal undoes all that a fault may have left behind, and waits for the API server.
func (t *historyRun) heal(ctx context.Context) error {
	for _, table := range t.tablesInForce() {
		if err := t.removeRules(ctx, table); err != nil {
			return err
		}
	}
	for _, component := range []string{"kube-apiserver", "etcd"} {
		// One that is being restarted is not frozen.
		t.target.cluster(ctx, "", "resume", component)
	}
	// One that was asked to end takes itself out of its Service, and kube-proxy may notice its return 15 s late.
	isUp := func() bool { return t.target.api.isUp(ctx) && t.target.apiOfPods.isUp(ctx) }
	if err := t.await(ctx, apiServerTimeout, "the API server is not ready", isUp); err != nil {
		return err
	}
	for _, r := range t.target.replicas() {
		r.signal(syscall.SIGCONT) // an error: it has ended
	}
	for _, key := range t.target.Keys {
		for edit, lift := range lifts {
			err := t.await(ctx, apiServerTimeout, string(edit)+" cannot be lifted", func() bool { return t.lifted(ctx, key, edit, lift) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// lifted reports whether the record is free of that edit, and does something about it if not.
func (t *historyRun) lifted(ctx context.Context, key *octezclient.PublicKey, edit, lift history.Change) bool {
	var record struct {
		Data map[string]string `json:"data"`
	}
	if t.target.api.get(ctx, recordPath(key), &record) != nil {
		return false
	}
	if record.Data[string(edit)] == "" {
		return true
	}
	return t.edit(ctx, key, lift, 0, breakGlass) == nil
}

// signAfterHealing asks by the Octez rule until something is signed, by a new connection to the
// Service each time, as a client whose old one broke.
func (t *historyRun) signAfterHealing(ctx context.Context, key *octezclient.PublicKey, within time.Duration) history.Request {
	kind := payload.Kinds[int(t.first/LevelsOfAHistory)%len(payload.Kinds)]
	r := withPayload(history.Request{Key: key.Hash(), Kind: kind, Level: t.first + recoveryLevel, Replica: "the service", Due: true})
	ctx, cancel := context.WithTimeout(ctx, 3*within) // how late it was is worth knowing
	defer cancel()
	for {
		answered := t.requestAsOctez(ctx, t.target.Service, key, r)
		if answered.Signature != "" || ctx.Err() != nil {
			return answered
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (t *historyRun) requestAsOctez(ctx context.Context, url string, key *octezclient.PublicKey, r history.Request) history.Request {
	client := octezclient.NewClient(url)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return t.ask(r, func(raw []byte) (string, error) { return client.RequestSignature(ctx, key, raw) })
}

// awaitReplicas waits until there are as many replicas as there should be, and each answers.
func (t *historyRun) awaitReplicas(ctx context.Context) error {
	return t.await(ctx, replicasTimeout, "not all replicas came back", func() bool {
		if t.target.refresh(ctx) != nil {
			return false
		}
		replicas := t.target.notTerminating()
		return len(replicas) == t.target.Replicas && !slices.ContainsFunc(replicas, func(r replica) bool {
			client := octezclient.NewClient(r.url())
			defer client.Close()
			soon, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return !r.ready || client.CheckAuthorizedKeys(soon) != nil
		})
	})
}

// notTerminating are the replicas that are not on their way out.
func (f *Target) notTerminating() []replica {
	return slices.DeleteFunc(slices.Clone(f.replicas()), func(r replica) bool { return r.leaving })
}

// askAllAgain asks every replica for what was signed last.
func (t *historyRun) askAllAgain(ctx context.Context, key *octezclient.PublicKey, signed history.Request) {
	for _, r := range t.target.notTerminating() {
		again := history.Request{Key: signed.Key, Kind: signed.Kind, Level: signed.Level, Payload: signed.Payload, Replica: r.name, Again: true}
		t.requestAsOctez(ctx, r.url(), key, again)
	}
}

func (t *historyRun) await(ctx context.Context, atMost time.Duration, otherwise string, done func() bool) error {
	deadline := time.Now().Add(atMost)
	for !done() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s, %s after all was healed; see the log of this history", otherwise, atMost)
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}
