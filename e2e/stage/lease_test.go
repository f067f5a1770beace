package stage

import (
	"os"
	"regexp"
	"testing"
)

// The chart's admission policies read the lease out of the text that the signer
// writes. These texts are those of core/tests/watermark.rs: who changes what is
// written finds out here, and not by keys that stop.
func TestThePoliciesKnowALeaseAsItIsWritten(t *testing.T) {
	template, err := os.ReadFile("../../charts/tezos-signer-operator/templates/records-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("shape := `([^`]+)`").FindSubmatch(template)
	if found == nil {
		t.Fatal("the template has no $shape")
	}
	shape, err := regexp.Compile(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	for _, lease := range []string{
		`{"holderIdentity":"a","leaseDurationSeconds":5,"acquireTime":"2026-11-23T08:00:00Z","renewTime":null,"leaderTransitions":3}`,
		`{"holderIdentity":"a","leaseDurationSeconds":5,"acquireTime":"2026-11-23T08:00:00Z","renewTime":"2026-11-23T08:00:00.123456789Z","leaderTransitions":3,"preferredHolder":"b"}`,
	} {
		if !shape.MatchString(lease) {
			t.Errorf("not as the policies expect it: %s", lease)
		}
		if shape.MatchString(lease + " ") {
			t.Error("the expression has no end")
		}
	}
}
