// tzgo's remote signer against ours: `tzgo-client URL KEY_HASH LEVEL`. Prints what it was given, a JSON object a line, for a transaction and a vote; tzgo has
// verified each signature itself.
//
// tzgo has a method for an authentication key, and does nothing with it: it can ask a signer that asks nobody who they are.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"blockwatch.cc/tzgo/codec"
	"blockwatch.cc/tzgo/signer/remote"
	"blockwatch.cc/tzgo/tezos"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "tzgo-client:", err)
		os.Exit(1)
	}
}

func run(url, keyHash, level string) error {
	ctx := context.Background()
	at, err := strconv.ParseInt(level, 10, 32)
	if err != nil {
		return err
	}
	address, err := tezos.ParseAddress(keyHash)
	if err != nil {
		return err
	}
	signer, err := remote.New(url, nil)
	if err != nil {
		return err
	}
	key, err := signer.WithAddress(address).GetKey(ctx, address)
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	branch := tezos.MustParseBlockHash("BLzyjjHKEKMULtvkpSHxuZxx6ei6fpntH2BTkYZiLgs8zLVstvX")
	transaction := codec.NewOp().WithSource(address).WithBranch(branch).
		WithTransfer(tezos.MustParseAddress("tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr"), 1)
	vote := codec.NewOp().WithBranch(branch).WithChainId(tezos.Mainnet).
		WithContents(&codec.TenderbakeEndorsement{Slot: 7, Level: int32(at), BlockPayloadHash: tezos.ZeroPayloadHash})
	for _, op := range []*codec.Op{transaction, vote} {
		signature, err := signer.SignOperation(ctx, address, op)
		if err != nil {
			return fmt.Errorf("%s: %w", op.Contents[0].Kind(), err)
		}
		if err := key.Verify(op.Digest(), signature); err != nil {
			return fmt.Errorf("%s: %w", op.Contents[0].Kind(), err)
		}
		given := map[string]string{
			"publicKey": key.String(),
			"payload":   hex.EncodeToString(op.WatermarkedBytes()),
			"signature": signature.String(),
		}
		if err := json.NewEncoder(os.Stdout).Encode(given); err != nil {
			return err
		}
	}
	return nil
}
