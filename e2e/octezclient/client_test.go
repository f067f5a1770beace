package octezclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/vectors"
)

// scripted answers the n-th POST with the n-th answer, the last one for ever, and
// notes what it was sent. No signer: only the client is tried here.
type scripted struct {
	*httptest.Server
	requests []string
	peers    map[string]bool
}

type scriptedAnswer struct {
	status      int
	contentType string
	body        string
}

func script(t *testing.T, answers ...scriptedAnswer) *scripted {
	s := &scripted{peers: map[string]bool{}}
	posts := 0
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.requests = append(s.requests, fmt.Sprintf("%s %s %s", r.Method, r.URL, body))
		s.peers[r.RemoteAddr] = true
		if r.Header.Get("Accept") != accept {
			t.Errorf("Accept: %q", r.Header.Get("Accept"))
		}
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
			return
		}
		answer := answers[min(posts, len(answers)-1)]
		posts++
		w.Header().Set("Content-Type", answer.contentType)
		w.WriteHeader(answer.status)
		fmt.Fprint(w, answer.body)
	}))
	t.Cleanup(s.Close)
	return s
}

const jsonType = "application/json"

func lowSVector(t *testing.T) (vectors.Vector, *PublicKey) {
	v := vectors.Get("attestation-2244610")
	key, err := ParsePublicKey(v.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return v, key
}

func TestOneSignatureIsTwoRequestsOnOneConnection(t *testing.T) {
	v, key := lowSVector(t)
	server := script(t, scriptedAnswer{200, jsonType, `{"signature":"` + v.Signature + `"}`})
	client := NewClient(server.URL + "/")
	for range 3 {
		signature, err := client.Sign(t.Context(), key, v.Payload)
		if err != nil || signature != v.Signature {
			t.Fatalf("%s, %v", signature, err)
		}
	}
	if len(server.requests) != 6 || len(server.peers) != 1 {
		t.Errorf("%d requests on %d connections", len(server.requests), len(server.peers))
	}
	post := fmt.Sprintf("POST /keys/%s?version=3 %q", key.Hash(), fmt.Sprintf("%x", []byte(v.Payload)))
	if server.requests[0] != "GET /authorized_keys " || server.requests[1] != post {
		t.Errorf("sent %q", server.requests[:2])
	}
}

func TestOnly502IsRetried(t *testing.T) {
	v, key := lowSVector(t)
	trace := `[{"kind":"temporary","id":"signer","msg":"not now"}]`
	for _, status := range []int{401, 403, 404, 409, 410, 500, 503, 504} {
		server := script(t, scriptedAnswer{status, jsonType, trace})
		_, err := NewClient(server.URL).Sign(t.Context(), key, v.Payload)
		var answer *AnswerError
		if !errors.As(err, &answer) || answer.Status != status || answer.Message() != "not now" || len(server.requests) != 2 {
			t.Errorf("%d: %v after %d requests", status, err, len(server.requests))
		}
	}

	server := script(t, scriptedAnswer{502, jsonType, trace}, scriptedAnswer{502, "text/html", "bad gateway"}, scriptedAnswer{200, jsonType, `{"signature":"` + v.Signature + `"}`})
	if _, err := NewClient(server.URL).Sign(t.Context(), key, v.Payload); err != nil {
		t.Errorf("two 502 and a 200: %v", err)
	}
}

func TestTenAttemptsAtMost(t *testing.T) {
	v, key := lowSVector(t)
	server := script(t, scriptedAnswer{502, jsonType, `[{"kind":"temporary","id":"signer","msg":"the HSM is away"}]`})
	start := time.Now()
	_, err := NewClient(server.URL).Sign(t.Context(), key, v.Payload)
	var answer *AnswerError
	if !errors.As(err, &answer) || answer.Attempts != 10 || len(server.requests) != 11 {
		t.Errorf("%v after %d requests", err, len(server.requests))
	}
	if took := time.Since(start); took < 3600*time.Millisecond || took > 6*time.Second {
		t.Errorf("took %s, the sleeps are 3.6 s", took)
	}
}

func TestWhatIsAskedOnceIsNotRetried(t *testing.T) {
	v, key := lowSVector(t)
	server := script(t, scriptedAnswer{502, jsonType, `[{"kind":"temporary","id":"signer","msg":"not now"}]`})
	_, err := NewClient(server.URL).RequestOnce(t.Context(), key, v.Payload)
	var answer *AnswerError
	if !errors.As(err, &answer) || answer.Status != 502 || len(server.requests) != 1 {
		t.Errorf("%v after %d requests", err, len(server.requests))
	}
}

func TestAConnectionErrorIsNotRetried(t *testing.T) {
	v, key := lowSVector(t)
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if requests == 2 { // the first POST, on a connection that was kept alive
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", jsonType)
		fmt.Fprint(w, "{}")
	}))
	client := NewClient(server.URL)
	if _, err := client.Sign(t.Context(), key, v.Payload); err == nil {
		t.Error("a reset connection passed for an answer")
	}
	if requests != 2 {
		t.Errorf("%d requests", requests)
	}
	server.Close()
	start := time.Now()
	if _, err := client.Sign(t.Context(), key, v.Payload); err == nil || time.Since(start) > time.Second {
		t.Errorf("a refused connection: %v after %s", err, time.Since(start))
	}
}

