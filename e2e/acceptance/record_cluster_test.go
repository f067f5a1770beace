package acceptance

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
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
	s := newSigner(t, "vanish", octezclient.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}

	if err := suite.DeleteRecord(t.Context(), fixture.RecordName(key)); err != nil {
		t.Fatal(err)
	}
	_, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+1))
	var answer *octezclient.AnswerError
	if !errors.As(err, &answer) {
		t.Fatalf("without a record the signer must refuse: %v", err)
	}
	t.Logf("the signer says: %v", answer)
	complaint := awaitNotReady(t, s.Name, time.Minute)
	t.Logf("the TezosSigner says: %s", complaint)
	if !strings.Contains(strings.ToLower(complaint), "record") {
		t.Errorf("the conditions must name the record: %s", complaint)
	}

	if _, err := suite.Cluster.Run(t.Context(), "", "delete", "pod", pod.Metadata.Name, "-n", namespace, "--wait=false"); err != nil {
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
	s := newSigner(t, "again", octezclient.Secp256k1)
	s.NotAfter = time.Now().Add(20 * time.Second)
	applyReady(t, s)
	deleteSigner(t, s.Name)
	if !recordExists(t, s.Keys[0]) {
		t.Error("the record must outlive its TezosSigner")
	}
	if err := suite.DeleteRecord(t.Context(), fixture.RecordName(s.Keys[0].Parsed())); err != nil {
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
	s := newSigner(t, "taken-up", octezclient.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	block := newBlock(t, firstLevel+10)
	before, err := octezclient.NewClient(forward(t, pod.Metadata.Name)).Sign(t.Context(), key, block)
	if err != nil {
		t.Fatal(err)
	}
	deleteSigner(t, s.Name)

	next := *s
	next.Name += "-next"
	t.Cleanup(func() { deleteLater(t, next.Name) })
	pod = applyReady(t, &next)
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	if after, err := client.Sign(t.Context(), key, block); err != nil || after != before {
		t.Errorf("the identical block: %s, %v; before: %s", after, err, before)
	}
	var answer *octezclient.AnswerError
	if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+1)); !errors.As(err, &answer) || answer.Status != 409 {
		t.Errorf("a lower block: %v", err)
	}
}

// What people read: the record by kubectl get, and the TezosSigner's status.
// The one follows each signature, the other must not.
func TestRecordAndStatusCanBeRead(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "read", octezclient.P256)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	status := func() kubectl.TezosSigner {
		var signer kubectl.TezosSigner
		if err := suite.Cluster.Get(t.Context(), &signer, "tezossigner", s.Name, "-n", namespace); err != nil {
			t.Fatal(err)
		}
		return signer
	}
	sign := func(above int32) {
		t.Helper()
		if _, err := client.Sign(t.Context(), key, newBlock(t, firstLevel+above)); err != nil {
			t.Fatal(err)
		}
	}
	// The first signature ends the floors, and with them the words "above level" of the sentence: the one change that a signature makes.
	sign(0)
	touch(t, pod.Metadata.Name)
	if err := kubectl.Await(t.Context(), 100*time.Second, func() (bool, error) {
		ready := status()
		return !strings.Contains(ready.Condition("Ready").Message, "above level"), nil
	}); err != nil {
		t.Fatalf("the status still names the floors after a signature: %v", err)
	}
	time.Sleep(3 * time.Second)
	before := status()
	for above := range int32(4) {
		sign(above + 1)
	}

	output, err := suite.Cluster.Run(t.Context(), "", "get", "configmap", fixture.RecordName(key), "-n", fixture.RecordsNamespace, "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the record:\n%s", output)
	for _, row := range []string{
		fmt.Sprintf(`(?m)^  block: %d 0 [0-9a-f]{64}\s+p2sig[1-9A-HJ-NP-Za-km-z]+$`, firstLevel+4),
		fmt.Sprintf(`(?m)^  attestation: %d 2147483647 - -$`, firstLevel-1),
		`(?m)^  audit: [0-9a-f]{32} [0-9]+ [0-9a-f]{64}$`,
		`(?m)^  version: "1"$`,
		fmt.Sprintf(`"holderIdentity":"%s"`, pod.Metadata.UID),
	} {
		if !regexp.MustCompile(row).MatchString(output) {
			t.Errorf("the record has nothing like %s", row)
		}
	}

	// The rows that the operator reads then are written with the next change.
	reconcileFiveTimes(t, pod.Metadata.Name)
	after := status()
	if after.Metadata.ResourceVersion != before.Metadata.ResourceVersion {
		t.Errorf("signatures alone have changed the TezosSigner: %+v, before %+v", after.Status, before.Status)
	}
	keyStatus := after.Status.Keys[0]
	if keyStatus.Holder.Identity != pod.Metadata.UID || keyStatus.Holder.Pod != pod.Metadata.Name || keyStatus.Holder.Term < 1 || keyStatus.Holder.Since.IsZero() {
		t.Errorf("the holder: %+v; the pod is %s, %s", keyStatus.Holder, pod.Metadata.Name, pod.Metadata.UID)
	}
	if keyStatus.Rows.Block == nil || keyStatus.Rows.Block.Level < firstLevel-1 || keyStatus.Rows.ReadAt.IsZero() {
		t.Errorf("the rows: %+v", keyStatus.Rows)
	}
	suspend := `{"spec":{"suspend":true}}`
	if _, err := suite.Cluster.Run(t.Context(), "", "patch", "tezossigner", s.Name, "-n", namespace, "--type=merge", "-p", suspend); err != nil {
		t.Fatal(err)
	}
	err = kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		key := status().Status.Keys[0]
		return key.Suspended && key.Rows.Block.Level == firstLevel+4, nil
	})
	if err != nil {
		t.Errorf("suspend and the newest rows are not in the status: %v: %+v", err, status().Status.Keys[0])
	}
}
