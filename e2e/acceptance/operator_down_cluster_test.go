package acceptance

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// Signers need the operator for nothing that they do: while it is down they sign, replace each other, and come back after a
// deletion; when it is there again, it finds all as it left it. `make test-operator-absent` takes an hour over it.
//
// Not parallel: the other tests need the operator.
func TestSignersDoNotNeedTheOperator(t *testing.T) {
	down := 10 * time.Second
	if minutes, err := strconv.Atoi(os.Getenv("E2E_OPERATOR_DOWN_MINUTES")); err == nil {
		down = time.Duration(minutes) * time.Minute
	}
	service := newService(t, "alone", 2, octezclient.P256)
	baker := newSigner(t, "alone-baker", octezclient.Secp256k1)
	pod := applyReady(t, baker)
	generations := func() string {
		return deploymentField(t, service.Name, ".metadata.generation") + " " + deploymentField(t, baker.Name, ".metadata.generation")
	}
	before := generations()

	t.Cleanup(func() { scaleOperator(t, "1") })
	scaleOperator(t, "0")
	behindService := startLoad(t, serviceURL(t, service.Name), service.Keys[0], firstLevel)
	defer behindService.stop()
	besideBaker := startLoad(t, forward(t, pod.Metadata.Name), baker.Keys[0], firstLevel)
	defer besideBaker.stop()
	for left := down; left > 0; left -= time.Minute {
		if n := besideBaker.signed.Load(); down > time.Minute {
			t.Logf("%s to go: %d and %d signed", left, behindService.signed.Load(), n)
		}
		time.Sleep(min(left, time.Minute))
	}
	// What Kubernetes does by itself it does without the operator: another replica takes over, and a new pod comes.
	holder := holderPod(t, service, service.Keys[0])
	if _, err := suite.Cluster.Run(t.Context(), "", "delete", "pod", holder.Metadata.Name, "-n", namespace, "--wait=false"); err != nil {
		t.Fatal(err)
	}
	err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		ready := 0
		for _, pod := range pods(t, service.Name) {
			if pod.Ready() && pod.Metadata.UID != holder.Metadata.UID {
				ready++
			}
		}
		return ready == service.Replicas && holderOf(t, service.Keys[0].Parsed()) != holder.Metadata.UID, nil
	})
	if err != nil {
		t.Errorf("the deleted holder was not replaced: %v", err)
	}
	behindService.stop()
	besideBaker.stop()
	for name, load := range map[string]*steadyLoad{"service": behindService, "baker": besideBaker} {
		t.Logf("%s: %d signed, %d lost, the slowest took %s", name, load.signed.Load(), load.lost.Load(), load.slowest.Round(time.Millisecond))
		if load.lost.Load() != 0 || load.signed.Load() < int32(down/time.Second) {
			t.Errorf("%s: %d signed, %d lost", name, load.signed.Load(), load.lost.Load())
		}
	}

	scaleOperator(t, "1")
	awaitMessage(t, service.Name, "2 of 2 replicas are ready; ")
	awaitMessage(t, baker.Name, "")
	if after := generations(); after != before {
		t.Errorf("the operator changed Deployments when it came back: their generations were %s, and are %s", before, after)
	}
}

// scaleOperator waits until as many pods of it are there.
func scaleOperator(t *testing.T, replicas string) {
	t.Helper()
	run := func(args ...string) string {
		text, err := suite.Cluster.Run(context.Background(), "", append(args, "-n", fixture.SystemNamespace)...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	run("scale", "deployment/"+chartRelease, "--replicas="+replicas)
	run("rollout", "status", "deployment/"+chartRelease, "--timeout=1m")
	if replicas == "0" {
		run("wait", "pod", "-l", "app.kubernetes.io/name="+chartRelease, "--for=delete", "--timeout=1m")
	}
}

// deploymentField is a field of a TezosSigner's Deployment, by its path.
func deploymentField(t *testing.T, name, path string) string {
	t.Helper()
	text, err := suite.Cluster.Run(t.Context(), "", "get", "deployment", name, "-n", namespace, "-o", "jsonpath={"+path+"}")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
