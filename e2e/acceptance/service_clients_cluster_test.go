package acceptance

import (
	"testing"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
)

// A Service that signs for the clients in its configuration: one of them asks, through
// what people do to the record and to the pods, and the logs tell all of it.
func TestAServiceSignsForItsClientsAndItsLogsTellIt(t *testing.T) {
	t.Parallel()
	friend, err := octezclient.NewClientKey()
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t, "clients", octezclient.P256)
	s.Replicas, s.AuthorizedKeys = 2, []string{friend.PublicKey()}
	apply(t, s)
	awaitMessage(t, s.Name, "2 of 2 replicas are ready; ")
	logs := followLogs(t, s)

	level := checkStrangersRefused(t, s, friend, firstLevel)
	level = checkBreakGlassEdits(t, s, friend, level)
	logs.verifyAfterAnotherHolder(t, s, friend, level)
}

// checkStrangersRefused asks the holder and the one that forwards. It returns the next level.
func checkStrangersRefused(t *testing.T, s *fixture.Signer, friend *octezclient.ClientKey, level int32) int32 {
	t.Helper()
	stranger, err := octezclient.NewClientKey()
	if err != nil {
		t.Fatal(err)
	}
	key := s.Keys[0].Parsed()
	all := pods(t, s.Name)
	if len(all) != 2 {
		t.Fatalf("%d pods, expected 2", len(all))
	}
	for _, pod := range all {
		for what, client := range map[string]*octezclient.Client{
			"without a key": octezclient.NewClient(podURL(pod)), "a stranger": octezclient.NewClient(podURL(pod)).With(stranger),
		} {
			if _, err := client.RequestOnce(t.Context(), key, newBlock(t, level)); !refusedWith(err, 401) {
				t.Errorf("%s, %s: %v", pod.Metadata.Name, what, err)
			}
		}
		if _, err := octezclient.NewClient(podURL(pod)).With(friend).Sign(t.Context(), key, newBlock(t, level)); err != nil {
			t.Errorf("%s, an authorized client: %v", pod.Metadata.Name, err)
		}
		level++
	}
	return level
}
