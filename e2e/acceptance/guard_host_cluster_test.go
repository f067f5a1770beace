package acceptance

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/ports"
	"signer.tezos.io/e2e/softhsm"
)

// A signer on a host outside the cluster, with its records in it: as break-glass it
// makes one, and it signs when the record exempts its user, no sooner and no longer.
func TestASignerOutsideTheClusterIsExemptedByName(t *testing.T) {
	t.Parallel()
	key := takeKey(t, octezclient.Secp256k1)
	record := fixture.RecordName(key.Parsed())
	signer := newHostSigner(t, key)
	t.Cleanup(func() {
		if err := suite.DeleteRecord(context.Background(), record); err != nil {
			t.Error(err)
		}
	})

	initialise := []string{"watermarks", "initialise", "--level", fmt.Sprint(firstLevel - 1)}
	if text, err := signer.command(t, signer.plain, initialise...).CombinedOutput(); err == nil || !strings.Contains(string(text), "is created by the operator") {
		t.Fatalf("a record is made without break-glass: %v: %s", err, text)
	}
	if text, err := signer.command(t, signer.breakGlass, initialise...).CombinedOutput(); err != nil {
		t.Fatalf("as break-glass: %v: %s", err, text)
	}

	client := signer.serve(t)
	_, err := client.Sign(t.Context(), key.Parsed(), newBlock(t, firstLevel))
	t.Logf("without an exemption: %v", err)
	if err == nil {
		t.Fatal("a signer that is no pod signs without an exemption")
	}
	if err := suite.ExemptSigner(t.Context(), record, hostUser); err != nil {
		t.Fatal(err)
	}
	signs := func(level int32) func() (bool, error) {
		return func() (bool, error) {
			_, err := client.Sign(t.Context(), key.Parsed(), newBlock(t, level))
			return err == nil, nil
		}
	}
	if err := kubectl.Await(t.Context(), 30*time.Second, signs(firstLevel)); err != nil {
		t.Fatalf("with an exemption: %v", err)
	}
	if err := runAs(t, breakGlass, "", "annotate", "configmap", record, externalAnnotation+"-"); err != nil {
		t.Fatal(err)
	}
	if yes, _ := signs(firstLevel + 1)(); yes {
		t.Error("it signs after its exemption was taken back")
	}
	now, err := suite.Record(t.Context(), key.Parsed())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(now.Data["block"], fmt.Sprint(firstLevel, " 0 ")) {
		t.Errorf("the record has %q", now.Data["block"])
	}
}

// hostSigner is tezos-signer on this machine, with the cluster's records.
type hostSigner struct {
	config, plain, breakGlass, nobody, address, admin string
}

func newHostSigner(t *testing.T, key *fixture.Key) *hostSigner {
	t.Helper()
	directory := t.TempDir()
	s := &hostSigner{config: filepath.Join(directory, "signer.yaml"), address: freeAddress(t), admin: freeAddress(t)}
	config, err := yaml.Marshal(values{
		"listen": s.address, "admin": s.admin,
		"hsm":        values{"module": softhsm.Module, "token": suite.Token.Label, "pinFile": suite.Token.PinFile},
		"keys":       []any{values{"publicKey": key.PublicKey, "label": key.Label, "chain": "mainnet"}},
		"watermarks": values{"configMap": values{}},
		"audit":      values{"file": filepath.Join(directory, "audit.log")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	// What docs/record.md shows: the administrator's kubeconfig, acting as somebody else.
	var admin values
	text, err := suite.Cluster.Run(t.Context(), "", "config", "view", "--raw", "--flatten", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfigAs := func(as values) string {
		if err := yaml.Unmarshal([]byte(text), &admin); err != nil {
			t.Fatal(err)
		}
		user := admin["users"].([]any)[0].(values)["user"].(values)
		for field, value := range as {
			user[field] = value
		}
		return accessFile(t, marshalled(t, admin))
	}
	s.plain = kubeconfigAs(values{"as": hostUser, "as-groups": []string{"system:masters"}})
	s.breakGlass = kubeconfigAs(values{"as": hostUser, "as-groups": []string{"tezos-signer:break-glass"}})
	s.nobody = kubeconfigAs(values{"as": hostUser})
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := ports.ReserveAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (s *hostSigner) command(t *testing.T, kubeconfig string, args ...string) *exec.Cmd {
	command := exec.CommandContext(t.Context(), filepath.Join(suite.Checkout, "target/release/tezos-signer"), append(args, "--config", s.config)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "SOFTHSM2_CONF="+suite.Token.ConfigFile())
	return command
}

// serve runs the signer for the time of the test, and waits until it answers.
func (s *hostSigner) serve(t *testing.T) *octezclient.Client {
	t.Helper()
	command := s.command(t, s.plain, "serve")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill() // the test's context has done so already, as a rule
		command.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the signer's log:\n%s", text)
		}
	})
	if err := kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		connection, err := net.Dial("tcp", s.address)
		if err == nil {
			connection.Close()
		}
		return err == nil, nil
	}); err != nil {
		t.Fatalf("the signer does not listen: %v", err)
	}
	return octezclient.NewClient("http://" + s.address)
}
