// Which contents a record may have, and who may write each field of it.

package acceptance

import (
	"strings"
	"sync"
	"testing"

	"signer.tezos.io/e2e/fixture"
)

// These hold for everybody, so they are tried with the most powerful.
func testInvalidContents(t *testing.T) {
	name := newTestRecord(t, "becoming", func(record *fixture.Record) { record.Data["ceiling"] = "900" })
	shape := strings.Replace
	was := lease(holderUID, "")
	for _, try := range []struct {
		what  string
		patch values
		rule  string
	}{
		{"an unknown row", dataPatch(values{"endorsement": floor(200)}), "nothing else"},
		{"another version", dataPatch(values{"version": "2"}), "nothing else"},
		{"no version", dataPatch(values{"version": nil}), "nothing else"},
		{"binaryData", values{"binaryData": values{"x": "eA=="}}, "no binaryData"},
		{"immutable", values{"immutable": true}, "no binaryData"},
		{"an owner", values{"metadata": values{"ownerReferences": []any{values{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": otherUID}}}}, "no binaryData"},
		{"a finalizer", values{"metadata": values{"finalizers": []any{"example.com/keep"}}}, "no binaryData"},
		{"an audit of no log", dataPatch(values{"audit": "NetXdQprcVkpaWU 8 " + strings.Repeat("0", 64)}), "row audit: expected"},
		{"no audit", dataPatch(values{"audit": nil}), "cannot be removed or set back"},
		{"an audit before", dataPatch(values{"audit": anchor(logID, 6)}), "cannot be removed or set back"},
		{"another line with the same number", dataPatch(values{"audit": anchor(logID, 7)[:98] + "1"}), "row audit"},
		{"a ceiling of words", dataPatch(values{"ceiling": "none"}), "row ceiling: expected"},
		{"a ceiling beyond every level", dataPatch(values{"ceiling": "2147483648"}), "row ceiling: expected"},
		{"a suspend of words", dataPatch(values{"suspend": "yes"}), "row suspend: expected"},
		{"a lease that is no JSON", annotationsPatch(values{leaseAnnotation: holderUID}), "expected the JSON"},
		{"a lease with spaces", annotationsPatch(values{leaseAnnotation: shape(was, `":`, `": `, -1)}), "expected the JSON"},
		{"a lease with another order", annotationsPatch(values{leaseAnnotation: `{"leaseDurationSeconds":5,` + shape(was, `"leaseDurationSeconds":5,`, "", 1)[1:]}), "expected the JSON"},
		{"a lease with two holders", annotationsPatch(values{leaseAnnotation: shape(was, "}", `,"holderIdentity":"`+otherUID+`"}`, 1)}), "expected the JSON"},
		{"a lease with a holder inside another's name", annotationsPatch(values{leaseAnnotation: shape(was, holderUID, `x\",\"holderIdentity\":\"`+otherUID, 1)}), "expected the JSON"},
		{"a lease after a lease", annotationsPatch(values{leaseAnnotation: was + "\n" + was}), "expected the JSON"},
		{"a lease with more fields", annotationsPatch(values{leaseAnnotation: shape(was, "}", `,"strategy":"x"}`, 1)}), "expected the JSON"},
	} {
		mustRefuse(t, try.what, patchRecord(t, breakGlass, name, try.patch, false), try.rule)
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
			mustRefuse(t, kind+", "+try.what, patchRecord(t, breakGlass, name, dataPatch(values{kind: try.row}), false), try.rule)
		}
	}
	mustRefuse(t, "no data", runAs(t, breakGlass, "", "patch", "configmap", name, "--type=json", "-p", `[{"op":"remove","path":"/data"}]`), "nothing else")
}

func testWritersOfFields(t *testing.T) {
	lab := newTestRecord(t, "writers", nil)
	bare := newTestRecord(t, "bare", func(record *fixture.Record) {
		for _, kind := range []string{"preattestation", "attestation"} {
			delete(record.Data, kind)
		}
		delete(record.Data, "audit")
		delete(record.Metadata.Annotations, leaseAnnotation)
	})
	lone := newTestRecord(t, "lone", func(record *fixture.Record) {
		for _, kind := range []string{"block", "preattestation", "attestation"} {
			delete(record.Data, kind)
		}
	})
	capped := newTestRecord(t, "capped", func(record *fixture.Record) { record.Data["ceiling"], record.Data["suspend"] = "900", "true" })
	bySpec := newTestRecord(t, "by-spec", func(record *fixture.Record) {
		record.Data["suspend"] = "true"
		record.Metadata.Annotations[bySpecAnnotation] = "true"
	})
	named := newTestRecord(t, "named", func(record *fixture.Record) {
		record.Metadata.Annotations[leaseAnnotation] = lease(holderUID, otherUID)
	})
	external := newTestRecord(t, "external", func(record *fixture.Record) { record.Metadata.Annotations[externalAnnotation] = hostUser })

	const (
		leaseRule, preferred, address = "the lease (annotation", "preferredHolder is set by", "requests are forwarded to it"
		othersRule, labels, exemption = "the other annotations", "the labels", "without being the pod that holds the record"
		auditRule, moves              = "row audit is written by the pod that holds", "changes audit too"
		ceiling, lifted               = "row ceiling is set by", "row ceiling is raised or removed only by"
		suspend, byHand               = "row suspend is set and cleared by", "row suspend was set by hand"
	)
	next := anchor(logID, 8)
	taken := func(uid string) values {
		return annotationsPatch(values{leaseAnnotation: withLaterRenewTime(lease(uid, ""))})
	}
	type try struct {
		what   string
		who    []string
		record string
		patch  values
		rule   string // empty: it goes through
	}
	tries := []try{
		// The holder: its rows, audit, lease and address.
		{"the holder's audit alone", holder, lab, dataPatch(values{"audit": next}), ""},
		{"the audit of another process in the pod", holder, lab, dataPatch(values{"audit": anchor(otherLog, 0)}), ""},
		{"the holder renews", holder, lab, taken(holderUID), ""},
		{"the holder lets go", holder, lab, annotationsPatch(values{leaseAnnotation: lease("", ""), addressAnnotation: nil}), ""},
		{"the holder's new address", holder, lab, annotationsPatch(values{addressAnnotation: "[fd00::7]:6733"}), ""},
		{"another pod takes the lease", otherPod, lab, annotationsPatch(values{leaseAnnotation: lease(otherUID, ""), addressAnnotation: "10.0.3.8:6733"}), ""},
		{"a pod takes a lease that nobody had", otherPod, bare, taken(otherUID), ""},
		{"the named one takes it", otherPod, named, annotationsPatch(values{leaseAnnotation: lease(otherUID, otherUID)}), ""},
		{"the named one takes it and clears its name", otherPod, named, taken(otherUID), ""},
		{"the holder lets go for another", holder, named, annotationsPatch(values{leaseAnnotation: lease("", otherUID)}), ""},
		{"a webhook's label and annotation on the holder's write", holder, lab, values{"data": values{"audit": next}, "metadata": values{
			"labels": values{"cost-centre": "7"}, "annotations": values{"example.com/checked": "yes", leaseAnnotation: withLaterRenewTime(lease(holderUID, ""))}}}, ""},
		{"suspend: false taken out by the holder", holder, lab, dataPatch(values{"suspend": "false", "audit": next}), ""},

		{"rows by the holder, with the lease for another", holder, lab, rowsPatch(values{"block": row(101, 0, "b"), "audit": next}, values{leaseAnnotation: lease(otherUID, "")}), "row block is written by the pod that holds"},
		{"rows in the write that takes the lease", otherPod, lab, rowsPatch(values{"block": row(101, 0, "b"), "audit": next}, values{leaseAnnotation: lease(otherUID, "")}), "row block is written by the pod that holds"},
		{"rows in the write that lets go", holder, lab, rowsPatch(values{"block": row(101, 0, "b"), "audit": next}, values{leaseAnnotation: lease("", "")}), "row block is written by the pod that holds"},

		{"another pod's audit", otherPod, lab, dataPatch(values{"audit": next}), auditRule},
		{"an administrator's audit", clusterAdmin, lab, dataPatch(values{"audit": next}), auditRule},
		{"the operator's audit", operator, lab, dataPatch(values{"audit": next}), auditRule},

		// Ceiling and suspend.
		{"the operator's ceiling", operator, lab, dataPatch(values{"ceiling": "900"}), ""},
		{"a break-glass ceiling", breakGlass, lab, dataPatch(values{"ceiling": "900"}), ""},
		{"the operator lowers the ceiling", operator, capped, dataPatch(values{"ceiling": "800"}), ""},
		{"break-glass raises the ceiling", breakGlass, capped, dataPatch(values{"ceiling": "1000"}), ""},
		{"break-glass lifts the ceiling", breakGlass, capped, dataPatch(values{"ceiling": nil}), ""},
		{"an administrator's ceiling", clusterAdmin, lab, dataPatch(values{"ceiling": "900"}), ceiling},
		{"the holder's ceiling", holder, lab, dataPatch(values{"ceiling": "900"}), ceiling},
		{"an administrator lowers the ceiling", clusterAdmin, capped, dataPatch(values{"ceiling": "800"}), ceiling},
		{"the operator raises the ceiling", operator, capped, dataPatch(values{"ceiling": "901"}), lifted},
		{"the operator lifts the ceiling", operator, capped, dataPatch(values{"ceiling": nil}), lifted},
		{"the operator suspends", operator, lab, rowsPatch(values{"suspend": "true"}, values{bySpecAnnotation: "true"}), ""},
		{"the operator lifts what it suspended", operator, bySpec, rowsPatch(values{"suspend": nil}, values{bySpecAnnotation: nil}), ""},
		{"break-glass suspends", breakGlass, lab, dataPatch(values{"suspend": "true"}), ""},
		{"break-glass lifts", breakGlass, capped, dataPatch(values{"suspend": nil}), ""},
		{"an administrator suspends", clusterAdmin, lab, dataPatch(values{"suspend": "true"}), suspend},
		{"an administrator lifts", clusterAdmin, capped, dataPatch(values{"suspend": nil}), suspend},
		{"the holder lifts", holder, capped, dataPatch(values{"suspend": "false"}), suspend},
		{"the operator lifts what was suspended by hand", operator, capped, dataPatch(values{"suspend": nil}), byHand},
		{"the operator lifts it in two ways at once", operator, capped, rowsPatch(values{"suspend": nil}, values{bySpecAnnotation: "true"}), byHand},

		// The lease.
		{"the operator takes the holder out", operator, lab, annotationsPatch(values{leaseAnnotation: lease("", ""), addressAnnotation: nil, ownerAnnotation: nil}), ""},
		{"the operator names a holder", operator, lab, annotationsPatch(values{leaseAnnotation: lease(holderUID, otherUID)}), ""},
		{"the operator takes the name back", operator, named, annotationsPatch(values{leaseAnnotation: lease(holderUID, "")}), ""},
		{"break-glass takes the holder out", breakGlass, lab, annotationsPatch(values{leaseAnnotation: nil}), ""},
		{"the operator makes a holder", operator, lab, taken(otherUID), leaseRule},
		{"an administrator makes a holder", clusterAdmin, lab, taken(otherUID), leaseRule},
		{"an administrator takes the holder out", clusterAdmin, lab, annotationsPatch(values{leaseAnnotation: nil}), leaseRule},
		{"another pod renews", otherPod, lab, taken(holderUID), leaseRule},
		{"another pod takes the holder out", otherPod, lab, annotationsPatch(values{leaseAnnotation: lease("", "")}), leaseRule},
		{"the holder makes another the holder", holder, lab, taken(otherUID), leaseRule},
		{"a pod that has part of the holder's name", asPod(holderUID[:8]), lab, taken(holderUID), leaseRule},
		{"a pod whose token says nothing", asPod(""), lab, annotationsPatch(values{leaseAnnotation: lease("", "")}), leaseRule},
		{"the holder prefers itself", holder, lab, annotationsPatch(values{leaseAnnotation: lease(holderUID, holderUID)}), preferred},
		{"the taker prefers itself", otherPod, lab, annotationsPatch(values{leaseAnnotation: lease(otherUID, otherUID)}), preferred},
		{"the holder prefers itself to the named one", holder, named, annotationsPatch(values{leaseAnnotation: lease(holderUID, holderUID)}), preferred},

		{"an administrator's address", clusterAdmin, lab, annotationsPatch(values{addressAnnotation: "10.0.3.9:6733"}), address},
		{"another pod's address", otherPod, lab, annotationsPatch(values{addressAnnotation: "10.0.3.9:6733"}), address},
		{"the operator's address", operator, lab, annotationsPatch(values{addressAnnotation: "10.0.3.9:6733"}), address},

		// The rest.
		{"the operator's owner", operator, lab, annotationsPatch(values{ownerAnnotation: "bakers/two/" + otherUID}), ""},
		{"the operator's labels", operator, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": "record"}}}, ""},
		{"break-glass labels", breakGlass, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": nil}}}, ""},
		{"an administrator's owner", clusterAdmin, lab, annotationsPatch(values{ownerAnnotation: "bakers/two/" + otherUID}), othersRule},
		{"an administrator's note", clusterAdmin, lab, annotationsPatch(values{"note": "x"}), othersRule},
		{"the holder takes the owner out", holder, lab, annotationsPatch(values{ownerAnnotation: nil}), othersRule},
		{"the holder says that the spec suspended it", holder, lab, annotationsPatch(values{bySpecAnnotation: "true"}), othersRule},
		{"an administrator's label", clusterAdmin, lab, values{"metadata": values{"labels": values{"x": "y"}}}, labels},
		{"an administrator takes a label off", clusterAdmin, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": nil}}}, labels},
		{"the holder changes a label", holder, lab, values{"metadata": values{"labels": values{"app.kubernetes.io/component": "x"}}}, labels},

		// A signer outside the cluster.
		{"the host renews", host, external, taken(holderUID), ""},
		{"the host takes the lease", host, external, taken("a-host"), ""},
		{"the host lets go", host, external, annotationsPatch(values{leaseAnnotation: lease("", "")}), ""},
		{"a pod beside the host", otherPod, external, taken(otherUID), ""},
		{"the host without the exemption", host, lab, taken("a-host"), leaseRule},
		{"another user than the exempted", clusterAdmin, external, taken("a-host"), leaseRule},
		{"the host gives itself the exemption", host, lab, rowsPatch(values{}, values{externalAnnotation: hostUser}), exemption},
		{"the operator gives the exemption", operator, lab, annotationsPatch(values{externalAnnotation: hostUser}), exemption},
		{"the holder takes the exemption back", holder, external, annotationsPatch(values{externalAnnotation: nil}), exemption},
		{"the host changes the exemption", host, external, annotationsPatch(values{externalAnnotation: "x"}), exemption},
		{"break-glass gives the exemption", breakGlass, lab, annotationsPatch(values{externalAnnotation: hostUser}), ""},
		{"the exempted host's floor", host, external, dataPatch(values{"block": floor(200), "audit": next}), "row block: a signer writes"},
	}
	for _, kind := range []string{"block", "preattestation", "attestation"} {
		rows, floors := values{kind: row(101, 0, "b"), "audit": next}, dataPatch(values{kind: floor(200)})
		who, operators, signers := "row "+kind+" is written by the pod that holds", "row "+kind+": the operator", "row "+kind+": a signer writes"
		tries = append(tries, []try{
			{"the holder signs", holder, lab, rowsPatch(rows, values{leaseAnnotation: withLaterRenewTime(lease(holderUID, ""))}), ""},
			{"the holder signs at a higher round", holder, lab, dataPatch(values{kind: row(100, 2, "b"), "audit": next}), ""},
			{"the host signs", host, external, dataPatch(rows), ""},
			{"the operator raises", operator, lab, floors, ""},
			{"break-glass raises", breakGlass, lab, floors, ""},
			{"break-glass imports", breakGlass, lab, dataPatch(values{kind: "200 0 " + strings.Repeat("b", 64) + " -"}), ""},
			{"break-glass adds the row", breakGlass, lone, floors, ""},

			{"an administrator signs", clusterAdmin, lab, dataPatch(values{kind: row(101, 0, "b")}), who},
			{"an administrator raises", clusterAdmin, lab, floors, who},
			{"another pod signs", otherPod, lab, dataPatch(rows), who},
			{"another pod raises", otherPod, lab, dataPatch(values{kind: floor(200)}), who},
			{"the host without the exemption signs", host, lab, dataPatch(values{kind: row(101, 0, "b")}), who},
			{"the operator signs", operator, lab, dataPatch(values{kind: row(101, 0, "b")}), operators},
			{"the operator imports", operator, lab, dataPatch(values{kind: "200 0 " + strings.Repeat("b", 64) + " -"}), operators},
			{"the holder raises", holder, lab, dataPatch(values{kind: floor(200), "audit": next}), signers},
			{"the holder imports", holder, lab, dataPatch(values{kind: "200 0 " + strings.Repeat("b", 64) + " -", "audit": next}), signers},
			{"the holder adds the row", holder, lone, dataPatch(rows), signers},
			{"the holder signs without a line in its log", holder, lab, dataPatch(values{kind: row(101, 0, "b")}), moves},
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
			err := patchRecord(t, try.who, try.record, try.patch, try.rule == "")
			if try.rule != "" {
				mustRefuse(t, try.what, err, try.rule)
			} else if err != nil {
				t.Errorf("%s: %v", try.what, err)
			}
		})
	}
	all.Wait()
}
