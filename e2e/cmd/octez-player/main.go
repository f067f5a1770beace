// octez-player behaves as an Octez baker does towards its signer: it plays the
// demo's scenario, races for one position, and measures. Each sub-command is a
// file of its own; this one picks it and holds the flags they share.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"signer.tezos.io/e2e/octezclient"
)

const usage = `octez-player: plays an Octez baker towards a Tezos remote signer.

  wait   do nothing until SIGTERM: what the demo's baker container runs
  play   play a scenario and show what came back
         octez-player play --script first --public-key p2pk… --public-key sppk…
  race   ask for many different payloads of one position at once
         octez-player race --level 2244601 --connections 50 --public-key p2pk… --signer http://… --signer http://…
  load   ask for one signature after the other until standard input is closed
         octez-player load --public-key p2pk…
  bench  measure votes beside bare PUTs and bare C_Signs
         octez-player bench --help

Each has --help. The exit status is 1 where an answer was not as promised, 2 where
the command could not be carried out.
`

// errNotAsPromised says that everything was tried and shown, and something was wrong.
var errNotAsPromised = errors.New("not as promised")

var commands = map[string]func(ctx context.Context, args []string, stdout io.Writer) error{
	"wait":  wait,
	"play":  play,
	"race":  runRace,
	"load":  runLoad,
	"bench": runBench,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	err := commands[os.Args[1]](ctx, os.Args[2:], os.Stdout)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errNotAsPromised):
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "octez-player %s: %v\n", os.Args[1], err)
		os.Exit(2)
	}
}

func wait(ctx context.Context, _ []string, _ io.Writer) error {
	<-ctx.Done()
	return nil
}

const defaultSigner = "http://127.0.0.1:6732"

// keyList is a flag that is given once for each public key.
type keyList []*octezclient.PublicKey

func (l *keyList) String() string { return "" }

func (l *keyList) Set(text string) error {
	key, err := octezclient.ParsePublicKey(text)
	*l = append(*l, key)
	return err
}

// textList is a flag that may be given several times.
type textList []string

func (l *textList) String() string { return "" }

func (l *textList) Set(text string) error {
	*l = append(*l, text)
	return nil
}

type outputFormat string

func addOutput(flags *flag.FlagSet) *outputFormat {
	format := outputFormat("table")
	flags.Func("output", "table (the default) or json", func(text string) error {
		if text != "table" && text != "json" {
			return errors.New("must be table or json")
		}
		format = outputFormat(text)
		return nil
	})
	return &format
}

// write shows a value as JSON, or by its table.
func (f outputFormat) write(to io.Writer, value any, table func(io.Writer)) error {
	if f == "json" {
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	table(to)
	return nil
}

func verdict(ok bool) error {
	if !ok {
		return errNotAsPromised
	}
	return nil
}
