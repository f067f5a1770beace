// Package plugin tries `kubectl tezos-signer` as a user runs it: by kubectl, on an API server with the chart, with the
// operator as a process. There is no node: its kubelet is played (kubelet_test.go), and so is the Octez node. What only a
// real kubelet shows is tried in acceptance/. E2E=1 go test ./plugin
//
// This file: how the plugin is run.
package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

type object = operatorenv.Object

const image = "registry.example/tezos-signer:1"

func needsE2E(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it starts an API server, and needs E2E=1")
	}
	t.Parallel()
}

// result is what the plugin printed, and how it ended.
type result struct {
	stdout, stderr string
	status         int
}

// run runs kubectl tezos-signer with these arguments, as the administrator.
func run(t *testing.T, env *operatorenv.Env, args ...string) result {
	t.Helper()
	command := command(t, env, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

func command(t *testing.T, env *operatorenv.Env, args ...string) *exec.Cmd {
	t.Helper()
	program := os.Getenv("KUBECTL_TEZOS_SIGNER") // the static one, for example
	if program == "" {
		program = "../../target/debug/kubectl-tezos_signer"
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: cargo test --workspace --locked --no-run builds it", err)
	}
	kubectl, err := filepath.Abs("../../target/tools/kubectl")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), kubectl, append([]string{"tezos-signer"}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.Kubeconfig(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	return command
}

// watch returns the first lines that it prints, and ends it then.
func watch(t *testing.T, env *operatorenv.Env, lines int, args ...string) (found []string) {
	t.Helper()
	command := command(t, env, args...)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(stdout); len(found) < lines && scanner.Scan(); {
		found = append(found, scanner.Text())
	}
	command.Process.Kill()
	command.Wait()
	if len(found) < lines {
		t.Fatalf("%d lines: %q", len(found), found)
	}
	return found
}

// wellIn does as well, with variables of the environment.
func wellIn(t *testing.T, env *operatorenv.Env, variables []string, args ...string) string {
	t.Helper()
	command := command(t, env, append(args, "--namespace", operatorenv.Namespace)...)
	command.Env = append(command.Env, variables...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(output)
}

// well runs it in the namespace of the tests, and fails unless it succeeds.
func well(t *testing.T, env *operatorenv.Env, args ...string) string {
	t.Helper()
	r := run(t, env, append(args, "--namespace", operatorenv.Namespace)...)
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("%v: exit status %d\n%s%s", args, r.status, r.stdout, r.stderr)
	}
	return r.stdout
}

// jsonOf runs it with --output json.
func jsonOf(t *testing.T, env *operatorenv.Env, into any, args ...string) {
	t.Helper()
	text := well(t, env, append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %v in %s", args, err, text)
	}
}

// says fails unless the text has all these parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// grant gives a user rights in a namespace; "" is the whole cluster.
func grant(env *operatorenv.Env, user, namespace string, rules ...object) {
	kind, path, name := "Role", operatorenv.Path("roles", namespace, ""), user+"-"+fmt.Sprint(len(rules))
	bindings := operatorenv.Path("rolebindings", namespace, "")
	if namespace == "" {
		kind, path = "ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles"
		bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	}
	env.Must(http.MethodPost, path, object{"metadata": object{"name": name}, "rules": rules})
	env.Must(http.MethodPost, bindings, object{
		"metadata": object{"name": name},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
		"subjects": []any{object{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}},
	})
}

// rule is a right.
func rule(group string, resource string, verbs ...string) object {
	return object{"apiGroups": []string{group}, "resources": []string{resource}, "verbs": verbs}
}

// viewer may read what ClusterRole view and the chart's additions to it allow, as far as the plugin needs it.
func viewer(env *operatorenv.Env, user string) {
	grant(env, user, operatorenv.Namespace,
		rule("signer.tezos.io", "tezossigners", "get", "list", "watch"),
		rule("", "pods", "get", "list", "watch"), rule("", "pods/log", "get"), rule("", "configmaps", "get", "list"),
		rule("", "events", "get", "list"), rule("", "services", "get", "list"), rule("apps", "deployments", "get", "list"),
		rule("networking.k8s.io", "networkpolicies", "get", "list"),
	)
}
