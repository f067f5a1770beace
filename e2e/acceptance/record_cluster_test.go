package acceptance

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
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

// What people look at: the record by kubectl get, and the TezosSigner's status.
// The one follows each signature, the other must not.
func TestRecordAndStatusCanBeRead(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "read", octez.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	client := octez.NewClient(forward(t, pod.Metadata.Name))
	status := func() kubectl.TezosSigner {
		var signer kubectl.TezosSigner
		if err := theStage.Cluster.Get(t.Context(), &signer, "tezossigner", s.Name, "-n", namespace); err != nil {
			t.Fatal(err)
		}
		return signer
	}
	// What is left of the start.
	time.Sleep(3 * time.Second)
	before := status()
	for above := range int32(5) {
		if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+above)); err != nil {
			t.Fatal(err)
		}
	}

	said, err := theStage.Cluster.Run(t.Context(), "", "get", "configmap", stage.RecordName(key), "-n", stage.RecordsNamespace, "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the record:\n%s", said)
	for _, row := range []string{
		fmt.Sprintf(`(?m)^  block: %d 0 [0-9a-f]{64}\s+p2sig[1-9A-HJ-NP-Za-km-z]+$`, firstLevel+4),
		fmt.Sprintf(`(?m)^  attestation: %d 2147483647 - -$`, firstLevel-1),
		`(?m)^  audit: [0-9a-f]{32} [0-9]+ [0-9a-f]{64}$`,
		`(?m)^  version: "1"$`,
		fmt.Sprintf(`"holderIdentity":"%s"`, pod.Metadata.UID),
	} {
		if !regexp.MustCompile(row).MatchString(said) {
			t.Errorf("the record has nothing like %s", row)
		}
	}

	// The operator looks once a minute. What it has read goes with the next change.
	time.Sleep(75 * time.Second)
	after := status()
	if after.Metadata.ResourceVersion != before.Metadata.ResourceVersion {
		t.Errorf("signatures alone have changed the TezosSigner: %+v, before %+v", after.Status, before.Status)
	}
	told := after.Status.Keys[0]
	if told.Holder.Identity != pod.Metadata.UID || told.Holder.Pod != pod.Metadata.Name || told.Holder.Term < 1 || told.Holder.Since.IsZero() {
		t.Errorf("the holder: %+v; the pod is %s, %s", told.Holder, pod.Metadata.Name, pod.Metadata.UID)
	}
	if told.Rows.Block == nil || told.Rows.Block.Level < firstLevel-1 || told.Rows.ReadAt.IsZero() {
		t.Errorf("the rows: %+v", told.Rows)
	}
	suspend := `{"spec":{"suspend":true}}`
	if _, err := theStage.Cluster.Run(t.Context(), "", "patch", "tezossigner", s.Name, "-n", namespace, "--type=merge", "-p", suspend); err != nil {
		t.Fatal(err)
	}
	err = kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		key := status().Status.Keys[0]
		return key.Suspended && key.Rows.Block.Level == firstLevel+4, nil
	})
	if err != nil {
		t.Errorf("suspend and the newest rows are not told: %v: %+v", err, status().Status.Keys[0])
	}
}
