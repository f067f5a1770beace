package payload

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/vectors"
)

// What is built is what Taquito builds, but for the branch, the amount's account and the keys.
func TestOperationsAreAsTaquitoWritesThem(t *testing.T) {
	text, err := os.ReadFile("../../core/tests/vectors/operations/taquito.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Vectors []struct {
			Name    string
			Payload vectors.Hex
		}
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	get := func(name string) []byte {
		for _, v := range recorded.Vectors {
			if v.Name == name {
				return v.Payload
			}
		}
		t.Fatalf("there is no %q", name)
		return nil
	}
	source, err := octezclient.ParsePublicKey("p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24") // tz3ZxowX…
	if err != nil {
		t.Fatal(err)
	}
	const afterBranch = 1 + branchLength
	if made := Stake(source); !bytes.Equal(made[afterBranch:], get("stake")[afterBranch:]) {
		t.Errorf("stake:\n%x, recorded\n%x", made, get("stake"))
	}
	v := vectors.GetTz4Key("consensus")
	next, err := octezclient.ParsePublicKey(v.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := UpdateConsensusKey(source, next, v.ProofOfPossession)
	if err != nil {
		t.Fatal(err)
	}
	wanted := get("update_consensus_key tz4")
	const key = afterBranch + 1 + 21 + 12
	for _, piece := range [][2]int{{afterBranch, key + 1}, {key + 49, key + 54}} {
		if !bytes.Equal(made[piece[0]:piece[1]], wanted[piece[0]:piece[1]]) {
			t.Errorf("update_consensus_key, from byte %d on: %x, recorded %x", piece[0], made[piece[0]:piece[1]], wanted[piece[0]:piece[1]])
		}
	}
	if len(made) != len(wanted) {
		t.Errorf("update_consensus_key has %d bytes, recorded %d", len(made), len(wanted))
	}
	if _, err := UpdateConsensusKey(source, next, strings.Replace(v.ProofOfPossession, "BLsig", "edsig", 1)); err == nil {
		t.Error("a proof that is none was taken")
	}
}
