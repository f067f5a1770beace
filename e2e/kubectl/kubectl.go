// Package kubectl runs kubectl and helm, as a user would, against one cluster.
// A TezosSigner and its pods are in tezossigner.go; what a test or the demo does with them is not here.
package kubectl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cluster is one cluster and the tools to reach it.
type Cluster struct {
	Kubectl, Helm string
	kubeconfig    string // empty: the user's own
	// api is what most reads are sent to; nil where only kubectl knows how.
	api *apiServer
}

// Local is the cluster of `make cluster-up` in that checkout.
func Local(checkout string) (*Cluster, error) {
	c := &Cluster{
		Kubectl:    filepath.Join(checkout, "target/tools/kubectl"),
		Helm:       filepath.Join(checkout, "target/tools/helm"),
		kubeconfig: filepath.Join(checkout, "target/cluster/kubeconfig"),
	}
	if _, err := os.Stat(c.kubeconfig); err != nil {
		return nil, fmt.Errorf("the local cluster is not up (make cluster-up): %w", err)
	}
	var err error
	c.api, err = connect(c.kubeconfig)
	return c, err
}

// Current is the cluster of the user's current kubeconfig context.
func Current() *Cluster { return &Cluster{Kubectl: "kubectl", Helm: "helm"} }

// BreakGlass are the flags of whoever may change what admission policies guard.
var BreakGlass = []string{"--as=break-glass", "--as-group=system:masters", "--as-group=tezos-signer:break-glass"}

// Run runs kubectl with that standard input and returns its standard output.
func (c *Cluster) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	return c.run(ctx, c.Kubectl, stdin, args)
}

// RunHelm runs helm.
func (c *Cluster) RunHelm(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, c.Helm, "", args)
}

// Command makes a kubectl command that its caller runs: to stream, or to end it.
func (c *Cluster) Command(ctx context.Context, args ...string) *exec.Cmd {
	return c.command(ctx, c.Kubectl, args)
}

func (c *Cluster) command(ctx context.Context, program string, args []string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, args...)
	if c.kubeconfig != "" {
		command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	}
	return command
}

// CommandError is a tool that ended with an exit status other than 0.
type CommandError struct {
	Command string
	Status  int
	Stderr  string
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", e.Command, e.Status, e.Stderr)
}

func (c *Cluster) run(ctx context.Context, program, stdin string, args []string) (string, error) {
	command := c.command(ctx, program, args)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &exit):
		err = &CommandError{
			Command: filepath.Base(program) + " " + strings.Join(args, " "),
			Status:  exit.ExitCode(),
			Stderr:  strings.TrimSpace(stderr.String()),
		}
	}
	return stdout.String(), err
}

// Get reads one object, or a list of them, into result.
func (c *Cluster) Get(ctx context.Context, result any, args ...string) error {
	text, err := c.get(ctx, args)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

func (c *Cluster) get(ctx context.Context, args []string) ([]byte, error) {
	if c.api != nil {
		if text, err := c.api.get(ctx, args); !errors.Is(err, errNotRead) {
			return text, err
		}
	}
	text, err := c.Run(ctx, "", append([]string{"get", "-o", "json"}, args...)...)
	return []byte(text), err
}

// PatchConfigMap merges a patch into a ConfigMap, as the user that kubectl's flags --as… name. With dryRun all
// is checked and nothing written.
func (c *Cluster) PatchConfigMap(ctx context.Context, who []string, namespace, name, patch string, dryRun bool) error {
	if c.api != nil {
		return c.api.patchConfigMap(ctx, who, namespace, name, patch, dryRun)
	}
	args := append([]string{"patch", "configmap", name, "-n", namespace, "--type=merge", "-p", patch}, who...)
	if dryRun {
		args = append(args, "--dry-run=server")
	}
	_, err := c.Run(ctx, "", args...)
	return err
}

// Apply applies manifests server-side, as this project's documentation has it.
func (c *Cluster) Apply(ctx context.Context, manifest string) error {
	_, err := c.Run(ctx, manifest, "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// NotFound reports whether the object that was asked for does not exist.
func NotFound(err error) bool {
	var command *CommandError
	return errors.As(err, &command) && strings.Contains(command.Stderr, "(NotFound)")
}
