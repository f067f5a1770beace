package acceptance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// The last commit whose chart knew no writers of a record: rows rose, and records stayed.
const chartBeforeWriters = "2bdf122"

// An upgrade from a chart that guarded less, uninstalling and installing again: the
// records stay, the guard stays, and the pod signs through all of it. Not parallel:
// there is one chart on a cluster.
func TestTheGuardOutlivesItsChart(t *testing.T) {
	older := chartAtCommit(t, chartBeforeWriters)
	t.Cleanup(func() {
		// The other tests need the chart, however this one ends.
		if err := suite.InstallChart(context.Background()); err != nil {
			t.Error(err)
		}
	})
	run := func(args ...string) {
		t.Helper()
		if _, err := suite.Cluster.Run(t.Context(), "", args...); err != nil {
			t.Fatal(err)
		}
	}
	helm := func(args ...string) {
		t.Helper()
		if _, err := suite.Cluster.RunHelm(t.Context(), append(args, "--namespace", fixture.SystemNamespace)...); err != nil {
			t.Fatal(err)
		}
	}
	uninstall := func() {
		t.Helper()
		// Without asking whether there are TezosSigners: that they sign on is tried here.
		helm("uninstall", "tezos-signer-operator", "--no-hooks", "--wait", "--timeout", "1m")
	}

	// As before the upgrade: nothing there of what came since.
	uninstall()
	for _, kind := range []string{"validatingadmissionpolicybinding", "validatingadmissionpolicy"} {
		run("delete", kind, "-l", "app.kubernetes.io/name=tezos-signer-operator")
	}
	run("delete", "role,rolebinding", "tezos-signer-break-glass", "-n", fixture.RecordsNamespace)
	if err := suite.InstallChartFrom(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	// The images are today's: the operator writes a status that the older definition does not know, and asks for kinds
	// that the older chart gives it no right to.
	run("apply", "--server-side", "--force-conflicts", "-f", filepath.Join(suite.Checkout, "crds/tezossigners.signer.tezos.io.yaml"))
	const rights = "tezos-signer-operator-of-today"
	run("create", "clusterrolebinding", rights, "--clusterrole=cluster-admin",
		"--serviceaccount="+fixture.SystemNamespace+":tezos-signer-operator")
	t.Cleanup(func() {
		suite.Cluster.Run(context.Background(), "", "delete", "clusterrolebinding", rights, "--ignore-not-found")
	})
	s := newSigner(t, "outlive", octezclient.Secp256k1)
	pod := applyReady(t, s)
	key := s.Keys[0].Parsed()
	record := fixture.RecordName(key)
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	level := int32(firstLevel)
	signs := func(when string) {
		t.Helper()
		if _, err := client.Sign(t.Context(), key, newBlock(t, level)); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		level++
	}
	guarded := func(when string) {
		t.Helper()
		mustRefuse(t, when+", deletion", runAs(t, clusterAdmin, "", "delete", "configmap", record), "may delete one")
		mustRefuse(t, when+", the namespace", runAs(t, clusterAdmin, "", "delete", "namespace", fixture.RecordsNamespace, "--wait=false"), "may delete one")
		mustRefuse(t, when+", falling", patchRecord(t, breakGlass, record, dataPatch(values{"block": "1 0 - -"}), false), "only rises")
		mustRefuse(t, when+", raising", patchRecord(t, clusterAdmin, record, dataPatch(values{"attestation": floor(int(level))}), false), "row attestation is written by")
		if err := patchRecord(t, []string{"--as=anybody", "--as-group=tezos-signer:break-glass"}, record, dataPatch(values{"attestation": floor(int(level))}), true); err != nil {
			t.Errorf("%s, raising as break-glass: %v", when, err)
		}
	}
	signs("under the older chart")
	if err := patchRecord(t, clusterAdmin, record, dataPatch(values{"attestation": floor(int(level))}), true); err != nil {
		t.Fatalf("the older chart let an administrator raise a row, or this test shows nothing: %v", err)
	}

	if err := suite.InstallChart(t.Context()); err != nil {
		t.Fatal(err)
	}
	run("delete", "clusterrolebinding", rights)
	// The API server takes a new policy up a moment after it was written.
	if err := kubectl.Await(t.Context(), 30*time.Second, func() (bool, error) {
		return patchRecord(t, clusterAdmin, record, dataPatch(values{"attestation": floor(int(level))}), true) != nil, nil
	}); err != nil {
		t.Fatalf("after the upgrade an administrator may still raise a row: %v", err)
	}
	guarded("after the upgrade")
	signs("after the upgrade")

	uninstall()
	guarded("uninstalled")
	signs("uninstalled")
	if !recordExists(t, s.Keys[0]) {
		t.Fatal("the record went with the chart")
	}

	if err := suite.InstallChart(t.Context()); err != nil {
		t.Fatalf("installing again over what was kept: %v", err)
	}
	guarded("installed again")
	signs("installed again")
	// The operator may write again what is its own.
	for _, suspend := range []string{"true", "false"} {
		run("patch", "tezossigner", s.Name, "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":`+suspend+`}}`)
		if err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
			now, err := suite.Record(t.Context(), key)
			return err == nil && (now.Data["suspend"] == "true") == (suspend == "true"), err
		}); err != nil {
			t.Fatalf("spec.suspend: %s: %v", suspend, err)
		}
	}
	signs("after it was suspended")

	now, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if now.Metadata.UID != pod.Metadata.UID {
		t.Error("the pod was replaced: neither an upgrade nor an uninstallation may restart a signer")
	}
}

// chartAtCommit unpacks the chart as it was at that commit.
func chartAtCommit(t *testing.T, commit string) string {
	t.Helper()
	directory := t.TempDir()
	archive := filepath.Join(directory, "chart.tar")
	const chart = "charts/tezos-signer-operator"
	for _, args := range [][]string{
		{"git", "-C", suite.Checkout, "archive", "--output", archive, commit, chart},
		{"tar", "--extract", "--file", archive, "--directory", directory},
	} {
		if text, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			if strings.Contains(string(text), "not a valid object name") {
				t.Skipf("this clone has no commit %s: it is not the whole history", commit)
			}
			t.Fatalf("%v: %v: %s", args, err, text)
		}
	}
	if _, err := os.Stat(filepath.Join(directory, chart, "Chart.yaml")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(directory, chart)
}