func TestAnswersOctezCouldNotReadAreErrors(t *testing.T) {
	v, key := lowSVector(t)
	highS := vectors.Get("attestation-2244609")
	highSKey, err := ParsePublicKey(highS.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		answer  scriptedAnswer
		key     *PublicKey
		payload []byte
		want    string
	}{
		"other content type":   {scriptedAnswer{200, "text/plain", `{"signature":"` + v.Signature + `"}`}, key, v.Payload, "content-type"},
		"no signature":         {scriptedAnswer{200, jsonType, `{}`}, key, v.Payload, "without a signature"},
		"another's signature":  {scriptedAnswer{200, jsonType, `{"signature":"` + vectors.Get("reveal").Signature + `"}`}, key, v.Payload, "wrong signature"},
		"high S":               {scriptedAnswer{200, jsonType, `{"signature":"` + highS.Signature + `"}`}, highSKey, highS.Payload, "high S"},
		"object, not array":    {scriptedAnswer{409, jsonType, `{"error":"no"}`}, key, v.Payload, "no Octez error array"},
		"unknown kind":         {scriptedAnswer{409, jsonType, `[{"kind":"fatal","id":"x","msg":"no"}]`}, key, v.Payload, "no Octez error array"},
		"error in plain text":  {scriptedAnswer{403, "text/plain", `[{"kind":"temporary","id":"failure","msg":"no"}]`}, key, v.Payload, "no Octez error array"},
		"permanent failure":    {scriptedAnswer{409, jsonType, `[{"kind":"permanent","id":"failure","msg":"no"}]`}, key, v.Payload, "no Octez error array"},
		"bad request in plain": {scriptedAnswer{400, "text/plain", "not hex"}, key, v.Payload, "400 not hex"},
		"redirect":             {scriptedAnswer{307, jsonType, "elsewhere"}, key, v.Payload, "307"},
	} {
		server := script(t, c.answer)
		_, err := NewClient(server.URL).Sign(t.Context(), c.key, c.payload)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASignerThatWantsAuthenticationIsNamed(t *testing.T) {
	v, key := lowSVector(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		fmt.Fprint(w, `{"authorized_keys":[]}`)
	}))
	defer server.Close()
	if _, err := NewClient(server.URL).Sign(t.Context(), key, v.Payload); err == nil || !strings.Contains(err.Error(), "authorized keys") {
		t.Error(err)
	}
}

func TestTheContextEndsTheRetries(t *testing.T) {
	v, key := lowSVector(t)
	server := script(t, scriptedAnswer{502, jsonType, "[]"})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := NewClient(server.URL).Sign(ctx, key, v.Payload); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
