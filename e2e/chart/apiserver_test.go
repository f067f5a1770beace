package chart

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the chart makes is taken by a real API server, word by word; Helm 4 upgrades what
// Helm 3 installed; the operator's rights are where they should be; and what remembers
// outlives it. A bare API server and etcd of the test's own: no node, so nothing runs.
func TestOnAnAPIServer(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it takes half a minute, and E2E=1")
	}
	server := startAPIServer(t)
	for _, name := range []string{namespace, "monitoring", "bakers", "more-bakers"} {
		server.must(t, "", "create", "namespace", name)
	}
	helm := func(helm string, args ...string) {
		t.Helper()
		if _, err := run(helm, append(args, "--kubeconfig", server.kubeconfig, "--namespace", namespace)...); err != nil {
			t.Fatal(err)
		}
	}
	helm(helms[0], "install", release, directory)

	for _, values := range append(switchFiles(t), everything) {
		// The definition of the PodMonitor is not ours.
		text, err := template(helms[0], "--values", values, "--set", "podMonitor.enabled=false")
		if err != nil {
			t.Fatal(err)
		}
		if output, err := server.kubectl(text, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename", "-"); err != nil {
			t.Errorf("%s: %v: %s", values, err, output)
		}
	}

	watches := func(where string) bool {
		output, err := server.kubectl("", "auth", "can-i", "watch", "tezossigners.signer.tezos.io", "--namespace", where,
			"--as", "system:serviceaccount:"+namespace+":"+release)
		answer := strings.TrimSpace(output)
		if answer != "yes" && answer != "no" {
			t.Fatalf("can-i: %v: %s", err, output)
		}
		return answer == "yes"
	}
	awaitRights := func(bakers, elsewhere bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			inBakers, inDefault := watches("bakers"), watches("default")
			if inBakers == bakers && inDefault == elsewhere {
				return
			}
			if time.Now().After(end) { // the authorizer learns of a change a moment later
				t.Fatalf("the operator may watch in bakers: %v, in default: %v", inBakers, inDefault)
			}
		}
	}
	awaitRights(true, true)
	helm(helms[1], "upgrade", release, directory, "--set-json", `watchNamespaces=["bakers"]`)
	awaitRights(true, false)
	helm(helms[1], "upgrade", release, directory, "--reset-values")
	awaitRights(true, true)

	helm(helms[1], "uninstall", release)
	awaitRights(false, false)
	for _, kept := range []string{
		"customresourcedefinition/tezossigners.signer.tezos.io", "namespace/tezos-signer-records",
		"validatingadmissionpolicy/tezos-signer-records-rise", "validatingadmissionpolicybinding/tezos-signer-records-rise",
	} {
		server.must(t, "", "get", kept)
	}
	helm(helms[1], "install", release, directory)
	awaitRights(true, true)
}

type apiServer struct{ tools, kubeconfig string }

func (s *apiServer) kubectl(stdin string, args ...string) (string, error) {
	command := exec.Command(s.tools+"/kubectl", append([]string{"--kubeconfig", s.kubeconfig}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	output, err := command.CombinedOutput()
	return string(output), err
}

func (s *apiServer) must(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if output, err := s.kubectl(stdin, args...); err != nil {
		t.Fatalf("kubectl %v: %v: %s", args, err, output)
	}
}

// startAPIServer has etcd on a socket in the test's directory, where no other test's can be taken for it.
func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	tools, err := filepath.Abs("../../target/tools")
	if err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp("", "chart-") // short: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	token, port := rand.Text(), freePort(t)
	s := &apiServer{tools: tools, kubeconfig: work + "/kubeconfig"}
	for file, text := range map[string]string{
		"accounts.key": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded})),
		"tokens.csv":   token + `,admin,1,"system:masters"` + "\n",
		"kubeconfig": fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test,
  clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", certificate-authority: %s/certs/apiserver.crt}}],
  users: [{name: test, user: {token: %s}}], contexts: [{name: test, context: {cluster: test, user: test}}]}`, port, work, token),
	} {
		if err := os.WriteFile(filepath.Join(work, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t, work, "etcd", "--data-dir", work+"/etcd",
		"--listen-client-urls", "unix://client.sock:1", "--advertise-client-urls", "unix://client.sock:1",
		"--listen-peer-urls", "unix://peer.sock:1", "--initial-advertise-peer-urls", "unix://peer.sock:1", "--initial-cluster", "default=unix://peer.sock:1")
	ended := s.start(t, work, "kube-apiserver", "--etcd-servers", "unix://client.sock:1",
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port), "--cert-dir", work+"/certs", "--service-cluster-ip-range", "10.250.0.0/24",
		"--service-account-issuer", "https://test", "--service-account-key-file", work+"/accounts.key", "--service-account-signing-key-file", work+"/accounts.key",
		"--authorization-mode", "RBAC", "--token-auth-file", work+"/tokens.csv")
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
		output, err := s.kubectl("", "get", "--raw", "/readyz")
		if err == nil {
			return s
		}
		if time.Now().After(end) || ended.Err() != nil {
			log, _ := os.ReadFile(work + "/kube-apiserver.log")
			t.Fatalf("the API server is not ready: %s\n%s", output, log[max(0, len(log)-2000):])
		}
	}
}

// start runs a component until the test ends; the context ends when it does.
func (s *apiServer) start(t *testing.T, work, component string, args ...string) context.Context {
	t.Helper()
	log, err := os.Create(filepath.Join(work, component+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(s.tools+"/kube", append([]string{component}, args...)...)
	command.Dir, command.Stdout, command.Stderr = work, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this process is killed
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	go func() {
		command.Wait()
		log.Close()
		end()
	}()
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended.Done():
		case <-time.After(10 * time.Second):
			command.Process.Kill()
			<-ended.Done()
		}
	})
	return ended
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
