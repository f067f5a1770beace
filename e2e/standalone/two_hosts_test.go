package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/controlplane"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

const lease = 5 * time.Second // of docs/two-hosts.md

// The commands of docs/two-hosts.md as they stand, on two hosts and an API server; then
// what the document says of either host's end.
func TestTwoHostsShareARecord(t *testing.T) {
	file := debianPackage(t)
	admin := newAdminHost(t)
	tokens := t.TempDir()
	shared := tokens + ":/var/lib/tezos-signer/tokens"
	a, b := Boot(t, checkout, Debian12, "host-a", shared), Boot(t, checkout, Debian13, "host-b", shared)
	hosts := map[string][]*Host{"on both hosts": {a, b}, "on host-a": {a}}
	prepareTwoHosts(t, a, b, file)
	for _, host := range hosts["on both hosts"] {
		host.Link(t, admin.plane.Port)
	}

	const initial = 15181990 // of the document
	for _, block := range documented(t, "two-hosts.md") {
		where := strings.TrimPrefix(strings.SplitN(block, "\n", 2)[0], "# ")
		if where == "where kubectl is" {
			admin.run(t, block)
			for _, host := range []*Host{a, b} {
				admin.send(t, host.name+".kubeconfig", host)
			}
			continue
		}
		if len(hosts[where]) == 0 {
			t.Fatalf("nobody knows where this is run: %q", where)
		}
		for _, host := range hosts[where] {
			t.Logf("%s:\n%s", host.name, host.Run(t, block))
		}
		admin.fetch(t, a, "records.json")
	}
	a.awaitStatus(t, "signs")
	b.awaitStatus(t, "standby: host-a holds its record")

	key := a.key(t)
	clientA, clientB := octezclient.NewClientBy(a.Dial, "http://127.0.0.1:6732"), octezclient.NewClientBy(b.Dial, "http://127.0.0.1:6732")
	level := int32(initial)
	block := func(of int32) []byte {
		asked, err := payload.New("block", of, 0)
		if err != nil {
			t.Fatal(err)
		}
		return asked
	}
	// signs has a client ask until it is answered with a signature, and says after how long that was.
	signs := func(client *octezclient.Client, within time.Duration) time.Duration {
		t.Helper()
		level++
		asked, began := block(level), time.Now()
		for {
			_, err := client.RequestOnce(t.Context(), key, asked)
			if err == nil {
				break
			}
			client.Close()
			if time.Since(began) > within {
				t.Fatalf("level %d is not signed after %v: %v", level, within, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		return time.Since(began).Round(time.Millisecond)
	}
	refuses := func(client *octezclient.Client, of int32, words string) {
		t.Helper()
		if _, err := client.RequestOnce(t.Context(), key, block(of)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("level %d: expected %q: %v", of, words, err)
		}
	}
	const spare = 15 * time.Second // the machine may be busy
	signs(clientA, 0)
	refuses(clientB, level+1, "another signer holds the record of this key (host-a)")

	// A crash of the host, in the middle of its work.
	a.Crash()
	t.Logf("host-a crashes: host-b signs after %v", signs(clientB, lease+spare))
	a.PowerOn(t)
	a.Link(t, admin.plane.Port)
	a.awaitStatus(t, "standby: host-b holds its record")
	refuses(clientA, level+1, "another signer holds the record of this key (host-b)")

	// Switched by hand. What the other has signed is not signed again.
	b.Run(t, "systemctl stop tezos-signer")
	t.Logf("the signer of host-b is stopped: host-a signs after %v", signs(clientA, spare))
	refuses(clientA, level-1, "below the watermark")
	other, _ := payload.New("block", level, 0)
	other[len(other)-1] ^= 1
	if _, err := clientA.RequestOnce(t.Context(), key, other); err == nil {
		t.Error("two blocks are signed for a level and round")
	}
	b.Run(t, "systemctl start tezos-signer")

	// Its network goes, and comes back.
	a.unlink()
	refuses(clientA, level+1, "API server")
	t.Logf("host-a is cut off: host-b signs after %v", signs(clientB, lease+spare))
	a.Link(t, admin.plane.Port)
	a.awaitStatus(t, "standby: host-b holds its record")

	// The signer is killed, and started again by systemd.
	b.Run(t, `kill -KILL "$(systemctl show --property MainPID --value tezos-signer)"`)
	t.Logf("the signer of host-b is killed: it signs after %v", signs(clientB, lease+spare))

	admin.checkForbidden(t)

	// A host is to sign no more. The API server believes a token for 10 s after it has seen it.
	admin.run(t, "kubectl delete secret --namespace tezos-signer-hosts host-b")
	t.Logf("the token of host-b is taken away: host-a signs after %v", signs(clientA, 10*time.Second+lease+spare))
	refuses(clientB, level+1, "401")
}

// prepareTwoHosts does on two hosts with one token what docs/standalone.md has up to the key.
func prepareTwoHosts(t *testing.T, a, b *Host, file string) {
	t.Helper()
	for _, host := range []*Host{a, b} {
		install(t, host, file)
	}
	for _, block := range documented(t, "standalone.md") {
		onlyOnce := strings.Contains(block, "--init-token") || strings.Contains(block, "keys generate")
		switch {
		case strings.Contains(block, "watermarks initialise"):
			return
		case strings.Contains(block, "/etc/tezos-signer/pin") && !onlyOnce:
			pin := a.Run(t, block+"cat /etc/tezos-signer/pin")
			b.Run(t, "(umask 077 && cat > /etc/tezos-signer/pin <<'END'\n"+pin+"END\n)")
		case onlyOnce:
			a.Run(t, block)
		default:
			a.Run(t, block)
			b.Run(t, block)
		}
	}
}

// adminHost is where kubectl is: a directory, and an administrator's kubeconfig of an
// API server with its controllers.
type adminHost struct {
	plane       *controlplane.Plane
	directory   string
	environment []string
}

func newAdminHost(t *testing.T) *adminHost {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), checkout, t.TempDir(), 1)
	t.Cleanup(plane.Close)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := plane.StartControllers()
	t.Cleanup(stop)
	if err != nil {
		t.Fatal(err)
	}
	o := &adminHost{plane: plane, directory: t.TempDir()}
	tools := filepath.Join(checkout, "target/tools")
	o.environment = append(os.Environ(), "KUBECONFIG="+plane.Kubeconfig(), "PATH="+tools+":"+os.Getenv("PATH"), "USER=alice", "HOME="+o.directory)
	// The chart is installed from the checkout, by a path that begins there.
	if err := os.Symlink(filepath.Join(checkout, "charts"), filepath.Join(o.directory, "charts")); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *adminHost) try(ctx context.Context, script string) (string, error) {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir, command.Env = o.directory, o.environment
	text, err := command.CombinedOutput()
	return string(text), err
}

func (o *adminHost) run(t *testing.T, script string) {
	t.Helper()
	if text, err := o.try(t.Context(), script); err != nil {
		t.Fatalf("%s\n%v: %s", script, err, text)
	}
}

// send carries a file to a host's root, if it is there.
func (o *adminHost) send(t *testing.T, name string, to *Host) {
	t.Helper()
	copyFile(t, filepath.Join(o.directory, name), filepath.Join(to.root, "root", name))
}

func (o *adminHost) fetch(t *testing.T, from *Host, name string) {
	t.Helper()
	copyFile(t, filepath.Join(from.root, "root", name), filepath.Join(o.directory, name))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err := errors.Join(err, os.WriteFile(to, text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// checkForbidden tries with a host's kubeconfig what a host may not do.
func (o *adminHost) checkForbidden(t *testing.T) {
	t.Helper()
	for _, try := range []struct{ what, command, because string }{
		{"list the records", "get configmaps --namespace tezos-signer-records", "forbidden"},
		{"read another", "get configmap --namespace tezos-signer-records watermark-tz3-0000000000000000000000000000000000000000-7a06a770", "forbidden"},
		{"read Secrets", "get secrets --namespace tezos-signer-hosts", "forbidden"},
		{"delete the record", "delete --filename records.json", "forbidden"},
		{"make one", "create configmap --namespace tezos-signer-records watermark-other", "forbidden"},
		{"act as somebody", "get --filename records.json --as=alice --as-group=tezos-signer:break-glass", "forbidden"},
		{"raise a row", `replace --filename raised.json`, "to raise or add a row, use the group tezos-signer:break-glass"},
		{"name another user", `replace --filename renamed.json`, "is written by the group tezos-signer:break-glass only"},
	} {
		script := `
			kubectl get --filename records.json --output json | grep -v resourceVersion > now.json
			sed 's/"block": "[0-9]* .*"/"block": "15199999 2147483647 - -"/' now.json > raised.json
			sed 's/hosts:signer"/hosts:another"/' now.json > renamed.json
			kubectl --kubeconfig host-b.kubeconfig ` + try.command
		text, err := o.try(t.Context(), script)
		// A host renewed its lease in between.
		for attempt := 0; attempt < 20 && strings.Contains(text, "the object has been modified"); attempt++ {
			text, err = o.try(t.Context(), script)
		}
		if err == nil || !strings.Contains(strings.ToLower(text), strings.ToLower(try.because)) {
			t.Errorf("a host may %s, or is told something else than %q: %v: %s", try.what, try.because, err, text)
		}
	}
}

// Link has the host reach the API server by the address that the kubeconfig has.
func (h *Host) Link(t *testing.T, port int) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	listener, err := h.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cut := context.WithCancel(context.Background())
	h.unlink = func() { listener.Close(); cut() }
	t.Cleanup(h.unlink)
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go proxyTo(ctx, near, address)
		}
	}()
}

// proxyTo joins a connection to another one, until either ends or the link is cut.
func proxyTo(ctx context.Context, near net.Conn, address string) {
	defer near.Close()
	far, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	defer stop()
	go func() {
		io.Copy(far, near)
		far.Close()
	}()
	io.Copy(near, far)
}

var publicKey = regexp.MustCompile(`p2pk\w+`)

// key is the key that the host is configured to sign with.
func (h *Host) key(t *testing.T) *octezclient.PublicKey {
	t.Helper()
	key, err := octezclient.ParsePublicKey(publicKey.FindString(h.Run(t, "grep publicKey /etc/tezos-signer/config.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// documented are the commands of a document.
func documented(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return Commands(string(text))
}

// debianPackage is what `make deb` has made.
func debianPackage(t *testing.T) string {
	t.Helper()
	packages, _ := filepath.Glob(filepath.Join(checkout, "target/debian/tezos-signer_*.deb"))
	if len(packages) != 1 {
		t.Fatalf("make deb has not made one package: %v", packages)
	}
	return packages[0]
}
