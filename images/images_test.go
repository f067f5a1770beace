package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What is built twice is one image, runs as a number, has what its program links, and arrives in a registry as built.
func TestBuildAndPush(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://") + "/team"

	var references []string
	for range 2 {
		checkout := t.TempDir()
		write := func(file, text string) {
			t.Helper()
			path := filepath.Join(checkout, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		program, err := os.ReadFile("/bin/true")
		if err != nil {
			t.Fatal(err)
		}
		write("target/release/true", string(program))
		write("data/b", "2")
		write("data/a", "1")
		write("images/one.yaml", "name: one\nprogram: target/release/true\nlibraries: [libm.so.6]\nfiles: {/usr/share/data: data}\n")
		write("images/absent.yaml", "name: absent\nprogram: target/release/absent\n")

		s := here(t, checkout)
		if err := build(s, host, nil); err != nil {
			t.Fatal(err) // the absent program's image is skipped
		}
		if err := build(s, host, []string{"absent"}); err == nil {
			t.Fatal("an image that is named must not be skipped")
		}
		if err := push(s, nil); err != nil {
			t.Fatal(err)
		}
		reference, err := os.ReadFile(filepath.Join(checkout, "target/images/one.ref"))
		if err != nil {
			t.Fatal(err)
		}
		references = append(references, strings.TrimSpace(string(reference)))
	}
	if references[0] != references[1] {
		t.Errorf("the same inputs gave %s and %s", references[0], references[1])
	}

	reference, err := name.ParseReference(references[0])
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(reference)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if tag := reference.Identifier(); digest.Hex[:12] != tag {
		t.Errorf("the registry has %s under the tag %s", digest, tag)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/usr/bin/true" {
		t.Errorf("user %q, entrypoint %q", config.Config.User, config.Config.Entrypoint)
	}
}

func TestLocalImagesAreNotPushed(t *testing.T) {
	checkout := t.TempDir()
	if err := os.MkdirAll(filepath.Join(checkout, "target/images"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(checkout, "target/images/one.ref"), []byte(localRegistry+"/one:0123456789ab\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := push(here(t, checkout), []string{"one"}); err == nil || !strings.Contains(err.Error(), "--registry") {
		t.Errorf("want an error that names --registry, got %v", err)
	}
}

// here is a checkout, for this machine's architecture.
func here(t *testing.T, checkout string) site {
	t.Helper()
	p, err := findPlatform(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	return site{checkout, p}
}
