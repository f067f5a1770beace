package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/scenario"
)

func play(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("play", flag.ContinueOnError)
	var keys keyList
	flags.Var(&keys, "public-key", "p2pk… or sppk…; once for each key")
	signer := flags.String("signer", defaultSigner, "base URL of the signer")
	script := flags.String("script", "first", fmt.Sprintf("one of %v; replaced is for the pod that took over", scenario.Scripts()))
	earlier := map[string]string{}
	flags.Func("expect", "tz3…=p2sig…: the signature that key's block had before; once for each key", func(text string) error {
		hash, signature, found := strings.Cut(text, "=")
		if !found {
			return errors.New("must be <key hash>=<signature>")
		}
		earlier[hash] = signature
		return nil
	})
	output := addOutput(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("no --public-key: there is nobody to play for")
	}

	client := octezclient.NewClient(*signer)
	defer client.Close()
	result, err := scenario.Play(ctx, client, *script, keys, earlier)
	if err != nil {
		return err
	}
	if err := output.write(stdout, result, result.Write); err != nil {
		return err
	}
	return verdict(result.OK)
}
