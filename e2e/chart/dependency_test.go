// The chart as a dependency of another chart, and as text for other tools than Helm.

package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A parent chart passes values that are not the chart's own: the condition, the tags and what is global.
func TestTheChartIsTheSameAsADependency(t *testing.T) {
	alone := render(t, helms[0])
	for _, helm := range helms {
		for what, c := range map[string]struct{ dependency, values string }{
			"plain":          {"", "tezos-signer-operator: {}"},
			"with condition": {"condition: tezos-signer-operator.enabled", "tezos-signer-operator: {enabled: true}"},
			"with all": {
				"tags: [bakers]",
				"global: {imageRegistry: registry.example, storageClass: null}\ntags: {bakers: true}\ntezos-signer-operator: {enabled: true, global: {team: x}, tags: {bakers: true}}",
			},
			"with alias":             {"alias: operator\n  condition: operator.enabled", "operator: {enabled: true}"},
			"with the signers' name": {"alias: tezos-signer", "tezos-signer: {}"},
		} {
			text, err := templateParent(t, helm, c.dependency, c.values)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if d := difference(t, alone, objectsOf(t, text)); d != "" {
				t.Errorf("%s, %s: the dependency differs:\n%s", helm, what, d)
			}
		}
	}
}

func TestADependencyThatIsSwitchedOffMakesNothing(t *testing.T) {
	for _, helm := range helms {
		text, err := templateParent(t, helm, "condition: operator.enabled\n  alias: operator", "operator: {enabled: false}")
		if err != nil || len(objectsOf(t, text)) != 0 {
			t.Errorf("%v: %s", err, text)
		}
		// Nobody reads it then, and silence would look like success.
		for _, off := range []func() (string, error){
			func() (string, error) { return template(helm, "--set", "enabled=false") },
			func() (string, error) { return templateParent(t, helm, "", "tezos-signer-operator: {enabled: false}") },
		} {
			if _, err := off(); err == nil || !strings.Contains(err.Error(), "condition: tezos-signer-operator.enabled") {
				t.Errorf("enabled: false without a condition: %v", err)
			}
		}
	}
}

// templateParent renders a chart that has this one as its only dependency.
func templateParent(t *testing.T, helm, dependency, values string) (string, error) {
	t.Helper()
	parent := t.TempDir()
	if err := os.CopyFS(filepath.Join(parent, "charts", release), os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	chart := fmt.Sprintf("apiVersion: v2\nname: umbrella\nversion: 1.0.0\ndependencies:\n- name: %s\n  version: %s\n  %s\n", release, chartFile(t).Version, dependency)
	for name, text := range map[string]string{"Chart.yaml": chart, "values.yaml": values} {
		if err := os.WriteFile(filepath.Join(parent, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return run(helm, "template", release, parent, "--namespace", namespace)
}

// What kubectl, Kustomize and Argo CD apply: a Job that only Helm runs at the right time is not among it.
func TestHooksAreRenderedForHelmOnly(t *testing.T) {
	jobs := func(args ...string) (jobs []string) {
		for name, o := range render(t, helms[0], args...) {
			if o.Metadata.Annotations["helm.sh/hook"] != "" || o.Kind == "Job" {
				jobs = append(jobs, name)
			}
		}
		return jobs
	}
	if found := jobs("--values", everyValueFile); found != nil {
		t.Errorf("helm template prints %v", found)
	}
	if found := jobs("--set", "uninstallCheck.renderMode=always"); len(found) != 1 || !strings.HasSuffix(found[0], "-uninstall-check") {
		t.Errorf("with renderMode always it prints %v", found)
	}
	if found := jobs("--set", "uninstallCheck.renderMode=always,uninstallCheck.enabled=false"); found != nil {
		t.Errorf("switched off, it prints %v", found)
	}
}

// The check is a hook of the parent's release then.
func TestTheUninstallCheckIsThereAsADependency(t *testing.T) {
	for _, helm := range helms {
		text, err := templateParent(t, helm, "alias: operator", "operator: {uninstallCheck: {renderMode: always}}")
		if err != nil {
			t.Fatal(err)
		}
		job := objectsOf(t, text)["Job "+namespace+"/"+release+"-uninstall-check"]
		if job.Metadata.Annotations["helm.sh/hook"] != "pre-delete" {
			t.Errorf("%s: the check is %v", helm, job)
		}
	}
}
