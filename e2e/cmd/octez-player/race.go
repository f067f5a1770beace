package main

import (
	"context"
	"errors"
	"flag"
	"io"

	"signer.tezos.io/e2e/race"
)

func runRace(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("race", flag.ContinueOnError)
	var keys keyList
	flags.Var(&keys, "public-key", "edpk…, sppk…, p2pk… or BLpk…; once for each key")
	var signers textList
	flags.Var(&signers, "signer", "base URL of a signer; once for each signer (default "+defaultSigner+")")
	connections := flags.Int("connections", 50, "connections to each signer, each with a payload of its own")
	kind := flags.String("kind", "attestation", "block, preattestation or attestation")
	level := flags.Int("level", 0, "the level fought for")
	round := flags.Int("round", 0, "the round fought for")
	output := addOutput(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(keys) == 0 || *level == 0 {
		return errors.New("--public-key and --level are needed")
	}
	if len(signers) == 0 {
		signers = textList{defaultSigner}
	}

	var results []*race.Result
	kept := true
	for _, key := range keys {
		one := race.Race{Signers: signers, Key: key, Connections: *connections, Kind: *kind, Level: int32(*level), Round: int32(*round)}
		result, err := one.Run(ctx)
		if err != nil {
			return err
		}
		results = append(results, result)
		kept = kept && result.OK()
	}
	if err := output.write(stdout, results, func(to io.Writer) { race.Write(to, results) }); err != nil {
		return err
	}
	return verdict(kept)
}
