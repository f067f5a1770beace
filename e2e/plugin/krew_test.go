package plugin

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// krew's own rules for a manifest, as far as a wrong one would be noticed at a release only; and that the archive that
// packaging/plugin makes is the one that the manifest names.
func TestTheKrewManifest(t *testing.T) {
	text, err := os.ReadFile("../../deploy/krew/tezos-signer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("@VERSION@", "1.2.3", "@REPOSITORY@", "owner/repository", "@SHA256_AMD64@", strings.Repeat("a", 64),
		"@SHA256_ARM64@", strings.Repeat("b", 64)).Replace(string(text))
	if comments := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(filled, ""); strings.Contains(comments, "@") {
		t.Errorf("a word is not replaced: %s", comments)
	}
	var manifest struct {
		APIVersion string `json:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Spec       struct {
			Version, Homepage, ShortDescription, Description, Caveats string
			Platforms                                                 []struct {
				Selector    struct{ MatchLabels map[string]string }
				URI, Sha256 string
				Bin         string
			}
		}
	}
	if err := yaml.UnmarshalStrict([]byte(filled), &manifest); err != nil {
		t.Fatal(err)
	}
	spec := manifest.Spec
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || manifest.Metadata.Name != "tezos-signer" ||
		!regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(spec.Version) || len(spec.ShortDescription) > 50 || strings.HasSuffix(spec.ShortDescription, ".") {
		t.Errorf("%+v", manifest)
	}
	script, err := os.ReadFile("../../packaging/plugin")
	if err != nil {
		t.Fatal(err)
	}
	var architectures []string
	for _, platform := range spec.Platforms {
		architecture := platform.Selector.MatchLabels["arch"]
		architectures = append(architectures, platform.Selector.MatchLabels["os"]+"/"+architecture)
		archive := "kubectl-tezos_signer-linux-" + architecture + ".tar.gz"
		if !strings.HasSuffix(platform.URI, "/download/"+spec.Version+"/"+archive) || platform.Bin != "kubectl-tezos_signer" || len(platform.Sha256) != 64 {
			t.Errorf("%+v", platform)
		}
		if !strings.Contains(string(script), "architecture="+architecture) {
			t.Errorf("packaging/plugin makes no archive for %s", architecture)
		}
	}
	if !slices.Equal(architectures, []string{"linux/amd64", "linux/arm64"}) {
		t.Error(architectures)
	}
}
