// etcd has another leader: moved, and after the old one was frozen or killed.

package cost

import (
	"context"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"signer.tezos.io/e2e/controlplane"
)

const (
	// etcd's own election takes one to two seconds; meanwhile nothing can be written.
	election = 5 * time.Second
	// The API server goes on asking a frozen member in its turn, so that about every second write gets no answer in its time, and a
	// request has two tries. Seen: 2 to 12 s.
	stalling = 30 * time.Second
)

func TestAnotherEtcdLeader(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 3)
	a, b := s.startPod("a", 5, s.Port), s.startPod("b", 5, s.Port)
	clients := s.startRecorder(a, b)
	clients.signedAfter(time.Now())
	s.startOtherClients()

	_, before := s.record(keys[0])
	began := time.Now()
	if err := s.MoveLeader(); err != nil {
		t.Fatal(err)
	}
	clients.signedAfter(time.Now())
	time.Sleep(2 * time.Second)
	gap := clients.longestGap(began)
	t.Logf("moved: the longest time without a signature was %v", gap.Round(time.Millisecond))
	if gap > nextSignature {
		t.Errorf("that is more than %v", nextSignature)
	}
	if _, after := s.record(keys[0]); after != before {
		t.Errorf("the lease went from %+v to %+v: nothing was wrong with its holder", before, after)
	}

	for _, fault := range []struct {
		name      string
		on, after func(*controlplane.Member) error
		within    time.Duration
	}{
		{"frozen", (*controlplane.Member).Freeze, (*controlplane.Member).Thaw, stalling},
		{"killed", func(m *controlplane.Member) error { m.Kill(); return nil }, nil, election},
	} {
		leader, err := s.Leader()
		if err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if err := fault.on(leader); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Leader(); err != nil {
			t.Fatal(err)
		}
		took := clients.signedAfter(time.Now())
		time.Sleep(3 * time.Second)
		gap = clients.longestGap(began)
		t.Logf("%s: both keys signed %v after there was another; the longest time without a signature was %v",
			fault.name, took.Round(time.Millisecond), gap.Round(time.Millisecond))
		if gap > fault.within {
			t.Errorf("that is more than %v", fault.within)
		}
		if fault.after != nil {
			if err := fault.after(leader); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
	}
	clients.check(t)
}

// startOtherClients are clients of the API server that have nothing to do with signers. It asks the etcd members in turns: without them a
// signer alone with three members, whose tries are three questions each, may have the frozen one asked the same of them every time.
func (s *signerEnv) startOtherClients() {
	for range 4 {
		go func() {
			for s.t.Context().Err() == nil {
				ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
				s.Do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace, nil)
				cancel()
				time.Sleep(rand.N(40 * time.Millisecond))
			}
		}()
	}
}
