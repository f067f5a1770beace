// What Octez' own signer gave for tz4 and tz1 keys, with the keys: they are throwaway test material.

package vectors

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed tz4.json
var tz4 []byte

// Tz4Key is a key whose secret half is known.
type Tz4Key struct {
	Name                 string `json:"name"` // consensus, companion, or ed25519, which is a tz1
	SecretKey            string `json:"secretKey"`
	PublicKey            string `json:"publicKey"`
	PublicKeyHash        string `json:"publicKeyHash"`
	ProofOfPossession    string `json:"proofOfPossession"`
	ProofOverTheOtherKey string `json:"proofOverTheOtherKey"`
}

// Tz4Signature is a payload, and what the signer answered for each version of signatures that a client may ask for.
type Tz4Signature struct {
	Key        string            `json:"key"`
	What       string            `json:"what"`
	Payload    Hex               `json:"payload"`
	Signatures map[string]string `json:"signatures"`
}

var tz4Vectors = func() (all struct {
	Keys       []Tz4Key       `json:"keys"`
	Signatures []Tz4Signature `json:"signatures"`
}) {
	if err := json.Unmarshal(tz4, &all); err != nil {
		panic("vectors/tz4.json does not parse: " + err.Error())
	}
	return all
}()

// Tz4Signatures returns all of them, in the order of the file.
func Tz4Signatures() []Tz4Signature { return tz4Vectors.Signatures }

// GetTz4Key returns the key of that name. An unknown name is a mistake in the code that asks, so it panics.
func GetTz4Key(name string) Tz4Key {
	for _, key := range tz4Vectors.Keys {
		if key.Name == name {
			return key
		}
	}
	panic(fmt.Sprintf("vectors/tz4.json has no key with the name %q", name))
}

// GetTz4Payload returns what was signed, by that description of it. An unknown one panics as well.
func GetTz4Payload(what string) Hex {
	for _, signature := range tz4Vectors.Signatures {
		if signature.What == what {
			return signature.Payload
		}
	}
	panic(fmt.Sprintf("vectors/tz4.json has no payload %q", what))
}
