// A signer as it runs in a pod: with the ServiceAccount's files at their place in a
// mount namespace of its own, written as the kubelet writes them.

package cost

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

// The pod's /run has nothing but the ServiceAccount's directory.
const inPodScript = `mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"`

type pod struct {
	name    string
	dir     string
	written int // how often the ServiceAccount's files were written
	process *exec.Cmd
	admin   string
	client  *octezclient.Client
	base    string
}

// startPod starts a signer by the name of its ServiceAccount, which is also its
// pod's UID, and waits until it is ready. It finds the API server at port.
func (s *signerEnv) startPod(name string, leaseSeconds, port int) *pod {
	s.t.Helper()
	p := &pod{name: name, dir: s.t.TempDir()}
	s.addSigner(name)
	p.writeServiceAccountFiles(s.t, string(s.Authority), s.newToken(name, name+"-1"))
	var keySections []object
	for i, key := range keys {
		keySections = append(keySections, object{"publicKey": key.String(), "label": curves[i].Name, "chain": "NetXdQprcVkpaWU"})
	}
	config := filepath.Join(p.dir, "signer.json")
	if err := writeJSON(config, object{
		"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "peer": object{"listen": "127.0.0.1:0"},
		"hsm": hsmSection(), "keys": keySections,
		"watermarks": object{"configMap": object{"leaseDurationSeconds": leaseSeconds}},
	}); err != nil {
		s.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	p.process = exec.Command("unshare", "--mount", "sh", "-c", inPodScript, filepath.Join(p.dir, "serviceaccount"), program, "serve", "--config", config)
	p.process.Env = append(os.Environ(), "POD_UID="+name, "POD_IP=127.0.0.1", "KUBECONFIG="+filepath.Join(p.dir, "none"), "HOME="+p.dir,
		"KUBERNETES_SERVICE_HOST=127.0.0.1", fmt.Sprint("KUBERNETES_SERVICE_PORT=", port))
	p.process.Stderr = log
	if err := p.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		p.process.Process.Kill()
		p.process.Wait()
		if s.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			s.t.Logf("the log of %s: %s", name, text[max(0, len(text)-4000):])
		}
	})
	eventually(s.t, name+" is ready", func() bool {
		p.admin, p.base = p.listening("admin"), p.listening("listen")
		if p.admin == "" || p.base == "" {
			return false
		}
		response, err := http.Get(p.admin + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	p.client = octezclient.NewClient(p.base)
	return p
}

// listening is where the listener of that field of the configuration really is.
func (p *pod) listening(field string) string {
	log, err := os.Open(filepath.Join(p.dir, "log"))
	if err != nil {
		return ""
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct{ Message, Field, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" && line.Field == field {
			return "http://" + line.Address
		}
	}
	return ""
}

// writeServiceAccountFiles writes the ServiceAccount's files: a new directory, and one rename for all of them.
func (p *pod) writeServiceAccountFiles(t *testing.T, authority, token string) {
	t.Helper()
	root := filepath.Join(p.dir, "serviceaccount")
	p.written++
	version := fmt.Sprint("..", p.written)
	if err := os.MkdirAll(filepath.Join(root, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"ca.crt": authority, "token": token, "namespace": namespace} {
		if err := os.WriteFile(filepath.Join(root, version, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Symlink("..data/"+name, filepath.Join(root, name)) // there already but for the first time
	}
	if err := os.Symlink(version, filepath.Join(root, "..next")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "..next"), filepath.Join(root, "..data")); err != nil {
		t.Fatal(err)
	}
}

func (p *pod) token(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "serviceaccount/token"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// askOnce asks for one signature, once, and says what the status was and after how long.
func (p *pod) askOnce(t *testing.T, level int32) (int, time.Duration) {
	t.Helper()
	vote, err := payload.New("attestation", level, 0)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	response, err := http.Post(p.base+"/keys/"+keys[0].Hash(), "application/json", strings.NewReader(fmt.Sprintf("%q", hex.EncodeToString(vote))))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, time.Since(began)
}

// kill is what happens to a pod whose node is lost.
func (p *pod) kill() {
	p.process.Process.Kill()
	p.process.Wait()
}
