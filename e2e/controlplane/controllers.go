// The controllers of Deployments, namespaces, accounts and owners, for tests that need what
// they do. There is no scheduler and no node: pods are made, and wait.

package controlplane

import (
	"errors"
	"fmt"
	"os/exec"
)

// StartControllers starts the controller manager. The function ends it.
func (p *Plane) StartControllers() (func(), error) {
	ports, err := freePorts(1)
	if err = errors.Join(err, p.write("ca.crt", string(p.Authority))); err != nil {
		return nil, err
	}
	var controllers *exec.Cmd
	controllers, err = p.start("kube-controller-manager",
		"--kubeconfig="+p.Kubeconfig(), "--leader-elect=false", "--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", ports[0]),
		"--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller,serviceaccount-token-controller,disruption-controller",
		"--service-account-private-key-file="+p.file("accounts.key"), "--root-ca-file="+p.file("ca.crt"),
		"--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false",
	)
	return func() { end(controllers) }, err
}
