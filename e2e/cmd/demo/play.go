// What the baker sends, through kubectl exec into its container, and what is shown.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/scenario"
)

func (d *demo) playFirst(ctx context.Context) error {
	result, err := d.play(ctx, "first")
	if err != nil {
		return err
	}
	d.blocks = result.Signatures
	d.promised("the first pod answered otherwise than expected", result.OK)
	return nil
}

func (d *demo) playReplaced(ctx context.Context) error {
	old := d.baker.pod.Metadata
	if _, err := d.cluster.Run(ctx, "", "delete", "pod", old.Name, "-n", namespace, "--wait=false"); err != nil {
		return err
	}
	deleted := time.Now()
	pod, err := d.cluster.AwaitPod(ctx, namespace, d.baker.name, old.UID, readyTimeout)
	if err != nil {
		return err
	}
	d.baker.pod = pod
	say("%s was ready %.1f s after %s was deleted", pod.Metadata.Name, time.Since(deleted).Seconds(), old.Name)
	result, err := d.play(ctx, "replaced")
	if err != nil {
		return err
	}
	d.promised("the pod that took over answered otherwise than expected", result.OK)
	return nil
}

func (d *demo) play(ctx context.Context, script string) (*scenario.Result, error) {
	args := []string{"play", "--script", script, "--output", "json"}
	for _, key := range d.baker.keys {
		args = append(args, "--public-key", key.PublicKey)
		if signature := d.blocks[key.PublicKeyHash]; signature != "" {
			args = append(args, "--expect", key.PublicKeyHash+"="+signature)
		}
	}
	var result scenario.Result
	if err := d.player(ctx, &d.baker, "", &result, args...); err != nil {
		return nil, err
	}
	var table strings.Builder
	result.Write(&table)
	say("%s", table.String())
	return &result, nil
}

// player runs octez-player in a baker's container and reads its JSON. Its exit
// status 1 says that the result is not as promised, which the result says too.
func (d *demo) player(ctx context.Context, s *signer, stdin string, result any, args ...string) error {
	exec := []string{"exec", "-i", "-n", namespace, s.pod.Metadata.Name, "-c", "baker", "--", "octez-player"}
	text, err := d.cluster.Run(ctx, stdin, append(exec, args...)...)
	var command *kubectl.CommandError
	if err != nil && !(errors.As(err, &command) && command.Status == 1 && text != "") {
		return err
	}
	if err := json.Unmarshal([]byte(text), result); err != nil {
		return fmt.Errorf("octez-player printed no JSON: %w: %.200q", err, text)
	}
	return nil
}

func (d *demo) showRecords(ctx context.Context) error {
	for _, args := range [][]string{
		{"get", "tezossigners", "-A"},
		{"get", "configmaps", "-n", recordsNamespace},
	} {
		text, err := d.cluster.Run(ctx, "", args...)
		if err != nil {
			return err
		}
		say("$ kubectl %s\n%s", strings.Join(args, " "), text)
	}
	record, err := d.record(ctx, d.baker.keys[0])
	if err != nil {
		return err
	}
	say("\nThe record of %s, %s (long words are cut here):", d.baker.keys[0].PublicKeyHash, record.Metadata["name"])
	for _, field := range []map[string]string{record.annotations(), record.Data} {
		for _, name := range slices.Sorted(maps.Keys(field)) {
			say("  %-44s %s", name+":", cutWords(field[name]))
		}
	}
	return nil
}

// cutWords cuts digests and signatures, not JSON.
func cutWords(row string) string {
	words := strings.Fields(row)
	for i, word := range words {
		if len(word) > 48 && !strings.HasPrefix(row, "{") {
			words[i] = word[:16] + "…"
		}
	}
	return strings.Join(words, " ")
}
