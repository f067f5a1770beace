// What a signer knows the API server by, and what it is known by, are replaced while
// it runs: certificate authority and token, as the kubelet projects them.

package cost

import (
	"testing"
	"time"
)

// Of both keys, from the moment that it could be given again.
const nextSignature = 2 * time.Second

func TestAnotherCertificateAuthorityOfTheAPIServer(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 1)
	a, b := s.startPod("a", 5, s.Port), s.startPod("b", 5, s.Port)
	clients := s.startRecorder(a, b)
	clients.signedAfter(time.Now())

	// First both authorities are believed, then the server has its new certificate, then the old one is believed no more.
	old := string(s.Authority)
	if err := s.RotateCertificate(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*pod{a, b} {
		p.writeServiceAccountFiles(t, old+string(s.Authority), p.token(t))
	}
	s.StopServer()
	if err := s.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustSignSoon(t, clients, "after the API server came back with a certificate of a new authority")

	for _, p := range []*pod{a, b} {
		p.writeServiceAccountFiles(t, string(s.Authority), p.token(t))
	}
	s.StopServer()
	if err := s.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustSignSoon(t, clients, "after it came back when the old authority was believed no more")
	clients.check(t)
}

func TestAnotherTokenAndTheOldOneRevoked(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 1)
	a, b := s.startPod("a", 5, s.Port), s.startPod("b", 5, s.Port)
	clients := s.startRecorder(a, b)
	clients.signedAfter(time.Now())

	_, before := s.record(keys[0])
	replaced := time.Now()
	for _, p := range []*pod{a, b} {
		p.writeServiceAccountFiles(t, string(s.Authority), s.newToken(p.name, p.name+"-2"))
		s.delete("/api/v1/namespaces/" + namespace + "/secrets/" + p.name + "-1")
	}
	// The API server remembers for 10 s that a token was good; the signer would read the file after a minute.
	time.Sleep(13 * time.Second)
	refused := s.unauthorized(replaced)
	if refused == 0 {
		t.Error("the old token was never refused: this shows nothing")
	}
	gap := clients.longestGap(replaced)
	t.Logf("%d requests by the old token were refused; the longest time without a signature was %v", refused, gap.Round(time.Millisecond))
	if gap > nextSignature {
		t.Errorf("that is more than %v", nextSignature)
	}
	if _, after := s.record(keys[0]); after != before {
		t.Errorf("the lease went from %+v to %+v: nothing was wrong with its holder", before, after)
	}
	mustSignSoon(t, clients, "after the old token was revoked")
	clients.check(t)
}

func mustSignSoon(t *testing.T, clients *recorder, when string) {
	t.Helper()
	took := clients.signedAfter(time.Now())
	t.Logf("both keys signed %v %s", took.Round(time.Millisecond), when)
	if took > nextSignature {
		t.Errorf("that is more than %v", nextSignature)
	}
}
