// Package operatorenv runs the operator as a process, with the rights that the chart
// gives it, on an API server of a test's own. There is no node: what becomes of pods
// is tried on the local cluster, in acceptance/.
//
// This file: Env. The process is in process.go, what it asked in requests.go,
// the TezosSigners in tezossigner.go.
package operatorenv

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

// Env is an API server with the chart installed.
type Env struct {
	*controlplane.Plane
	t        testing.TB
	checkout string
	dir      string
}

// New starts an API server, and installs the chart. Everything ends with the test.
func New(t testing.TB, chart ...string) *Env {
	t.Helper()
	e := NewWithoutChart(t)
	e.Install(chart...)
	return e
}

// NewWithoutChart starts an API server without the chart. The extra flags are the API server's.
func NewWithoutChart(t testing.TB, flags ...string) *Env {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{t: t, checkout: checkout, dir: t.TempDir()}
	e.Plane, err = controlplane.Start(t.Context(), checkout, e.dir, 1,
		append([]string{"--max-requests-inflight=0", "--max-mutating-requests-inflight=400"}, flags...)...)
	if e.Plane != nil {
		t.Cleanup(e.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{system, Namespace} {
		e.Must(http.MethodPost, "/api/v1/namespaces", Object{"metadata": Object{"name": name}})
	}
	return e
}

// Install installs the chart, or changes what is installed, with these arguments of helm.
func (e *Env) Install(args ...string) {
	e.t.Helper()
	args = append([]string{"upgrade", "--install", release, filepath.Join(e.checkout, "charts", release), "--namespace", system, "--kubeconfig", e.Kubeconfig()}, args...)
	if output, err := exec.Command(filepath.Join(e.checkout, "target/tools/helm"), args...).CombinedOutput(); err != nil {
		e.t.Fatalf("helm: %v: %s", err, output)
	}
}

// StartControllers starts the controllers of Deployments, owners and namespaces. Pods are made then.
func (e *Env) StartControllers() {
	e.t.Helper()
	stop, err := e.Plane.StartControllers()
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(stop)
}

// Must sends a request as the administrator.
func (e *Env) Must(method, path string, body any) []byte {
	e.t.Helper()
	answer, err := e.Do(e.t.Context(), method, path, body)
	if err != nil {
		e.t.Fatal(err)
	}
	return answer
}

// Get reads an object; nil if there is none.
func (e *Env) Get(path string) Object {
	e.t.Helper()
	answer, err := e.Do(context.Background(), http.MethodGet, path, nil)
	if err != nil {
		if strings.Contains(err.Error(), ": 404 ") {
			return nil
		}
		e.t.Fatal(err)
	}
	var object Object
	if err := json.Unmarshal(answer, &object); err != nil {
		e.t.Fatal(err)
	}
	return object
}

// Change reads an object, has it changed, and writes it, until nobody has written it in between. The chart's admission
// policies guard much of what tests change, so it is in the name of the break-glass group.
func (e *Env) Change(path string, change func(Object)) {
	e.t.Helper()
	e.update(path, path, "tezos-signer:break-glass", change)
}

// ChangeStatus does the same with the status of an object, as the administrator.
func (e *Env) ChangeStatus(path string, change func(Object)) {
	e.t.Helper()
	e.update(path, path+"/status", "", change)
}

// update writes what it has read from one path to another one, as an administrator who is in that group as well, if any.
func (e *Env) update(from, to, group string, change func(Object)) {
	e.t.Helper()
	for {
		object := e.Get(from)
		if object == nil {
			e.t.Fatalf("there is no %s", from)
		}
		change(object)
		_, err := e.DoAs(e.t.Context(), group, http.MethodPut, to, object)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), ": 409 ") {
			e.t.Fatal(err)
		}
	}
}

// Delete deletes an object, and does not wait for its end.
func (e *Env) Delete(path string) {
	e.t.Helper()
	e.Must(http.MethodDelete, path, nil)
}

// Await polls until it is so, and returns how long that took.
func (e *Env) Await(what string, is func() bool) time.Duration {
	e.t.Helper()
	return e.AwaitLong(what, patience, is)
}

// AwaitLong polls for that long at most.
func (e *Env) AwaitLong(what string, patience time.Duration, is func() bool) time.Duration {
	e.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if is() {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			e.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// FieldOf is the field of an object that the path leads to, or nil.
func FieldOf(value any, path ...string) any {
	for _, step := range path {
		fields, _ := value.(Object)
		value = fields[step]
	}
	return value
}

// TextOf is that field as a string.
func TextOf(value any, path ...string) string {
	text, _ := FieldOf(value, path...).(string)
	return text
}

// Path is that of an object of these kinds, which has its plural as the URL has it.
func Path(plural, namespace, name string) string {
	group := map[string]string{
		"deployments": "/apis/apps/v1", "tezossigners": "/apis/signer.tezos.io/v1alpha1",
		"tezossignersidecars": "/apis/signer.tezos.io/v1alpha1",
		"roles":               "/apis/rbac.authorization.k8s.io/v1", "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
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
