// The node's own view of the file system. Everything here happens in a mount namespace that ends with the node's last
// process, so no mount can be left behind, and nothing is written to the host's /run and /var.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The kubelet sets these for the whole machine when it finds them different. It finds what it wants, in files of the node's own.
var kubeletSysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

func mountNodeFileSystems(l layout) error {
	// Held open, because the new /run and /var may cover the paths.
	state, err := os.Open(l.state())
	if err != nil {
		return err
	}
	defer state.Close()
	tools, err := os.Open(filepath.Dir(l.tool("kube")))
	if err != nil {
		return err
	}
	defer tools.Close()

	mounts := []struct {
		source, target, fstype string
		flags                  uintptr
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE}, // nothing gets back to the host
		{"proc", "/proc", "proc", 0},                       // of the node's processes only
		{"tmpfs", "/run", "tmpfs", 0},
		{fmt.Sprintf("/proc/self/fd/%d", state.Fd()), nodeState, "", syscall.MS_BIND},
		{fmt.Sprintf("/proc/self/fd/%d", tools.Fd()), nodeTools, "", syscall.MS_BIND},
		{nodeState + "/var", "/var", "", syscall.MS_BIND},
		{"", "/", "", syscall.MS_REC | syscall.MS_SHARED}, // volumes with mount propagation want it
	}
	for _, directory := range []string{"lib", "log/pods", "log/pods" + spareMember.suffix, "log/containers", "tmp"} {
		if err := os.MkdirAll(l.state("var", directory), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", l.state("var/run")); err != nil {
		return err
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.target, "/run/") {
			if err := os.MkdirAll(m.target, 0o755); err != nil {
				return err
			}
		}
		if err := syscall.Mount(m.source, m.target, m.fstype, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for name, value := range kubeletSysctls {
		file := filepath.Join("/run/sysctl", name)
		if err := writeFile(file, value+"\n", 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(file, "/proc/sys/"+name, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over /proc/sys/%s: %w", name, err)
		}
	}
	return nil
}

// writeFile also makes the directories above.
func writeFile(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}
