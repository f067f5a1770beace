package scenario

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/vectors"
)

func parsed(t *testing.T, name string) *octezclient.PublicKey {
	t.Helper()
	key, err := octezclient.ParsePublicKey(vectors.GetTz4Key(name).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Each attestation is asked of the consensus key first, then, the same bytes, of the companion key.
func TestTheCompanionKeyIsAskedForTheSameBytes(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{}"))
			return
		}
		asked = append(asked, r.URL.Path)
		http.Error(w, "refused", http.StatusBadRequest)
	}))
	defer server.Close()
	consensus, companion := parsed(t, "consensus"), parsed(t, "companion")
	client := octezclient.NewClient(server.URL)
	result, err := Play(t.Context(), client, "tz4", []Baker{{consensus, companion}}, nil)
	if err != nil || result.OK || len(asked) != len(tz4First) {
		t.Fatalf("%d asked: %v", len(asked), err)
	}
	for i, step := range tz4First {
		key := consensus
		if step.companion {
			key = companion
		}
		if wanted := "/keys/" + key.Hash(); asked[i] != wanted {
			t.Errorf("%s: asked %s", step.what, asked[i])
		}
		if step.companion && step.expect == signed && string(tz4First[i-1].payload) != string(step.payload) {
			t.Errorf("%s: the companion key is asked for something else", step.what)
		}
	}
	if _, err := Play(t.Context(), client, "tz4", []Baker{{Key: consensus}}, nil); err == nil {
		t.Error("a script with a companion key was played without one")
	}
}
