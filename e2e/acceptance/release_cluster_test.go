// Releases of the chart and of the images: the previous one, both versions of Helm, and an
// image under another name.

package acceptance

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
)

const chartRelease = "tezos-signer-operator"

// previousRelease is what users upgrade from.
type previousRelease struct {
	// Chart is a package or directory.
	Chart string
	// Operator and Signer are images.
	Operator, Signer string
	// Real says that the images were built from its sources (`make upgrade-test FROM=…`). Otherwise they are today's
	// under another name, which need today's definition and may need more rights than the chart gave.
	Real bool
}

func readPreviousRelease(t *testing.T) previousRelease {
	t.Helper()
	if directory := os.Getenv("E2E_PREVIOUS"); directory != "" {
		p := previousRelease{Chart: filepath.Join(directory, "charts/tezos-signer-operator"), Real: true}
		for name, reference := range map[string]*string{"tezos-signer-operator": &p.Operator, "tezos-signer-softhsm": &p.Signer} {
			var err error
			if *reference, err = fixture.Image(directory, name); err != nil {
				t.Fatal(err)
			}
			importImage(t, filepath.Join(directory, "target/images", name+".tar"))
		}
		return p
	}
	return previousRelease{
		Chart:    filepath.Join(suite.Checkout, "e2e/chart/testdata/releases/tezos-signer-operator-0.2.0.tgz"),
		Operator: retagImage(t, "tezos-signer-operator", "previous"),
		Signer:   retagImage(t, "tezos-signer-softhsm", "previous"),
	}
}

// retagImage gives the cluster an image that is built, under another tag.
func retagImage(t *testing.T, name, tag string) string {
	t.Helper()
	built, err := fixture.Image(suite.Checkout, name)
	if err != nil {
		t.Fatal(err)
	}
	reference := built[:strings.LastIndex(built, ":")+1] + tag + built[strings.LastIndex(built, ":")+1:]
	source, err := os.Open(filepath.Join(suite.Checkout, "target/images", name+".tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.Create(filepath.Join(t.TempDir(), name+".tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if err := copyArchiveAs(source, target, reference); err != nil {
		t.Fatal(err)
	}
	importImage(t, target.Name())
	return reference
}

// copyArchiveAs copies a docker archive and names its image.
func copyArchiveAs(source io.Reader, target io.Writer, reference string) error {
	writer := tar.NewWriter(target)
	for entries := tar.NewReader(source); ; {
		header, err := entries.Next()
		if err == io.EOF {
			return writer.Close()
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(entries)
		if err != nil {
			return err
		}
		if header.Name == "manifest.json" {
			var images []map[string]any
			if err := json.Unmarshal(content, &images); err != nil {
				return err
			}
			images[0]["RepoTags"] = []string{reference}
			if content, err = json.Marshal(images); err != nil {
				return err
			}
			header.Size = int64(len(content))
		}
		if err := writer.WriteHeader(header); err != nil {
			return err
		}
		if _, err := writer.Write(content); err != nil {
			return err
		}
	}
}

func importImage(t *testing.T, archive string) {
	t.Helper()
	tool := filepath.Join(suite.Checkout, "target/tools/cluster")
	if output, err := exec.CommandContext(t.Context(), tool, "import", archive).CombinedOutput(); err != nil {
		t.Fatalf("cluster import %s: %v: %s", archive, err, output)
	}
}

// helmVersions are the fixture with Helm 3 and with Helm 4: users have either.
func helmVersions() (three, four *fixture.Fixture) {
	cluster := *suite.Cluster
	cluster.Helm = filepath.Join(suite.Checkout, "target/tools/helm4")
	withFour := *suite
	withFour.Cluster = &cluster
	return suite, &withFour
}

// runHelm is helm's output, for the release that the tests have.
func runHelm(t *testing.T, s *fixture.Fixture, args ...string) (string, error) {
	t.Helper()
	return s.Cluster.RunHelm(t.Context(), append(args, "--namespace", fixture.SystemNamespace)...)
}

// drift is how the cluster differs from what the release says; empty if it does not.
func drift(t *testing.T, s *fixture.Fixture) string {
	t.Helper()
	manifest, err := runHelm(t, s, "get", "manifest", chartRelease)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Cluster.Run(t.Context(), manifest, "diff", "-f", "-")
	var differs *kubectl.CommandError
	if err != nil && !(errors.As(err, &differs) && differs.Status == 1) {
		t.Fatal(err)
	}
	return text
}
