// Package standalone tries the Debian package as its users have it: on a fresh
// Debian 12 that boots with systemd, by the commands of docs/standalone.md.
//
//	E2E=1 go test -count 1 -v ./standalone
//
// It needs `make deb`, and root. Without E2E=1 it does nothing.
//
// This file: the host. It has a network of its own, with nothing but loopback.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 2 * time.Minute // the machine may be busy

// Host is a Debian that has booted.
type Host struct {
	root   string
	nspawn *exec.Cmd
	leader string // the process id of its systemd
}

// Boot starts a fresh host, which ends with the test.
func Boot(t *testing.T, checkout string) *Host {
	t.Helper()
	made := exec.CommandContext(t.Context(), filepath.Join(checkout, "e2e/standalone/rootfs"))
	if text, err := made.CombinedOutput(); err != nil {
		t.Fatalf("no Debian: %v: %s", err, text)
	}
	h := &Host{root: filepath.Join(t.TempDir(), "host")}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(checkout, "target/standalone/bookworm.tar")
	if text, err := exec.CommandContext(t.Context(), "tar", "--extract", "--file", archive, "--directory", h.root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	h.boot(t)
	t.Cleanup(func() { h.end(t) })
	return h
}

func (h *Host) boot(t *testing.T) {
	t.Helper()
	console, err := os.CreateTemp(t.TempDir(), "console")
	if err != nil {
		t.Fatal(err)
	}
	h.nspawn = exec.Command("systemd-nspawn", "--quiet", "--directory", h.root, "--boot", "--register=no", "--keep-unit",
		"--private-network", "--link-journal=no", "--machine", fmt.Sprintf("standalone-%d", time.Now().UnixNano()))
	h.nspawn.Stdout, h.nspawn.Stderr = console, console
	if err := h.nspawn.Start(); err != nil {
		t.Fatalf("systemd-nspawn: %v", err)
	}
	await(t, "the host to boot", func() error {
		// Read anew each time: its first child only prepares the second.
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", h.nspawn.Process.Pid, h.nspawn.Process.Pid))
		if err != nil || len(strings.Fields(string(children))) == 0 {
			text, _ := os.ReadFile(console.Name())
			return fmt.Errorf("no process in it: %v: %s", err, text)
		}
		h.leader = strings.Fields(string(children))[0]
		// Degraded is what a container is that may not do everything.
		state, _ := h.try(t.Context(), "systemctl is-system-running")
		if state = strings.TrimSpace(state); state != "running" && state != "degraded" {
			return errors.New(state)
		}
		return nil
	})
}

func (h *Host) end(t *testing.T) {
	if t.Failed() {
		text, _ := h.try(context.Background(), "systemctl --no-pager status tezos-signer; journalctl --no-pager --lines 60")
		t.Log(text)
	}
	// The signer's systemd takes its processes along.
	h.nspawn.Process.Kill()
	h.nspawn.Wait()
	exec.Command("umount", "--lazy", h.root).Run()
}

// PowerOff ends it as its owner does, and Boot starts it again.
func (h *Host) Reboot(t *testing.T) {
	t.Helper()
	h.try(t.Context(), "systemctl poweroff")
	h.nspawn.Wait()
	h.leader = ""
	h.boot(t)
}

// Run runs a script as root, which must end well, and returns what it printed.
func (h *Host) Run(t *testing.T, script string) string {
	t.Helper()
	text, err := h.try(t.Context(), script)
	if err != nil {
		t.Fatalf("%s\n%v: %s", script, err, text)
	}
	return text
}

func (h *Host) try(ctx context.Context, script string) (string, error) {
	command := exec.CommandContext(ctx, "nsenter", "--target", h.leader, "--all", "--wd=/root", "bash", "-euo", "pipefail", "-c", script)
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "LANG=C.UTF-8"}
	text, err := command.CombinedOutput()
	return string(text), err
}

// Dial connects to an address as a process of the host does.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		connection net.Conn
		err        error
	}
	done := make(chan result)
	go func() {
		// The thread is not given back: it ends with the goroutine.
		runtime.LockOSThread()
		namespace, err := os.Open("/proc/" + h.leader + "/ns/net")
		if err == nil {
			defer namespace.Close()
			err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- result{err: err}
			return
		}
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		done <- result{connection, err}
	}()
	dialled := <-done
	return dialled.connection, dialled.err
}

func await(t *testing.T, what string, tried func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = tried(); err == nil {
			return
		}
	}
	t.Fatalf("waited for %s: %v", what, err)
}
