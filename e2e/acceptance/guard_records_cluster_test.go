// What the tests of the guard share: who asks, the texts of a record, patches of it, and
// what a refusal must look like.

package acceptance

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
)

const (
	leaseAnnotation    = "control-plane.alpha.kubernetes.io/leader"
	addressAnnotation  = "signer.tezos.io/holder-address"
	externalAnnotation = "signer.tezos.io/external-signer"
	ownerAnnotation    = "signer.tezos.io/owner"
	bySpecAnnotation   = "signer.tezos.io/suspended-by-spec"

	holderUID = "11111111-aaaa-4aaa-8aaa-111111111111"
	otherUID  = "22222222-bbbb-4bbb-8bbb-222222222222"
	hostUser  = "signer@host.example"
	logID     = "0123456789abcdef0123456789abcdef"
	otherLog  = "fedcba9876543210fedcba9876543210"
)

// Who writes. All of them may write anything as far as RBAC goes, so that it is the
// guard that refuses.
var (
	clusterAdmin = []string{}
	breakGlass   = kubectl.BreakGlass
	operator     = []string{"--as=system:serviceaccount:tezos-signer-system:tezos-signer-operator", "--as-group=system:masters"}
	holder       = asPod(holderUID)
	otherPod     = asPod(otherUID)
	host         = []string{"--as=" + hostUser, "--as-group=system:masters"}
)

// asPod acts with what the API server knows of a token that is bound to a pod.
func asPod(uid string) []string {
	return []string{"--as=system:serviceaccount:bakers:baker-one", "--as-group=system:masters", "--as-user-extra=authentication.kubernetes.io/pod-uid=" + uid}
}

func row(level, round int, of string) string {
	return fmt.Sprintf("%d %d %s p2sig%s", level, round, strings.Repeat(of, 64), strings.Repeat("x", 92))
}

func floor(level int) string { return fmt.Sprintf("%d 2147483647 - -", level) }

func anchor(log string, sequence int) string {
	return fmt.Sprintf("%s %d %s", log, sequence, strings.Repeat("0", 64))
}

// lease is the text that the signer writes. preferred may be empty.
func lease(holder, preferred string) string {
	const time = "2026-11-25T15:14:01.123456789Z"
	text := fmt.Sprintf(`{"holderIdentity":%q,"leaseDurationSeconds":5,"acquireTime":%q,"renewTime":%q,"leaderTransitions":2`, holder, time, time)
	if preferred != "" {
		text += fmt.Sprintf(`,"preferredHolder":%q`, preferred)
	}
	return text + "}"
}

// withLaterRenewTime is that lease a moment later.
func withLaterRenewTime(lease string) string {
	return strings.Replace(lease, `"renewTime":"2026-11-25T15:14:01`, `"renewTime":"2026-11-25T15:14:02`, 1)
}

type values = map[string]any

// A change of the record is a merge patch.
func dataPatch(rows values) values { return values{"data": rows} }
func annotationsPatch(annotations values) values {
	return values{"metadata": values{"annotations": annotations}}
}
func rowsPatch(rows, annotations values) values {
	return values{"data": rows, "metadata": values{"annotations": annotations}}
}

// newTestRecord makes a record that no signer uses, like one that the pod holderUID
// holds and has signed with.
func newTestRecord(t *testing.T, name string, change func(*fixture.Record)) string {
	t.Helper()
	record := &fixture.Record{APIVersion: "v1", Kind: "ConfigMap", Metadata: fixture.RecordMetadata{
		Name:      testRecordName(name),
		Namespace: fixture.RecordsNamespace,
		Labels:    map[string]string{"app.kubernetes.io/component": "watermark"},
		Annotations: map[string]string{
			leaseAnnotation: lease(holderUID, ""), addressAnnotation: "10.0.3.7:6733", ownerAnnotation: "bakers/baker-one/" + otherUID,
		},
	}, Data: map[string]string{
		"version": "1", "block": row(100, 1, "a"), "preattestation": row(100, 1, "a"), "attestation": row(100, 1, "a"), "audit": anchor(logID, 7),
	}}
	if change != nil {
		change(record)
	}
	if err := runAs(t, breakGlass, marshalled(t, record), "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := suite.DeleteRecord(context.Background(), record.Metadata.Name); err != nil {
			t.Error(err)
		}
	})
	return record.Metadata.Name
}

func testRecordName(name string) string {
	return fmt.Sprintf("watermark-tz2-%x-7a06a770", sha1.Sum([]byte(suite.Run+name)))
}

func marshalled(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func runAs(t *testing.T, who []string, stdin string, args ...string) error {
	_, err := suite.Cluster.Run(t.Context(), stdin, slices.Concat(args, []string{"-n", fixture.RecordsNamespace}, who)...)
	return err
}

// guardRefusals gathers what the guard has said in refusing, to find rules that no test has
// seen refuse.
var guardRefusals struct {
	sync.Mutex
	text strings.Builder
}

// mustRefuse checks that the guard refused, and by which rule.
func mustRefuse(t *testing.T, what string, err error, rule string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: was let through", what)
	case !strings.Contains(err.Error(), rule):
		t.Errorf("%s: refused, but not by the rule %q: %v", what, rule, err)
	case !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'tezos-signer-records-"):
		t.Errorf("%s: refused, but not by the guard: %v", what, err)
	default:
		guardRefusals.Lock()
		defer guardRefusals.Unlock()
		guardRefusals.text.WriteString(err.Error() + "\n")
	}
}

// patchRecord patches the record; with dryRun all that the API server checks is checked,
// and nothing written.
func patchRecord(t *testing.T, who []string, record string, patch values, dryRun bool) error {
	return suite.Cluster.PatchConfigMap(t.Context(), who, fixture.RecordsNamespace, record, marshalled(t, patch), dryRun)
}
