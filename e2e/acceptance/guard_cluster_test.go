package acceptance

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/stage"
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
	holder       = podOf(holderUID)
	otherPod     = podOf(otherUID)
	host         = []string{"--as=" + hostUser, "--as-group=system:masters"}
)

// podOf acts with what the API server knows of a token that is bound to a pod.
func podOf(uid string) []string {
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

// renewed is that lease a moment later.
func renewed(lease string) string {
	return strings.Replace(lease, `"renewTime":"2026-11-25T15:14:01`, `"renewTime":"2026-11-25T15:14:02`, 1)
}

type values = map[string]any

// A change of the record is a merge patch.
func data(rows values) values { return values{"data": rows} }
func annotated(annotations values) values {
	return values{"metadata": values{"annotations": annotations}}
}
func signed(rows, annotations values) values {
	return values{"data": rows, "metadata": values{"annotations": annotations}}
}

// labRecord makes a record that no signer uses, like one that the pod holderUID
// holds and has signed with.
func labRecord(t *testing.T, name string, change func(*stage.Record)) string {
	t.Helper()
	record := &stage.Record{APIVersion: "v1", Kind: "ConfigMap", Metadata: stage.RecordMetadata{
		Name:      labName(name),
		Namespace: stage.RecordsNamespace,
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
	if err := asking(t, breakGlass, marshalled(t, record), "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := theStage.DeleteRecord(context.Background(), record.Metadata.Name); err != nil {
			t.Error(err)
		}
	})
	return record.Metadata.Name
}

func labName(name string) string {
	return fmt.Sprintf("watermark-tz2-%x-7a06a770", sha1.Sum([]byte(theStage.Run+name)))
}

func marshalled(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func asking(t *testing.T, who []string, stdin string, args ...string) error {
	_, err := theStage.Cluster.Run(t.Context(), stdin, slices.Concat(args, []string{"-n", stage.RecordsNamespace}, who)...)
	return err
}

// said gathers what the guard has said in refusing, to find rules that no test has
// seen refuse.
var said struct {
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
		said.Lock()
		defer said.Unlock()
		said.text.WriteString(err.Error() + "\n")
	}
}

// change patches the record; with dryRun all that the API server checks is checked,
// and nothing written.
func change(t *testing.T, who []string, record string, patch values, dryRun bool) error {
	args := []string{"patch", "configmap", record, "--type=merge", "-p", marshalled(t, patch)}
	if dryRun {
		args = append(args, "--dry-run=server")
	}
	return asking(t, who, "", args...)
}

// Every rule of the guard refuses what it is for, whoever tries; and not one is left
// that was not seen to refuse. What the writers of a record do goes through.
func TestTheGuard(t *testing.T) {
	t.Parallel()
	// Subtests end before the check that follows them.
	t.Run("what a record may become", testBecoming)
	t.Run("who writes what", testWriters)
	t.Run("who makes one", testCreation)
	t.Run("who deletes one", testDeletion)
	t.Run("every way to write", testWays)

	var policies struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Validations []struct{ Message string }
			}
		}
	}
	if err := theStage.Cluster.Get(t.Context(), &policies, "validatingadmissionpolicies", "-l", "app.kubernetes.io/name=tezos-signer-operator"); err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, policy := range policies.Items {
		for _, rule := range policy.Spec.Validations {
			rules++
			if !strings.Contains(said.text.String(), rule.Message) {
				t.Errorf("policy %s: no test has seen this rule refuse: %s", policy.Metadata.Name, rule.Message)
			}
		}
	}
	t.Logf("%d rules in %d policies", rules, len(policies.Items))
	if len(policies.Items) != 3 || rules == 0 {
		t.Errorf("expected three policies with rules")
	}
}

