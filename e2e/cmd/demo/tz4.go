// The steps with tz4 keys: no HSM signs with them, so their secrets are sealed by a key of the token, and only opened in the signer.

package main

import (
	"context"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/scenario"
)

const sealingKey = "sealing"

// tz4Baker is a baker with a consensus key and a companion key.
type tz4Baker struct {
	fixture.Signer
	pod          *kubectl.Pod
	attestations map[string]string // the recalled attestation's signatures, by key hash
}

func (d *demo) makeTz4Keys(ctx context.Context) error {
	d.tz4.Name = "tz4-" + d.Run
	if err := d.GenerateSealingKey(ctx, sealingKey); err != nil {
		return err
	}
	for _, name := range []string{"consensus", "companion"} {
		key, err := d.GenerateSealedKey(ctx, sealingKey)
		if err != nil {
			return err
		}
		key.Companion = name == "companion"
		printLine("%s  %s  %s\n           sealed: %s", name, key.PublicKeyHash, key.PublicKey, cutWords(key.Sealed))
		d.tz4.Keys = append(d.tz4.Keys, key)
	}
	return nil
}

func (d *demo) applyTz4(ctx context.Context) (err error) {
	// The token has one key more.
	if err := d.ApplySecrets(ctx); err != nil {
		return err
	}
	d.tz4.InitialLevel, d.tz4.NotAfter = scenario.Tz4InitialLevel, time.Now().Add(time.Hour)
	if err := d.ApplySigner(ctx, &d.tz4.Signer); err != nil {
		return err
	}
	printLine("TezosSigner %s/%s", d.Namespace, d.tz4.Name)
	d.tz4.pod, err = d.await(ctx, &d.tz4.Signer)
	return err
}

func (d *demo) playTz4First(ctx context.Context) error {
	result, err := d.playTz4(ctx, "tz4")
	if err != nil {
		return err
	}
	d.tz4.attestations = result.Signatures
	d.notePromise("the pod with tz4 keys answered otherwise than expected", result.OK)
	return nil
}

func (d *demo) playTz4Replaced(ctx context.Context) (err error) {
	if d.tz4.pod, err = d.replace(ctx, &d.tz4.Signer, d.tz4.pod); err != nil {
		return err
	}
	result, err := d.playTz4(ctx, "tz4-replaced")
	if err != nil {
		return err
	}
	d.notePromise("the pod with tz4 keys that took over answered otherwise than expected", result.OK)
	return nil
}

func (d *demo) playTz4(ctx context.Context, script string) (*scenario.Result, error) {
	return d.playIn(ctx, d.tz4.pod, d.tz4.attestations, "--script", script,
		"--public-key", d.tz4.Keys[0].PublicKey, "--companion", d.tz4.Keys[1].PublicKey)
}
