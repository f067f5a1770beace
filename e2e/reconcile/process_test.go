package reconcile

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// Where the definition is missing the operator waits, says so, and works once it is there; it ends on SIGTERM at once, also
// where it may not list TezosSigners.
func TestWithoutTheDefinitionOrRightsItWaitsAndEndsAtOnce(t *testing.T) {
	needsE2E(t)
	env := operatorenv.NewWithoutChart(t)
	o := env.Start(image)
	env.Await("it says that it may not watch", func() bool { return o.LogContains("cannot watch TezosSigners") })
	if status := o.Probe("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d without any right", status)
	}
	if took := o.Stop(); took > 3*time.Second {
		t.Errorf("it ended %v after SIGTERM", took)
	} else {
		t.Logf("without rights it ended %v after SIGTERM", took)
	}

	env.Install("--set", "crds.enabled=false")
	o = env.Start(image)
	env.Await("it says that there is no definition", func() bool { return o.LogContains("is the CRD installed") })
	time.Sleep(3 * time.Second)
	if !o.IsRunning() {
		t.Fatal("it has ended")
	}
	if text, _ := os.ReadFile(o.Log); strings.Count(string(text), "cannot watch TezosSigners") > 2 {
		t.Errorf("it says so all the time:\n%s", text)
	}
	env.Install("--set", "crds.enabled=true")
	env.Await("it is ready", func() bool { return o.Probe("/readyz") == http.StatusOK })
	env.Create(env.Signer("a", operatorenv.Baker))
	env.AwaitCreated("a")
	if took := o.Stop(); took > 8*time.Second {
		t.Errorf("it ended %v after SIGTERM", took)
	} else {
		t.Logf("with work it ended %v after SIGTERM", took)
	}
}
