// Package controlplane starts an API server and its etcd on ports of their own: a
// cluster without nodes, for tests that break what a shared one needs. Everything
// is real but the pods; for those a test starts processes.
package controlplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"signer.tezos.io/e2e/ports"
)

const (
	adminToken       = "the-administrator" // of a server that lives for one test, on loopback
	controllersToken = "the-controllers"
	patience         = 90 * time.Second // the machine may be busy
)

// One line for each request, when it begins and when it ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// Plane is a running API server with its etcd members.
type Plane struct {
	Port    int
	Members []*Member
	dir     string
	program string // target/tools/kube
	flags   []string
	durable bool // etcd brings its writes to the disk
	server  *exec.Cmd
	// Authority is whose certificate the API server has, or will have when it is started the next time.
	Authority []byte
}

// Start starts them in dir. The extra flags are the API server's.
func Start(ctx context.Context, checkout, dir string, members int, flags ...string) (*Plane, error) {
	p := &Plane{dir: dir, program: filepath.Join(checkout, "target/tools/kube"), flags: flags}
	return p, p.startAll(ctx, members)
}

// StartDurable starts an API server with one etcd that brings each write to the disk, as those of users do: for measurements.
func StartDurable(ctx context.Context, checkout, dir string, flags ...string) (*Plane, error) {
	p := &Plane{dir: dir, program: filepath.Join(checkout, "target/tools/kube"), flags: flags, durable: true}
	return p, p.startAll(ctx, 1)
}

func (p *Plane) startAll(ctx context.Context, members int) error {
	reserved, err := ports.Reserve(1 + 2*members)
	if err != nil {
		return err
	}
	p.Port = reserved[0]
	if err := p.startMembers(reserved[1:]); err != nil {
		return err
	}
	if err := errors.Join(
		p.RotateCertificate(),
		p.writeServiceAccountKey(),
		p.write("tokens.csv", adminToken+`,admin,admin,"system:masters"`+"\n"+
			controllersToken+`,system:kube-controller-manager,controllers,"system:masters"`),
		p.write("audit.yaml", auditPolicy),
	); err != nil {
		return err
	}
	return p.StartServer(ctx)
}

func (p *Plane) file(name string) string { return filepath.Join(p.dir, name) }

func (p *Plane) write(name, content string) error {
	return os.WriteFile(p.file(name), []byte(content), 0o600)
}

// Kubeconfig is the administrator's file.
func (p *Plane) Kubeconfig() string { return p.file("kubeconfig") }

func (p *Plane) writeKubeconfig(name, token string) error {
	content := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test,
  clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", certificate-authority-data: %s}}],
  users: [{name: test, user: {token: %s}}], contexts: [{name: test, context: {cluster: test, user: test}}]}`,
		p.Port, base64.StdEncoding.EncodeToString(p.Authority), token)
	return p.write(name, content)
}

// Kubectl runs kubectl as the administrator, and returns all that it printed.
func (p *Plane) Kubectl(stdin string, args ...string) (string, error) {
	command := exec.Command(filepath.Join(filepath.Dir(p.program), "kubectl"), append([]string{"--kubeconfig", p.Kubeconfig()}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	output, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %v: %w: %s", args, err, output)
	}
	return string(output), err
}

// AuditLog is the API server's own.
func (p *Plane) AuditLog() string { return p.file("audit.log") }

// StartServer starts the API server, and waits until it is ready.
func (p *Plane) StartServer(ctx context.Context) error {
	// Once: programs read it at any time.
	if err := p.writeKubeconfig("kubeconfig", adminToken); err != nil {
		return err
	}
	var etcd []string
	for _, m := range p.Members {
		etcd = append(etcd, m.client)
	}
	server, err := p.start("kube-apiserver", append([]string{
		"--etcd-servers=" + strings.Join(etcd, ","),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprint("--secure-port=", p.Port),
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/16",
		"--tls-cert-file=" + p.file("server.crt"), "--tls-private-key-file=" + p.file("server.key"),
		"--token-auth-file=" + p.file("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.file("accounts.key"), "--service-account-signing-key-file=" + p.file("accounts.key"),
		"--authorization-mode=RBAC",
		"--audit-policy-file=" + p.file("audit.yaml"), "--audit-log-path=" + p.AuditLog(),
		"--profiling=false",
	}, p.flags...)...)
	if err != nil {
		return err
	}
	p.server = server
	return p.WaitReady(ctx)
}

// WaitReady waits until the API server says that it is ready.
func (p *Plane) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := p.Do(ctx, http.MethodGet, "/readyz", nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready: %w; its log: %s", err, p.file("kube-apiserver.log"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// StopServer ends the API server as a host does that is shut down.
func (p *Plane) StopServer() {
	end(p.server)
	p.server = nil
}

// Close ends everything.
func (p *Plane) Close() {
	p.StopServer()
	for _, m := range p.Members {
		m.Kill()
	}
}

// start starts one of the programs in kube, with a log of its own.
func (p *Plane) start(name string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(p.file(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program, _, _ := strings.Cut(name, "-of-") // etcd-of-0: one log a member
	command := exec.Command(p.program, append([]string{program}, args...)...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this process is killed
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w: make tools builds it", p.program, err)
	}
	return command, nil
}

func end(command *exec.Cmd) {
	if command != nil {
		command.Process.Kill()
		command.Wait()
	}
}

// ServerTLS is the API server's certificate, for who stands in its place.
func (p *Plane) ServerTLS() (tls.Certificate, error) {
	return tls.LoadX509KeyPair(p.file("server.crt"), p.file("server.key"))
}

// ClientTLS believes the API server's authority only.
func (p *Plane) ClientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.Authority)
	return &tls.Config{RootCAs: roots}
}

// Do sends one request as the administrator, with body as JSON if there is one.
func (p *Plane) Do(ctx context.Context, method, path string, body any) ([]byte, error) {
	return p.DoAs(ctx, "", method, path, body)
}

// DoAs sends it as an administrator who is in that group as well.
func (p *Plane) DoAs(ctx context.Context, group, method, path string, body any) ([]byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := p.Request(ctx, group, method, path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: p.ClientTLS(), DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.500s", method, path, response.Status, answer)
	}
	return answer, err
}

// Request is one that is not sent yet, of an administrator who is in that group as well, if any.
func (p *Plane) Request(ctx context.Context, group, method, path string, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("https://127.0.0.1:%d%s", p.Port, path), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	if group != "" {
		request.Header.Set("Impersonate-User", "administrator")
		request.Header["Impersonate-Group"] = []string{"system:masters", group}
	}
	return request, nil
}
