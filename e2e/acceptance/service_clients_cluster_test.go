package acceptance

import (
	"testing"

	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/stage"
)

// A Service that signs for the clients it was told of: one of them asks, through
// what people do to the record and to the pods, and the logs tell all of it.
func TestAServiceSignsForItsClientsAndItsLogsTellIt(t *testing.T) {
	t.Parallel()
	friend, err := octez.NewClientKey()
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t, "clients", octez.P256)
	s.Replicas, s.AuthorizedKeys = 2, []string{friend.PublicKey()}
	apply(t, s)
	awaitMessage(t, s.Name, "2 of 2 replicas are ready; ")
	logs := followLogs(t, s)

	level := refusesStrangers(t, s, friend, firstLevel)
	level = obeysBreakGlass(t, s, friend, level)
	logs.verifyAfterAnotherHolder(t, s, friend, level)
}

// refusesStrangers asks the holder and the one that forwards. It returns the next level.
func refusesStrangers(t *testing.T, s *stage.Signer, friend *octez.ClientKey, level int32) int32 {
	t.Helper()
	stranger, err := octez.NewClientKey()
	if err != nil {
		t.Fatal(err)
	}
	key := s.Keys[0].Parsed()
	all := pods(t, s.Name)
	if len(all) != 2 {
		t.Fatalf("%d pods, expected 2", len(all))
	}
	for _, pod := range all {
		for what, client := range map[string]*octez.Client{
			"without a key": octez.NewClient(podURL(pod)), "a stranger": octez.NewClient(podURL(pod)).With(stranger),
		} {
			if _, err := client.RequestOnce(t.Context(), key, newBlock(t, level)); !refusedWith(err, 401) {
				t.Errorf("%s, %s: %v", pod.Metadata.Name, what, err)
			}
		}
		if _, err := octez.NewClient(podURL(pod)).With(friend).Sign(t.Context(), key, newBlock(t, level)); err != nil {
			t.Errorf("%s, an authorized client: %v", pod.Metadata.Name, err)
		}
		level++
	}
	return level
}
