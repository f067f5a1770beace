// cluster: a real Kubernetes on this machine, for the demo and the tests.
//
// Here: the verbs. Where things are: layout.go. Starting and ending the node from outside: up.go, down.go.
// The node's own first process: node.go, with mounts.go (its private file systems), components.go (what runs in it,
// with which settings) and supervisor.go (keeping that running).
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

const usage = `usage: cluster <verb>

  up                        start the cluster, or find it running; waits until the node is ready
  down                      end it, and leave nothing behind but its logs
  status                    what runs, and whether it is well
  import <tar>...           give container images to the node; those it has already are skipped
  exec <command>...         run a command inside the node (its processes, mounts and network)
  pause|resume <component>  freeze a component, let it go on (SIGSTOP, SIGCONT)
  restart <component>       kill a component (SIGKILL); the node starts it again after a second

kubectl: export KUBECONFIG=target/cluster/kubeconfig; logs: target/cluster/logs/
`

func main() {
	verb, arguments := "", []string{}
	if len(os.Args) > 1 {
		verb, arguments = os.Args[1], os.Args[2:]
	}
	wantsArguments := slices.Contains([]string{"import", "exec", "pause", "resume", "restart"}, verb)
	if wantsArguments != (len(arguments) > 0) {
		verb = ""
	}
	if verb != "" && os.Geteuid() != 0 {
		fail(fmt.Errorf("must run as root: the node has its own namespaces, mounts and cgroups"))
	}
	var err error
	switch verb {
	case "up":
		err = up()
	case "down":
		err = down()
	case "status":
		err = status()
	case "import":
		err = importImages(arguments)
	case "exec":
		err = execInNode(arguments)
	case "pause", "resume", "restart":
		err = signalComponents(verb, arguments)
	case nodeVerb:
		runNode()
	default:
		fmt.Fprint(os.Stderr, usage)
		if !slices.Contains([]string{"help", "--help", "-h"}, strings.Join(os.Args[1:], " ")) {
			os.Exit(2)
		}
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "cluster:", err)
	os.Exit(1)
}
