// Keys of the token, and the sections of a configuration file that name them; commands of a signer.

package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"signer.tezos.io/e2e/octezclient"
)

type object = map[string]any

const (
	tz3Keys, tz2Keys = 100, 64
	chain            = "NetXdQprcVkpaWU" // mainnet, as the payloads
)

type key struct {
	*octezclient.PublicKey
	label string
}

func (k *key) section() object {
	return object{"publicKey": k.String(), "label": k.label, "chain": chain, "allow": []string{"attestation", "preattestation", "stake"}}
}

func (b *Bench) hsmSection(module string) object {
	return object{"module": module, "token": tokenLabel, "pinFile": b.token.PinFile}
}

func (b *Bench) makeKeys() error {
	for _, wanted := range []struct {
		keys  *[]*key
		n     int
		curve *octezclient.Curve
	}{{&b.tz3, tz3Keys, octezclient.P256}, {&b.tz2, tz2Keys, octezclient.Secp256k1}} {
		for i := range wanted.n {
			label := fmt.Sprint(wanted.curve.Address, "-", i)
			public, err := b.raw.Generate(label, wanted.curve)
			if err != nil {
				return err
			}
			*wanted.keys = append(*wanted.keys, &key{public, label})
		}
	}
	return nil
}

// command runs a command of a signer, and returns what it printed.
func (b *Bench) command(ctx context.Context, program string, env []string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, program, args...)
	command.Env = b.environment(env)
	text, err := command.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		err = fmt.Errorf("%s %s %s: %w", program, args[0], args[1], err)
	}
	return text, err
}

func (b *Bench) environment(more []string) []string {
	return append(append(os.Environ(), "SOFTHSM2_CONF="+b.token.ConfigFile(), "HOME="+b.work), more...)
}

func writeJSON(path string, content any) error { // JSON is YAML
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
