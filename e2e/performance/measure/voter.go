// A voter asks for one key's signatures over one connection, one after the other, and believes nothing.

package measure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

// voter has the level of the next vote, which survives the signer.
type voter struct {
	key  *key
	kind string
	// level is that of the next vote.
	level int32
	// make is what it asks for; nil: the next vote.
	make func() ([]byte, error)

	connection *connection
	// What was signed last, to be verified when no clock runs.
	payload, answer []byte
	status          int
}

func newVoter(key *key) *voter { return &voter{key: key, kind: "attestation", level: initialLevel + 1} }

func (v *voter) connect(to *signer) (err error) {
	v.connection, err = connect(to.address)
	return err
}

func (v *voter) close() {
	if v.connection != nil {
		v.connection.close()
		v.connection = nil
	}
}

// next prepares the next request.
func (v *voter) next() (err error) {
	if v.make != nil {
		v.payload, err = v.make()
	} else {
		v.payload, err = payload.New(v.kind, v.level, 0)
		v.level++
	}
	if err == nil {
		v.connection.prepare(v.key, v.payload)
	}
	return err
}

// ask sends it, and says after how long which status was there.
func (v *voter) ask() (took time.Duration, status int, err error) {
	began := time.Now()
	v.status, v.answer, err = v.connection.send()
	return time.Since(began), v.status, err
}

// vote has the next request signed, and returns how long that took.
func (v *voter) vote() (time.Duration, error) {
	if err := v.next(); err != nil {
		return 0, err
	}
	took, status, err := v.ask()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s was answered %d: %.300s", v.key.Hash(), status, v.answer)
	}
	return took, err
}

// verify verifies the last signature.
func (v *voter) verify() error {
	var answer struct {
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(v.answer, &answer); err != nil {
		return fmt.Errorf("the answer is no JSON: %w: %.200q", err, v.answer)
	}
	return octezclient.CheckSignature(v.key.PublicKey, v.payload, answer.Signature)
}

// votes has n signed, and returns how long each took.
func (v *voter) votes(n int) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	for range n {
		one, err := v.vote()
		if err != nil {
			return nil, err
		}
		took = append(took, one)
	}
	return took, v.verify()
}
