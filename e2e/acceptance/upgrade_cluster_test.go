package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// From the previous release to today's, back, and there again, by Helm 3 and by Helm 4, while a
// baker and two signers behind a Service sign without a pause: no signature is lost, nothing of a
// signer is restarted or even changed, and each TezosSigner stays Ready. A signer's image changes
// by its own spec.image, and then only there. Not parallel: there is one chart on a cluster.
//
// `make upgrade-test FROM=…` has the previous release's programs, built from its sources.
func TestAnUpgradeIsNotNoticedByASigner(t *testing.T) {
	previous := readPreviousRelease(t)
	three, four := helmVersions()
	t.Cleanup(func() {
		// The other tests need today's chart, however this one ends.
		if err := suite.InstallChart(context.Background()); err != nil {
			t.Error(err)
		}
	})
	u := &upgradeTest{t: t, previous: previous}

	u.installOlderChart(func() error {
		return three.InstallChartFrom(t.Context(), previous.Chart,
			"--set", "image.reference="+previous.Operator, "--set", "signerImage.reference="+previous.Signer)
	})
	u.awaitOperator(previous.Operator)
	service := newService(t, "upgrade-service", 2, octezclient.P256)
	baker := newSigner(t, "upgrade-baker", octezclient.Secp256k1)
	pod := applyReady(t, baker)
	u.signers = []*fixture.Signer{service, baker}
	for _, s := range u.signers {
		if image := u.get("deployment/"+s.Name, namespace, ".spec.template.spec..image"); !strings.Contains(image, previous.Signer) {
			t.Fatalf("%s does not run the previous signer, or this test shows nothing: %s", s.Name, image)
		}
	}
	u.initialState = u.state()

	loads := map[string]*steadyLoad{
		"the Service": startLoad(t, serviceURL(t, service.Name), service.Keys[0], firstLevel),
		"the baker":   startLoadWith(t, clientInPod(t, signerContainer(t, pod.Metadata.Name)), baker.Keys[0], firstLevel),
	}
	today, err := fixture.Image(suite.Checkout, "tezos-signer-operator")
	if err != nil {
		t.Fatal(err)
	}
	u.step("upgrade by Helm 3", today, three, func() {
		bash(t, suite.Checkout, withTestToken(documentedCommands(t, "4. Upgrading", 0)))
		u.deleteExtraRights()
	})
	u.step("rollback by Helm 3", previous.Operator, three, func() {
		u.installOlderChart(func() error {
			_, err := runHelm(t, three, "rollback", chartRelease, "--wait", "--timeout", "2m")
			return err
		})
	})
	u.step("upgrade by Helm 4", today, four, func() {
		if err := four.InstallChart(t.Context()); err != nil {
			t.Fatal(err)
		}
		u.deleteExtraRights()
	})

	// On purpose, one of them.
	next := retagImage(t, "tezos-signer-softhsm", "next")
	bash(t, suite.Checkout, strings.NewReplacer("baker-one", service.Name, "--namespace bakers", "--namespace "+namespace,
		`"$(cat target/images/tezos-signer.ref)"`, next).Replace(documentedCommands(t, "4. Upgrading", 1)))
	if err := kubectl.Await(t.Context(), readyTimeout, func() (bool, error) {
		replaced := 0
		for _, pod := range pods(t, service.Name) {
			if pod.Ready() && !strings.Contains(u.initialState[service.Name], pod.Metadata.UID) {
				replaced++
			}
		}
		return replaced == service.Replicas && len(pods(t, service.Name)) == replaced, nil
	}); err != nil {
		t.Errorf("spec.image: the pods of %s are not replaced: %v", service.Name, err)
	}
	if now := u.state()[baker.Name]; now != u.initialState[baker.Name] {
		t.Errorf("spec.image of %s changed %s from %s to %s", service.Name, baker.Name, u.initialState[baker.Name], now)
	}

	for who, load := range loads {
		load.finish()
		t.Logf("%s: %d signed, %d lost, the slowest took %s", who, load.signed.Load(), load.lost.Load(), load.slowest.Round(time.Millisecond))
		if load.lost.Load() != 0 || load.signed.Load() < 100 {
			t.Errorf("%s: %d signed, %d lost", who, load.signed.Load(), load.lost.Load())
		}
	}
}

type upgradeTest struct {
	t        *testing.T
	previous previousRelease
	signers  []*fixture.Signer
	// initialState is what must stay as it is, by the TezosSigner's name.
	initialState map[string]string
	// changes of the TezosSigners, to see that the operator that runs now has reconciled them.
	changes int
}

