package measure

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
)

func TestAConnectionIsKeptUntilTheSignerEndsIt(t *testing.T) {
	var clients []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.HasPrefix(string(body), `"13`) || r.Method != http.MethodPost {
			t.Errorf("%s %q: %v", r.Method, body, err)
		}
		clients = append(clients, r.RemoteAddr)
		if len(clients) == 2 {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, "signed")
	}))
	defer server.Close()
	public, err := octezclient.NewP256()
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.prepare(&key{public, "a key"}, []byte{0x13, 1})
	for i, wanted := range []int{http.StatusOK, http.StatusBadGateway, http.StatusOK} {
		status, _, err := c.send()
		if err != nil || status != wanted {
			t.Errorf("answer %d is %d: %v", i, status, err)
		}
	}
	if clients[0] != clients[1] || clients[1] == clients[2] {
		t.Errorf("requests came from %v", clients)
	}
}

func TestABriefRunDoesATenthButNotNothing(t *testing.T) {
	whole, brief := Bench{}, Bench{Options: Options{Brief: true}}
	if whole.amount(400) != 400 || brief.amount(400) != 40 || brief.amount(20) != 5 {
		t.Error(whole.amount(400), brief.amount(400), brief.amount(20))
	}
}

func TestAnOperationIsNeverTheSameTwice(t *testing.T) {
	public, err := octezclient.NewP256()
	if err != nil {
		t.Fatal(err)
	}
	one, other := newOperation(&key{public, ""}), newOperation(&key{public, ""})
	if string(one) == string(other) || one[0] != 0x03 || len(one) != len(other) {
		t.Errorf("%x\n%x", one, other)
	}
}
