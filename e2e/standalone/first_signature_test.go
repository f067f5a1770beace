package standalone

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

var checkout string

func TestMain(m *testing.M) {
	if os.Getenv("E2E") != "1" {
		fmt.Println("not run: these tests boot a Debian, and need E2E=1")
		return
	}
	var err error
	if checkout, err = filepath.Abs("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// The commands of docs/standalone.md as they stand, on a fresh host; then what the
// document says of reloads, crashes, reboots, upgrades and the end.
func TestTheDocumentLeadsFromAFreshDebianToASignature(t *testing.T) {
	for _, release := range []Debian{Debian12, Debian13} {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			testInstallationGuide(t, release)
		})
	}
}

func testInstallationGuide(t *testing.T, release Debian) {
	file := debianPackage(t)
	host := Boot(t, checkout, release, "host")
	install(t, host, file)

	const initial = 15181990 // of the document
	var reload string
	for _, block := range documented(t, "standalone.md") {
		printed := host.Run(t, block)
		switch {
		case strings.Contains(block, "apt-get install"):
			if state := host.state(t); state != "inactive" {
				t.Errorf("the package has the service %s before it is configured", state)
			}
		case strings.Contains(block, "run check"):
			t.Log("\n" + printed)
		case strings.Contains(block, "systemctl reload"):
			reload = block
		}
	}
	if reload == "" {
		t.Fatal("the document reloads nothing")
	}

	key := host.key(t)
	client := octezclient.NewClientBy(host.Dial, "http://127.0.0.1:6732")
	level := int32(initial)
	sign := func() ([]byte, string) {
		t.Helper()
		level++
		asked, err := payload.New("block", level, 0)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := client.Sign(t.Context(), key, asked)
		if err != nil {
			t.Fatalf("level %d: %v", level, err)
		}
		return asked, signature
	}
	low, err := payload.New("block", initial, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sign(t.Context(), key, low); err == nil {
		t.Error("the level of the watermark is signed")
	}
	first, signature := sign()
	t.Logf("the first signature: %s", signature)

	// Only root can read the PIN, and nobody else what the service has.
	if output, err := host.try(t.Context(), "runuser -u nobody -- cat /etc/tezos-signer/pin || runuser -u nobody -- ls /var/lib/tezos-signer /var/log/tezos-signer"); err == nil {
		t.Errorf("anybody reads: %s", output)
	}
	if mode := strings.TrimSpace(host.Run(t, "stat --format %a:%U /var/lib/tezos-signer/watermarks")); mode != "700:tezos-signer" {
		t.Errorf("the watermarks' directory is %s", mode)
	}
	host.checkLoosePermissionsRefused(t)
	client.Close()
	host.checkImportAsRoot(t)
	t.Log(strings.TrimSpace(host.Run(t, "systemd-analyze security tezos-signer | tail -n 1")))

	// A policy by reload; a wrong one changes nothing, and systemd's status says why.
	host.Run(t, "sed --in-place 's/  label: baker-one/&\\n  allow: [attestation]/' /etc/tezos-signer/config.yaml\n"+reload)
	host.awaitStatus(t, "signs")
	another, _ := payload.New("block", level+1, 0)
	await(t, "the new policy", func() error {
		if _, err := client.Sign(t.Context(), key, another); err == nil || !strings.Contains(err.Error(), "not allowed") {
			return fmt.Errorf("answered %v", err)
		}
		return nil
	})
	host.Run(t, "sed --in-place 's/listen: .*/listen: 127.0.0.1:1/; /allow: /d' /etc/tezos-signer/config.yaml\n"+reload)
	host.awaitStatus(t, "listen cannot change")
	host.Run(t, "sed --in-place 's/listen: .*/listen: 127.0.0.1:6732/' /etc/tezos-signer/config.yaml\n"+reload)
	await(t, "the old policy", func() error {
		_, err := client.Sign(t.Context(), key, another)
		return err
	})
	level++
	if status := host.Run(t, "systemctl show --property StatusText --value tezos-signer"); strings.TrimSpace(status) != "signs" {
		t.Errorf("after the correction the status is %s", status)
	}

	// A rotated log is whole, and the next line goes to a new one.
	host.Run(t, "logrotate --force /etc/logrotate.d/tezos-signer")
	sign()
	host.Run(t, "cd /var/log/tezos-signer && tezos-signer-run audit verify audit.log.1 audit.log")

	// Killed, it comes back by itself; and after a reboot.
	before := host.Run(t, "systemctl show --property MainPID tezos-signer; kill -KILL \"$(systemctl show --property MainPID --value tezos-signer)\"")
	host.awaitReady(t, before)
	sign()
	host.Reboot(t)
	client.Close()
	host.awaitReady(t, "")
	if again, err := client.Sign(t.Context(), key, first); err == nil {
		t.Errorf("what is below the watermark is signed after a reboot: %s", again)
	}
	sign()

	// An upgrade restarts it, and does not wait for a token that is away; a purge leaves the watermarks.
	install(t, host, file)
	before = host.Run(t, `systemctl show --property MainPID tezos-signer
mv /var/lib/tezos-signer/tokens /var/lib/tezos-signer/away
timeout 60 apt-get install --yes --reinstall ./tezos-signer_*.deb 2>&1 >/dev/null
mv /var/lib/tezos-signer/away /var/lib/tezos-signer/tokens`)
	client.Close()
	host.awaitReady(t, strings.SplitN(before, "\n", 2)[0])
	sign()
	record := host.Run(t, "cat /var/lib/tezos-signer/watermarks/*.json")
	host.Run(t, "apt-get purge --yes tezos-signer")
	if left := host.Run(t, "cat /var/lib/tezos-signer/watermarks/*.json"); left != record {
		t.Errorf("a purge has changed the watermarks: %s", left)
	}
	host.Run(t, "test ! -e /usr/bin/tezos-signer -a ! -e /lib/systemd/system/tezos-signer.service")
}

// A PIN that others read, or a configuration that they change: check says so, and it does not start.
func (h *Host) checkLoosePermissionsRefused(t *testing.T) {
	t.Helper()
	for path, mode := range map[string]string{"/etc/tezos-signer/pin": "0644", "/etc/tezos-signer/config.yaml": "0646"} {
		before := h.Run(t, "stat --format %a "+path+"; chmod "+mode+" "+path)
		if output, err := h.try(t.Context(), "tezos-signer-run check"); err == nil || !strings.Contains(output, "by other users (mode "+mode) {
			t.Errorf("%s with %s is checked: %s", path, mode, output)
		}
		if _, err := h.try(t.Context(), "systemctl restart tezos-signer"); err == nil {
			t.Errorf("it starts with %s for %s", mode, path)
		}
		h.Run(t, "chmod "+strings.TrimSpace(before)+" "+path)
		h.awaitReady(t, "")
	}
}

// The commands of the guides on a host with the package: export as root, import of files that only root reads, and nothing of root's
// among the service's own.
func (h *Host) checkImportAsRoot(t *testing.T) {
	t.Helper()
	h.Run(t, `install -d -m 0700 /root/octez
tezos-signer watermarks export --config /etc/tezos-signer/config.yaml --format octez --output /root/octez
chmod 0600 /root/octez/*
tezos-signer-run watermarks import /root/octez`)
	output, err := h.try(t.Context(), "tezos-signer watermarks raise --config /etc/tezos-signer/config.yaml --level 1")
	if err == nil || !strings.Contains(output, "tezos-signer-run") {
		t.Errorf("root raises rows of the service: %s", output)
	}
	if left := h.Run(t, "find /var/lib/tezos-signer/watermarks -user root"); left != "" {
		t.Errorf("there are files of root: %s", left)
	}
}

func install(t *testing.T, host *Host, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(host.root, "root", filepath.Base(file)), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (h *Host) state(t *testing.T) string {
	text, _ := h.try(t.Context(), "systemctl show --property ActiveState --value tezos-signer")
	return strings.TrimSpace(text)
}

// awaitReady waits for a process that signs, another than that of before.
func (h *Host) awaitReady(t *testing.T, before string) {
	t.Helper()
	await(t, "a process that signs", func() error {
		now, err := h.try(t.Context(), "systemctl show --property MainPID tezos-signer; systemctl is-active tezos-signer; curl --fail --silent http://127.0.0.1:9583/readyz")
		if err != nil || before != "" && strings.HasPrefix(now, strings.TrimSpace(before)+"\n") {
			return fmt.Errorf("%v: %s", err, now)
		}
		return nil
	})
}

func (h *Host) awaitStatus(t *testing.T, words string) {
	t.Helper()
	await(t, "systemd's status", func() error {
		if text := h.Run(t, "systemctl show --property StatusText tezos-signer"); !strings.Contains(text, words) {
			return fmt.Errorf("%q", text)
		}
		return nil
	})
}
