package chart

import (
	"os"
	"strings"
	"testing"
)

// Whoever applies what the chart makes, and in whatever order: nobody finds a difference, and nobody conflicts. A field that the API
// server completes with a default, where the field is owned as a whole, would be another one each time.
func TestOnAnAPIServerNobodyFightsOverAField(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it takes half a minute, and E2E=1")
	}
	server := startAPIServer(t)
	for _, name := range []string{namespace, "monitoring"} {
		server.must(t, "", "create", "namespace", name)
	}
	server.definePrometheusOperator(t)
	for _, helm := range helms {
		text, err := template(helm, "--values", everyValueFile)
		if err != nil {
			t.Fatal(err)
		}
		kubeconfig := []string{"--kubeconfig", server.Kubeconfig(), "--namespace", namespace}
		if _, err := run(helm, append([]string{"install", release, directory, "--values", everyValueFile}, kubeconfig...)...); err != nil {
			t.Fatal(err)
		}
		if hooks, err := run(helm, append([]string{"get", "hooks", release}, kubeconfig...)...); err != nil || !strings.Contains(hooks, "helm.sh/hook: pre-delete") {
			t.Errorf("%s: a release has no uninstall check: %v: %s", helm, err, hooks)
		}
		for _, manager := range []string{"argocd", "kustomize"} {
			if output, err := server.Kubectl(text, "apply", "--server-side", "--field-manager", manager, "--filename", "-"); err != nil {
				t.Errorf("%s after %s: %v: %s", manager, helm, err, output)
			}
			if difference, err := server.Kubectl(text, "diff", "--server-side", "--field-manager", manager, "--filename", "-"); err != nil {
				t.Errorf("%s after %s: %v\n%s", manager, helm, err, difference)
			}
		}
		// As `kubectl apply` has always done it, by the annotation with the last applied text.
		if difference, err := server.Kubectl(text, "diff", "--filename", "-"); err != nil {
			t.Errorf("kubectl diff after %s: %v\n%s", helm, err, difference)
		}
		if _, err := run(helm, append([]string{"uninstall", release, "--no-hooks"}, kubeconfig...)...); err != nil {
			t.Fatal(err)
		}
	}
}
