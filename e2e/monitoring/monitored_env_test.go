// What there is to be watched: an API server with the records of two keys, two
// signers that serve them, and the operator. These are processes beside it, each with
// the labels that its pod would have.

package monitoring

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"signer.tezos.io/e2e/controlplane"
	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/ports"
	"signer.tezos.io/e2e/softhsm"
)

const (
	release      = "tezos-signer-operator"
	system       = "tezos-signer-system"
	initialLevel = 1000
)

type object = map[string]any

type monitoredEnv struct {
	*controlplane.Plane
	t        *testing.T
	dir      string
	token    *softhsm.Token
	keys     []*octezclient.PublicKey
	client   *http.Client // that believes every certificate: who is asked is known here
	signers  []signer
	kms      kmsSigner
	operator string // where its metrics are
	pods     []pod
	level    int32
}

type signer struct{ base, admin string }

// pod is a process as the service discovery of Kubernetes would describe it to Prometheus.
type pod struct {
	namespace, name, address, port string
	labels                         map[string]string
}

var curves = []*octezclient.Curve{octezclient.P256, octezclient.Secp256k1}

// program is what `make images` has built, or what the variable names.
func program(name, variable string) string {
	if named := os.Getenv(variable); named != "" {
		return named
	}
	built, _ := filepath.Abs("../../target/release/" + name)
	return built
}

