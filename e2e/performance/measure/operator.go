// The operator beside a bare loop that applies the same objects: a test of package scale, which has all that it needs and writes its rows.

package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func operator(b *Bench, ctx context.Context, c *collector) error {
	rows, program := filepath.Join(b.work, "operator-rows.json"), filepath.Join(b.work, "scale.test")
	sources := filepath.Join(b.Checkout, "e2e")
	// Not `go test`, whose child would live on where this run is interrupted.
	if err := run(ctx, exec.CommandContext(ctx, "go", "-C", sources, "test", "-c", "-o", program, "./scale")); err != nil {
		return err
	}
	// Its directories are removed with this run's; ports are reserved where all tests reserve theirs.
	const ports = "tezos-signer-test-ports"
	if err := os.Symlink(filepath.Join(os.TempDir(), ports), filepath.Join(b.work, ports)); err != nil {
		return err
	}
	test := exec.CommandContext(ctx, program, "-test.run", "^TestTheOperatorBesideABareLoop$", "-test.timeout", "10m")
	test.Dir = filepath.Join(sources, "scale")
	test.Env = append(os.Environ(), "TMPDIR="+b.work, "E2E=1", "TEZOS_SIGNER_OPERATOR="+b.Operator, "E2E_ROWS="+rows, fmt.Sprint("E2E_ROUNDS=", b.Rounds))
	if err := run(ctx, test); err != nil {
		return err
	}
	text, err := os.ReadFile(rows)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &c.rows)
}

func run(ctx context.Context, command *exec.Cmd) error {
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this process is killed
	err := command.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %.4000s", command.Path, err, &output)
	}
	return nil
}
