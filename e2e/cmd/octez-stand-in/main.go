// octez-stand-in has the names octez-client and octez-baker in an image for tests, in
// the place of Octez' programs, which are not to be had here. It takes the command
// lines that Octez takes and no others, imports a remote key as octez-client does, and
// asks the signer as octez-baker does, for one vote. It follows no chain.
//
// This file: which program it is. What Octez takes: commandline.go. The client
// directory: wallet.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/scenario"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	program := map[string]func(context.Context, []string) error{"octez-client": client, "octez-baker": baker}[filepath.Base(os.Args[0])]
	if program == nil {
		fmt.Fprintln(os.Stderr, "run this as octez-client or octez-baker")
		os.Exit(2)
	}
	if err := program(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "Error:\n  %v\n", err)
		os.Exit(1)
	}
}

// client imports a key that a remote signer has.
func client(ctx context.Context, args []string) error {
	command, err := parseImport(args)
	if err != nil {
		return err
	}
	base, hash, found := cutLast(command.uri, "/")
	if !found {
		return fmt.Errorf("%s has no key hash", command.uri)
	}
	signer := octezclient.NewClient(base)
	defer signer.Close()
	key, err := signer.PublicKey(ctx, hash)
	if err != nil {
		return err
	}
	w := wallet(command.global.baseDir)
	if err := w.add(command.alias, hash, key.String(), command.uri, command.force); err != nil {
		return err
	}
	fmt.Println("Tezos address added:", hash)
	return nil
}

// baker asks for one vote with each of its keys, and then does nothing until it is
// told to end.
func baker(ctx context.Context, args []string) error {
	command, err := parseRun(args)
	if err != nil {
		return err
	}
	w := wallet(command.global.baseDir)
	for _, alias := range command.sources {
		uri, publicKey, err := w.find(alias)
		if err != nil {
			return err
		}
		key, err := octezclient.ParsePublicKey(publicKey)
		if err != nil {
			return err
		}
		round := laterRound(time.Now())
		vote, err := payload.New("attestation", scenario.InitialLevel+1, round)
		if err != nil {
			return err
		}
		base, _, _ := cutLast(uri, "/")
		signer := octezclient.NewClient(base)
		signing, cancel := context.WithTimeout(ctx, command.remoteCallsTimeout)
		signature, err := signer.Sign(signing, key, vote) // and verifies it
		cancel()
		signer.Close()
		if err != nil {
			return err
		}
		fmt.Printf("%s: attestation of level %d round %d: %s verified\n", key.Hash(), scenario.InitialLevel+1, round, signature)
	}
	<-ctx.Done()
	return nil
}

// laterRound is the round that a baker votes for at that time: one that comes back, in this pod or another, votes for something else, and at a
// later position.
func laterRound(now time.Time) int32 {
	return int32(now.Unix() - time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

var errUsage = errors.New("not a command of Octez")
