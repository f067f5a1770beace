package acceptance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

// The two images that users run hold a program, the libraries that it links and the certificate
// authorities: no shell, nothing of this machine, nobody but a user with a number.
func TestTheImagesHoldNothingElse(t *testing.T) {
	t.Parallel()
	expected := regexp.MustCompile(`^(bin|lib|lib64|tmp/|etc/(passwd|group|nsswitch\.conf|ssl/certs/ca-certificates\.crt)?|etc/ssl/(certs/)?` +
		`|usr/|usr/bin/|usr/lib64/|usr/lib/|usr/lib/[^/]+-linux-gnu/|usr/lib(64)?/(.*-linux-gnu/)?(ld-linux-[^/]+|lib(c|m|dl|rt|pthread|gcc_s)\.so\.[0-9]+))$`)
	for _, name := range []string{"tezos-signer", "tezos-signer-operator"} {
		files := unpack(t, filepath.Join(suite.Checkout, "target/images", name+".tar"))
		var manifest []struct {
			Config string
			Layers []string
		}
		var config struct {
			OS, Architecture, Created string
			Config                    struct {
				User       string
				Env        []string
				Entrypoint []string
			}
		}
		if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
			t.Fatalf("%s: %v: expected one image of one layer: %s", name, err, files["manifest.json"])
		}
		if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
			t.Fatal(err)
		}
		c := config.Config
		if c.User != "65532:65532" || len(c.Entrypoint) != 1 || c.Entrypoint[0] != "/usr/bin/"+name || len(c.Env) != 1 || config.Created != "1970-01-01T00:00:00Z" {
			t.Errorf("%s: %+v", name, config)
		}
		layer, err := gzip.NewReader(bytes.NewReader(files[manifest[0].Layers[0]]))
		if err != nil {
			t.Fatal(err)
		}
		size, programs := int64(0), 0
		for entries := tar.NewReader(layer); ; {
			entry, err := entries.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			size += entry.Size
			if entry.Name == path.Join("usr/bin", name) {
				programs++
			} else if !expected.MatchString(entry.Name) {
				t.Errorf("%s holds %s: what for?", name, entry.Name)
			}
			if entry.Uid != 0 || entry.Gid != 0 || entry.Uname != "" || entry.ModTime.Unix() != 0 {
				t.Errorf("%s: %s is of %d:%d %q at %s", name, entry.Name, entry.Uid, entry.Gid, entry.Uname, entry.ModTime)
			}
			if entry.Mode&0o6022 != 0 && entry.Name != "tmp/" && entry.Typeflag != tar.TypeSymlink {
				t.Errorf("%s: %s has the mode %o", name, entry.Name, entry.Mode)
			}
		}
		t.Logf("%s: %d MB", name, size/1e6)
		if programs != 1 || size > 60e6 {
			t.Errorf("%s: %d programs in %d bytes", name, programs, size)
		}
	}
}

func unpack(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := map[string][]byte{}
	for entries := tar.NewReader(file); ; {
		entry, err := entries.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[entry.Name], err = io.ReadAll(entries); err != nil {
			t.Fatal(err)
		}
	}
}
