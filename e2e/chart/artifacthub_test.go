package chart

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fields"
)

// What Artifact Hub shows of the chart is what is in it.
func TestTheAnnotationsAreTrue(t *testing.T) {
	chart := chartFile(t)
	objects := render(t, helms[0])

	var images []struct{ Name, Image string }
	annotation(t, chart, "images", &images)
	deployment := objects["Deployment "+namespace+"/"+release].fields
	container := fields.At(deployment, "spec", "template", "spec", "containers", 0)
	run := map[string]bool{fields.At(container, "image").(string): true}
	for _, variable := range fields.At(container, "env").([]any) {
		if fields.At(variable, "name") == "SIGNER_IMAGE" {
			run[fields.At(variable, "value").(string)] = true
		}
	}
	message := map[string]bool{}
	for _, image := range images {
		message[image.Image] = true
	}
	if len(run) != 2 || !maps.Equal(run, message) {
		t.Errorf("images: it says %v, the chart runs %v", message, run)
	}

	var crds []struct{ Kind, Version, Name, DisplayName, Description string }
	annotation(t, chart, "crds", &crds)
	for _, crd := range crds {
		o := objects["CustomResourceDefinition "+crd.Name].fields
		if fields.At(o, "spec", "names", "kind") != crd.Kind || fields.At(o, "spec", "versions", 0, "name") != crd.Version || crd.DisplayName == "" || crd.Description == "" {
			t.Errorf("crds: %+v is not what the chart has", crd)
		}
	}
	if len(crds) != 1 {
		t.Errorf("crds: %d", len(crds))
	}

	var changes []struct{ Kind, Description string }
	annotation(t, chart, "changes", &changes)
	for _, change := range changes {
		if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, change.Kind) || change.Description == "" {
			t.Errorf("changes: %+v", change)
		}
	}
	if len(changes) == 0 {
		t.Error("changes: none")
	}
	levels := []string{"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"}
	for key, allowed := range map[string][]string{
		"license": {"Apache-2.0"}, "operator": {"true"}, "operatorCapabilities": levels, "category": {"security"}, "prerelease": {"true", "false"},
	} {
		if got := chart.Annotations["artifacthub.io/"+key]; !slices.Contains(allowed, got) {
			t.Errorf("%s: %q", key, got)
		}
	}

	// The chart, the programs in its images and the programs' own version go together.
	cargo, err := os.ReadFile("../../Cargo.toml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version = "(.+)"$`).FindSubmatch(cargo)
	if chart.Version != chart.AppVersion || version == nil || chart.Version != string(version[1]) {
		t.Errorf("the chart is %s of %s, the programs are %s", chart.Version, chart.AppVersion, version)
	}
	if slices.ContainsFunc(releases(t), func(file string) bool { return strings.Contains(file, "-"+chart.Version+".tgz") }) {
		t.Errorf("%s is released: raise the version", chart.Version)
	}
}

// A cluster that is too old is refused in words, before anything is made.
func TestTooOldAKubernetesIsRefused(t *testing.T) {
	for _, helm := range helms {
		if _, err := template(helm, "--kube-version", "1.33.0"); err != nil {
			t.Error(err)
		}
		_, err := template(helm, "--kube-version", "1.32.9")
		if err == nil || !strings.Contains(err.Error(), "incompatible with Kubernetes v1.32.9") {
			t.Errorf("%s on Kubernetes 1.32: %v", helm, err)
		}
	}
}

type chartYAML struct {
	Version, AppVersion string
	Annotations         map[string]string
}

func chartFile(t *testing.T) chartYAML {
	t.Helper()
	text, err := os.ReadFile(directory + "/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var chart chartYAML
	if err := yaml.Unmarshal(text, &chart); err != nil {
		t.Fatal(err)
	}
	return chart
}

// annotation reads one that has YAML in it.
func annotation(t *testing.T, chart chartYAML, name string, value any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/"+name]), value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