// These hold for everybody, so they are tried with the most powerful.
func testBecoming(t *testing.T) {
	name := labRecord(t, "becoming", func(record *stage.Record) { record.Data["ceiling"] = "900" })
	shape := strings.Replace
	was := lease(holderUID, "")
	for _, try := range []struct {
		what  string
		patch values
		rule  string
	}{
		{"an unknown row", data(values{"endorsement": floor(200)}), "nothing else"},
		{"another version", data(values{"version": "2"}), "nothing else"},
		{"no version", data(values{"version": nil}), "nothing else"},
		{"binaryData", values{"binaryData": values{"x": "eA=="}}, "no binaryData"},
		{"immutable", values{"immutable": true}, "no binaryData"},
		{"an owner", values{"metadata": values{"ownerReferences": []any{values{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": otherUID}}}}, "no binaryData"},
		{"a finalizer", values{"metadata": values{"finalizers": []any{"example.com/keep"}}}, "no binaryData"},
		{"an audit of no log", data(values{"audit": "NetXdQprcVkpaWU 8 " + strings.Repeat("0", 64)}), "row audit: expected"},
		{"no audit", data(values{"audit": nil}), "never goes away or back"},
		{"an audit before", data(values{"audit": anchor(logID, 6)}), "never goes away or back"},
		{"another line with the same number", data(values{"audit": anchor(logID, 7)[:98] + "1"}), "row audit"},
		{"a ceiling of words", data(values{"ceiling": "none"}), "row ceiling: expected"},
		{"a ceiling beyond every level", data(values{"ceiling": "2147483648"}), "row ceiling: expected"},
		{"a suspend of words", data(values{"suspend": "yes"}), "row suspend: expected"},
		{"a lease that is no JSON", annotated(values{leaseAnnotation: holderUID}), "expected the JSON"},
		{"a lease with spaces", annotated(values{leaseAnnotation: shape(was, `":`, `": `, -1)}), "expected the JSON"},
		{"a lease with another order", annotated(values{leaseAnnotation: `{"leaseDurationSeconds":5,` + shape(was, `"leaseDurationSeconds":5,`, "", 1)[1:]}), "expected the JSON"},
		{"a lease with two holders", annotated(values{leaseAnnotation: shape(was, "}", `,"holderIdentity":"`+otherUID+`"}`, 1)}), "expected the JSON"},
		{"a lease with a holder inside another's name", annotated(values{leaseAnnotation: shape(was, holderUID, `x\",\"holderIdentity\":\"`+otherUID, 1)}), "expected the JSON"},
		{"a lease after a lease", annotated(values{leaseAnnotation: was + "\n" + was}), "expected the JSON"},
		{"a lease with more fields", annotated(values{leaseAnnotation: shape(was, "}", `,"strategy":"x"}`, 1)}), "expected the JSON"},
	} {
		mustRefuse(t, try.what, change(t, breakGlass, name, try.patch, false), try.rule)
	}
	for _, kind := range []string{"block", "preattestation", "attestation"} {
		falls := "row " + kind + " of a watermark record only rises"
		for _, try := range []struct {
			what, rule string
			row        any
		}{
			{"a lower level", falls, row(99, 5, "b")},
			{"a lower round", falls, row(100, 0, "b")},
			{"another digest at the position", falls, row(100, 1, "b")},
			{"another signature at the position", falls, strings.Replace(row(100, 1, "a"), "xx", "xy", 1)},
			{"no signature any more", falls, strings.Fields(row(100, 1, "a"))[0] + " 1 " + strings.Repeat("a", 64) + " -"},
			{"a floor at the position", falls, "100 1 - -"},
			{"a lower floor", falls, floor(99)},
			{"no row", falls, nil},
			{"three words", "row " + kind + ": expected", "200 0 -"},
			{"two spaces", "row " + kind + ": expected", "200 0  - -"},
			{"a signature of nothing", "row " + kind + ": expected", "200 0 - " + strings.Fields(row(1, 0, "a"))[3]},
			{"a level that is none", "row " + kind + ": expected", "2147483648 0 - -"},
			{"a level with a leading zero", "row " + kind + ": expected", "0200 0 - -"},
			{"a negative round", "row " + kind + ": expected", "200 -1 - -"},
		} {
			mustRefuse(t, kind+", "+try.what, change(t, breakGlass, name, data(values{kind: try.row}), false), try.rule)
		}
	}
	mustRefuse(t, "no data", asking(t, breakGlass, "", "patch", "configmap", name, "--type=json", "-p", `[{"op":"remove","path":"/data"}]`), "nothing else")
}

func testWriters(t *testing.T) {
	lab := labRecord(t, "writers", nil)
	bare := labRecord(t, "bare", func(record *stage.Record) {
		for _, kind := range []string{"preattestation", "attestation"} {
			delete(record.Data, kind)
		}
		delete(record.Data, "audit")
		delete(record.Metadata.Annotations, leaseAnnotation)
	})
	lone := labRecord(t, "lone", func(record *stage.Record) {
		for _, kind := range []string{"block", "preattestation", "attestation"} {
			delete(record.Data, kind)
		}
	})
	capped := labRecord(t, "capped", func(record *stage.Record) { record.Data["ceiling"], record.Data["suspend"] = "900", "true" })
	bySpec := labRecord(t, "by-spec", func(record *stage.Record) {
		record.Data["suspend"] = "true"
		record.Metadata.Annotations[bySpecAnnotation] = "true"
	})
	named := labRecord(t, "named", func(record *stage.Record) {
		record.Metadata.Annotations[leaseAnnotation] = lease(holderUID, otherUID)
	})
	external := labRecord(t, "external", func(record *stage.Record) { record.Metadata.Annotations[externalAnnotation] = hostUser })

	const (
		leaseRule, preferred, address = "the lease (annotation", "preferredHolder is named by", "requests are sent there"
		othersRule, labels, exemption = "the other annotations", "the labels", "without being the pod that holds the record"
		auditRule, moves              = "row audit is written by the pod that holds", "changes audit too"
		ceiling, lifted               = "row ceiling is set by", "row ceiling is raised or taken away only by"
		suspend, byHand               = "row suspend is set and lifted by", "row suspend was set by hand"
	)
	next := anchor(logID, 8)
	taken := func(uid string) values { return annotated(values{leaseAnnotation: renewed(lease(uid, ""))}) }
	type try struct {
		what   string
		who    []string
		record string
		patch  values
		rule   string // empty: it goes through
	}
	tries := []try{
		// The holder: its rows, audit, lease and address.
		{"the holder's audit alone", holder, lab, data(values{"audit": next}), ""},
		{"the audit of another process in the pod", holder, lab, data(values{"audit": anchor(otherLog, 0)}), ""},
		{"the holder renews", holder, lab, taken(holderUID), ""},
		{"the holder lets go", holder, lab, annotated(values{leaseAnnotation: lease("", ""), addressAnnotation: nil}), ""},
		{"the holder's new address", holder, lab, annotated(values{addressAnnotation: "[fd00::7]:6733"}), ""},
		{"another pod takes the lease", otherPod, lab, annotated(values{leaseAnnotation: lease(otherUID, ""), addressAnnotation: "10.0.3.8:6733"}), ""},
		{"a pod takes a lease that nobody had", otherPod, bare, taken(otherUID), ""},
		{"the named one takes it", otherPod, named, annotated(values{leaseAnnotation: lease(otherUID, otherUID)}), ""},
		{"the named one takes it and clears its name", otherPod, named, taken(otherUID), ""},
		{"the holder lets go for another", holder, named, annotated(values{leaseAnnotation: lease("", otherUID)}), ""},
		{"a webhook's label and annotation on the holder's write", holder, lab, values{"data": values{"audit": next}, "metadata": values{
			"labels": values{"cost-centre": "7"}, "annotations": values{"example.com/checked": "yes", leaseAnnotation: renewed(lease(holderUID, ""))}}}, ""},
		{"suspend: false taken out by the holder", holder, lab, data(values{"suspend": "false", "audit": next}), ""},

		{"rows by the holder, with the lease for another", holder, lab, signed(values{"block": row(101, 0, "b"), "audit": next}, values{leaseAnnotation: lease(otherUID, "")}), "row block is written by the pod that holds"},
		{"rows in the write that takes the lease", otherPod, lab, signed(values{"block": row(101, 0, "b"), "audit": next}, values{leaseAnnotation: lease(otherUID, "")}), "row block is written by the pod that holds"},
		{"rows in the write that lets go", holder, lab, signed(values{"block": row(101, 0, "b"), "audit": next}, values{leaseAnnotation: lease("", "")}), "row block is written by the pod that holds"},

		{"another pod's audit", otherPod, lab, data(values{"audit": next}), auditRule},
		{"an administrator's audit", clusterAdmin, lab, data(values{"audit": next}), auditRule},
		{"the operator's audit", operator, lab, data(values{"audit": next}), auditRule},

		// Ceiling and suspend.
		{"the operator's ceiling", operator, lab, data(values{"ceiling": "900"}), ""},
		{"a break-glass ceiling", breakGlass, lab, data(values{"ceiling": "900"}), ""},
		{"the operator lowers the ceiling", operator, capped, data(values{"ceiling": "800"}), ""},
		{"break-glass raises the ceiling", breakGlass, capped, data(values{"ceiling": "1000"}), ""},
		{"break-glass lifts the ceiling", breakGlass, capped, data(values{"ceiling": nil}), ""},
		{"an administrator's ceiling", clusterAdmin, lab, data(values{"ceiling": "900"}), ceiling},
		{"the holder's ceiling", holder, lab, data(values{"ceiling": "900"}), ceiling},
		{"an administrator lowers the ceiling", clusterAdmin, capped, data(values{"ceiling": "800"}), ceiling},
		{"the operator raises the ceiling", operator, capped, data(values{"ceiling": "901"}), lifted},
		{"the operator lifts the ceiling", operator, capped, data(values{"ceiling": nil}), lifted},
		{"the operator suspends", operator, lab, signed(values{"suspend": "true"}, values{bySpecAnnotation: "true"}), ""},
		{"the operator lifts what it suspended", operator, bySpec, signed(values{"suspend": nil}, values{bySpecAnnotation: nil}), ""},
		{"break-glass suspends", breakGlass, lab, data(values{"suspend": "true"}), ""},
		{"break-glass lifts", breakGlass, capped, data(values{"suspend": nil}), ""},
		{"an administrator suspends", clusterAdmin, lab, data(values{"suspend": "true"}), suspend},
		{"an administrator lifts", clusterAdmin, capped, data(values{"suspend": nil}), suspend},
		{"the holder lifts", holder, capped, data(values{"suspend": "false"}), suspend},
		{"the operator lifts what was suspended by hand", operator, capped, data(values{"suspend": nil}), byHand},
		{"the operator lifts it in two ways at once", operator, capped, signed(values{"suspend": nil}, values{bySpecAnnotation: "true"}), byHand},

		// The lease.
		{"the operator takes the holder out", operator, lab, annotated(values{leaseAnnotation: lease("", ""), addressAnnotation: nil, ownerAnnotation: nil}), ""},
		{"the operator names a holder", operator, lab, annotated(values{leaseAnnotation: lease(holderUID, otherUID)}), ""},
		{"the operator takes the name back", operator, named, annotated(values{leaseAnnotation: lease(holderUID, "")}), ""},
		{"break-glass takes the holder out", breakGlass, lab, annotated(values{leaseAnnotation: nil}), ""},
		{"the operator makes a holder", operator, lab, taken(otherUID), leaseRule},
		{"an administrator makes a holder", clusterAdmin, lab, taken(otherUID), leaseRule},
		{"an administrator takes the holder out", clusterAdmin, lab, annotated(values{leaseAnnotation: nil}), leaseRule},
		{"another pod renews", otherPod, lab, taken(holderUID), leaseRule},
		{"another pod takes the holder out", otherPod, lab, annotated(values{leaseAnnotation: lease("", "")}), leaseRule},
		{"the holder makes another the holder", holder, lab, taken(otherUID), leaseRule},
		{"a pod that has part of the holder's name", podOf(holderUID[:8]), lab, taken(holderUID), leaseRule},
		{"a pod whose token says nothing", podOf(""), lab, annotated(values{leaseAnnotation: lease("", "")}), leaseRule},
		{"the holder prefers itself", holder, lab, annotated(values{leaseAnnotation: lease(holderUID, holderUID)}), preferred},
		{"the taker prefers itself", otherPod, lab, annotated(values{leaseAnnotation: lease(otherUID, otherUID)}), preferred},
		{"the holder prefers itself to the named one", holder, named, annotated(values{leaseAnnotation: lease(holderUID, holderUID)}), preferred},

		{"an administrator's address", clusterAdmin, lab, annotated(values{addressAnnotation: "10.0.3.9:6733"}), address},
		{"another pod's address", otherPod, lab, annotated(values{addressAnnotation: "10.0.3.9:6733"}), address},
		{"the operator's address", operator, lab, annotated(values{addressAnnotation: "10.0.3.9:6733"}), address},

		// The rest.
		{"the operator's owner", operator, lab, annotated(values{ownerAnnotation: "bakers/two/" + otherUID}), ""},
		{"the operator's labels", operator, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": "record"}}}, ""},
		{"break-glass labels", breakGlass, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": nil}}}, ""},
		{"an administrator's owner", clusterAdmin, lab, annotated(values{ownerAnnotation: "bakers/two/" + otherUID}), othersRule},
		{"an administrator's note", clusterAdmin, lab, annotated(values{"note": "x"}), othersRule},
		{"the holder takes the owner out", holder, lab, annotated(values{ownerAnnotation: nil}), othersRule},
		{"the holder says that the spec suspended it", holder, lab, annotated(values{bySpecAnnotation: "true"}), othersRule},
		{"an administrator's label", clusterAdmin, lab, values{"metadata": values{"labels": values{"x": "y"}}}, labels},
		{"an administrator takes a label off", clusterAdmin, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": nil}}}, labels},
		{"the holder changes a label", holder, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": "x"}}}, labels},

		// A signer outside the cluster.
		{"the host renews", host, external, taken(holderUID), ""},
		{"the host takes the lease", host, external, taken("a-host"), ""},
		{"the host lets go", host, external, annotated(values{leaseAnnotation: lease("", "")}), ""},
		{"a pod beside the host", otherPod, external, taken(otherUID), ""},
		{"the host without the exemption", host, lab, taken("a-host"), leaseRule},
		{"another user than the exempted", clusterAdmin, external, taken("a-host"), leaseRule},
		{"the host gives itself the exemption", host, lab, signed(values{}, values{externalAnnotation: hostUser}), exemption},
		{"the operator gives the exemption", operator, lab, annotated(values{externalAnnotation: hostUser}), exemption},
		{"the holder takes the exemption back", holder, external, annotated(values{externalAnnotation: nil}), exemption},
		{"the host changes the exemption", host, external, annotated(values{externalAnnotation: "x"}), exemption},
		{"break-glass gives the exemption", breakGlass, lab, annotated(values{externalAnnotation: hostUser}), ""},
		{"the exempted host's floor", host, external, data(values{"block": floor(200), "audit": next}), "row block: a signer writes"},
	}
	for _, kind := range []string{"block", "preattestation", "attestation"} {
		rows, floors := values{kind: row(101, 0, "b"), "audit": next}, data(values{kind: floor(200)})
		who, operators, signers := "row "+kind+" is written by the pod that holds", "row "+kind+": the operator", "row "+kind+": a signer writes"
		tries = append(tries, []try{
			{"the holder signs", holder, lab, signed(rows, values{leaseAnnotation: renewed(lease(holderUID, ""))}), ""},
			{"the holder signs at a higher round", holder, lab, data(values{kind: row(100, 2, "b"), "audit": next}), ""},
			{"the host signs", host, external, data(rows), ""},
			{"the operator raises", operator, lab, floors, ""},
			{"break-glass raises", breakGlass, lab, floors, ""},
			{"break-glass imports", breakGlass, lab, data(values{kind: "200 0 " + strings.Repeat("b", 64) + " -"}), ""},
			{"break-glass adds the row", breakGlass, lone, floors, ""},

			{"an administrator signs", clusterAdmin, lab, data(values{kind: row(101, 0, "b")}), who},
			{"an administrator raises", clusterAdmin, lab, floors, who},
			{"another pod signs", otherPod, lab, data(rows), who},
			{"another pod raises", otherPod, lab, data(values{kind: floor(200)}), who},
			{"the host without the exemption signs", host, lab, data(values{kind: row(101, 0, "b")}), who},
			{"the operator signs", operator, lab, data(values{kind: row(101, 0, "b")}), operators},
			{"the operator imports", operator, lab, data(values{kind: "200 0 " + strings.Repeat("b", 64) + " -"}), operators},
			{"the holder raises", holder, lab, data(values{kind: floor(200), "audit": next}), signers},
			{"the holder imports", holder, lab, data(values{kind: "200 0 " + strings.Repeat("b", 64) + " -", "audit": next}), signers},
			{"the holder adds the row", holder, lone, data(rows), signers},
			{"the holder signs without a line in its log", holder, lab, data(values{kind: row(101, 0, "b")}), moves},
		}...)
		for i := range tries[len(tries)-18:] {
			tries[len(tries)-18+i].what += ", " + kind
		}
	}
	// One kubectl is half a second of a core, and a hundred of them in a row wait mostly.
	lane := make(chan struct{}, 4)
	var all sync.WaitGroup
	for _, try := range tries {
		lane <- struct{}{}
		all.Go(func() {
			defer func() { <-lane }()
			// What goes through is a dry run, so that the next one finds the record as it was.
			err := change(t, try.who, try.record, try.patch, try.rule == "")
			if try.rule != "" {
				mustRefuse(t, try.what, err, try.rule)
			} else if err != nil {
				t.Errorf("%s: %v", try.what, err)
			}
		})
	}
	all.Wait()
}

func testCreation(t *testing.T) {
	record := func(name string, rows map[string]string) string {
		all := map[string]string{"version": "1"}
		maps.Copy(all, rows)
		return marshalled(t, stage.Record{APIVersion: "v1", Kind: "ConfigMap", Metadata: stage.RecordMetadata{Name: name}, Data: all})
	}
	fresh := record(labName("made"), map[string]string{"block": floor(100)})
	const rule = "is made by the operator"
	for who, as := range map[string][]string{"an administrator": clusterAdmin, "a pod": otherPod, "a host": host} {
		mustRefuse(t, who+" creates", asking(t, as, fresh, "create", "-f", "-"), rule)
		mustRefuse(t, who+" applies", asking(t, as, fresh, "apply", "--server-side", "-f", "-"), rule)
		// By this rule, or because the name that is made is not that of a record.
		generated := strings.Replace(fresh, `"name":"`+labName("made"), `"generateName":"`+labName("made")[:62], 1)
		mustRefuse(t, who+" has the name made", asking(t, as, generated, "create", "-f", "-"), "")
	}
	mustRefuse(t, "another name", asking(t, breakGlass, record("watermark-baker-one", nil), "create", "-f", "-"), "expected the name watermark-")
	mustRefuse(t, "the operator makes up a signature", asking(t, operator, record(labName("made"), map[string]string{"block": row(100, 0, "a")}), "create", "-f", "-"), "row block: the operator")
	for who, as := range map[string][]string{"the operator": operator, "break-glass": breakGlass} {
		if err := asking(t, as, fresh, "create", "--dry-run=server", "-f", "-"); err != nil {
			t.Errorf("%s creates: %v", who, err)
		}
	}
	// The namespace has other ConfigMaps, which are nobody's business.
	if err := asking(t, clusterAdmin, record("something-else", nil), "create", "--dry-run=server", "-f", "-"); err != nil {
		t.Error(err)
	}
}

func testDeletion(t *testing.T) {
	name := labRecord(t, "stays", nil)
	const rule = "may delete one, or their namespace"
	namespaces, maps := "/api/v1/namespaces/"+stage.RecordsNamespace, "/api/v1/namespaces/"+stage.RecordsNamespace+"/configmaps"
	for who, as := range map[string][]string{
		"an administrator": clusterAdmin, "the operator": operator, "the holder": holder,
		// Who deletes what is in a namespace that goes, and what is owned by something that went.
		"the namespace controller": {"--as=system:serviceaccount:kube-system:namespace-controller", "--as-group=system:masters"},
		"the garbage collector":    {"--as=system:serviceaccount:kube-system:generic-garbage-collector", "--as-group=system:masters"},
	} {
		mustRefuse(t, who+" deletes", asking(t, as, "", "delete", "configmap", name), rule)
		mustRefuse(t, who+" deletes at once", asking(t, as, "", "delete", "configmap", name, "--force", "--grace-period=0"), rule)
		mustRefuse(t, who+" deletes a collection", asking(t, as, "", "delete", "--raw", maps+"?fieldSelector=metadata.name%3D"+name), rule)
		mustRefuse(t, who+" deletes the namespace", asking(t, as, "", "delete", "namespace", stage.RecordsNamespace, "--wait=false"), rule)
		mustRefuse(t, who+" deletes the namespace, raw", asking(t, as, "", "delete", "--raw", namespaces+"?propagationPolicy=Background"), rule)
	}
	// What the namespace policy looks at cannot be taken away, as a label could.
	label := "kubernetes.io/metadata.name"
	for _, change := range []string{label + "-", label + "=other"} {
		// Whether that is an error or put right by the API server.
		theStage.Cluster.Run(t.Context(), "", "label", "namespace", stage.RecordsNamespace, change, "--overwrite")
	}
	mustRefuse(t, "a row falls after that", change(t, breakGlass, name, data(values{"block": floor(1)}), false), "only rises")
	// A namespace without its finalizer goes at once when it is deleted; so it is not deleted.
	finalizers := func(list ...string) {
		t.Helper()
		var object values
		if err := theStage.Cluster.Get(t.Context(), &object, "namespace", stage.RecordsNamespace); err != nil {
			t.Fatal(err)
		}
		object["spec"] = values{"finalizers": list}
		if err := asking(t, clusterAdmin, marshalled(t, object), "replace", "--raw", namespaces+"/finalize", "-f", "-"); err != nil {
			t.Error(err)
		}
	}
	finalizers()
	mustRefuse(t, "the namespace without a finalizer", asking(t, clusterAdmin, "", "delete", "namespace", stage.RecordsNamespace, "--wait=false"), rule)
	finalizers("kubernetes")

	for what, args := range map[string][]string{"the record": {"configmap", name}, "the namespace": {"namespace", stage.RecordsNamespace}} {
		if err := asking(t, breakGlass, "", append([]string{"delete", "--dry-run=server"}, args...)...); err != nil {
			t.Errorf("break-glass deletes %s: %v", what, err)
		}
	}
	// The group needs no other.
	if err := asking(t, []string{"--as=anybody", "--as-group=tezos-signer:break-glass"}, "", "delete", "configmap", name, "--dry-run=server"); err != nil {
		t.Errorf("the break-glass group alone: %v", err)
	}
}

// The same slip of an administrator by every verb that there is.
func testWays(t *testing.T) {
	name := labRecord(t, "ways", nil)
	const rule = "row block is written by the pod that holds"
	record := func() *stage.Record {
		var record stage.Record
		if err := theStage.Cluster.Get(t.Context(), &record, "configmap", name, "-n", stage.RecordsNamespace); err != nil {
			t.Fatal(err)
		}
		record.Data["block"] = floor(200)
		return &record
	}
	whole := marshalled(t, record())
	partial := marshalled(t, stage.Record{APIVersion: "v1", Kind: "ConfigMap", Metadata: stage.RecordMetadata{Name: name}, Data: map[string]string{"block": floor(200)}})
	patch := marshalled(t, data(values{"block": floor(200)}))
	for what, run := range map[string]func() error{
		"merge patch": func() error {
			return asking(t, clusterAdmin, "", "patch", "configmap", name, "--type=merge", "-p", patch)
		},
		"strategic patch": func() error {
			return asking(t, clusterAdmin, "", "patch", "configmap", name, "--type=strategic", "-p", patch)
		},
		"JSON patch": func() error {
			return asking(t, clusterAdmin, "", "patch", "configmap", name, "--type=json", "-p", `[{"op":"replace","path":"/data/block","value":"`+floor(200)+`"}]`)
		},
		"server-side apply": func() error {
			return asking(t, clusterAdmin, partial, "apply", "--server-side", "--force-conflicts", "-f", "-")
		},
		"replace": func() error { return asking(t, clusterAdmin, whole, "replace", "-f", "-") },
		"raw PUT": func() error {
			return asking(t, clusterAdmin, whole, "replace", "--raw", "/api/v1/namespaces/"+stage.RecordsNamespace+"/configmaps/"+name, "-f", "-")
		},
	} {
		mustRefuse(t, what, run(), rule)
	}
	// Delete-and-create is the deletion's business.
	mustRefuse(t, "forced replace", asking(t, clusterAdmin, whole, "replace", "--force", "-f", "-"), "may delete one")
	// A ConfigMap has no subresource to get past the guard by.
	for _, subresource := range []string{"status", "scale"} {
		err := asking(t, breakGlass, "", "patch", "configmap", name, "--subresource="+subresource, "--type=merge", "-p", patch)
		if err == nil {
			t.Errorf("subresource %s: was let through", subresource)
		}
	}
	if now := record(); now.Metadata.Annotations[leaseAnnotation] != lease(holderUID, "") {
		t.Errorf("the record has changed: %+v", now)
	}
}

// A pod's real token, and one of the same ServiceAccount that is bound to no pod.
func TestThePodsOwnTokenWritesItsRows(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "own-token", octez.Secp256k1)
	pod := applyReady(t, s)
	name := labRecord(t, "own-token", func(record *stage.Record) {
		record.Metadata.Annotations[leaseAnnotation] = lease(pod.Metadata.UID, "")
	})
	access, err := theStage.BenchAccess(t.Context(), pod, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theStage.ClearBench(context.Background(), name) })
	bound := accessFile(t, access)
	token, err := theStage.Cluster.Run(t.Context(), "", "create", "token", pod.Spec.ServiceAccountName, "-n", namespace, "--duration", "10m")
	if err != nil {
		t.Fatal(err)
	}
	unbound := accessFile(t, withToken(t, access, token))

	var record stage.Record
	put := func(kubeconfig string) error {
		return asking(t, []string{"--kubeconfig=" + kubeconfig}, marshalled(t, record), "replace", "--validate=false", "-f", "-")
	}
	if err := theStage.Cluster.Get(t.Context(), &record, "configmap", name, "-n", stage.RecordsNamespace); err != nil {
		t.Fatal(err)
	}
	record.Data["block"], record.Data["audit"] = row(101, 0, "b"), anchor(logID, 8)
	mustRefuse(t, "the same account, no pod", put(unbound), "row block is written by the pod that holds")
	if err := put(bound); err != nil {
		t.Fatalf("the pod's own token: %v", err)
	}
	// Rights by RBAC it has for this record only, and none to patch or delete.
	record.Metadata.Annotations[leaseAnnotation] = lease(otherUID, "")
	mustRefuse(t, "the pod makes another the holder", put(bound), "the lease (annotation")
}

// accessFile writes a kubeconfig for the time of the test.
func accessFile(t *testing.T, kubeconfig string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func withToken(t *testing.T, kubeconfig, token string) string {
	t.Helper()
	var config values
	if err := json.Unmarshal([]byte(kubeconfig), &config); err != nil {
		t.Fatal(err)
	}
	config["users"].([]any)[0].(values)["user"] = values{"token": strings.TrimSpace(token)}
	return marshalled(t, config)
}
