// A way from this machine to a port of a pod, also to one that listens on the
// pod's loopback address only.

package kubectl

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// PortForward runs until the context ends, or the pod refuses a connection.
func (c *Cluster) PortForward(ctx context.Context, namespace, pod string, port int) (url string, err error) {
	command := c.Command(ctx, "port-forward", "-n", namespace, "pod/"+pod, fmt.Sprintf(":%d", port))
	stdout, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	var stderr strings.Builder
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		// Forwarding from 127.0.0.1:40001 -> 6732
		if address, found := strings.CutPrefix(lines.Text(), "Forwarding from 127.0.0.1:"); found {
			go drain(lines, command)
			return "http://127.0.0.1:" + strings.Fields(address)[0], nil
		}
	}
	command.Wait()
	return "", fmt.Errorf("kubectl port-forward to %s/%s: %s", namespace, pod, stderr.String())
}

func drain(lines *bufio.Scanner, command *exec.Cmd) {
	for lines.Scan() {
	}
	command.Wait()
}
