// Package vectors holds the recorded Tezos signing requests that the end-to-end
// tests and the demo send: real payloads, and signatures that real bakers gave.
// Payloads that are made up for one test are built in package payload instead.
package vectors

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

//go:embed requests.json
var requests []byte

// Vector is one recorded request. PublicKey and Signature are empty where the
// recorded signature is of a curve this project does not sign with.
type Vector struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Source    string `json:"source"`
	Payload   Hex    `json:"payload"`
	Digest    Hex    `json:"digest"`
	Kind      string `json:"kind"`
	Chain     string `json:"chain"`
	Level     int32  `json:"level"`
	Round     int32  `json:"round"`
	PublicKey string `json:"publicKey"`
	Signature string `json:"signature"`
	HighS     bool   `json:"highS"`
}

// Hex is bytes that are written in hexadecimal in JSON.
type Hex []byte

func (h *Hex) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	*h = raw
	return err
}

var all = func() []Vector {
	var list []Vector
	if err := json.Unmarshal(requests, &list); err != nil {
		panic("vectors/requests.json does not parse: " + err.Error())
	}
	return list
}()

// All returns every recorded request, in the order of the file.
func All() []Vector { return all }

// Get returns the request of that id. An unknown id is a mistake in the code
// that asks, so it panics.
func Get(id string) Vector {
	for _, v := range all {
		if v.ID == id {
			return v
		}
	}
	panic(fmt.Sprintf("vectors/requests.json has no request with the id %q", id))
}
