// Bench measures the signer beside its floors and beside the release before, keeps what it measured, and writes docs/performance.md:
//
//	bench [--only one,many] [--rounds 5] [--brief]    measures: target/bench/<time>.json, a table, the difference to the run before
//	bench --docs [--data FILE]                        writes docs/performance from a run, the latest if none is named
//	bench --show [--data FILE]                        shows a run again
//	bench --instructions                              counts those of a signature, and compares them with what is recorded
//	bench --instructions --write                      records them: docs/performance/instructions.json
//
// `make bench` builds what it needs. Its status is 1 where a figure misses its bar.
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

	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/performance/measure"
)

var errBeyond = errors.New("figures miss their bars")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	checkout := flags.String("checkout", ".", "the project's checkout")
	only := flags.String("only", "", "sections to measure, of "+strings.Join(measure.Sections(), ",")+"; empty: all")
	rounds := flags.Int("rounds", 5, "how often each figure is measured")
	brief := flags.Bool("brief", false, "a tenth of everything, to see that the harness works")
	program := flags.String("program", "target/release/tezos-signer", "the signer, relative to the checkout")
	operator := flags.String("operator", "target/release/tezos-signer-operator", "the operator")
	previous := flags.String("previous", "target/previous-signer/tezos-signer", "the signer of the release before")
	faults := flags.String("fault-module", "target/release/libpkcs11_faults.so", "the module of e2e/pkcs11-faults")
	disk := flags.String("disk", "/var/tmp", "a directory on a disk, for records")
	memory := flags.String("memory", "/dev/shm", "a directory on a tmpfs, for records")
	docs := flags.Bool("docs", false, "write docs/performance.md from a run, and measure nothing")
	show := flags.Bool("show", false, "show a run, and measure nothing")
	instructions := flags.Bool("instructions", false, "count the instructions of a signature, by callgrind of the Debian package valgrind")
	write := flags.Bool("write", false, "with --instructions: record their number")
	data := flags.String("data", "", "the run for --docs and --show; empty: the latest")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := filepath.Abs(*checkout)
	if err != nil {
		return err
	}
	at := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(root, path)
	}
	kept := at("target/bench")
	if *docs || *show {
		earlier, err := choose(kept, *data)
		if err != nil {
			return err
		}
		if *docs {
			return writeDocumentation(*checkout, earlier)
		}
		earlier.Write(os.Stdout)
		return nil
	}
	options := measure.Options{
		Checkout: root, Program: at(*program), Operator: at(*operator), Previous: at(*previous), FaultModule: at(*faults), Disk: *disk, Memory: *memory,
		Rounds: *rounds, Brief: *brief, Progress: os.Stderr,
	}
	if options.Rounds < 1 {
		return errors.New("--rounds must be 1 or more")
	}
	if *instructions {
		return countInstructions(ctx, options, *write)
	}
	if *only != "" {
		options.Only = strings.Split(*only, ",")
	}
	return measureAndKeep(ctx, options, kept)
}

func choose(kept, named string) (*performance.Run, error) {
	if named == "" {
		var err error
		if named, err = performance.Latest(kept, false); err != nil {
			return nil, err
		}
	}
	return performance.Load(named)
}

func writeDocumentation(checkout string, run *performance.Run) error {
	if err := performance.WriteDocumentation(checkout, run); err != nil {
		return err
	}
	_, explanations, err := performance.Written(checkout)
	if err != nil {
		return err
	}
	fmt.Println("docs/performance.md is written.")
	if missing := explanations.Missing(run); len(missing) > 0 {
		fmt.Printf("Beyond their bars, and not explained in docs/performance/explanations.md: %s\n", strings.Join(missing, ", "))
	}
	return nil
}

func measureAndKeep(ctx context.Context, options measure.Options, kept string) error {
	result := &performance.Run{Began: time.Now(), Rounds: options.Rounds, Brief: options.Brief, Partial: len(options.Only) > 0}
	if err := describe(result, options); err != nil {
		return err
	}
	earlier, err := performance.Latest(kept, result.Brief)
	if err != nil && !errors.Is(err, performance.ErrNoRun) {
		return err
	}
	rows, failed := measure.Run(ctx, options)
	result.Rows, result.Seconds = rows, time.Since(result.Began).Seconds()
	if len(rows) == 0 {
		return failed
	}
	result.Partial = result.Partial || failed != nil
	path, err := result.Save(kept)
	if err != nil {
		return errors.Join(failed, err)
	}
	fmt.Println()
	result.Write(os.Stdout)
	fmt.Printf("%.0f s; kept in %s\n", result.Seconds, path)
	if earlier != "" {
		then, err := performance.Load(earlier)
		if err != nil {
			return errors.Join(failed, err)
		}
		fmt.Println()
		result.WriteDifference(os.Stdout, then)
	}
	if failed == nil && len(result.Beyond()) > 0 {
		return errBeyond
	}
	return failed
}
