// demo installs the chart on a cluster, applies TezosSigners and shows what a baker
// gets from them. `make demo` runs it when everything is built.
//
// This file: the flags, the order of the steps, the last sentence. What a step
// does: steps.go, and tz4.go for those with tz4 keys.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
)

const (
	votes = 1000

	localImages = "tezos-signer.local/" // references of images that no registry has
)

// demo is what the steps hand on to each other.
type demo struct {
	*fixture.Fixture
	baker, bench fixture.Signer
	pod          *kubectl.Pod      // the baker's
	blocks       map[string]string // the recalled block's signature, by key hash
	tz4          tz4Baker
	broken       []string // promises
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	kept, err := run(ctx)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nThe demo could not go on: %v\n", err)
		os.Exit(2)
	case !kept:
		os.Exit(1)
	}
}

func run(ctx context.Context) (kept bool, err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	checkout := flags.String("checkout", ".", "the checkout, with target/ built")
	which := flags.String("cluster", "local", "local: that of make cluster-up; current: the current kubeconfig context")
	registry := flags.String("registry", "", "where the images were pushed to, for --cluster current")
	namespace := flags.String("namespace", "tezos-signer-demo", "where the TezosSigners are made, and those of earlier runs removed")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return false, flag.ErrHelp
	}
	root, err := filepath.Abs(*checkout)
	if err != nil {
		return false, err
	}
	cluster, err := chooseCluster(ctx, root, *which, *registry)
	if err != nil {
		return false, err
	}

	begin := time.Now()
	d := &demo{}
	if d.Fixture, err = fixture.New(root, cluster, *namespace); err != nil {
		return false, err
	}
	defer d.Close()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Make keys on a SoftHSM2 token: tz3 and tz2 for the baker, tz3 to measure with", d.makeKeys},
		{"Install the chart with Helm", d.InstallChart},
		{"Clear away what an earlier demo left", d.clear},
		{"Apply two TezosSigners: one whose baker plays, one to measure with", d.apply},
		{"Wait for the first to be Ready", d.awaitBaker},
		{"Play real mainnet payloads as the Octez baker does", d.playFirst},
		{"Delete the pod, wait for its replacement, and ask that one", d.playReplaced},
		{"Show the TezosSigners and a watermark record", d.showRecords},
		{fmt.Sprintf("Measure %d votes, bare PUTs and bare C_Signs, interleaved", votes), d.measure},
		{"Make two tz4 keys, consensus and companion, sealed by a key that stays on the token", d.makeTz4Keys},
		{"Apply a TezosSigner with what was printed, and wait for it to be Ready", d.applyTz4},
		{"Ask as an Octez baker with tz4 keys does: each attestation of both keys, the same bytes", d.playTz4First},
		{"Delete the pod, wait for its replacement, and ask that one", d.playTz4Replaced},
	} {
		started := time.Now()
		fmt.Printf("\n[%5.1f s] %s\n", time.Since(begin).Seconds(), step.title)
		if err := step.do(ctx); err != nil {
			return false, fmt.Errorf("%s: %w", step.title, err)
		}
		printLine("done in %.1f s", time.Since(started).Seconds())
	}
	return d.conclude(time.Since(begin)), nil
}

// chooseCluster finds the cluster, and says which it is before anything is done to it.
func chooseCluster(ctx context.Context, checkout, which, registry string) (*kubectl.Cluster, error) {
	switch which {
	case "local":
		fmt.Println("The demo runs on the local cluster of make cluster-up.")
		return kubectl.Local(checkout)
	case "current":
		cluster := kubectl.Current()
		current, err := cluster.Run(ctx, "", "config", "current-context")
		if err != nil {
			return nil, fmt.Errorf("no current kubeconfig context: %w", err)
		}
		fmt.Printf("The demo runs on the cluster of the current kubeconfig context, %s.\n", strings.TrimSpace(current))
		image, err := fixture.Image(checkout, "octez-player")
		if err != nil {
			return nil, err
		}
		if registry != "" && !strings.HasPrefix(image, registry+"/") {
			return nil, fmt.Errorf("the images were not built for the registry %s: %s; build and push them again", registry, image)
		}
		if strings.HasPrefix(image, localImages) {
			fmt.Printf("No registry is given: its nodes must have the images already, such as %s.\n", image)
		}
		return cluster, nil
	default:
		return nil, fmt.Errorf("--cluster %s: must be local or current", which)
	}
}

// notePromise notes for the last sentence what was not kept.
func (d *demo) notePromise(broken string, kept bool) {
	if !kept {
		d.broken = append(d.broken, broken)
	}
}

func (d *demo) conclude(took time.Duration) (kept bool) {
	if len(d.broken) > 0 {
		fmt.Printf("\nNOT all was as promised (%.0f s): %s.\n", took.Seconds(), strings.Join(d.broken, "; "))
		return false
	}
	fmt.Printf("\nAll was as promised: blocks and votes were signed by keys of tz2, tz3 and tz4, nothing was signed twice, not even by the pod that took over, and speed and memory are within their limits (%.0f s).\n", took.Seconds())
	return true
}

// printLine prints below the title of the step.
func printLine(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Println("          " + strings.ReplaceAll(text, "\n", "\n          "))
}
