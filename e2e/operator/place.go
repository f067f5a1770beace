// Package operator runs the operator as a process, with the rights that the chart
// gives it, on an API server of a test's own. There is no node: what becomes of pods
// is tried on the local cluster, in acceptance/.
//
// This file: the place. The process is in process.go, what it asked in requests.go,
// the TezosSigners in tezossigner.go.
package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/controlplane"
)

const (
	// Namespace is where the TezosSigners of tests are, unless they say otherwise.
	Namespace = "bakers"
	// Records is where the watermark records are.
	Records = "tezos-signer-records"

	system   = "tezos-signer-system"
	release  = "tezos-signer-operator"
	patience = 90 * time.Second // the machine may be busy
)

// Object is a Kubernetes object, or a part of one.
type Object = map[string]any

// Place is an API server with the chart on it.
type Place struct {
	*controlplane.Plane
	t        testing.TB
	checkout string
	dir      string
}

// NewPlace starts an API server, and installs the chart. Everything ends with the test.
func NewPlace(t testing.TB, chart ...string) *Place {
	t.Helper()
	p := NewBarePlace(t)
	p.Install(chart...)
	return p
}

// NewBarePlace starts an API server without the chart.
func NewBarePlace(t testing.TB) *Place {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p := &Place{t: t, checkout: checkout, dir: t.TempDir()}
	p.Plane, err = controlplane.Start(t.Context(), checkout, p.dir, 1, "--max-requests-inflight=0", "--max-mutating-requests-inflight=400")
	if p.Plane != nil {
		t.Cleanup(p.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{system, Namespace} {
		p.Must(http.MethodPost, "/api/v1/namespaces", Object{"metadata": Object{"name": name}})
	}
	return p
}

// Install installs the chart, or changes what is installed, with these arguments of helm.
func (p *Place) Install(args ...string) {
	p.t.Helper()
	args = append([]string{"upgrade", "--install", release, filepath.Join(p.checkout, "charts", release), "--namespace", system, "--kubeconfig", p.Kubeconfig()}, args...)
	if output, err := exec.Command(filepath.Join(p.checkout, "target/tools/helm"), args...).CombinedOutput(); err != nil {
		p.t.Fatalf("helm: %v: %s", err, output)
	}
}

// StartControllers starts the controllers of Deployments, owners and namespaces. Pods are made then.
func (p *Place) StartControllers() {
	p.t.Helper()
	stop, err := p.Plane.StartControllers()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(stop)
}

// Must sends a request as the administrator.
func (p *Place) Must(method, path string, body any) []byte {
	p.t.Helper()
	answer, err := p.Do(p.t.Context(), method, path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// Get reads an object; nil if there is none.
func (p *Place) Get(path string) Object {
	p.t.Helper()
	answer, err := p.Do(context.Background(), http.MethodGet, path, nil)
	if err != nil {
		if strings.Contains(err.Error(), ": 404 ") {
			return nil
		}
		p.t.Fatal(err)
	}
	var object Object
	if err := json.Unmarshal(answer, &object); err != nil {
		p.t.Fatal(err)
	}
	return object
}

// Change reads an object, has it changed, and writes it, until nobody has written it in between.
func (p *Place) Change(path string, change func(Object)) {
	p.t.Helper()
	for {
		object := p.Get(path)
		if object == nil {
			p.t.Fatalf("there is no %s", path)
		}
		change(object)
		_, err := p.Do(p.t.Context(), http.MethodPut, path, object)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), ": 409 ") {
			p.t.Fatal(err)
		}
	}
}

// Delete deletes an object, and does not wait for its end.
func (p *Place) Delete(path string) {
	p.t.Helper()
	p.Must(http.MethodDelete, path, nil)
}

// Await polls until it is so, and returns how long that took.
func (p *Place) Await(what string, is func() bool) time.Duration {
	p.t.Helper()
	return p.AwaitLong(what, patience, is)
}

// AwaitLong polls for that long at most.
func (p *Place) AwaitLong(what string, patience time.Duration, is func() bool) time.Duration {
	p.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if is() {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			p.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// At is the field of an object that the path leads to, or nil.
func At(value any, path ...string) any {
	for _, step := range path {
		fields, _ := value.(Object)
		value = fields[step]
	}
	return value
}

// Text is that field as a string.
func Text(value any, path ...string) string {
	text, _ := At(value, path...).(string)
	return text
}

// Path is that of an object of these kinds, which has its plural as the URL has it.
func Path(plural, namespace, name string) string {
	group := map[string]string{
		"deployments": "/apis/apps/v1", "tezossigners": "/apis/signer.tezos.io/v1alpha1",
		"roles": "/apis/rbac.authorization.k8s.io/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
		"networkpolicies": "/apis/networking.k8s.io/v1", "poddisruptionbudgets": "/apis/policy/v1", "events": "/apis/events.k8s.io/v1",
	}[plural]
	if group == "" {
		group = "/api/v1"
	}
	path := fmt.Sprintf("%s/namespaces/%s/%s", group, namespace, plural)
	if name != "" {
		path += "/" + name
	}
	return path
}

func write(path, content string) error { return os.WriteFile(path, []byte(content), 0o600) }
