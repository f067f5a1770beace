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
	flags.Var(&keys, "public-key", "edpk…, sppk…, p2pk… or BLpk…; once for each key")
	var companions keyList
	flags.Var(&companions, "companion", "BLpk…: the companion key of that one public key, for the scripts tz4 and tz4-replaced")
	signer := flags.String("signer", defaultSigner, "base URL of the signer")
	script := flags.String("script", "first", fmt.Sprintf("one of %v; replaced and tz4-replaced are for the pod that took over", scenario.Scripts()))
	earlier := map[string]string{}
	flags.Func("expect", "tz3…=p2sig…: the signature that key's block or attestation had before; once for each key", func(text string) error {
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
	if len(companions) > 0 && (len(companions) > 1 || len(keys) > 1) {
		return errors.New("--companion goes with one --public-key")
	}
	var bakers []scenario.Baker
	for _, key := range keys {
		bakers = append(bakers, scenario.Baker{Key: key})
	}
	if len(companions) > 0 {
		bakers[0].Companion = companions[0]
	}

	client := octezclient.NewClient(*signer)
	defer client.Close()
	result, err := scenario.Play(ctx, client, *script, bakers, earlier)
	if err != nil {
		return err
	}
	if err := output.write(stdout, result, result.Write); err != nil {
		return err
	}
	return verdict(result.OK)
}
