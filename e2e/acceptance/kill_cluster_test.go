package acceptance

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"signer.tezos.io/e2e/history"
	"signer.tezos.io/e2e/octezclient"
)

// The sidecar is killed at random moments under load: nothing is signed twice, and
// what was signed is given again, byte for byte.
func TestTheSignerIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	kills := 15
	if n, err := strconv.Atoi(os.Getenv("E2E_KILLS")); err == nil {
		kills = n
	}
	s := newSigner(t, "kill", octezclient.P256, octezclient.Secp256k1)
	pod := applyReady(t, s)

	args := []string{"exec", "-i", "-n", namespace, pod.Metadata.Name, "-c", "baker", "--", "octez-player", "load"}
	for _, key := range s.Keys {
		args = append(args, "--public-key", key.PublicKey)
	}
	command := suite.Cluster.Command(t.Context(), args...)
	var lines bytes.Buffer
	command.Stdout, command.Stderr = &lines, os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for n := range kills {
		container := signerContainer(t, pod.Metadata.Name)
		time.Sleep(200*time.Millisecond + rand.N(1500*time.Millisecond))
		if err := signalContainer(t, container, "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		awaitOtherContainer(t, pod.Metadata.Name, container)
		if (n+1)%10 == 0 {
			t.Logf("%d kills", n+1)
		}
	}
	time.Sleep(5 * time.Second) // the last restart, and a few more signatures
	stdin.Close()
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}

	events, err := history.Read(&lines)
	if err != nil {
		t.Fatal(err)
	}
	verdict := history.CheckLog(events)
	t.Logf("%+v", verdict.Counts)
	for _, sentence := range verdict.Broken {
		t.Error(sentence)
	}
	if c := verdict.Counts; c.Signed < kills || c.Replayed < kills || c.NoAnswer == 0 {
		t.Errorf("the load hardly met the kills: %+v", c)
	}
}

// awaitOtherContainer waits until the sidecar runs again, in another container.
func awaitOtherContainer(t *testing.T, pod, than string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for signerContainer(t, pod) == than {
		if time.Now().After(deadline) {
			t.Fatalf("the signer in pod %s was killed, and is not restarted", pod)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
