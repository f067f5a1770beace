package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// A StatefulSet in the shape of the tezos-k8s chart (several containers, init containers, a ServiceAccount of its own, a headless Service) gets its signer by
// a label. Of two replicas one signs, and the other takes over. A changed TezosSigner comes with the next pod, and without the label the next
// pod has no signer.
func TestASignerIsInjectedIntoAStatefulSet(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "injected", octezclient.P256)
	w := injectedWorkload(t, s)
	w.apply("1", true)
	signer := func(level string) {
		t.Helper()
		if err := suite.Cluster.Apply(t.Context(), w.tezosSigner(level)); err != nil {
			t.Fatal(err)
		}
	}
	signer("info")
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	first := w.awaitReady(0, "")
	key := s.Keys[0].Parsed()
	if _, err := clientInPod(t, signerContainer(t, first.Metadata.Name)).Sign(t.Context(), key, newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}
	checkNoSecretVisible(t, first.Metadata.Name, bakersVolume)
	w.awaitCondition("SidecarCurrent", "True", "pod "+first.Metadata.Name+" has the present sidecar")

	// The second replica waits until the first one is gone.
	w.apply("2", true)
	second := w.awaitSigner(1)
	inside := clientInPod(t, signerContainer(t, second))
	if _, err := inside.RequestOnce(t.Context(), key, newBlock(t, firstLevel+1)); !refusedWith(err, 502) {
		t.Errorf("the signer that waits: %v", err)
	}
	if ready := w.ready(0); ready == nil || w.ready(1) != nil {
		t.Error("the baker of the second replica runs, although its signer waits")
	}
	signer("debug")
	w.awaitCondition("SidecarCurrent", "False", "kubectl delete pod")
	run(t, "-n", namespace, "delete", "pod", first.Metadata.Name, "--wait=false")
	begin := time.Now()
	took := timeToSignature(t, inside, key, "block", firstLevel+2, begin, time.Minute)
	t.Logf("the second replica signs %s after the deletion of the first one", took.Round(time.Millisecond))
	w.awaitReady(1, "")

	run(t, "-n", namespace, "delete", "pod", second, "--wait=false")
	last := w.awaitReady(0, first.Metadata.UID)
	w.awaitCondition("SidecarCurrent", "True", "")
	if _, err := clientInPod(t, signerContainer(t, last.Metadata.Name)).Sign(t.Context(), key, newBlock(t, firstLevel+1000)); err != nil {
		t.Error(err)
	}

	// Without the label.
	w.apply("1", false)
	without := w.awaitReady(0, last.Metadata.UID)
	if names := run(t, "-n", namespace, "get", "pod", without.Metadata.Name, "-o", "jsonpath={.spec.initContainers[*].name}"); names != "config-init" {
		t.Errorf("without the label it has the init containers %s", names)
	}
	w.awaitCondition("Ready", "False", "no pod has the label signer.tezos.io/inject: "+s.Name)
}

// bakersVolume is what the containers of the StatefulSet mount.
const bakersVolume = "var-volume"

// injected is a StatefulSet whose pods may have a sidecar.
type injected struct {
	t      *testing.T
	signer *fixture.Signer
	player string
}

