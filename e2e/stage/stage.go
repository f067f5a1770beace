// Package stage sets up what the demo and the tests on a cluster play on: the
// chart, a SoftHSM2 token as Secrets, TezosSigners that use it. It applies and
// looks at objects as a user with kubectl does; what is expected of them is said
// by the demo and the tests.
//
// This file: the stage itself. Manifests: manifests.go. Watermark records:
// records.go.
package stage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/softhsm"
)

const (
	RecordsNamespace = "tezos-signer-records"
	SystemNamespace  = "tezos-signer-system"
	release          = "tezos-signer-operator"
)

// Stage is one namespace of a cluster, and one token whose keys the TezosSigners
// there use.
type Stage struct {
	Checkout  string
	Cluster   *kubectl.Cluster
	Namespace string
	// Run tells the objects of one run from those of earlier ones, whose pods may
	// still be on their way out.
	Run   string
	Token *softhsm.Token
	work  string
}

// New makes the token, in a temporary directory that Close removes.
func New(checkout string, cluster *kubectl.Cluster, namespace string) (*Stage, error) {
	s := &Stage{Checkout: checkout, Cluster: cluster, Namespace: namespace, Run: strings.ToLower(rand.Text()[:5])}
	var err error
	if s.work, err = os.MkdirTemp("", "tezos-signer-stage-"); err != nil {
		return nil, err
	}
	if s.Token, err = softhsm.NewToken(s.work, "e2e"); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close removes what is on this machine. What is on the cluster stays to be
// looked at, until Clear.
func (s *Stage) Close() { os.RemoveAll(s.work) }

// Image is the reference of one of the project's images.
func Image(checkout, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(checkout, "target/images", name+".ref"))
	if err != nil {
		return "", fmt.Errorf("the image %s is not built: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// InstallChart installs or upgrades the chart with the images that are built.
func (s *Stage) InstallChart(ctx context.Context) error {
	return s.InstallChartFrom(ctx, filepath.Join(s.Checkout, "charts/tezos-signer-operator"))
}

// InstallChartFrom installs or upgrades to the chart in that directory or package, such
// as an older one, with the images that are built, or as more arguments of helm say.
func (s *Stage) InstallChartFrom(ctx context.Context, chart string, more ...string) error {
	operator, err := Image(s.Checkout, "tezos-signer-operator")
	if err != nil {
		return err
	}
	signer, err := Image(s.Checkout, "tezos-signer-softhsm")
	if err != nil {
		return err
	}
	_, err = s.Cluster.RunHelm(ctx, append([]string{"upgrade", "--install", release, chart,
		"--namespace", SystemNamespace, "--create-namespace", "--wait", "--timeout", "2m",
		"--set", "image.reference=" + operator, "--set", "signerImage.reference=" + signer}, more...)...)
	return err
}

// Clear makes the namespace, and deletes from it what earlier runs left. It
// leaves the watermark records alone: they outlive their TezosSigners by design,
// and each run has keys of its own.
func (s *Stage) Clear(ctx context.Context) (deleted string, err error) {
	manifest, err := fill("namespace.yaml", s)
	if err != nil {
		return "", err
	}
	if err := s.Cluster.Apply(ctx, manifest); err != nil {
		return "", err
	}
	return s.Cluster.Run(ctx, "", "delete", "tezossigners,secrets", "-n", s.Namespace, "-l", runLabel, "--timeout=60s")
}

// Key is what `tezos-signer keys generate --output json` prints.
type Key struct {
	PublicKey     string `json:"publicKey"`
	PublicKeyHash string `json:"publicKeyHash"`
	Label         string `json:"label"`
	Curve         string `json:"curve"`
}

// Parsed is the key as the client verifies with it.
func (k *Key) Parsed() *octez.PublicKey {
	parsed, err := octez.ParsePublicKey(k.PublicKey)
	if err != nil {
		panic("a key that GenerateKey has parsed before: " + err.Error())
	}
	return parsed
}

// GenerateKey has tezos-signer make a key on the token.
func (s *Stage) GenerateKey(ctx context.Context, label string, curve *octez.Curve) (*Key, error) {
	config, err := yaml.Marshal(map[string]any{"hsm": map[string]any{
		"module": softhsm.Module, "token": s.Token.Label, "pinFile": s.Token.PinFile,
	}})
	if err != nil {
		return nil, err
	}
	configFile := filepath.Join(s.work, "keys.yaml")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, filepath.Join(s.Checkout, "target/release/tezos-signer"),
		"keys", "generate", "--config", configFile, "--label", label, "--curve", curve.Name, "--output", "json")
	command.Env = append(os.Environ(), "SOFTHSM2_CONF="+s.Token.ConfigFile())
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("tezos-signer keys generate --curve %s: %w", curve.Name, err)
	}
	var key Key
	if err := json.Unmarshal(text, &key); err != nil {
		return nil, fmt.Errorf("tezos-signer keys generate printed no JSON: %w: %.200q", err, text)
	}
	// What the signer derived from the HSM must be what the client derives.
	parsed, err := octez.ParsePublicKey(key.PublicKey)
	if err != nil {
		return nil, err
	}
	if parsed.Hash() != key.PublicKeyHash || parsed.Curve != curve {
		return nil, fmt.Errorf("tezos-signer made a key on %s and says %+v; the hash of that public key is %s", curve.Name, key, parsed.Hash())
	}
	return &key, nil
}
