// Package standalone tries the Debian package as its users have it: on fresh
// Debians, 12 and 13, that boot with systemd, by the commands of docs/standalone.md.
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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 2 * time.Minute // the machine may be busy

// A Debian is a release that the package supports, by its name.
type Debian string

const (
	Debian12 Debian = "bookworm"
	Debian13 Debian = "trixie" // the one that Octez supports from its next release on
)

// Host is a Debian that has booted.
type Host struct {
	name   string
	root   string
	binds  []string
	nspawn *exec.Cmd
	leader string // the process id of its systemd
	unlink func() // cuts it off from the API server, where there is one
}

// Boot starts a fresh host of a release, which ends with the test. What binds name it shares with others: OUTSIDE:INSIDE.
func Boot(t *testing.T, checkout string, release Debian, name string, binds ...string) *Host {
	t.Helper()
	made := exec.CommandContext(t.Context(), filepath.Join(checkout, "e2e/standalone/rootfs"), string(release))
	if text, err := made.CombinedOutput(); err != nil {
		t.Fatalf("no Debian: %v: %s", err, text)
	}
	// Not t.TempDir(): /tmp may be in memory, where the signer keeps no records.
	directory, err := os.MkdirTemp("/var/tmp", "tezos-signer-host-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(directory); err != nil {
			t.Error(err)
		}
	})
	h := &Host{name: name, root: filepath.Join(directory, "host"), binds: binds}
	if err := os.Mkdir(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(checkout, "target/standalone", string(release)+".tar")
	if text, err := exec.CommandContext(t.Context(), "tar", "--extract", "--file", archive, "--directory", h.root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := os.WriteFile(filepath.Join(h.root, "etc/hostname"), []byte(name+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.end(t) }) // also of one that does not boot
	// Degraded is what a container is that may not do everything.
	h.boot(t, "running", "degraded")
	return h
}

// boot starts it, and waits until it is in one of these states of systemd.
func (h *Host) boot(t *testing.T, states ...string) {
	t.Helper()
	console, err := os.CreateTemp(t.TempDir(), "console")
	if err != nil {
		t.Fatal(err)
	}
	h.nspawn = exec.Command("systemd-nspawn", "--quiet", "--directory", h.root, "--boot", "--register=no", "--keep-unit",
		"--private-network", "--link-journal=no", "--machine", fmt.Sprintf("standalone-%d", time.Now().UnixNano()))
	for _, bind := range h.binds {
		h.nspawn.Args = append(h.nspawn.Args, "--bind", bind)
	}
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
		state, _ := h.try(t.Context(), "systemctl is-system-running")
		if state = strings.TrimSpace(state); !slices.Contains(states, state) {
			return errors.New(state)
		}
		return nil
	})
}

func (h *Host) end(t *testing.T) {
	if h.nspawn == nil || h.nspawn.Process == nil {
		return // it was never started
	}
	if t.Failed() && h.leader != "" {
		text, _ := h.try(context.Background(), "systemctl --no-pager status tezos-signer; journalctl --no-pager --lines 60")
		t.Logf("%s: %s", h.name, text)
	}
	h.Crash()
	exec.Command("umount", "--lazy", h.root).Run()
}

// Crash ends all its processes at once.
func (h *Host) Crash() {
	// Its systemd takes the others along, and nspawn ends when that has.
	if leader, err := strconv.Atoi(h.leader); err == nil {
		unix.Kill(leader, unix.SIGKILL)
	} else {
		h.nspawn.Process.Kill()
	}
	h.nspawn.Wait()
	h.leader = ""
}

// Reboot ends it as its owner does, and starts it again.
func (h *Host) Reboot(t *testing.T) {
	t.Helper()
	h.try(t.Context(), "systemctl poweroff")
	h.nspawn.Wait()
	h.leader = ""
	h.PowerOn(t)
}

// PowerOn starts it again. Its services may wait for what they need yet.
func (h *Host) PowerOn(t *testing.T) {
	t.Helper()
	h.boot(t, "starting", "running", "degraded")
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
	command := exec.CommandContext(ctx, "nsenter", "--target", h.leader, "--all", "--wdns=/root", "bash", "-euo", "pipefail", "-c", script)
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive", "LANG=C.UTF-8"}
	text, err := command.CombinedOutput()
	return string(text), err
}

// Dial connects to an address as a process of the host does.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return inside(h, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) })
}

// Listen accepts what processes of the host connect to.
func (h *Host) Listen(address string) (net.Listener, error) {
	return inside(h, func() (net.Listener, error) { return net.Listen("tcp", address) })
}

// inside does something in the host's network.
func inside[T any](h *Host, do func() (T, error)) (T, error) {
	runtime.LockOSThread()
	var nothing T
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nothing, err
	}
	defer here.Close()
	there, err := os.Open("/proc/" + h.leader + "/ns/net")
	if err != nil {
		return nothing, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nothing, err
	}
	value, err := do()
	// Back, and not left to end with the goroutine: that would end the processes that this thread has started.
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		return value, errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return value, err
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
