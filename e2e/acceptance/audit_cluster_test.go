package acceptance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// podLogs are the logs of all pods that a TezosSigner has had, as kubectl logs gave
// them while there were these pods.
type podLogs struct {
	directory string
	followers sync.WaitGroup
	stop      context.CancelFunc
}

// followLogs follows those of the pods that there are.
func followLogs(t *testing.T, s *fixture.Signer) *podLogs {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	logs := &podLogs{directory: t.TempDir(), stop: stop}
	for _, pod := range pods(t, s.Name) {
		file, err := os.Create(logs.file(pod))
		if err != nil {
			t.Fatal(err)
		}
		command := suite.Cluster.Command(ctx, "logs", "--follow", "-n", namespace, pod.Metadata.Name, "-c", "signer")
		command.Stdout = file
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		logs.followers.Go(func() {
			command.Wait() // it is stopped, or its pod ends
			file.Close()
		})
	}
	return logs
}

func (l *podLogs) file(pod kubectl.Pod) string {
	return filepath.Join(l.directory, pod.Metadata.Name+".log")
}

// verifyAfterAnotherHolder has another pod become the holder, and `tezos-signer audit
// verify` read the logs of both, beside the record: nothing is wrong. Without one
// line it is.
func (l *podLogs) verifyAfterAnotherHolder(t *testing.T, s *fixture.Signer, friend *octezclient.ClientKey, level int32) {
	t.Helper()
	key := s.Keys[0]
	first := holderPod(t, s, key)
	if _, err := suite.Cluster.Run(t.Context(), "", "delete", "pod", first.Metadata.Name, "-n", namespace, "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	second := holderPod(t, s, key)
	if second.Metadata.UID == first.Metadata.UID {
		t.Fatal("the holder is deleted, and nobody else is")
	}
	client := octezclient.NewClient(podURL(second)).With(friend)
	for range 3 {
		if _, err := client.Sign(t.Context(), key.Parsed(), newBlock(t, level)); err != nil {
			t.Fatal(err)
		}
		level++
	}
	time.Sleep(time.Second) // the last log lines are still in flight
	l.stop()
	l.followers.Wait()
	// Of those pods that came later, too; what they say is not needed, but true.
	for _, pod := range pods(t, s.Name) {
		if _, err := os.Stat(l.file(pod)); err == nil {
			continue
		}
		text, err := suite.Cluster.Run(t.Context(), "", "logs", "-n", namespace, pod.Metadata.Name, "-c", "signer")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(l.file(pod), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record, err := suite.Cluster.Run(t.Context(), "", "get", "configmap", fixture.RecordName(key.Parsed()), "-n", fixture.RecordsNamespace, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.directory, "record.json"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}

	output, err := l.verify(t)
	t.Logf("audit verify: %s", output)
	if err != nil || !strings.Contains(output, "nothing wrong") {
		t.Errorf("the logs are whole: %v", err)
	}
	// A signature of the first holder.
	whole, err := os.ReadFile(l.file(first))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	at := -1
	for i, line := range lines {
		if strings.Contains(line, `"event":"intent"`) {
			at = i
			break
		}
	}
	if at < 0 {
		t.Fatalf("the log of the first holder has no intent:\n%s", whole)
	}
	without := strings.Join(lines[:at], "") + strings.Join(lines[at+1:], "")
	if err := os.WriteFile(l.file(first), []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err = l.verify(t)
	t.Logf("audit verify without a line: %s", output)
	if err == nil || !strings.Contains(output, "missing") {
		t.Errorf("a line is missing, and it is not found: %v", err)
	}
}

func (l *podLogs) verify(t *testing.T) (string, error) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.directory, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"audit", "verify", "--record", filepath.Join(l.directory, "record.json")}, files...)
	output, err := exec.CommandContext(t.Context(), filepath.Join(suite.Checkout, "target/release/tezos-signer"), args...).CombinedOutput()
	return string(output), err
}
