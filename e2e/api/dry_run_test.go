// The operator on the bare API server: what becomes of parts of pods that only the API
// server knows.

package api

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"signer.tezos.io/e2e/ports"
)

const (
	namespace = "bakers"
	records   = "tezos-signer-records"
	patience  = time.Minute // the machine may be busy
)

func (s *apiServer) startOperator(t *testing.T) {
	t.Helper()
	address, err := ports.ReserveAddress()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(t.TempDir() + "/operator.log")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(s.checkout+"/target/release/tezos-signer-operator", "run", "--signer-image", "registry.example/tezos-signer:1", "--health-address", address)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig())
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatalf("%v: make images builds it", err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the operator: %s", text)
		}
	})
}

// signer is a TezosSigner with that template, whose key has no record yet, and with more fields of the spec; nil: without that one.
func signer(template object, more object) string {
	spec := object{
		"chain":            "mainnet",
		"keys":             []any{object{"publicKey": "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk", "label": "one"}},
		"hsm":              object{"pkcs11": object{"module": "/lib/hsm.so", "token": "t", "pin": object{"secret": "pin", "key": "pin"}}},
		"initialWatermark": object{"level": 15181990, "notAfter": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
		"baker":            object{"template": template},
	}
	for name, value := range more {
		spec[name] = value
		if value == nil {
			delete(spec, name)
		}
	}
	text, _ := json.Marshal(object{
		"apiVersion": "signer.tezos.io/v1alpha1", "kind": "TezosSigner", "metadata": object{"name": "one", "namespace": namespace}, "spec": spec,
	})
	return string(text)
}

// octez is an Octez baker, with more fields of the spec.
func octez(more object) object {
	more["baker"] = object{"octez": object{"image": "x", "nodeEndpoint": "http://node:8732"}}
	return more
}

func template(spec object) object {
	pod := object{"containers": []any{object{"name": "baker", "image": "x"}}}
	for name, value := range spec {
		pod[name] = value
	}
	return object{"spec": pod}
}

func (s *apiServer) await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		yes, seen := done()
		if yes {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("not within %s: %s; there is %s", patience, what, seen)
		}
	}
}