// step does something to the release, and sees that nobody notices.
func (u *upgradeTest) step(name, operator string, s *fixture.Fixture, do func()) {
	u.t.Helper()
	begin := time.Now()
	do()
	u.awaitOperator(operator)
	u.changes++
	for _, signer := range u.signers {
		// Of no consequence, because there is a record; but the generation rises, and only an operator that has done all of
		// its work writes that it has seen it.
		notAfter := signer.NotAfter.Add(time.Duration(u.changes) * time.Minute).UTC().Format(time.RFC3339)
		u.must("patch", "tezossigner", signer.Name, "-n", namespace, "--type=merge", "-p", `{"spec":{"initialWatermark":{"notAfter":"`+notAfter+`"}}}`)
	}
	for _, signer := range u.signers {
		if err := suite.Cluster.AwaitReady(u.t.Context(), namespace, signer.Name, readyTimeout, func(text string) { u.t.Log(text) }); err != nil {
			u.t.Fatalf("%s: %v", name, err)
		}
	}
	if now := u.state(); !maps.Equal(now, u.initialState) {
		u.t.Errorf("%s: a signer was not left alone: it was\n%v\nand is\n%v", name, u.initialState, now)
	}
	if text := drift(u.t, s); u.isDrift(text) {
		u.t.Errorf("%s: the cluster is not what the release says:\n%s", name, text)
	}
	u.t.Logf("%s: %s", name, time.Since(begin).Round(time.Second))
}

// isDrift forgives what the test itself has done for an older chart with newer programs.
func (u *upgradeTest) isDrift(text string) bool {
	if u.previous.Real {
		return text != ""
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "diff ") && !strings.Contains(line, "CustomResourceDefinition") {
			return true
		}
	}
	return false
}

// state is what must not change: the Deployment's generation, which rises with each change of its
// template, its pods, their containers, and since when the TezosSigner is Ready.
func (u *upgradeTest) state() map[string]string {
	u.t.Helper()
	seen := map[string]string{}
	for _, signer := range u.signers {
		var list struct{ Items []json.RawMessage }
		if err := suite.Cluster.Get(u.t.Context(), &list, "pods", "-n", namespace, "-l", "app.kubernetes.io/instance="+signer.Name); err != nil {
			u.t.Fatal(err)
		}
		text := fmt.Sprintf("generation %s, Ready since %s",
			u.get("deployment/"+signer.Name, namespace, ".metadata.generation"),
			u.get("tezossigner/"+signer.Name, namespace, `.status.conditions[?(@.type=="Ready")].lastTransitionTime`))
		for _, item := range list.Items {
			var pod struct {
				Metadata struct{ UID string }
				Status   struct {
					InitContainerStatuses, ContainerStatuses []struct {
						ContainerID  string
						RestartCount int
					}
				}
			}
			if err := json.Unmarshal(item, &pod); err != nil {
				u.t.Fatal(err)
			}
			text += fmt.Sprintf(", pod %s %v", pod.Metadata.UID, append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...))
		}
		seen[signer.Name] = text
	}
	return seen
}

func (u *upgradeTest) awaitOperator(image string) {
	u.t.Helper()
	u.must("rollout", "status", "deployment/"+chartRelease, "-n", fixture.SystemNamespace, "--timeout=2m")
	if runs := u.get("pods -l app.kubernetes.io/name="+chartRelease, fixture.SystemNamespace, ".items[*].spec.containers[0].image"); runs != image {
		u.t.Fatalf("the operator is %s, expected %s", runs, image)
	}
}

const extraRightsBinding = "tezos-signer-operator-of-today"

// installOlderChart installs it, and gives today's programs, where they stand in for that release's own, what it has not.
func (u *upgradeTest) installOlderChart(install func() error) {
	u.t.Helper()
	if !u.previous.Real {
		u.t.Cleanup(u.deleteExtraRights)
		u.must("create", "clusterrolebinding", extraRightsBinding, "--clusterrole=cluster-admin",
			"--serviceaccount="+fixture.SystemNamespace+":tezos-signer-operator")
	}
	if err := install(); err != nil {
		u.t.Fatal(err)
	}
	if !u.previous.Real {
		u.must("apply", "--server-side", "--force-conflicts", "-f", filepath.Join(suite.Checkout, "crds/tezossigners.signer.tezos.io.yaml"))
	}
}

func (u *upgradeTest) deleteExtraRights() {
	if _, err := suite.Cluster.Run(context.Background(), "", "delete", "clusterrolebinding", extraRightsBinding, "--ignore-not-found"); err != nil {
		u.t.Error(err)
	}
}

func (u *upgradeTest) must(args ...string) {
	u.t.Helper()
	if _, err := suite.Cluster.Run(u.t.Context(), "", args...); err != nil {
		u.t.Fatal(err)
	}
}

func (u *upgradeTest) get(object, namespace, path string) string {
	u.t.Helper()
	args := append([]string{"get"}, strings.Fields(object)...)
	text, err := suite.Cluster.Run(u.t.Context(), "", append(args, "-n", namespace, "-o", "jsonpath={"+path+"}")...)
	if err != nil {
		u.t.Fatal(err)
	}
	return text
}
