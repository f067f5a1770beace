// What idle and busy signers ask of the API server, counted in its own audit log.

package cost

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/payload"
)

const (
	auditLease = 3 * time.Second
	renewal    = auditLease / 3
	idlePeriod = 8 * renewal
	votes      = 12
)

func TestAnIdleHolderWritesOnceAPeriodAndASignatureIsOneWrite(t *testing.T) {
	s := newSignerEnv(t, 1)
	holder := s.startPod("holder", int(auditLease.Seconds()), s.Port)
	standby := s.startPod("standby", int(auditLease.Seconds()), s.Port)
	time.Sleep(2 * renewal) // until the standby watches renewals

	began := time.Now()
	time.Sleep(idlePeriod)
	idle := s.requests(began, time.Now())
	printRequests(t, fmt.Sprintf("idle for %v, %d periods of %v", idlePeriod, idlePeriod/renewal, renewal), idle)
	for _, key := range keys {
		record := fixture.RecordName(key)
		periods := int(idlePeriod / renewal)
		for _, check := range []struct {
			pod, verb string
			from, to  int
		}{
			{holder.name, "update", periods - 1, periods + 1},
			{holder.name, "get", 0, 0},
			{holder.name, "watch", 0, 0},
			{standby.name, "update", 0, 0},
			{standby.name, "get", 1, periods + 2}, // one for each change that its watch delivered
			{standby.name, "watch", 0, 1},
		} {
			if n := idle.count(check.pod, check.verb, record); n < check.from || n > check.to {
				t.Errorf("%s: %d × %s of %s, want %d to %d", check.pod, n, check.verb, record, check.from, check.to)
			}
		}
	}

	// Faster than the renewals, so that none of them is due.
	began = time.Now()
	busy := keys[0]
	for i := range votes {
		vote, err := payload.New("attestation", int32(initialLevel+1+i), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.client.Sign(t.Context(), busy, vote); err != nil {
			t.Fatal(err)
		}
		time.Sleep(renewal / 4)
	}
	ended := time.Now()
	signing := s.requests(began, ended)
	printRequests(t, fmt.Sprintf("%d signatures of %s in %v, the other key idle", votes, busy.Hash(), ended.Sub(began).Round(time.Millisecond)), signing)
	if n := signing.count(holder.name, "update", fixture.RecordName(busy)); n != votes {
		t.Errorf("%d signatures were %d writes", votes, n)
	}
	if n := signing.count(holder.name, "get", fixture.RecordName(busy)); n != 0 {
		t.Errorf("the holder read %d times", n)
	}

	s.mustHaveAskedOnlyForRecords()
}

// request is a line of the audit log.
type request struct {
	Stage          string
	Verb           string
	RequestURI     string
	User           struct{ Username string }
	ObjectRef      struct{ Resource, Name, Namespace string }
	Received       time.Time `json:"requestReceivedTimestamp"`
	Annotations    map[string]string
	ResponseStatus struct{ Code int }
}

func (r *request) account() string {
	return strings.TrimPrefix(r.User.Username, "system:serviceaccount:"+namespace+":")
}

type requests []request

func (rs requests) count(account, verb, record string) (n int) {
	for _, r := range rs {
		if r.account() == account && r.Verb == verb && r.ObjectRef.Name == record {
			n++
		}
	}
	return n
}

// unauthorized is how many requests the API server did not know the sender of.
func (s *signerEnv) unauthorized(since time.Time) (n int) {
	for _, r := range s.auditLog() {
		if r.ResponseStatus.Code == http.StatusUnauthorized && r.Received.After(since) {
			n++
		}
	}
	return n
}

// requests are those of signers that came in that time, each once.
func (s *signerEnv) requests(from, to time.Time) (found requests) {
	s.t.Helper()
	for _, r := range s.auditLog() {
		// A watch has a line when it begins, and another one when it ends.
		once := r.Stage == "ResponseStarted" || r.Verb != "watch"
		isSigner := strings.HasPrefix(r.User.Username, "system:serviceaccount:"+namespace+":")
		if once && isSigner && r.Received.After(from) && r.Received.Before(to) {
			if r.ObjectRef.Name == "" { // of a watch it stands in the selector
				_, name, _ := strings.Cut(r.RequestURI, "fieldSelector=metadata.name%3D")
				r.ObjectRef.Name, _, _ = strings.Cut(name, "&")
			}
			found = append(found, r)
		}
	}
	return found
}

func (s *signerEnv) auditLog() (all requests) {
	s.t.Helper()
	log, err := os.Open(s.AuditLog())
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var r request
		if json.Unmarshal(lines.Bytes(), &r) == nil { // the last line may be half written
			all = append(all, r)
		}
	}
	return all
}

// mustHaveAskedOnlyForRecords checks everything that the signers have ever asked.
func (s *signerEnv) mustHaveAskedOnlyForRecords() {
	s.t.Helper()
	all := s.requests(time.Time{}, time.Now())
	watches := 0
	for _, r := range all {
		isRecord := r.ObjectRef.Resource == "configmaps" && r.ObjectRef.Namespace == fixture.RecordsNamespace &&
			(r.ObjectRef.Name == fixture.RecordName(keys[0]) || r.ObjectRef.Name == fixture.RecordName(keys[1]))
		isVerb := r.Verb == "get" || r.Verb == "update" || r.Verb == "watch"
		if !isRecord || !isVerb || r.Annotations["authorization.k8s.io/decision"] != "allow" {
			s.t.Errorf("%s: %s %s: %d, %v", r.account(), r.Verb, r.RequestURI, r.ResponseStatus.Code, r.Annotations)
		}
		if r.Verb == "watch" {
			watches++
		}
	}
	if watches == 0 {
		s.t.Error("there was no watch in the audit log: is it read rightly?")
	}
}

// printRequests says how often each signer asked what of which key.
func printRequests(t *testing.T, title string, all requests) {
	t.Helper()
	table := fmt.Sprintf("%s\n%-10s %-10s %8s %8s %8s\n", title, "signer", "key", "update", "get", "watch")
	for _, account := range []string{"holder", "standby"} {
		for _, key := range keys {
			n := func(verb string) int { return all.count(account, verb, fixture.RecordName(key)) }
			table += fmt.Sprintf("%-10s %-10s %8d %8d %8d\n", account, key.Hash()[:8], n("update"), n("get"), n("watch"))
		}
	}
	t.Log(table)
}
