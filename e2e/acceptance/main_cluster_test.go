// Package acceptance tries the promises on the real local cluster, with everything
// built and imported:
//
//	E2E=1 go test -count 1 -parallel 10 -timeout 20m ./acceptance
//
// Without E2E=1 it does nothing. Tests run in parallel; those that change the installation of the operator, or
// measure times, run before them, alone.
//
// This file: what the tests share. One promise is one file.
package acceptance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/scenario"
)

const (
	namespace = "tezos-signer-e2e"
	// Each with TezosSigners of one test.
	otherNamespace      = namespace + "-elsewhere"
	documentedNamespace = "bakers"
	readyTimeout        = 2 * time.Minute
	firstLevel          = scenario.InitialLevel + 1
)

var (
	suite *fixture.Fixture
	// Keys are made before the token goes to the cluster, and each test takes its own.
	unusedKeys []*fixture.Key
	keysLock   sync.Mutex
	// The names of TezosSigners that tests have reserved, each with its test.
	reservedNames sync.Map
)

const (
	keysOfEachCurve = 44
	// The key of the token that seals the secrets of tz4 keys.
	sealingKey = "sealing"
)

func TestMain(m *testing.M) {
	if os.Getenv("E2E") != "1" {
		fmt.Println("not run: these tests need the local cluster and E2E=1")
		return
	}
	status, err := setUpAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set up:", err)
		status = 1
	}
	os.Exit(status)
}

func setUpAndRun(m *testing.M) (int, error) {
	ctx := context.Background()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		return 0, err
	}
	cluster, err := kubectl.Local(checkout)
	if err != nil {
		return 0, err
	}
	if suite, err = fixture.New(checkout, cluster, namespace); err != nil {
		return 0, err
	}
	defer suite.Close()
	for _, curve := range []*octezclient.Curve{octezclient.P256, octezclient.Secp256k1} {
		for i := range keysOfEachCurve {
			key, err := suite.GenerateKey(ctx, fmt.Sprintf("%s-%d", curve.Address, i), curve)
			if err != nil {
				return 0, err
			}
			unusedKeys = append(unusedKeys, key)
		}
	}
	if err := suite.GenerateSealingKey(ctx, sealingKey); err != nil {
		return 0, err
	}
	fmt.Println("installing the chart")
	if err := suite.InstallChart(ctx); err != nil {
		return 0, err
	}
	if _, err := suite.Clear(ctx); err != nil {
		return 0, err
	}
	if err := suite.ApplySecrets(ctx); err != nil {
		return 0, err
	}
	status := m.Run()
	return status, awaitDeletions(ctx)
}

func takeKey(t *testing.T, curve *octezclient.Curve) *fixture.Key {
	keysLock.Lock()
	defer keysLock.Unlock()
	at := slices.IndexFunc(unusedKeys, func(key *fixture.Key) bool { return key.Curve == curve.Name })
	if at < 0 {
		t.Fatalf("no unused key on %s: raise keysOfEachCurve", curve.Name)
	}
	key := unusedKeys[at]
	unusedKeys = slices.Delete(unusedKeys, at, at+1)
	return key
}

// reserveName adds the name of this run to name. No two tests can have the same: they run beside each other in one namespace.
func reserveName(t *testing.T, name string) string {
	t.Helper()
	if other, taken := reservedNames.LoadOrStore(name, t.Name()); taken {
		t.Fatalf("the TezosSigner %s is made by %s too", name, other)
	}
	return name + "-" + suite.Run
}

// newSigner is a TezosSigner of that name with a key of its own of each curve. Its
// deletion begins when the test ends, if it was applied.
func newSigner(t *testing.T, name string, curves ...*octezclient.Curve) *fixture.Signer {
	t.Helper()
	s := &fixture.Signer{Name: reserveName(t, name), InitialLevel: scenario.InitialLevel, NotAfter: time.Now().Add(time.Hour)}
	for _, curve := range curves {
		s.Keys = append(s.Keys, takeKey(t, curve))
	}
	t.Cleanup(func() { deleteLater(t, s.Name) })
	return s
}

