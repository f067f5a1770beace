// Being in a pod, and faults of one, made where it runs: its network cut, its
// token taken away.

package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// loopback is where the signer of a pod listens for those in the pod.
const loopback = "http://127.0.0.1:6732"

// podURL is where the signer of a Service's pod listens for all.
func podURL(pod kubectl.Pod) string {
	return fmt.Sprintf("http://%s:%d", pod.Status.PodIP, signingPort)
}

// runOnNode runs a command where the pods run.
func runOnNode(ctx context.Context, args ...string) error {
	tool := filepath.Join(suite.Checkout, "target/tools/cluster")
	if output, err := exec.CommandContext(ctx, tool, append([]string{"exec"}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("on the node, %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return nil
}

// firstProcessOf is the first process of a container, by its id on this machine.
func firstProcessOf(t *testing.T, container string) int {
	t.Helper()
	first := 0
	found, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), container) {
			continue // ended meanwhile, or another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 || pid < first {
			first = pid
		}
	}
	if first == 0 {
		t.Fatalf("container %.12s has no process", container)
	}
	return first
}

// awaitExit waits for the end of a process, and returns when it was.
func awaitExit(t *testing.T, pid int, timeout time.Duration) time.Time {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < timeout; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || strings.Contains(string(text), ") Z ") {
			return time.Now()
		}
	}
	t.Fatalf("process %d has not ended within %s", pid, timeout)
	panic("not reached")
}

// clientInPod is a client in the network of the pod that a container belongs to, as
// its baker is. It goes on when the container is restarted.
func clientInPod(t *testing.T, container string) *octezclient.Client {
	t.Helper()
	network := networkOf(t, container)
	return octezclient.NewClientBy(func(ctx context.Context, kind, address string) (net.Conn, error) {
		return inNetwork(network, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, kind, address) })
	}, loopback)
}

// networkOf is the network of the pod that a container belongs to.
func networkOf(t *testing.T, container string) *os.File {
	t.Helper()
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", firstProcessOf(t, container)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	return network
}

// inNetwork makes a socket there.
func inNetwork[Socket any](network *os.File, open func() (Socket, error)) (Socket, error) {
	type result struct {
		socket Socket
		err    error
	}
	results := make(chan result, 1)
	go func() {
		// A socket belongs to the network of the thread that makes it. This thread ends with the goroutine.
		runtime.LockOSThread()
		var r result
		if _, _, failed := syscall.RawSyscall(sysSetns, network.Fd(), syscall.CLONE_NEWNET, 0); failed != 0 {
			r.err = fmt.Errorf("entering the network of a pod: %w", failed)
		} else {
			r.socket, r.err = open()
		}
		results <- r
	}()
	r := <-results
	return r.socket, r.err
}

const sysSetns = 308 // of Linux on amd64, which package syscall does not name

// cutNetwork drops all that a pod sends and is sent, but within it.
func cutNetwork(t *testing.T, pod kubectl.Pod) (heal func() error) {
	t.Helper()
	address := pod.Status.PodIP
	table := "ip e2e-cut-" + strings.ReplaceAll(address, ".", "-")
	rules := []string{
		"add table " + table,
		"add chain " + table + " everything { type filter hook prerouting priority -300; }",
		"add rule " + table + " everything ip saddr " + address + " drop",
		"add rule " + table + " everything ip daddr " + address + " drop",
	}
	if err := runOnNode(t.Context(), "nft", strings.Join(rules, "; ")); err != nil {
		t.Fatal(err)
	}
	heal = func() error { return runOnNode(context.Background(), "nft", "delete table "+table) }
	t.Cleanup(func() {
		if t.Failed() {
			heal()
		}
	})
	return heal
}

// hideToken has a pod's token be unreadable, and gives it back.
func hideToken(t *testing.T, pod kubectl.Pod) (giveBack func() error) {
	t.Helper()
	files := fmt.Sprintf("/var/lib/kubelet/pods/%s/volumes/kubernetes.io~secret/token/..data", pod.Metadata.UID)
	if err := runOnNode(t.Context(), "chmod", "0", files); err != nil {
		t.Fatal(err)
	}
	return func() error { return runOnNode(context.Background(), "chmod", "755", files) }
}
