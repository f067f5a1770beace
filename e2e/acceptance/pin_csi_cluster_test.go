package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

const (
	pinDriver = "secrets-store.csi.k8s.io"
	pinFile   = "/run/secrets/hsm/pin" // of the signer's container
	// A mount that fails is tried again after a time that doubles, up to two minutes.
	mountTimeout = 4 * time.Minute
)

// The PIN comes by a CSI driver, to the signer and not to the baker. No driver, no SecretProviderClass, no secret: each is named in the
// status with what to do, and mended without a new pod. A wrong PIN is replaced where it is kept, and the next login of the same process
// works; so does that of a later process.
func TestThePINComesByCSI(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSigner(t, "pin-csi", octezclient.P256)
	class := s.Name + "-pin"
	text := editedManifest(t, s, func(_, spec map[string]any) {
		spec["hsm"].(map[string]any)["pkcs11"].(map[string]any)["pin"] = map[string]any{
			"csi": map[string]any{"driver": pinDriver, "volumeAttributes": map[string]any{"secretProviderClass": class}},
			"key": "pin",
		}
	})
	if err := suite.Cluster.Apply(ctx, text); err != nil {
		t.Fatal(err)
	}
	pod := awaitAnyPod(t, s)
	awaitComplaint(t, s, "install "+pinDriver+", or see why its pod on the node local is not ready")

	driver := startPINDriver(t, s)
	awaitComplaint(t, s, "create the SecretProviderClass "+class+" in the namespace "+namespace)

	// The example of the documentation, for this TezosSigner.
	example, err := os.ReadFile(filepath.Join(suite.Checkout, "deploy/pin/secret-provider-class.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := strings.NewReplacer("baker-one-pin", class, "namespace: bakers", "namespace: "+namespace, "baker-one/hsm-pin", s.Name+"/hsm-pin").Replace(string(example))
	t.Cleanup(func() {
		suite.Cluster.Run(context.Background(), "", "delete", "secretproviderclass", class, "-n", namespace, "--ignore-not-found")
	})
	if err := suite.Cluster.Apply(ctx, manifest); err != nil {
		t.Fatal(err)
	}
	awaitComplaint(t, s, "correct the SecretProviderClass "+class+", or what the ServiceAccount "+s.Name+"-signer may read")

	driver.keep(t, "wrong-pin")
	if complaint := awaitComplaint(t, s, "PIN"); strings.Contains(complaint, "wrong-pin") {
		t.Errorf("the status has the PIN: %s", complaint)
	}
	pin, err := os.ReadFile(suite.Token.PinFile)
	if err != nil {
		t.Fatal(err)
	}
	driver.keep(t, string(pin))
	if err := suite.Cluster.AwaitReady(ctx, namespace, s.Name, mountTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	test := &pinTest{t: t, signer: s, pod: pod, level: firstLevel}
	test.signs("with the PIN that was replaced")
	test.onlyTheSignerHas(pin)

	// The next process reads what is there then.
	another := append(bytes.TrimRight(pin, "\n"), '\n', '\n')
	driver.keep(t, string(another))
	before := signerContainer(t, pod.Metadata.Name)
	if err := kubectl.Await(ctx, time.Minute, func() (bool, error) {
		now, err := os.ReadFile(inContainer(t, before, pinFile))
		return bytes.Equal(now, another), err
	}); err != nil {
		t.Fatalf("the file in the pod does not follow the secret: %v", err)
	}
	if err := signalContainer(t, before, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if err := kubectl.Await(ctx, time.Minute, func() (bool, error) { return signerContainer(t, pod.Metadata.Name) != before, nil }); err != nil {
		t.Fatalf("the signer that was killed is not started again: %v", err)
	}
	if err := suite.Cluster.AwaitReady(ctx, namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	test.signs("by the next process")
	if seen := seenOf(t, pod) + seenOfAll(t); strings.Contains(seen, "wrong-pin") {
		t.Error("the wrong PIN is seen")
	}
}

// awaitComplaint waits until the status says that.
func awaitComplaint(t *testing.T, s *fixture.Signer, text string) (complaint string) {
	t.Helper()
	begin := time.Now()
	err := kubectl.Await(t.Context(), mountTimeout, func() (bool, error) {
		complaint = awaitNotReady(t, s.Name, mountTimeout)
		return strings.Contains(complaint, text), nil
	})
	if err != nil {
		t.Fatalf("the status does not say %q: %s", text, complaint)
	}
	t.Logf("after %s: %s", time.Since(begin).Round(time.Second), complaint)
	return complaint
}

type pinTest struct {
	t      *testing.T
	signer *fixture.Signer
	pod    *kubectl.Pod // the first, and the only one
	level  int32
}

func (p *pinTest) signs(when string) {
	p.t.Helper()
	for _, pod := range pods(p.t, p.signer.Name) {
		if pod.Metadata.UID != p.pod.Metadata.UID {
			p.t.Errorf("%s: pod %s is new", when, pod.Metadata.Name)
		}
	}
	vote, err := payload.New("attestation", p.level, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.level++
	client := clientInPod(p.t, signerContainer(p.t, p.pod.Metadata.Name))
	if _, err := client.Sign(p.t.Context(), p.signer.Keys[0].Parsed(), vote); err != nil {
		p.t.Errorf("%s: %v", when, err)
	}
}

// onlyTheSignerHas looks into the containers as the node sees them, and at their mounts.
func (p *pinTest) onlyTheSignerHas(pin []byte) {
	p.t.Helper()
	for name, has := range map[string]bool{"signer": true, "baker": false} {
		container := containerOf(p.t, p.pod.Metadata.Name, name)
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", firstProcessOf(p.t, container)))
		if err != nil {
			p.t.Fatal(err)
		}
		if strings.Contains(string(mounts), " /run/secrets/hsm ") != has {
			p.t.Errorf("the mounts of %s: %s", name, mounts)
		}
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, " /run/secrets/hsm ") && !strings.Contains(line, " ro,") {
				p.t.Errorf("%s may write to %s", name, line)
			}
		}
		content, err := os.ReadFile(inContainer(p.t, container, pinFile))
		if has && (err != nil || !bytes.Equal(content, pin)) || !has && err == nil {
			p.t.Errorf("the PIN in %s: %v", name, err)
		}
	}
}

// inContainer is a file of a container, for this machine.
func inContainer(t *testing.T, container, file string) string {
	t.Helper()
	return fmt.Sprintf("/proc/%d/root%s", firstProcessOf(t, container), file)
}

// pinDriverProcess is e2e/csi-driver on the node, with one secret.
type pinDriverProcess struct{ secret string }

// keep replaces the secret as a whole, for whoever reads it meanwhile.
func (d *pinDriverProcess) keep(t *testing.T, pin string) {
	t.Helper()
	if err := os.WriteFile(d.secret+".new", []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.secret+".new", d.secret); err != nil {
		t.Fatal(err)
	}
}

// startPINDriver runs the driver until the pods of the TezosSigner are gone: without it, they could not end.
func startPINDriver(t *testing.T, s *fixture.Signer) *pinDriverProcess {
	t.Helper()
	if err := suite.Cluster.Apply(t.Context(), pinDriverObjects); err != nil {
		t.Fatal(err)
	}
	name := "pins-" + s.Name
	secrets := filepath.Join(suite.Checkout, "target/cluster", name) // on the node: /run/cluster
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	driver := exec.Command(filepath.Join(suite.Checkout, "target/tools/cluster"), "exec", "/run/tools/csi-driver",
		"--secrets", "/run/cluster/"+name, "--kubeconfig", "/run/cluster/kubeconfig", "--account", "kube-system:"+fixture.PINProvider)
	driver.Stdout, driver.Stderr = log, log
	input, err := driver.StdinPipe() // it ends with it
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		deleteSigner(t, s.Name)
		if _, err := suite.Cluster.Run(context.Background(), "", "wait", "pod", "-n", namespace, "--for=delete", "--timeout=90s",
			"--selector=app.kubernetes.io/instance="+s.Name); err != nil {
			t.Error(err)
		}
		input.Close()
		if err := driver.Wait(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log)
		}
		os.RemoveAll(secrets)
		suite.Cluster.Run(context.Background(), "", "delete", "csidriver", pinDriver, "--ignore-not-found")
	})
	return &pinDriverProcess{secret: filepath.Join(secrets, "hsm-pin")}
}

// The objects that the charts of the driver and of AWS' provider install and that this test needs.
const pinDriverObjects = `
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: ` + pinDriver + `}
spec: {podInfoOnMount: true, attachRequired: false, volumeLifecycleModes: [Ephemeral]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: secretproviderclasses.secrets-store.csi.x-k8s.io}
spec:
  group: secrets-store.csi.x-k8s.io
  scope: Namespaced
  names: {kind: SecretProviderClass, listKind: SecretProviderClassList, plural: secretproviderclasses, singular: secretproviderclass}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              provider: {type: string}
              parameters: {type: object, additionalProperties: {type: string}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ` + fixture.PINProvider + `}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
- {apiGroups: [""], resources: [serviceaccounts, pods, nodes], verbs: [get]}
- {apiGroups: [secrets-store.csi.x-k8s.io], resources: [secretproviderclasses], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ` + fixture.PINProvider + `}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ` + fixture.PINProvider + `}
subjects: [{kind: ServiceAccount, namespace: kube-system, name: ` + fixture.PINProvider + `}]
`
