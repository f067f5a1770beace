// The cluster's processes as the host sees them: which one is the node, which belong to a component, and what can be
// done to them.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

var componentNames = []string{"etcd", "containerd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
	spareMember.containerd(), spareMember.kubelet()}

// lockCluster keeps two launchers of one checkout from starting and ending the same cluster at once.
func lockCluster(l layout) (func(), error) {
	file, err := os.OpenFile(l.state()+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// findNode gives the process id of the node's first process, or 0 when the cluster is not up. It looks for its command
// line, not for a noted id: that one may be lost with target/, or be another process's by now.
func findNode(l layout) int {
	want := l.tool("cluster") + "\x00" + nodeVerb + "\x00"
	candidates, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range candidates {
		if text, err := os.ReadFile(file); err == nil && string(text) == want {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	return 0
}

// hasEnded is true when only the wait by the parent is missing, if that: all threads have gone, and so has, before the
// last one of a namespace's first process, every process of the namespace.
func hasEnded(pid int) bool {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err != nil || len(threads) <= 1 && strings.HasPrefix(statusField(fmt.Sprintf("/proc/%d/status", pid), "State"), "Z")
}

// readLayout is the layout with which the cluster was started: the subnet may not be the first choice.
func readLayout(l layout) (layout, error) {
	var order nodeOrder
	text, err := os.ReadFile(l.state("layout.json"))
	if err == nil {
		err = json.Unmarshal(text, &order)
	}
	return order.Layout, err
}

// runningNode is for the verbs that need a cluster.
func runningNode() (layout, int, error) {
	l, err := newLayout()
	if err != nil {
		return l, 0, err
	}
	pid := findNode(l)
	if pid == 0 {
		return l, 0, errors.New("the cluster is not up: cluster up")
	}
	l, err = readLayout(l)
	return l, pid, err
}

// hostPID finds a component's process: the child of the node's first one that has the id noted inside.
func hostPID(l layout, node int, component string) (int, error) {
	inside, err := os.ReadFile(l.state("pids", component))
	if err != nil {
		return 0, fmt.Errorf("no component %q: there are %s", component, strings.Join(componentNames, ", "))
	}
	candidates, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	for _, file := range candidates {
		if statusField(file, "PPid") != strconv.Itoa(node) {
			continue
		}
		ids := strings.Fields(statusField(file, "NSpid"))
		if len(ids) > 0 && ids[len(ids)-1] == strings.TrimSpace(string(inside)) {
			return strconv.Atoi(ids[0])
		}
	}
	return 0, fmt.Errorf("%s is not running", component)
}

func statusField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "" // the process has ended meanwhile
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func status() error {
	l, node, err := runningNode()
	if err != nil {
		return err
	}
	for _, name := range componentNames {
		pid, err := hostPID(l, node, name)
		if err != nil {
			fmt.Printf("%-24s %v\n", name, err)
			continue
		}
		file := fmt.Sprintf("/proc/%d/status", pid)
		fmt.Printf("%-24s process %-7d %-12s memory %s\n", name, pid, statusField(file, "State"), statusField(file, "VmRSS"))
	}
	fmt.Printf("API server %s, pods %s, services %s, host %s on %s\n", l.apiServer(), l.podCIDR(), l.serviceCIDR(), l.hostIP(), l.veth())
	if err := checkHealth(l); err != nil {
		return fmt.Errorf("not well: %w", err)
	}
	fmt.Println("well: the API server is ready, and so is the node")
	return nil
}

func signalComponents(verb string, names []string) error {
	l, node, err := runningNode()
	if err != nil {
		return err
	}
	signals := map[string]syscall.Signal{"pause": syscall.SIGSTOP, "resume": syscall.SIGCONT, "restart": syscall.SIGKILL}
	for _, name := range names {
		pid, err := hostPID(l, node, name)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, signals[verb]); err != nil {
			return fmt.Errorf("%s %s: %w", verb, name, err)
		}
	}
	return nil
}

// execInNode replaces this program with a command in the node's namespaces. The checkout's tools come first in its PATH.
func execInNode(command []string) error {
	_, node, err := runningNode()
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	environment := append(os.Environ(), "PATH="+nodeTools+":/usr/sbin:/usr/bin:/sbin:/bin")
	args := append([]string{"nsenter", "--target", strconv.Itoa(node), "--mount", "--pid", "--net", "--"}, command...)
	return syscall.Exec(nsenter, args, environment)
}
