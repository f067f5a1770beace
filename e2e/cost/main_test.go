// Package cost tries what the watermark records cost the API server, and what of
// its troubles they survive. Each test has an API server that it may flood, restart
// and starve:
//
//	E2E=1 go test -count 1 -v ./cost
//
// With -short only what they cost, and the flood. Without E2E=1 it does nothing. It needs `make images`, or the signer that TEZOS_SIGNER names.
//
// This file: the token and the keys, which all tests share.
package cost

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/softhsm"
)

var (
	checkout string
	program  string // tezos-signer
	token    *softhsm.Token
	keys     []*octezclient.PublicKey // of the curves, in their order
	curves   = []*octezclient.Curve{octezclient.P256, octezclient.Secp256k1}
)

func TestMain(m *testing.M) {
	if os.Getenv("E2E") != "1" {
		fmt.Println("not run: these tests start API servers, and need E2E=1")
		return
	}
	status, err := setUpAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set up:", err)
		status = 1
	}
	os.Exit(status)
}

func setUpAndRun(m *testing.M) (int, error) {
	work, err := os.MkdirTemp("", "tezos-signer-cost-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if checkout, err = filepath.Abs("../.."); err != nil {
		return 0, err
	}
	if program = os.Getenv("TEZOS_SIGNER"); program == "" {
		program = filepath.Join(checkout, "target/release/tezos-signer")
	}
	if token, err = softhsm.NewToken(work, "cost"); err != nil {
		return 0, err
	}
	for _, curve := range curves {
		key, err := generateKey(work, curve)
		if err != nil {
			return 0, err
		}
		keys = append(keys, key)
	}
	return m.Run(), nil
}

func generateKey(work string, curve *octezclient.Curve) (*octezclient.PublicKey, error) {
	config := filepath.Join(work, "hsm.json") // JSON is YAML
	if err := writeJSON(config, object{"hsm": hsmSection()}); err != nil {
		return nil, err
	}
	command := exec.Command(program, "keys", "generate", "--config", config, "--label", curve.Name, "--curve", curve.Name, "--output", "json")
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("tezos-signer keys generate: %w", err)
	}
	var made struct {
		PublicKey string `json:"publicKey"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return nil, err
	}
	return octezclient.ParsePublicKey(made.PublicKey)
}

type object = map[string]any

func hsmSection() object {
	return object{"module": softhsm.Module, "token": token.Label, "pinFile": token.PinFile, "sessions": 2}
}

func writeJSON(path string, content any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// skipIfShort is for the tests that are left out of the short form.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out of the short form")
	}
}