// awaitMessage waits for a condition of the current spec.
func (s *apiServer) awaitMessage(t *testing.T, kind, status, sentence string) {
	t.Helper()
	s.await(t, sentence, func() (bool, string) {
		var found struct {
			Metadata struct{ Generation int64 }
			Status   struct {
				Conditions []struct {
					Type, Status, Reason, Message string
					ObservedGeneration            int64
				}
			}
		}
		text, err := s.Kubectl("", "get", "tezossigner", "one", "-n", namespace, "-o", "json")
		if err != nil || json.Unmarshal([]byte(text), &found) != nil {
			return false, text
		}
		for _, c := range found.Status.Conditions {
			if c.Type == kind && c.Status == status && strings.Contains(c.Message, sentence) && c.ObservedGeneration == found.Metadata.Generation {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", found.Status.Conditions)
	})
}

func (s *apiServer) names(t *testing.T, args ...string) string {
	t.Helper()
	return s.must(t, "", append(append([]string{"get"}, args...), "-o", "name")...)
}

// dryRuns counts those that the API server was asked for.
func (s *apiServer) dryRuns(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(s.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, "dryRun=All") && strings.Contains(line, "fieldManager=tezos-signer-operator") && strings.Contains(line, "ResponseComplete") {
			count++
		}
	}
	return count
}

// settledDryRuns counts them once there have been no more for two seconds: a reconcile that a conflict has ended is
// made again.
func (s *apiServer) settledDryRuns(t *testing.T) int {
	t.Helper()
	for before := s.dryRuns(t); ; {
		time.Sleep(2 * time.Second)
		now := s.dryRuns(t)
		if now == before {
			return now
		}
		before = now
	}
}

func TestPodsAreTriedBeforeAnythingIsWritten(t *testing.T) {
	server.startOperator(t)
	apply := func(manifest string) {
		t.Helper()
		server.must(t, manifest, "apply", "--server-side", "--force-conflicts", "--filename", "-")
	}

	for _, c := range []struct {
		manifest, sentence string
	}{
		// What the API server cannot say of keys.
		{signer(template(nil), object{"keys": []any{object{"publicKey": ofTz4, "sealed": byHSM}}}), "spec.keys[0].sealed: the sealed key was altered or is incomplete"},
		{signer(template(nil), object{"hsm": nil, "awsKms": object{"region": "eu-central-1"}, "keys": []any{object{"publicKey": ofTz4, "sealed": byKMSElsewhere}}}),
			"spec.keys[0].sealed: the key is in eu-west-1, and awsKms.region is eu-central-1"},
		{signer(template(object{"contaienrs": []any{}}), nil), "spec.baker.template.spec.contaienrs: unknown field"},
		{signer(template(object{"restartPolicy": "Never"}), nil), "spec.baker.template.spec.restartPolicy: "},
		// The signer's own stands before it.
		{signer(template(object{"initContainers": []any{object{"name": "wait"}}}), nil), "spec.baker.template.spec.initContainers[0].image: Required value"},
		{signer(template(object{"tolerations": []any{object{"operator": "Is"}}}), nil), "spec.baker.template.spec.tolerations[0]"},
		{signer(template(nil), object{"hsm": object{"pkcs11": object{
			"module": "/lib/hsm.so", "token": "t", "pin": object{"secret": "pin", "key": "pin"},
			"volumes": []any{object{"name": "library", "secrte": object{}}},
		}}}), "secrte"},
		{signer(nil, object{"baker": object{"octez": object{
			"image": "x", "nodeEndpoint": "http://node:8732", "resources": object{"requets": object{}},
		}}}), "spec.baker.octez.resources.requets: unknown field"},
		{signer(nil, octez(object{"placement": object{"affinity": object{"nodeAfinity": object{}}}})), "spec.placement.affinity.nodeAfinity: unknown field"},
		{signer(nil, octez(object{"placement": object{"topologySpreadConstraints": []any{object{
			"maxSkew": -1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway",
		}}}})), "spec.placement.topologySpreadConstraints[0].maxSkew: "},
		{signer(nil, octez(object{"pod": object{"labels": object{"team": "no value"}}})), "spec.pod.labels: Invalid value"},
		{signer(nil, octez(object{"resources": object{"limits": object{"memory": "1Ki"}}})), "spec.resources.requests"},
	} {
		apply(c.manifest)
		server.awaitMessage(t, "Accepted", "False", c.sentence)
		if made := server.names(t, "configmaps,roles", "-n", records, "-l", "app.kubernetes.io/managed-by=tezos-signer-operator"); made != "" {
			t.Errorf("there is %s", made)
		}
		if made := server.names(t, "deployments,serviceaccounts,configmaps", "-n", namespace, "-l", "app.kubernetes.io/managed-by=tezos-signer-operator"); made != "" {
			t.Errorf("there is %s", made)
		}
	}

	// Newer than this release: of Kubernetes 1.34.
	apply(signer(template(object{"hostnameOverride": "as-the-user-said"}), nil))
	server.awaitMessage(t, "Accepted", "True", "")
	if name := server.must(t, "", "get", "deployment", "one", "-n", namespace, "-o", "jsonpath={.spec.template.spec.hostnameOverride}"); name != "as-the-user-said" {
		t.Errorf("hostnameOverride is %q", name)
	}
	generation := server.must(t, "", "get", "deployment", "one", "-n", namespace, "-o", "jsonpath={.metadata.generation}")
	tried := server.settledDryRuns(t)
	// Looked at again, with nothing to change: nothing is asked, and nothing written.
	for i := range 3 {
		server.must(t, "", "annotate", "tezossigner", "one", "-n", namespace, "--overwrite", fmt.Sprintf("reconcile=%d", i))
		time.Sleep(time.Second) // for what must not happen
	}
	if now := server.dryRuns(t); now != tried {
		t.Errorf("%d dry runs in a steady state", now-tried)
	}
	if now := server.must(t, "", "get", "deployment", "one", "-n", namespace, "-o", "jsonpath={.metadata.generation}"); now != generation {
		t.Errorf("the Deployment was changed: %s, %s", generation, now)
	}

	// A template that is broken later keeps nobody from suspending the key.
	apply(signer(template(object{"contaienrs": []any{}}), object{"suspend": true}))
	server.awaitMessage(t, "Accepted", "False", "contaienrs")
	server.await(t, "suspend in the record", func() (bool, string) {
		text := server.must(t, "", "get", "configmaps", "-n", records, "-o", "jsonpath={.items[*].data.suspend}")
		return strings.Contains(text, "true"), text
	})
}
