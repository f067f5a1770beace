// Package localkms starts local-kms, a stand-in for AWS KMS that others keep (e2e/cluster/install pins it), and makes keys in it. It
// speaks KMS' own JSON, with its errors, but checks no signature of a request.
package localkms

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"

	"signer.tezos.io/e2e/octezclient"
)

// Region is the one that its keys are in.
const Region = "eu-central-1"

// Symmetric is the kind of key that seals.
const Symmetric = "SYMMETRIC_DEFAULT"

var specs = map[*octezclient.Curve]string{octezclient.P256: "ECC_NIST_P256", octezclient.Secp256k1: "ECC_SECG_P256K1"}

// KMS is one that runs, on all addresses of this machine.
type KMS struct {
	Port    string
	process *exec.Cmd
	log     *log
}

var started = regexp.MustCompile(`Local KMS started on 0\.0\.0\.0:([0-9]+)`)

// Start starts the program at that path, on a free port. What it keeps is in the directory.
func Start(ctx context.Context, program, directory string) (*KMS, error) {
	k := &KMS{process: exec.Command(program), log: &log{}}
	k.process.Env = append(os.Environ(), "PORT=0", "KMS_REGION="+Region, "KMS_DATA_PATH="+directory, "KMS_SEED_PATH=/nonexistent")
	output, err := k.process.StderrPipe()
	if err != nil {
		return nil, err
	}
	k.process.Stdout = k.log
	if err := k.process.Start(); err != nil {
		return nil, fmt.Errorf("local-kms: %w", err)
	}
	port := make(chan string, 1)
	go func() {
		defer close(port)
		lines := bufio.NewScanner(io.TeeReader(output, k.log))
		for lines.Scan() {
			if found := started.FindStringSubmatch(lines.Text()); found != nil {
				port <- found[1]
			}
		}
	}()
	select {
	case k.Port = <-port:
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
	}
	if k.Port == "" {
		k.Stop()
		return nil, fmt.Errorf("local-kms does not start: %s", k.log)
	}
	return k, nil
}

// Stop ends it.
func (k *KMS) Stop() {
	k.process.Process.Kill()
	k.process.Wait()
}

// Log is what it has printed.
func (k *KMS) Log() string { return k.log.String() }

// Endpoint is its address for processes of this machine.
func (k *KMS) Endpoint() string { return "http://127.0.0.1:" + k.Port }

// CreateSigningKey makes a key for ECDSA.
func (k *KMS) CreateSigningKey(ctx context.Context, curve *octezclient.Curve) (arn string, key *octezclient.PublicKey, err error) {
	if arn, err = k.createKey(ctx, specs[curve], "SIGN_VERIFY"); err != nil {
		return "", nil, err
	}
	var answer struct{ PublicKey []byte }
	if err := k.call(ctx, "GetPublicKey", map[string]any{"KeyId": arn}, &answer); err != nil {
		return "", nil, err
	}
	// A SubjectPublicKeyInfo ends with the point, not compressed. Go's own parser does not know secp256k1.
	const length = 65
	if len(answer.PublicKey) < length {
		return "", nil, fmt.Errorf("a public key of %d bytes", len(answer.PublicKey))
	}
	point := answer.PublicKey[len(answer.PublicKey)-length:]
	compressed := append([]byte{2 + point[length-1]&1}, point[1:33]...)
	key, err = octezclient.NewPublicKey(curve, compressed)
	return arn, key, err
}

// CreateSealingKey makes a symmetric key.
func (k *KMS) CreateSealingKey(ctx context.Context) (arn string, err error) {
	return k.createKey(ctx, Symmetric, "ENCRYPT_DECRYPT")
}

func (k *KMS) createKey(ctx context.Context, spec, usage string) (arn string, err error) {
	var answer struct{ KeyMetadata struct{ Arn string } }
	err = k.call(ctx, "CreateKey", map[string]any{"KeySpec": spec, "KeyUsage": usage}, &answer)
	return answer.KeyMetadata.Arn, err
}

// CreateAlias gives a key a name, alias/….
func (k *KMS) CreateAlias(ctx context.Context, name, arn string) error {
	return k.call(ctx, "CreateAlias", map[string]any{"AliasName": name, "TargetKeyId": arn}, nil)
}

// Disable has it refuse the key, until Enable.
func (k *KMS) Disable(ctx context.Context, arn string) error {
	return k.call(ctx, "DisableKey", map[string]any{"KeyId": arn}, nil)
}

// Enable undoes Disable.
func (k *KMS) Enable(ctx context.Context, arn string) error {
	return k.call(ctx, "EnableKey", map[string]any{"KeyId": arn}, nil)
}

func (k *KMS) call(ctx context.Context, operation string, input, output any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, k.Endpoint()+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "TrentService."+operation)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(string(answer))
	}
	if err == nil && output != nil {
		err = json.Unmarshal(answer, output)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

// log may be read while it is written.
type log struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(text []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.text.Write(text)
}

func (l *log) String() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.text.String()
}
