// demo installs the chart on a cluster, applies TezosSigners and shows what a baker
// gets from them. `make demo` runs it when everything is built.
//
// This file: the flags, the steps and their order. What a step does: install.go,
// play.go, measure.go; the objects it applies: manifests.go.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/softhsm"
)

const (
	namespace        = "tezos-signer-demo"
	recordsNamespace = "tezos-signer-records"
	systemNamespace  = "tezos-signer-system"
	release          = "tezos-signer-operator"

	localImages = "tezos-signer.local/" // references of images that no registry has
)

// demo is what the steps hand on to each other.
type demo struct {
	checkout string
	cluster  *kubectl.Cluster
	run      string // makes the names of one run
	work     string // a directory for the token, removed at the end

	token        *softhsm.Token
	baker, bench signer
	blocks       map[string]string // the recalled block's signature, by key hash
	promises     []promise
}

// promise is one thing that must have been seen.
type promise struct {
	what string
	kept bool
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
	if err := flags.Parse(os.Args[1:]); err != nil {
		return false, flag.ErrHelp
	}

	d := &demo{run: strings.ToLower(rand.Text()[:5])}
	if d.checkout, err = filepath.Abs(*checkout); err != nil {
		return false, err
	}
	if d.cluster, err = d.choose(ctx, *which, *registry); err != nil {
		return false, err
	}
	if d.work, err = os.MkdirTemp("", "tezos-signer-demo-"); err != nil {
		return false, err
	}
	defer os.RemoveAll(d.work)

	begin := time.Now()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Make a SoftHSM2 token with a tz3 key, a tz2 key and a key to measure with", d.makeToken},
		{"Install the chart with Helm", d.installChart},
		{"Clear away what an earlier run left", d.clearEarlierRuns},
		{"Apply two TezosSigners: one whose baker plays, one to measure", d.applySigners},
		{"Wait for the first to be Ready", d.awaitBaker},
		{"Play real mainnet payloads as the Octez baker does", d.playFirst},
		{"Delete the pod, wait for its replacement, and ask it", d.playReplaced},
		{"Show the TezosSigners and a watermark record", d.showRecords},
		{"Measure 1 000 votes beside 1 000 bare PUTs and 1 000 bare C_Signs", d.measure},
	} {
		started := time.Now()
		fmt.Printf("\n[%5.1f s] %s\n", time.Since(begin).Seconds(), step.title)
		if err := step.do(ctx); err != nil {
			return false, fmt.Errorf("%s: %w", step.title, err)
		}
		say("done in %.1f s", time.Since(started).Seconds())
	}
	return d.conclude(time.Since(begin)), nil
}

// choose finds the cluster, and says which it is before anything is done to it.
func (d *demo) choose(ctx context.Context, which, registry string) (*kubectl.Cluster, error) {
	switch which {
	case "local":
		fmt.Println("The demo runs on the local cluster of make cluster-up.")
		return kubectl.Local(d.checkout)
	case "current":
		cluster := kubectl.Current()
		context, err := cluster.Run(ctx, "", "config", "current-context")
		if err != nil {
			return nil, fmt.Errorf("no current kubeconfig context: %w", err)
		}
		fmt.Printf("The demo runs on the cluster of the kubeconfig context %s", context)
		image, err := d.image("octez-player")
		if err != nil {
			return nil, err
		}
		if registry == "" && strings.HasPrefix(image, localImages) {
			fmt.Printf("No REGISTRY is given: images such as %s must have been loaded onto its nodes (kind load image-archive target/images/*.tar).\n", image)
		} else if registry != "" && !strings.HasPrefix(image, registry+"/") {
			return nil, fmt.Errorf("the images were built for another registry than %s: %s; build and push them again", registry, image)
		}
		return cluster, nil
	default:
		return nil, fmt.Errorf("--cluster %s: must be local or current", which)
	}
}

// image is the reference of one of the project's images.
func (d *demo) image(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(d.checkout, "target/images", name+".ref"))
	if err != nil {
		return "", fmt.Errorf("the image %s is not built: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// promised notes one thing for the last sentence.
func (d *demo) promised(what string, kept bool) {
	d.promises = append(d.promises, promise{what, kept})
}

func (d *demo) conclude(took time.Duration) bool {
	var broken []string
	for _, p := range d.promises {
		if !p.kept {
			broken = append(broken, p.what)
		}
	}
	if len(broken) > 0 {
		fmt.Printf("\nNOT all was as promised (%.0f s): %s.\n", took.Seconds(), strings.Join(broken, "; "))
		return false
	}
	fmt.Printf("\nAll was as promised: real blocks and votes were signed on both curves, nothing was signed twice, not even by the pod that took over, and speed and memory are within their limits (%.0f s).\n", took.Seconds())
	return true
}

// say prints below the title of the step.
func say(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Println("          " + strings.ReplaceAll(text, "\n", "\n          "))
}
