// Where signers run: an API server with the records of both keys, and a
// ServiceAccount for each signer that may do what the operator's Roles allow:
// get, watch and update these records by name.

package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/controlplane"
	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
)

const (
	namespace    = "bakers" // of the signers
	initialLevel = 1000
)

type signerEnv struct {
	*controlplane.Plane
	t *testing.T
}

// newSignerEnv starts an API server with these flags. Everything ends with the test.
func newSignerEnv(t *testing.T, members int, flags ...string) *signerEnv {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), checkout, t.TempDir(), members, flags...)
	if plane != nil {
		t.Cleanup(plane.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &signerEnv{plane, t}
	for _, name := range []string{namespace, fixture.RecordsNamespace} {
		s.create("/api/v1/namespaces", object{"metadata": object{"name": name}})
	}
	var names []string
	for _, key := range keys {
		names = append(names, fixture.RecordName(key))
		s.createRecord(key)
	}
	s.create(rbac+"/roles", object{"metadata": object{"name": "signer"}, "rules": []object{{
		"apiGroups": []string{""}, "resources": []string{"configmaps"}, "resourceNames": names, "verbs": []string{"get", "watch", "update"},
	}}})
	return s
}

const (
	rbac    = "/apis/rbac.authorization.k8s.io/v1/namespaces/" + fixture.RecordsNamespace
	records = "/api/v1/namespaces/" + fixture.RecordsNamespace + "/configmaps"
)

func (s *signerEnv) createRecord(key *octezclient.PublicKey) {
	floor := fmt.Sprint(initialLevel, " 2147483647 - -")
	s.create(records, object{"metadata": object{"name": fixture.RecordName(key)}, "data": object{
		"version": "1", "block": floor, "preattestation": floor, "attestation": floor,
	}})
}

// addSigner makes a ServiceAccount with the signers' rights.
func (s *signerEnv) addSigner(name string) {
	s.create("/api/v1/namespaces/"+namespace+"/serviceaccounts", object{"metadata": object{"name": name}})
	s.create(rbac+"/rolebindings", object{
		"metadata": object{"name": name},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "signer"},
		"subjects": []object{{"kind": "ServiceAccount", "name": name, "namespace": namespace}},
	})
}

// newToken makes a token of a ServiceAccount. It is revoked when the Secret of that name is deleted.
func (s *signerEnv) newToken(account, secret string) string {
	s.create("/api/v1/namespaces/"+namespace+"/secrets", object{"metadata": object{"name": secret}})
	var made struct{ Status struct{ Token string } }
	answer := s.create("/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token", object{"spec": object{
		"expirationSeconds": 600, "boundObjectRef": object{"apiVersion": "v1", "kind": "Secret", "name": secret},
	}})
	if err := json.Unmarshal(answer, &made); err != nil {
		s.t.Fatal(err)
	}
	return made.Status.Token
}

func (s *signerEnv) create(path string, body object) []byte {
	s.t.Helper()
	answer, err := s.Do(s.t.Context(), http.MethodPost, path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s *signerEnv) delete(path string) {
	s.t.Helper()
	if _, err := s.Do(context.Background(), http.MethodDelete, path, nil); err != nil {
		s.t.Fatal(err)
	}
}

type lease struct {
	HolderIdentity    string
	LeaderTransitions int
}

// record is what the API server has of a key: its rows and its lease.
func (s *signerEnv) record(key *octezclient.PublicKey) (map[string]string, lease) {
	s.t.Helper()
	answer, err := s.Do(s.t.Context(), http.MethodGet, records+"/"+fixture.RecordName(key), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	var record fixture.Record
	var held lease
	if err := json.Unmarshal(answer, &record); err != nil {
		s.t.Fatal(err)
	}
	if text := record.Metadata.Annotations["control-plane.alpha.kubernetes.io/leader"]; text != "" {
		if err := json.Unmarshal([]byte(text), &held); err != nil {
			s.t.Fatal(err)
		}
	}
	return record.Data, held
}

func (s *signerEnv) mustHaveRow(key *octezclient.PublicKey, kind, signature string) {
	s.t.Helper()
	if rows, _ := s.record(key); !strings.HasSuffix(rows[kind], " "+signature) {
		s.t.Errorf("%s: row %s is %q, and the last signature that was given is %s", key.Hash(), kind, rows[kind], signature)
	}
}

// eventually polls: the machine may be busy.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
