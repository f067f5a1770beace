package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"sync"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/load"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/scenario"
)

// runLoad prints each question and answer as a line of JSON until its standard
// input is closed: that is what kubectl exec hands through, other than signals.
func runLoad(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var keys keyList
	flags.Var(&keys, "public-key", "p2pk… or sppk…; once for each key")
	signer := flags.String("signer", defaultSigner, "base URL of the signer")
	level := flags.Int("level", scenario.InitialLevel+1, "the first level: above the keys' watermarks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("--public-key is needed")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()

	var lock sync.Mutex
	lines := json.NewEncoder(stdout)
	record := func(entry history.Entry) {
		lock.Lock()
		defer lock.Unlock()
		if lines.Encode(entry) != nil { // nobody reads any more
			stop()
		}
	}
	failures := make(chan error, len(keys))
	for _, key := range keys {
		one := load.Load{Client: octez.NewClient(*signer), Key: key, Level: int32(*level), Record: record}
		go func() { failures <- one.Run(ctx) }()
	}
	var err error
	for range keys {
		err = errors.Join(err, <-failures)
	}
	return err
}
