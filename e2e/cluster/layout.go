// Where everything of a cluster is: files, names, addresses. All of it follows from the path of the checkout,
// so that two checkouts on one machine do not meet. No action belongs here.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// Inside the node the checkout's directories have these short, constant names, and /run and /var are its own (mounts.go).
const (
	nodeState = "/run/cluster"
	nodeTools = "/run/tools"
)

// The node's addresses are one /16: the veth pair, the pods, the services. Routes on the host make pods and services
// reachable from tests; there is no default route inside, so nothing in the node can reach anything else.
type layout struct {
	Checkout string
	ID       string // names the veth and the cgroup
	Subnet   int    // the second byte of 10.x.0.0/16
}

// newLayout finds the checkout from this program's own path, <checkout>/target/tools/cluster.
func newLayout() (layout, error) {
	program, err := os.Executable()
	if err != nil {
		return layout{}, err
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return layout{}, err
	}
	tools := filepath.Dir(program)
	if filepath.Base(tools) != "tools" || filepath.Base(filepath.Dir(tools)) != "target" {
		return layout{}, fmt.Errorf("%s is not <checkout>/target/tools/cluster: build it with e2e/cluster/install", program)
	}
	checkout := filepath.Dir(filepath.Dir(tools))
	hash := sha256.Sum256([]byte(checkout))
	return layout{Checkout: checkout, ID: hex.EncodeToString(hash[:4]), Subnet: 64 + int(hash[4])%128}, nil
}

func (l layout) state(path ...string) string {
	return filepath.Join(append([]string{l.Checkout, "target/cluster"}, path...)...)
}

func (l layout) tool(name string) string { return filepath.Join(l.Checkout, "target/tools", name) }

func (l layout) image(name string) string { return filepath.Join(l.Checkout, "target/images", name) }

func (l layout) veth() string { return "tzs-" + l.ID }

// cgroup is where a kubelet puts its pods. It ends those that it does not know, so each has its own.
func (l layout) cgroup(m member) string { return "/tezos-signer-" + l.ID + m.suffix }

func (l layout) hostIP() string      { return fmt.Sprintf("10.%d.0.1", l.Subnet) }
func (l layout) nodeIP() string      { return fmt.Sprintf("10.%d.0.2", l.Subnet) }
func (l layout) podCIDR() string     { return fmt.Sprintf("10.%d.1.0/24", l.Subnet) }
func (l layout) serviceCIDR() string { return fmt.Sprintf("10.%d.2.0/24", l.Subnet) }
func (l layout) serviceIP() string   { return fmt.Sprintf("10.%d.2.1", l.Subnet) } // kubernetes.default
func (l layout) apiServer() string   { return "https://" + net.JoinHostPort(l.nodeIP(), "6443") }
