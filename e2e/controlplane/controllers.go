// The controllers of Deployments, namespaces, accounts and owners, for tests that need what
// they do. There is no scheduler and no node: pods are made, and wait.

package controlplane

import (
	"errors"
	"fmt"
	"os/exec"

	"signer.tezos.io/e2e/ports"
)

// StartControllers starts the controller manager, under the name that it has on clusters where its controllers have no
// ServiceAccounts of their own. The function ends it.
func (p *Plane) StartControllers() (func(), error) {
	port, err := ports.Reserve(1)
	if err = errors.Join(err, p.write("ca.crt", string(p.Authority)), p.writeKubeconfig("controllers.kubeconfig", controllersToken)); err != nil {
		return nil, err
	}
	var controllers *exec.Cmd
	controllers, err = p.start("kube-controller-manager",
		"--kubeconfig="+p.file("controllers.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", port[0]),
		"--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller,serviceaccount-token-controller,disruption-controller",
		"--service-account-private-key-file="+p.file("accounts.key"), "--root-ca-file="+p.file("ca.crt"),
		"--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false",
	)
	return func() { end(controllers) }, err
}
