package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The program as it runs on the node: a kubeconfig, sockets in the kubelet's directories, a real mount, which no other process of this
// machine sees, and an end with its standard input.
func TestTheProgram(t *testing.T) {
	if exec.Command("unshare", "--mount", "true").Run() != nil {
		t.Skip("not run: it needs root")
	}
	root, err := os.MkdirTemp("", "csi") // a short path: those of sockets are limited
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(root) })
	cluster := &apiServer{classes: map[string]map[string]string{"pin": {
		"usePodIdentity": "true", "objects": "- {objectName: pin, objectType: secretsmanager}",
	}}}
	server := httptest.NewTLSServer(cluster)
	t.Cleanup(server.Close)
	must(t, os.WriteFile(filepath.Join(root, "kubeconfig"), []byte(kubeconfigOf(t, server)), 0o600))
	must(t, os.WriteFile(filepath.Join(root, "pin"), []byte("user:old"), 0o600))
	program := filepath.Join(root, "csi-driver")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatal(string(output))
	}
	driver := exec.Command("unshare", "--mount", program, "--kubelet", root, "--secrets", root, "--kubeconfig", filepath.Join(root, "kubeconfig"),
		"--account", "kube-system:provider", "--rotation-poll-interval", "50ms")
	driver.Stderr = os.Stderr
	input, err := driver.StdinPipe()
	must(t, err)
	must(t, driver.Start())
	t.Cleanup(func() { driver.Process.Kill() })

	socket := filepath.Join(root, "plugins", driverName, "csi.sock")
	registration := filepath.Join(root, "plugins_registry", driverName+"-reg.sock")
	await(t, "the sockets", func() bool {
		for _, socket := range []string{socket, registration} {
			if _, err := os.Stat(socket); err != nil {
				return false
			}
		}
		return true
	})
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { connection.Close() })
	client := csi.NewNodeClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	target := filepath.Join(root, "pods/uid/volumes/kubernetes.io~csi/signer-pin/mount")
	_, err = client.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId: "csi-1", TargetPath: target, Readonly: true, VolumeCapability: &csi.VolumeCapability{},
		VolumeContext: map[string]string{"secretProviderClass": "pin", isEphemeral: "true", ofPod: "baker-one-x", ofNamespace: "bakers", ofAccount: "baker-one-signer"},
	})
	must(t, err)
	inside := fmt.Sprintf("/proc/%d/root%s/pin", driver.Process.Pid, target)
	has := func(want string) func() bool {
		return func() bool {
			text, err := os.ReadFile(inside)
			return err == nil && string(text) == want
		}
	}
	await(t, "the PIN", has("user:old"))
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 0 {
		t.Errorf("it is not in a mount of its own: %v, %v", entries, err)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", driver.Process.Pid))
	must(t, err)
	if !strings.Contains(string(mounts), " "+target+" rw,nosuid,nodev,noexec") {
		t.Errorf("the mount is not there:\n%s", mounts)
	}
	must(t, os.WriteFile(filepath.Join(root, "pin"), []byte("user:new"), 0o600))
	await(t, "the new PIN", has("user:new"))
	_, err = client.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: "csi-1", TargetPath: target})
	must(t, err)
	if _, err := os.Stat(target); err == nil {
		t.Error("the directory is still there")
	}

	must(t, input.Close())
	must(t, driver.Wait())
	for _, socket := range []string{socket, registration} {
		if _, err := os.Stat(socket); err == nil {
			t.Errorf("%s is still there: the kubelet would ask it", socket)
		}
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

// kubeconfigOf is in the form of e2e/cluster.
func kubeconfigOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	own, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	encode := func(kind string, bytes []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: local
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: "admin"
  user: {client-certificate-data: %s, client-key-data: %s}
`, server.URL, encode("CERTIFICATE", server.Certificate().Raw), encode("CERTIFICATE", own), encode("PRIVATE KEY", private))
}
