package acceptance

import (
	"errors"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/stage"
)

func newBlock(t *testing.T, level int32) []byte {
	t.Helper()
	block, err := payload.New("block", level, 0)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

// A vanished record is never a fresh start, neither for the signer that runs nor
// for a pod that comes after it.
func TestADeletedRecordIsNoFreshStart(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "vanish", octez.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	client := octez.NewClient(forward(t, pod.Metadata.Name))
	if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}

	if err := theStage.DeleteRecord(t.Context(), stage.RecordName(key)); err != nil {
		t.Fatal(err)
	}
	_, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+1))
	var answer *octez.AnswerError
	if !errors.As(err, &answer) {
		t.Fatalf("without a record the signer must refuse: %v", err)
	}
	t.Logf("the signer says: %v", answer)
	complaint := awaitNotReady(t, s.Name, time.Minute)
	t.Logf("the TezosSigner says: %s", complaint)
	if !strings.Contains(strings.ToLower(complaint), "record") {
		t.Errorf("the conditions must name the record: %s", complaint)
	}

	if _, err := theStage.Cluster.Run(t.Context(), "", "delete", "pod", pod.Metadata.Name, "-n", namespace, "--wait=false"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Second)
	if recordExists(t, s.Keys[0]) {
		t.Error("the record was made anew")
	}
}

// A manifest that is applied again after everything was deleted starts nothing
// once its notAfter has passed.
func TestAnOldManifestStartsNothing(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "again", octez.Secp256k1)
	s.NotAfter = time.Now().Add(20 * time.Second)
	applyReady(t, s)
	deleteSigner(t, s.Name)
	if !recordExists(t, s.Keys[0]) {
		t.Error("the record must outlive its TezosSigner")
	}
	if err := theStage.DeleteRecord(t.Context(), stage.RecordName(s.Keys[0].Parsed())); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(s.NotAfter.Add(time.Second)))

	apply(t, s)
	complaint := awaitNotReady(t, s.Name, time.Minute)
	t.Logf("the TezosSigner says: %s", complaint)
	if !strings.Contains(complaint, "notAfter") && !strings.Contains(complaint, "initialWatermark") {
		t.Errorf("the conditions must name initialWatermark.notAfter: %s", complaint)
	}
	time.Sleep(10 * time.Second)
	if recordExists(t, s.Keys[0]) {
		t.Error("the record was made anew")
	}
}

// A record that has outlived its TezosSigner is taken up by the next one, and its
// rows stand: initialWatermark is for a key that has none.
func TestARecordIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "taken-up", octez.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	block := newBlock(t, firstLevel+10)
	before, err := octez.NewClient(forward(t, pod.Metadata.Name)).Sign(t.Context(), key, block)
	if err != nil {
		t.Fatal(err)
	}
	deleteSigner(t, s.Name)

	next := *s
	next.Name += "-next"
	t.Cleanup(func() { deleteSigner(t, next.Name) })
	pod = applyReady(t, &next)
	client := octez.NewClient(forward(t, pod.Metadata.Name))
	if after, err := client.Sign(t.Context(), key, block); err != nil || after != before {
		t.Errorf("the identical block: %s, %v; before: %s", after, err, before)
	}
	var answer *octez.AnswerError
	if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+1)); !errors.As(err, &answer) || answer.Status != 409 {
		t.Errorf("a lower block: %v", err)
	}
}