func injectedWorkload(t *testing.T, s *fixture.Signer) *injected {
	t.Helper()
	player, err := fixture.Image(suite.Checkout, "octez-player")
	if err != nil {
		t.Fatal(err)
	}
	w := &injected{t, s, player}
	t.Cleanup(func() {
		if _, err := suite.Cluster.Run(context.Background(), "", "delete", "statefulset,service,serviceaccount", s.Name, "-n", namespace, "--ignore-not-found", "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	return w
}

// tezosSigner is the manifest of the TezosSigner, whose signer logs with that level.
func (w *injected) tezosSigner(level string) string {
	w.t.Helper()
	return editedManifest(w.t, w.signer, func(_, spec map[string]any) {
		delete(spec, "baker")
		spec["inject"] = map[string]any{"serviceAccountName": w.signer.Name}
		spec["env"] = []any{map[string]any{"name": "RUST_LOG", "value": level}}
	})
}

// apply applies the workload with that many replicas, with the label or without it.
func (w *injected) apply(replicas string, labelled bool) {
	w.t.Helper()
	label := ""
	if labelled {
		label = ", signer.tezos.io/inject: " + w.signer.Name
	}
	manifest := strings.NewReplacer("NAME", w.signer.Name, "REPLICAS", replicas, "LABEL", label, "IMAGE", w.player).Replace(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {clusterIP: None, selector: {app: NAME}, ports: [{port: 8732}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  replicas: REPLICAS
  serviceName: NAME
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: NAME}}
  template:
    metadata:
      labels: {app: NAME, appType: octez-nodeLABEL}
    spec:
      serviceAccountName: NAME
      terminationGracePeriodSeconds: 20
      securityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
      initContainers:
      - name: config-init
        image: IMAGE
        args: [bench, --help]
        securityContext: &confined {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      containers:
      - {name: octez-node, image: IMAGE, args: [wait], securityContext: *confined, ports: [{containerPort: 8732}], volumeMounts: [{name: var-volume, mountPath: /var/tezos}]}
      - {name: baker, image: IMAGE, args: [wait], securityContext: *confined, volumeMounts: [{name: var-volume, mountPath: /var/tezos}]}
      volumes:
      - {name: var-volume, emptyDir: {}}
`)
	if _, err := suite.Cluster.Run(w.t.Context(), manifest, "apply", "-n", namespace, "-f", "-"); err != nil {
		w.t.Fatal(err)
	}
}

// ready is the pod with that ordinal if it is ready.
func (w *injected) ready(ordinal int) *kubectl.Pod {
	w.t.Helper()
	var pod kubectl.Pod
	err := suite.Cluster.Get(w.t.Context(), &pod, "pod", fmt.Sprintf("%s-%d", w.signer.Name, ordinal), "-n", namespace)
	if err != nil && !kubectl.NotFound(err) {
		w.t.Fatal(err)
	}
	if err != nil || !pod.Ready() {
		return nil
	}
	return &pod
}

// awaitReady waits for a ready pod with that ordinal, another one than that with the UID not.
func (w *injected) awaitReady(ordinal int, not string) (found *kubectl.Pod) {
	w.t.Helper()
	err := kubectl.Await(w.t.Context(), readyTimeout, func() (bool, error) {
		found = w.ready(ordinal)
		return found != nil && found.Metadata.UID != not, nil
	})
	if err != nil {
		events, _ := suite.Cluster.Run(w.t.Context(), "", "get", "events", "-n", namespace, "--field-selector", "involvedObject.name="+w.signer.Name)
		w.t.Fatalf("the pod %d: %v; %s", ordinal, err, events)
	}
	return found
}

// awaitSigner waits until the signer in the pod with that ordinal runs.
func (w *injected) awaitSigner(ordinal int) string {
	w.t.Helper()
	name := fmt.Sprintf("%s-%d", w.signer.Name, ordinal)
	err := kubectl.Await(w.t.Context(), readyTimeout, func() (bool, error) {
		state, err := suite.Cluster.Run(w.t.Context(), "", "get", "pod", name, "-n", namespace, "-o", `jsonpath={.status.initContainerStatuses[?(@.name=="signer")].state}`)
		return strings.Contains(state, "running"), ignoreNotFound(err)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return name
}

func ignoreNotFound(err error) error {
	if kubectl.NotFound(err) {
		return nil
	}
	return err
}

func (w *injected) awaitCondition(kind, status, words string) {
	w.t.Helper()
	var condition kubectl.Condition
	err := kubectl.Await(w.t.Context(), time.Minute, func() (bool, error) {
		var signer kubectl.TezosSigner
		err := suite.Cluster.Get(w.t.Context(), &signer, "tezossigner", w.signer.Name, "-n", namespace)
		condition = signer.Condition(kind)
		return condition.Status == status && strings.Contains(condition.Message, words), err
	})
	if err != nil {
		w.t.Errorf("%s is %+v: %v", kind, condition, err)
	}
}