// deleteLater does not wait for the pods, which go on answering for ten seconds; awaitDeletions does, once for all.
func deleteLater(t *testing.T, name string) {
	if _, err := suite.Cluster.Run(context.Background(), "", "delete", "tezossigner", name, "-n", namespace, "--ignore-not-found", "--wait=false"); err != nil {
		t.Error(err)
	}
}

// awaitDeletions waits until nothing is left of the TezosSigners of tests that have ended: of all but those that stay.
func awaitDeletions(ctx context.Context, stay ...string) error {
	var left []string
	err := kubectl.Await(ctx, 90*time.Second, func() (bool, error) {
		var signers struct{ Items []kubectl.TezosSigner }
		if err := suite.Cluster.Get(ctx, &signers, "tezossigners", "-n", namespace); err != nil {
			return false, err
		}
		left = nil
		for _, signer := range signers.Items {
			if !slices.Contains(stay, signer.Metadata.Name) {
				left = append(left, signer.Metadata.Name)
			}
		}
		for _, namespace := range []string{otherNamespace, documentedNamespace} {
			switch err := suite.Cluster.Get(ctx, new(struct{}), "namespace", namespace); {
			case err == nil:
				left = append(left, "namespace "+namespace)
			case !kubectl.NotFound(err):
				return false, err
			}
		}
		return len(left) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("TezosSigners that were deleted are still there: %w: %v", err, left)
	}
	return nil
}

func deleteSigner(t *testing.T, name string) {
	if _, err := suite.Cluster.Run(context.Background(), "", "delete", "tezossigner", name, "-n", namespace, "--ignore-not-found", "--timeout=60s"); err != nil {
		t.Error(err)
	}
}

// touch changes an annotation of a pod. The operator reconciles its TezosSigner then, and the kubelet writes changed Secrets and ConfigMaps
// into the pod, as both do about once a minute otherwise.
func touch(t *testing.T, pod string) {
	t.Helper()
	_, err := suite.Cluster.Run(t.Context(), "", "annotate", "pod", pod, "-n", namespace, "--overwrite", "e2e/touched="+time.Now().Format(time.RFC3339Nano))
	if err != nil {
		t.Fatal(err)
	}
}

// reconcileFiveTimes has the operator reconcile the TezosSigner of that pod five times within five seconds.
func reconcileFiveTimes(t *testing.T, pod string) {
	t.Helper()
	for range 5 {
		touch(t, pod)
		time.Sleep(time.Second)
	}
}

func apply(t *testing.T, s *fixture.Signer) {
	t.Helper()
	if err := suite.ApplySigner(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// applyReady applies a TezosSigner and waits for its pod.
func applyReady(t *testing.T, s *fixture.Signer) *kubectl.Pod {
	t.Helper()
	apply(t, s)
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// awaitNotReady waits for a Ready condition that is not True, and returns all that
// the status complains about.
func awaitNotReady(t *testing.T, name string, timeout time.Duration) string {
	t.Helper()
	complaint := ""
	err := kubectl.Await(t.Context(), timeout, func() (bool, error) {
		var signer kubectl.TezosSigner
		if err := suite.Cluster.Get(t.Context(), &signer, "tezossigner", name, "-n", namespace); err != nil {
			return false, err
		}
		ready := signer.Condition("Ready").Status
		complaint = fmt.Sprint(signer.Messages())
		return ready == "False" || ready == "Unknown", nil
	})
	if err != nil {
		t.Fatalf("TezosSigner %s: no Ready condition that is not True: %v; %s", name, err, complaint)
	}
	return complaint
}

// forward opens a way to the signing port of a pod, for the time of the test.
func forward(t *testing.T, pod string) string {
	t.Helper()
	url, err := suite.Cluster.PortForward(t.Context(), namespace, pod, 6732)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// recordExists asks whether a key has a record.
func recordExists(t *testing.T, key *fixture.Key) bool {
	t.Helper()
	_, err := suite.Record(t.Context(), key.Parsed())
	if err != nil && !kubectl.NotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}
