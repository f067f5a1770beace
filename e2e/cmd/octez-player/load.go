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
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/scenario"
)

// runLoad prints a log of what it asks and is answered (history.Event, a line each) until its standard
// input is closed: that is what kubectl exec hands through, other than signals.
func runLoad(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var keys keyList
	flags.Var(&keys, "public-key", "edpk…, sppk…, p2pk… or BLpk…; once for each key")
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
	write := func(event history.Event) {
		lock.Lock()
		defer lock.Unlock()
		if lines.Encode(event) != nil { // nobody reads any more
			stop()
		}
	}
	record := func(request history.Request) { write(history.Event{Request: &request}) }
	clock := history.StartClock()
	write(history.Event{Begin: clock.Begin(keys...)})
	failures := make(chan error, len(keys))
	for _, key := range keys {
		one := load.Load{Client: octezclient.NewClient(*signer), Key: key, Level: int32(*level), Clock: clock, Record: record}
		go func() { failures <- one.Run(ctx) }()
	}
	var err error
	for range keys {
		err = errors.Join(err, <-failures)
	}
	return err
}
