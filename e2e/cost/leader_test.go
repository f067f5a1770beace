// etcd has another leader: moved, and after the old one was killed.

package cost

import (
	"testing"
	"time"
)

// etcd's own election takes one to two seconds; meanwhile nothing can be written.
const election = 5 * time.Second

func TestAnotherEtcdLeader(t *testing.T) {
	long(t)
	s := newSite(t, 3)
	a, b := s.startPod("a", 5, s.Port), s.startPod("b", 5, s.Port)
	clients := s.watch(a, b)
	clients.signedAfter(time.Now())

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

	leader, err := s.Leader()
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	leader.Kill()
	took := clients.signedAfter(began.Add(100 * time.Millisecond))
	if _, err := s.Leader(); err != nil {
		t.Fatal(err)
	}
	clients.signedAfter(time.Now())
	gap = clients.longestGap(began)
	t.Logf("killed: both keys signed after %v; the longest time without a signature was %v", took.Round(time.Millisecond), gap.Round(time.Millisecond))
	if gap > election {
		t.Errorf("that is more than %v", election)
	}
	clients.judge(t)
}
