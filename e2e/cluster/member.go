// The Node objects that the API server knows, each with a kubelet and a containerd of its own: the one that everything is
// scheduled to, and a spare one, which a test may lose. They share the rest: one machine, one network.
package main

import "strconv"

type member struct {
	name                    string // of the Node object
	suffix                  string // of the names of what is its own
	kubeletPort, healthPort int
}

var (
	mainMember  = member{name: "local", kubeletPort: 10250, healthPort: 10248}
	spareMember = member{name: "spare", suffix: "-spare", kubeletPort: 10350, healthPort: 10348}
	members     = []member{mainMember, spareMember}
)

// spareTaint keeps from the spare node whoever does not ask for it.
const spareTaint = "e2e/spare=:NoSchedule"

func (m member) kubelet() string    { return "kubelet" + m.suffix }
func (m member) containerd() string { return "containerd" + m.suffix }
func (m member) socket() string     { return "/run/" + m.containerd() + "/containerd.sock" }
func (m member) health() string     { return "http://127.0.0.1:" + strconv.Itoa(m.healthPort) + "/healthz" }

// taints are registered with the Node object.
func (m member) taints() string {
	if m == spareMember {
		return spareTaint
	}
	return ""
}