func newMonitoredEnv(t *testing.T) *monitoredEnv {
	t.Helper()
	s := &monitoredEnv{t: t, dir: t.TempDir(), level: initialLevel}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s.Plane, err = controlplane.Start(t.Context(), checkout, t.TempDir(), 1)
	if s.Plane != nil {
		t.Cleanup(s.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.token, err = softhsm.NewToken(s.dir, "monitoring"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bakers", system, fixture.RecordsNamespace} {
		s.create("/api/v1/namespaces", object{"metadata": object{"name": name}})
	}
	for _, curve := range curves {
		s.addKey(curve)
	}
	s.writeCertificates()
	for _, name := range []string{"signers-a", "signers-b"} {
		s.startSigner(name)
	}
	s.startKMSSigner()
	s.startOperator()
	return s
}

func (s *monitoredEnv) create(path string, body object) {
	s.t.Helper()
	if _, err := s.Do(s.t.Context(), http.MethodPost, path, body); err != nil {
		s.t.Fatal(err)
	}
}

// addKey makes a key in the token, and its record.
func (s *monitoredEnv) addKey(curve *octezclient.Curve) {
	s.t.Helper()
	config := s.write("hsm.json", object{"hsm": s.hsm()})
	text, err := exec.Command(program("tezos-signer", "TEZOS_SIGNER"), "keys", "generate", "--config", config,
		"--label", curve.Name, "--curve", curve.Name, "--output", "json").Output()
	if err != nil {
		s.t.Fatalf("tezos-signer keys generate: %v (make images builds it)", err)
	}
	var made struct{ PublicKey string }
	if err := json.Unmarshal(text, &made); err != nil {
		s.t.Fatal(err)
	}
	key, err := octezclient.ParsePublicKey(made.PublicKey)
	if err != nil {
		s.t.Fatal(err)
	}
	s.keys = append(s.keys, key)
	s.addRecord(key)
}

func (s *monitoredEnv) addRecord(key *octezclient.PublicKey) {
	s.t.Helper()
	floor := fmt.Sprint(initialLevel, " 2147483647 - -")
	s.create("/api/v1/namespaces/"+fixture.RecordsNamespace+"/configmaps", object{
		"metadata": object{"name": fixture.RecordName(key)},
		"data":     object{"version": "1", "block": floor, "preattestation": floor, "attestation": floor},
	})
}

func (s *monitoredEnv) hsm() object {
	return object{"module": softhsm.Module, "token": s.token.Label, "pinFile": s.token.PinFile, "sessions": 2}
}

func (s *monitoredEnv) write(name string, content any) string {
	s.t.Helper()
	text, isText := content.([]byte)
	if !isText {
		var err error
		if text, err = json.Marshal(content); err != nil {
			s.t.Fatal(err)
		}
	}
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// writeCertificates writes ca.crt, and tls.crt with tls.key for all replicas.
func (s *monitoredEnv) writeCertificates() {
	s.t.Helper()
	must := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(0, 3, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "signers"}, NotBefore: authority.NotBefore,
		NotAfter: authority.NotAfter, DNSNames: []string{"signers"}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	must(err)
	s.write("ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	signed, err = x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), key)
	must(err)
	s.write("tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	s.write("tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (s *monitoredEnv) startSigner(name string) {
	s.t.Helper()
	var keys []object
	for i, key := range s.keys {
		keys = append(keys, object{"publicKey": key.String(), "label": curves[i].Name, "chain": "NetXdQprcVkpaWU"})
	}
	s.signers = append(s.signers, s.runSigner(name, "signers", object{"hsm": s.hsm(), "keys": keys}))
}

// runSigner starts a pod of that TezosSigner, with more in its configuration.
func (s *monitoredEnv) runSigner(name, tezosSigner string, more object) signer {
	s.t.Helper()
	certificate := object{"certificateFile": s.dir + "/tls.crt", "privateKeyFile": s.dir + "/tls.key"}
	ofPeers := object{"certificateFile": s.dir + "/tls.crt", "privateKeyFile": s.dir + "/tls.key", "caFile": s.dir + "/ca.crt"}
	configuration := object{
		"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "tls": certificate, "peer": object{"listen": "127.0.0.1:0", "tls": ofPeers},
		"watermarks": object{"configMap": object{"leaseDurationSeconds": 5}},
	}
	maps.Copy(configuration, more)
	config := s.write(name+".json", configuration)
	log := s.start(name, program("tezos-signer", "TEZOS_SIGNER"), []string{"serve", "--config", config}, "POD_UID="+name, "POD_IP=127.0.0.1")
	one := signer{}
	s.eventually(name+" is ready", func() bool {
		one = signer{base: "https://" + listening(log, "listen"), admin: "http://" + listening(log, "admin")}
		_, status := s.get(one.admin + "/readyz")
		return status == http.StatusOK
	})
	s.pods = append(s.pods, pod{"bakers", name, one.admin, "signer-admin", map[string]string{
		"app.kubernetes.io/name": "tezos-signer", "app.kubernetes.io/managed-by": "tezos-signer-operator", "app.kubernetes.io/instance": tezosSigner,
	}})
	return one
}

// startOperator starts it with two TezosSigners: one that it deploys, whose pods nobody makes here, and a paused one.
func (s *monitoredEnv) startOperator() {
	s.t.Helper()
	if _, err := s.Kubectl("", "apply", "--server-side", "--filename", "../../crds"); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("the API server knows TezosSigners", func() bool {
		_, err := s.Do(s.t.Context(), http.MethodGet, "/apis/signer.tezos.io/v1alpha1/tezossigners", nil)
		return err == nil
	})
	for name, annotations := range map[string]object{"baker-one": nil, "paused": {"signer.tezos.io/paused": "true"}} {
		s.create("/apis/signer.tezos.io/v1alpha1/namespaces/bakers/tezossigners", object{
			"apiVersion": "signer.tezos.io/v1alpha1", "kind": "TezosSigner",
			"metadata": object{"name": name, "annotations": annotations},
			"spec": object{
				"chain": "mainnet", "keys": []object{{"publicKey": s.keys[0].String(), "label": "baker"}},
				"hsm":              object{"pkcs11": object{"module": softhsm.Module, "token": "baker", "pin": object{"secret": "pin", "key": "pin"}}},
				"initialWatermark": object{"fresh": true, "notAfter": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
				"service":          object{"replicas": 1, "unauthenticated": true},
			},
		})
	}
	address, err := ports.ReserveAddress()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start("operator", program("tezos-signer-operator", "TEZOS_SIGNER_OPERATOR"), []string{"run", "--signer-image", "none", "--health-address", address})
	s.operator = "http://" + address
	s.eventually("the operator is ready", func() bool {
		_, status := s.get(s.operator + "/readyz")
		return status == http.StatusOK
	})
	s.pods = append(s.pods, pod{system, "operator", s.operator, "health", map[string]string{
		"app.kubernetes.io/name": "tezos-signer-operator", "app.kubernetes.io/instance": release,
	}})
}

// triggerReconcile annotates a TezosSigner, because the operator reconciles nothing while nothing changes.
func (s *monitoredEnv) triggerReconcile() {
	s.t.Helper()
	annotation := fmt.Sprintf("tezos-signer-e2e/woken=%d", time.Now().UnixNano())
	if _, err := s.Kubectl("", "annotate", "--overwrite", "tezossigner/baker-one", "--namespace", "bakers", annotation); err != nil {
		s.t.Fatal(err)
	}
}

// start starts a program that ends with the test, and returns the file with its log.
func (s *monitoredEnv) start(name, program string, args []string, environment ...string) string {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(program, args...)
	command.Env = append(append(os.Environ(), "KUBECONFIG="+s.Kubeconfig()), environment...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
		if s.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			s.t.Logf("the log of %s: %s", name, text[max(0, len(text)-3000):])
		}
	})
	return log.Name()
}

// listening is where the listener of that field of the configuration is.
func listening(file, field string) string {
	log, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct{ Message, Field, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" && line.Field == field {
			return line.Address
		}
	}
	return ""
}

// ask asks a signer for one signature, and returns the status.
func (s *monitoredEnv) ask(one signer, key *octezclient.PublicKey, payload []byte) int {
	s.t.Helper()
	body := bytes.NewBufferString(fmt.Sprintf("%q", hex.EncodeToString(payload)))
	response, err := s.client.Post(one.base+"/keys/"+key.Hash(), "application/json", body)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// signOnce asks both signers for what a baker asks for, and one of them for another block.
func (s *monitoredEnv) signOnce() {
	s.t.Helper()
	for _, key := range s.keys {
		s.level++
		for _, kind := range payload.Kinds {
			wanted, err := payload.New(kind, s.level, 0)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, one := range s.signers {
				s.ask(one, key, wanted)
			}
			s.ask(s.kms.signer, s.kms.key, wanted)
			if kind == "block" {
				s.ask(s.signers[0], key, payload.AnotherBlock(wanted))
			}
		}
	}
}

func (s *monitoredEnv) get(url string) (string, int) {
	response, err := s.client.Get(url)
	if err != nil {
		return "", 0
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", 0
	}
	return string(text), response.StatusCode
}

// eventually polls: the machine may be busy.
func (s *monitoredEnv) eventually(what string, is func() bool) {
	s.t.Helper()
	for until := time.Now().Add(90 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}
