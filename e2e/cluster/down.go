// Ending the cluster and removing every trace but the logs. All the node's processes share one process namespace: when
// its first process is killed, the kernel kills the rest, pods and shims as well, and their mounts, network and rules go
// with them. So this works the same after a start that failed half way, or when anything in the node was killed.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

func down() error {
	l, err := newLayout()
	if err != nil {
		return err
	}
	unlock, err := lockCluster(l)
	if err != nil {
		return err
	}
	defer unlock()
	if findNode(l) == 0 {
		fmt.Println("the cluster is not up")
	}
	begin := time.Now()
	if err := remove(l); err != nil {
		return err
	}
	fmt.Printf("nothing of the cluster is left but %s (%.1f s)\n", l.state("logs"), time.Since(begin).Seconds())
	return nil
}

// remove ends what runs and deletes what is left, whatever state that is in.
func remove(l layout) error {
	if pid := findNode(l); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill the node, process %d: %w", pid, err)
		}
		for deadline := time.Now().Add(30 * time.Second); !hasEnded(pid); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d, the node, was killed 30 s ago and is still there: see its children with ps", pid)
			}
		}
		// Give the machine's first process, which inherited it, the time to take note.
		for try := 0; try < 100 && statusField(fmt.Sprintf("/proc/%d/status", pid), "State") != ""; try++ {
			time.Sleep(30 * time.Millisecond)
		}
	}
	if _, err := os.Stat("/sys/class/net/" + l.veth()); err == nil {
		if output, err := exec.Command("ip", "link", "delete", l.veth()).CombinedOutput(); err != nil {
			// The kernel may have been faster, since the other end has gone with the node.
			if _, gone := os.Stat("/sys/class/net/" + l.veth()); gone == nil {
				return fmt.Errorf("ip link delete %s: %s", l.veth(), output)
			}
		}
	}
	if err := removeCgroups(l); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.state())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != "logs" {
			if err := os.RemoveAll(l.state(entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// On cgroup v1 there is one in each hierarchy, on v2 there is one.
func cgroupRoots() ([]string, error) {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return []string{"/sys/fs/cgroup"}, nil
	}
	roots, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if err == nil && len(roots) == 0 {
		err = errors.New("no cgroups below /sys/fs/cgroup: they must be mounted there")
	}
	for i := range roots {
		roots[i] = filepath.Dir(roots[i])
	}
	return roots, err
}

func cgroupsIn(roots []string, l layout) []string {
	var directories []string
	for _, root := range roots {
		for _, m := range members {
			directories = append(directories, filepath.Join(root, l.cgroup(m)))
		}
	}
	return directories
}

// makeCgroups makes those below which the kubelets put the pods; they do not start without.
func makeCgroups(l layout) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, directory := range cgroupsIn(roots, l) {
		root := filepath.Dir(directory)
		if err := os.Mkdir(directory, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// A new cpuset of v1 is empty, and nothing can run in it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if value, err := os.ReadFile(filepath.Join(root, file)); err == nil {
				if err := os.WriteFile(filepath.Join(directory, file), value, 0); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func removeCgroups(l layout) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, directory := range cgroupsIn(roots, l) {
		if err := removeCgroup(directory); err != nil {
			return err
		}
	}
	return nil
}

// A cgroup is removed with rmdir, from the leaves up, and is busy for a moment after its last process ended.
func removeCgroup(directory string) error {
	children, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, child := range children {
		if child.IsDir() {
			if err := removeCgroup(filepath.Join(directory, child.Name())); err != nil {
				return err
			}
		}
	}
	for try := 0; ; try++ {
		err := syscall.Rmdir(directory)
		if err == nil || err == syscall.ENOENT {
			return nil
		}
		if err != syscall.EBUSY || try == 100 {
			return fmt.Errorf("remove %s: %w", directory, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
