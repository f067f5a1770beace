// What each step does, and shows.

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/scenario"
	"signer.tezos.io/e2e/softhsm"
	"signer.tezos.io/e2e/stats"
)

const readyTimeout = 2 * time.Minute

func (d *demo) makeKeys(ctx context.Context) error {
	d.baker = fixture.Signer{Name: "baker-" + d.Run}
	d.bench = fixture.Signer{Name: "bench-" + d.Run, BakerHasToken: true}
	for _, wanted := range []struct {
		signer *fixture.Signer
		curve  *octezclient.Curve
	}{{&d.baker, octezclient.P256}, {&d.baker, octezclient.Secp256k1}, {&d.bench, octezclient.P256}} {
		key, err := d.GenerateKey(ctx, wanted.signer.Name+"-"+wanted.curve.Address, wanted.curve)
		if err != nil {
			return err
		}
		printLine("%-9s  %s  %s", key.Curve, key.PublicKeyHash, key.PublicKey)
		wanted.signer.Keys = append(wanted.signer.Keys, key)
	}
	return nil
}

func (d *demo) clear(ctx context.Context) error {
	deleted, err := d.Clear(ctx)
	if deleted != "" {
		printLine("%s", deleted)
	}
	return err
}

func (d *demo) apply(ctx context.Context) error {
	if err := d.ApplySecrets(ctx); err != nil {
		return err
	}
	for _, s := range []*fixture.Signer{&d.baker, &d.bench} {
		s.InitialLevel, s.NotAfter = scenario.InitialLevel, time.Now().Add(time.Hour)
		if err := d.ApplySigner(ctx, s); err != nil {
			return err
		}
		printLine("TezosSigner %s/%s", d.Namespace, s.Name)
	}
	return nil
}

func (d *demo) awaitBaker(ctx context.Context) (err error) {
	d.pod, err = d.await(ctx, &d.baker)
	return err
}

func (d *demo) await(ctx context.Context, s *fixture.Signer) (*kubectl.Pod, error) {
	if err := d.Cluster.AwaitReady(ctx, d.Namespace, s.Name, readyTimeout, func(text string) { printLine("%s", text) }); err != nil {
		return nil, err
	}
	return d.Cluster.AwaitPod(ctx, d.Namespace, s.Name, "", readyTimeout)
}

func (d *demo) playFirst(ctx context.Context) error {
	result, err := d.play(ctx, "first")
	if err != nil {
		return err
	}
	d.blocks = result.Signatures
	d.notePromise("the first pod answered otherwise than expected", result.OK)
	return nil
}

func (d *demo) playReplaced(ctx context.Context) (err error) {
	if d.pod, err = d.replace(ctx, &d.baker, d.pod); err != nil {
		return err
	}
	result, err := d.play(ctx, "replaced")
	if err != nil {
		return err
	}
	d.notePromise("the pod that took over answered otherwise than expected", result.OK)
	return nil
}

// replace deletes a signer's pod, and waits for the one that replaces it.
func (d *demo) replace(ctx context.Context, s *fixture.Signer, old *kubectl.Pod) (*kubectl.Pod, error) {
	deleted := time.Now()
	if _, err := d.Cluster.Run(ctx, "", "delete", "pod", old.Metadata.Name, "-n", d.Namespace, "--wait=false"); err != nil {
		return nil, err
	}
	pod, err := d.Cluster.AwaitPod(ctx, d.Namespace, s.Name, old.Metadata.UID, readyTimeout)
	if err == nil {
		printLine("%s was ready %.1f s after %s was deleted", pod.Metadata.Name, time.Since(deleted).Seconds(), old.Metadata.Name)
	}
	return pod, err
}

func (d *demo) play(ctx context.Context, script string) (*scenario.Result, error) {
	args := []string{"--script", script}
	for _, key := range d.baker.Keys {
		args = append(args, "--public-key", key.PublicKey)
	}
	return d.playIn(ctx, d.pod, d.blocks, args...)
}

// playIn plays in that pod, and shows what came back. It expects again the signatures that it is given.
func (d *demo) playIn(ctx context.Context, pod *kubectl.Pod, earlier map[string]string, args ...string) (*scenario.Result, error) {
	args = append([]string{"play", "--output", "json"}, args...)
	for hash, signature := range earlier {
		args = append(args, "--expect", hash+"="+signature)
	}
	var result scenario.Result
	if err := d.Player(ctx, pod, "", &result, args...); err != nil {
		return nil, err
	}
	var table strings.Builder
	result.Write(&table)
	printLine("%s", table.String())
	return &result, nil
}

func (d *demo) showRecords(ctx context.Context) error {
	for _, args := range [][]string{
		{"get", "tezossigners", "-A"},
		{"get", "configmaps", "-n", fixture.RecordsNamespace},
	} {
		text, err := d.Cluster.Run(ctx, "", args...)
		if err != nil {
			return err
		}
		printLine("$ kubectl %s\n%s", strings.Join(args, " "), text)
	}
	key := d.baker.Keys[0]
	record, err := d.Record(ctx, key.Parsed())
	if err != nil {
		return err
	}
	printLine("\nThe record of %s (digests and signatures are cut here):", key.PublicKeyHash)
	for _, name := range slices.Sorted(maps.Keys(record.Metadata.Annotations)) {
		printLine("  %-40s %s", name, record.Metadata.Annotations[name])
	}
	for _, row := range slices.Sorted(maps.Keys(record.Data)) {
		printLine("  %-40s %s", row, cutWords(record.Data[row]))
	}
	return nil
}

func cutWords(row string) string {
	words := strings.Fields(row)
	for i, word := range words {
		if len(word) > 48 {
			words[i] = word[:16] + "…"
		}
	}
	return strings.Join(words, " ")
}

// measure runs the benchmark in the second signer's pod, so that all it measures
// is measured from inside the cluster.
func (d *demo) measure(ctx context.Context) error {
	pod, err := d.await(ctx, &d.bench)
	if err != nil {
		return err
	}
	key := d.bench.Keys[0]
	record, err := d.BenchRecord(ctx, key.Parsed())
	if err != nil {
		return err
	}
	defer func() { // also when interrupted
		if err := d.ClearBench(context.WithoutCancel(ctx), record); err != nil {
			printLine("left behind: %v", err)
		}
	}()
	access, err := d.BenchAccess(ctx, pod, record)
	if err != nil {
		return err
	}
	var result stats.Summary
	if err := d.Player(ctx, pod, access, &result, "bench", "--output", "json",
		"--public-key", key.PublicKey, "--votes", fmt.Sprint(votes), "--level", fmt.Sprint(scenario.InitialLevel+1),
		"--kubeconfig", "-", "--record", record, "--namespace", fixture.RecordsNamespace,
		"--module", softhsm.Module, "--token", d.Token.Label, "--label", key.Label, "--pin-file", fixture.BakerPinFile,
	); err != nil {
		return err
	}
	var table strings.Builder
	result.Write(&table)
	printLine("%s", table.String())
	d.notePromise("a vote takes longer than promised", result.FastEnough())
	d.notePromise("the signer holds more memory than promised", result.SmallEnough())
	return nil
}
