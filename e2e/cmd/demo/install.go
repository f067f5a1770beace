// From a token on this machine to a TezosSigner that is Ready.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/softhsm"
)

const readyTimeout = 2 * time.Minute

// signer is one TezosSigner of the demo.
type signer struct {
	name string
	keys []tokenKey
	pod  *kubectl.Pod
}

// tokenKey is what `tezos-signer keys generate --output json` prints.
type tokenKey struct {
	PublicKey     string `json:"publicKey"`
	PublicKeyHash string `json:"publicKeyHash"`
	Label         string `json:"label"`
	Curve         string `json:"curve"`
}

func (d *demo) makeToken(ctx context.Context) (err error) {
	if d.token, err = softhsm.NewToken(d.work, "demo"); err != nil {
		return err
	}
	// Names of a run of its own: nothing waits for the end of an earlier run's pods.
	d.baker.name, d.bench.name = "baker-"+d.run, "bench-"+d.run
	for _, wanted := range []struct {
		signer *signer
		curve  *octez.Curve
	}{{&d.baker, octez.P256}, {&d.baker, octez.Secp256k1}, {&d.bench, octez.P256}} {
		key, err := d.generateKey(ctx, wanted.signer.name+"-"+wanted.curve.Address, wanted.curve.Name)
		if err != nil {
			return err
		}
		say("%-9s  %s  %s", key.Curve, key.PublicKeyHash, key.PublicKey)
		wanted.signer.keys = append(wanted.signer.keys, *key)
	}
	return nil
}

func (d *demo) generateKey(ctx context.Context, label, curve string) (*tokenKey, error) {
	config, err := yaml.Marshal(map[string]any{"hsm": map[string]any{
		"module": softhsm.Module, "token": d.token.Label, "pinFile": d.token.PinFile,
	}})
	if err != nil {
		return nil, err
	}
	configFile := filepath.Join(d.work, "keys.yaml")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, filepath.Join(d.checkout, "target/release/tezos-signer"),
		"keys", "generate", "--config", configFile, "--label", label, "--curve", curve, "--output", "json")
	command.Stderr = os.Stderr
	text, err := command.Output() // SOFTHSM2_CONF is in this process's environment
	if err != nil {
		return nil, fmt.Errorf("tezos-signer keys generate --curve %s: %w", curve, err)
	}
	var key tokenKey
	if err := json.Unmarshal(text, &key); err != nil {
		return nil, fmt.Errorf("tezos-signer keys generate printed no JSON: %w: %.200q", err, text)
	}
	// What the signer derived from the HSM must be what the client derives.
	parsed, err := octez.ParsePublicKey(key.PublicKey)
	if err != nil {
		return nil, err
	}
	if parsed.Hash() != key.PublicKeyHash {
		return nil, fmt.Errorf("tezos-signer says the hash of %s is %s, it is %s", key.PublicKey, key.PublicKeyHash, parsed.Hash())
	}
	return &key, nil
}

func (d *demo) installChart(ctx context.Context) error {
	operator, err := d.image("tezos-signer-operator")
	if err != nil {
		return err
	}
	signer, err := d.image("tezos-signer-softhsm")
	if err != nil {
		return err
	}
	say("operator %s\nsigner   %s", operator, signer)
	_, err = d.cluster.RunHelm(ctx, "upgrade", "--install", release, filepath.Join(d.checkout, "charts/tezos-signer-operator"),
		"--namespace", systemNamespace, "--create-namespace", "--wait", "--timeout", "2m",
		"--set", "image.reference="+operator, "--set", "signerImage.reference="+signer)
	return err
}

// clearEarlierRuns leaves the watermark records alone: they outlive their
// TezosSigners by design, and this run has keys of its own.
func (d *demo) clearEarlierRuns(ctx context.Context) error {
	namespaceManifest, err := d.render("namespace.yaml", nil)
	if err != nil {
		return err
	}
	if err := d.cluster.Apply(ctx, namespaceManifest); err != nil {
		return err
	}
	gone, err := d.cluster.Run(ctx, "", "delete", "tezossigners,secrets", "-n", namespace, "-l", runLabel, "--timeout=60s")
	if err == nil && gone != "" {
		say("%s", gone)
	}
	return err
}

func (d *demo) applySigners(ctx context.Context) error {
	secrets, err := d.secrets()
	if err != nil {
		return err
	}
	if err := d.cluster.Apply(ctx, secrets); err != nil {
		return err
	}
	for _, s := range []*signer{&d.baker, &d.bench} {
		manifest, err := d.render("signer.yaml", s)
		if err != nil {
			return err
		}
		if err := d.cluster.Apply(ctx, manifest); err != nil {
			return err
		}
		say("applied TezosSigner %s/%s", namespace, s.name)
	}
	return nil
}

func (d *demo) awaitBaker(ctx context.Context) error { return d.await(ctx, &d.baker) }

func (d *demo) await(ctx context.Context, s *signer) (err error) {
	if err := d.cluster.AwaitReady(ctx, namespace, s.name, readyTimeout, func(text string) { say("%s", text) }); err != nil {
		return err
	}
	s.pod, err = d.cluster.AwaitPod(ctx, namespace, s.name, "", readyTimeout)
	return err
}
