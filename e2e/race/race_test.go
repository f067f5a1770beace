package race

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/vectors"
)

// A signer that refuses all but keeps the promise; one that gives everybody a signature does not.
func TestARaceIsJudgedByItsHistory(t *testing.T) {
	key, err := octezclient.ParsePublicKey(vectors.Get("attestation-2244610").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status int
		body   string
		signed int
		ok     bool
	}{
		"refuses":       {http.StatusConflict, `[{"id":"signer.refused","kind":"temporary"}]`, 0, true},
		"signs for all": {http.StatusOK, `{"signature":"` + vectors.Get("attestation-2244610").Signature + `"}`, 8, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Method == http.MethodGet {
				w.Write([]byte("{}"))
				return
			}
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		race := Race{Signers: []string{server.URL}, Key: key, Connections: 8, Kind: "block", Level: 1, Round: 0}
		result, err := race.Run(context.Background())
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		if result.Signed != c.signed || result.OK() != c.ok {
			t.Errorf("%s: %+v", name, result)
		}
	}
}
