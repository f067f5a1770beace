// Faults of a container, made by the local cluster's container runtime.

package acceptance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
)

type containerStatus struct {
	Name        string `json:"name"`
	ContainerID string `json:"containerID"`
	State       struct {
		Running *struct{} `json:"running"`
	} `json:"state"`
}

// signerContainer waits until the pod's signer runs, and returns its id, which
// each restart changes.
func signerContainer(t *testing.T, pod string) string {
	t.Helper()
	return containerOf(t, pod, "signer")
}

func containerOf(t *testing.T, pod, name string) string {
	t.Helper()
	id := ""
	err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		var found struct {
			Status struct {
				Sidecars   []containerStatus `json:"initContainerStatuses"`
				Containers []containerStatus `json:"containerStatuses"`
			} `json:"status"`
		}
		if err := suite.Cluster.Get(t.Context(), &found, "pod", pod, "-n", namespace); err != nil {
			return false, err
		}
		all := append(found.Status.Sidecars, found.Status.Containers...)
		at := slices.IndexFunc(all, func(c containerStatus) bool { return c.Name == name })
		if at < 0 {
			return false, nil // not in the status yet
		}
		_, id, _ = strings.Cut(all[at].ContainerID, "://")
		return all[at].State.Running != nil && id != "", nil
	})
	if err != nil {
		t.Fatalf("the container %s in pod %s does not run: %v", name, pod, err)
	}
	return id
}

// signalContainer sends a signal to a container's process. A container that has
// ended meanwhile is an error.
func signalContainer(t *testing.T, id, signal string) error {
	t.Helper()
	tool := filepath.Join(suite.Checkout, "target/tools/cluster")
	command := exec.CommandContext(t.Context(), tool, "exec", "/run/tools/ctr", "-n", "k8s.io", "tasks", "kill", "--signal", signal, id)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s to container %.12s: %w: %s", signal, id, err, output)
	}
	return nil
}
