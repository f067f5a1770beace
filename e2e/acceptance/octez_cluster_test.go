package acceptance

import (
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// The operator writes the pod of an Octez baker: the key is imported from the signer
// beside it, then the baker has a vote signed. Octez' programs are played by one that
// takes the same command lines and no others. What it says when it does not run is in
// the TezosSigner's sentence.
func TestAnOctezBaker(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "octez", octezclient.Secp256k1, octezclient.P256)
	s.Octez = true
	pod := applyReady(t, s)

	logs := ""
	err := kubectl.Await(t.Context(), time.Minute, func() (done bool, err error) {
		logs, err = suite.Cluster.Run(t.Context(), "", "logs", pod.Metadata.Name, "-n", namespace, "-c", "baker")
		return strings.Contains(logs, "verified"), err
	})
	t.Log(logs)
	if err != nil || !strings.HasPrefix(logs, s.Keys[1].PublicKeyHash+": attestation of level ") {
		t.Fatalf("the baker has no signature by %s: %v", s.Keys[1].PublicKeyHash, err)
	}
	for i, signed := range []bool{false, true} {
		record, err := suite.Record(t.Context(), s.Keys[i].Parsed())
		if err != nil {
			t.Fatal(err)
		}
		if row := record.Data["attestation"]; strings.HasSuffix(row, " - -") == signed { // a floor has neither digest nor signature
			t.Errorf("the record of %s: %s", s.Keys[i].PublicKeyHash, row)
		}
	}
	checkNoSecretVisible(t, pod.Metadata.Name, "octez-client")

	s.BakerArguments = []string{"--no-such-option"}
	apply(t, s)
	if complaint := awaitConditionNaming(t, s.Name, "container baker ends"); !strings.Contains(complaint, "BakerNotRunning") {
		t.Error(complaint)
	}
	s.BakerArguments = []string{"--pre-emptive-forge-time", `"1"`}
	apply(t, s)
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Error(err)
	}
}

// checkNoSecretVisible looks for secrets in all containers of a pod but the signer's: they mount their own volume, and no other.
func checkNoSecretVisible(t *testing.T, pod, own string) {
	t.Helper()
	var found struct {
		Spec struct {
			InitContainers, Containers []struct {
				Name         string
				VolumeMounts []struct{ Name string }
			}
		}
	}
	if err := suite.Cluster.Get(t.Context(), &found, "pod", pod, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	for _, container := range append(found.Spec.InitContainers, found.Spec.Containers...) {
		for _, mount := range container.VolumeMounts {
			if container.Name != "signer" && mount.Name != own {
				t.Errorf("container %s mounts %s", container.Name, mount.Name)
			}
		}
	}
}

// What the API server does not take is said with the name of the field, and then
// nothing is done by halves: no record, no role, no pod. What it takes, comes into
// the pod, though this release does not know it. And a signer whose template was
// broken later is suspended all the same.
func TestATemplateIsTriedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "template", octezclient.P256)
	change := func(change func(spec map[string]any)) {
		t.Helper()
		if err := suite.Cluster.Apply(t.Context(), editedManifest(t, s, func(_, spec map[string]any) { change(spec) })); err != nil {
			t.Fatal(err)
		}
	}
	misspelt := func(spec map[string]any) { podSpec(spec)["contaienrs"] = []any{} }
	change(misspelt)
	t.Log(awaitConditionNaming(t, s.Name, "spec.baker.template.spec.contaienrs: unknown field"))
	if recordExists(t, s.Keys[0]) {
		t.Error("there is a record")
	}
	made, err := suite.Cluster.Run(t.Context(), "", "get", "deployments,serviceaccounts,configmaps", "-n", namespace,
		"-l", "app.kubernetes.io/instance="+s.Name, "-o", "name")
	if err != nil || made != "" {
		t.Errorf("there is %s, %v", made, err)
	}

	change(func(spec map[string]any) { podSpec(spec)["hostnameOverride"] = "as-the-user-said" }) // of Kubernetes 1.34
	if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	name, err := suite.Cluster.Run(t.Context(), "", "get", "pod", pod.Metadata.Name, "-n", namespace, "-o", "jsonpath={.spec.hostnameOverride}")
	if err != nil || name != "as-the-user-said" {
		t.Errorf("hostnameOverride is %q, %v", name, err)
	}

	change(func(spec map[string]any) { misspelt(spec); spec["suspend"] = true })
	awaitConditionNaming(t, s.Name, "contaienrs")
	err = kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		record, err := suite.Record(t.Context(), s.Keys[0].Parsed())
		return err == nil && record.Data["suspend"] == "true", err
	})
	if err != nil {
		t.Errorf("it is not suspended: %v", err)
	}
	if now, err := suite.Cluster.Pods(t.Context(), namespace, s.Name); err != nil || len(now) != 1 || now[0].Metadata.UID != pod.Metadata.UID {
		t.Errorf("what ran does not run any more: %v, %v", now, err)
	}
}
