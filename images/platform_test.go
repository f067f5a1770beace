package main

import (
	"archive/tar"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// What a library links is found where this machine's own loader finds it.
func TestLibrariesAreTheLoadersOwn(t *testing.T) {
	const library = "/usr/lib/softhsm/libsofthsm2.so"
	s := here(t, "")
	l := &layer{platform: s.platform, entries: map[string]entry{}, sources: map[string]string{}}
	if err := l.addLibrary(library); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("ldd", library).Output()
	if err != nil {
		t.Fatal(err)
	}
	// "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", or the loader's path alone.
	found := regexp.MustCompile(`(?m)^\s+(?:\S+ => )?(/\S+)`).FindAllStringSubmatch(string(output), -1)
	wanted := map[string]bool{library: true}
	for _, match := range found {
		directory, err := filepath.EvalSymlinks(filepath.Dir(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		wanted[filepath.Join(directory, filepath.Base(match[1]))] = true
	}
	if len(wanted) < 4 {
		t.Fatalf("ldd: %s", output)
	}
	for target := range l.sources {
		if !wanted[target] {
			t.Errorf("%s is not what the loader takes: %v", target, wanted)
		}
		delete(wanted, target)
	}
	if len(wanted) > 0 {
		t.Errorf("the loader takes %v too", wanted)
	}
}

// Both architectures, the other by a program that is only compiled for it, as one image: each machine pulls its own.
func TestOneImageForBothArchitectures(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://") + "/team"
	checkout := t.TempDir()
	if err := os.Mkdir(filepath.Join(checkout, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	recipe := "name: pause\nprogram: target/release/pause\n"
	if err := os.WriteFile(filepath.Join(checkout, "images/pause.yaml"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	var references []string
	for _, p := range platforms {
		s := site{checkout, p}
		r := recipeOf(t, s, "pause")
		compile := exec.Command("go", "build", "-trimpath", "-o", r.program(s), "./pause")
		compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+p.architecture)
		if output, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		if err := build(s, host, []string{"pause"}); err != nil {
			t.Fatal(err)
		}
		if err := push(s, nil); err != nil {
			t.Fatal(err)
		}
		reference, err := readReference(s, "pause")
		if err != nil {
			t.Fatal(err)
		}
		references = append(references, reference.String())
	}
	target := host + "/pause:1.2.3"
	digest, err := makeIndex(target, references)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := makeIndex(target, references); err != nil || again != digest {
		t.Errorf("the same images give %s, then %s: %v", digest, again, err)
	}
	reference, err := name.ParseReference(target)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range platforms {
		image, err := remote.Image(reference, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: p.architecture}))
		if err != nil {
			t.Fatal(err)
		}
		own, err := image.Digest()
		if err != nil || !strings.HasSuffix(references[i], own.Hex[:12]) {
			t.Errorf("%s pulls %s, its own is %s: %v", p.architecture, own, references[i], err)
		}
	}

	if _, err := makeIndex(target, []string{references[0], references[0]}); err == nil || !strings.Contains(err.Error(), "both for") {
		t.Errorf("two for one architecture: %v", err)
	}
	if _, err := makeIndex(target, []string{host + "/absent:1"}); err == nil || !strings.Contains(err.Error(), "push it first") {
		t.Errorf("one that is nowhere: %v", err)
	}
	// A program of the wrong kind would be pulled, and fail on the node only.
	wrong := site{checkout, platforms[slices.IndexFunc(platforms, platform.isForeign)]}
	native := recipeOf(t, here(t, checkout), "pause")
	content, err := os.ReadFile(native.program(here(t, checkout)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(native.program(wrong), content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := build(wrong, host, []string{"pause"}); err == nil || !strings.Contains(err.Error(), "and the image for "+wrong.platform.architecture) {
		t.Errorf("a program of %s in an image of %s: %v", runtime.GOARCH, wrong.platform.architecture, err)
	}
}

func recipeOf(t *testing.T, s site, name string) recipe {
	t.Helper()
	recipes, err := readRecipes(s.checkout, []string{name})
	if err != nil {
		t.Fatal(err)
	}
	return recipes[0]
}

// What a Dockerfile copies is what the image has, file by file.
func TestExportIsTheImage(t *testing.T) {
	s := here(t, t.TempDir())
	l, err := newLayer(s.platform)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.addLibrary("libc.so.6"); err != nil {
		t.Fatal(err)
	}
	directory := filepath.Join(s.checkout, "out")
	if err := l.writeTo(directory); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	if err := filepath.WalkDir(directory, func(file string, item fs.DirEntry, err error) error {
		if err != nil || file == directory {
			return err
		}
		target := strings.TrimPrefix(file, directory)
		found[target] = true
		info, err := item.Info()
		if err != nil {
			return err
		}
		e := l.entries[target]
		switch {
		case e.kind == tar.TypeSymlink:
			if link, _ := os.Readlink(file); link != e.link {
				t.Errorf("%s leads to %s, expected %s", target, link, e.link)
			}
		case info.Mode()&^fs.ModeDir != mode(e) || info.IsDir() != (e.kind == tar.TypeDir):
			t.Errorf("%s is %s, expected %s", target, info.Mode(), mode(e))
		case e.kind == tar.TypeReg:
			if content, _ := os.ReadFile(file); string(content) != string(e.content) {
				t.Errorf("%s has another content", target)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(found) != len(l.entries) {
		t.Errorf("%d of %d are there", len(found), len(l.entries))
	}
	if err := l.writeTo(directory); err == nil {
		t.Error("a directory with other files must not be taken")
	}
}
