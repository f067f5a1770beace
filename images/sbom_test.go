package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
)

// The project's own crates, so that what must be there and what must not is known.
func TestWhatACrateIsMadeOf(t *testing.T) {
	c := newContents(here(t, ".."))
	top, err := c.addCrates("tezos-signer", &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: strings.Repeat("0", 64)}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(top, "pkg:cargo/tezos-signer@") || c.components[top].Type != cdx.ComponentTypeApplication || c.components[top].Hashes == nil {
		t.Errorf("the program is %s: %+v", top, c.components[top])
	}
	found := map[string]bool{}
	for ref, component := range c.components {
		found[component.Name] = true
		if component.Version == "" || component.Licenses == nil || !strings.HasPrefix(ref, "pkg:cargo/") {
			t.Errorf("%s: version %q, licenses %v", ref, component.Version, component.Licenses)
		}
		for _, need := range c.needs[ref] {
			if _, isThere := c.components[need]; !isThere {
				t.Errorf("%s needs %s, which is not there", ref, need)
			}
		}
	}
	for crate, wanted := range map[string]bool{
		"tezos-signer-core": true, "cryptoki": true, "tokio": true, "kube": true, // what it uses, and what that uses:
		"cryptoki-sys": true, "hyper": true,
		"proptest": false, "pkcs11-faults": false, "tempfile": false, // only its tests do
		"tezos-signer-operator": false, "windows-sys": false, // another program's, and another system's
	} {
		if found[crate] != wanted {
			t.Errorf("%s is there: %v", crate, found[crate])
		}
	}
	if len(c.components) < 50 {
		t.Errorf("only %d components", len(c.components))
	}
	if _, err := c.addCrates("true", nil); err == nil {
		t.Error("a program that is no crate must not be passed over")
	}
}

// A whole image, of a Go program (this test) that is linked and a library.
func TestSBOM(t *testing.T) {
	s := here(t, t.TempDir())
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{
		"target/release/one": content,
		"images/one.yaml":    []byte("name: one\nprogram: target/release/one\nlibraries: [/usr/lib/softhsm/libsofthsm2.so]\nfiles: {/usr/share/data: images}\n"),
	} {
		path := filepath.Join(s.checkout, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := sbom(s, []string{"one"}); err == nil || !strings.Contains(err.Error(), "images build one first") {
		t.Errorf("without an image: %v", err)
	}
	if err := build(s, localRegistry, nil); err != nil {
		t.Fatal(err)
	}
	file := s.output("one.cdx.json")
	var before []byte
	for range 2 {
		if err := sbom(s, nil); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(before, text) {
			t.Error("the same image has two documents")
		}
		before = text
	}

	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(before), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	reference, err := readReference(s, "one")
	if err != nil {
		t.Fatal(err)
	}
	whole := bom.Metadata.Component
	if whole.Type != cdx.ComponentTypeContainer || !strings.HasPrefix(whole.Version, "sha256:"+reference.TagStr()) {
		t.Errorf("it is of %s %s, the image is %s", whole.Type, whole.Version, reference)
	}
	var names []string
	for _, component := range *bom.Components {
		names = append(names, component.Name)
	}
	for _, wanted := range []string{"one", "stdlib", "github.com/google/go-containerregistry", "ca-certificates", "libc6", "libsofthsm2", "libssl3"} {
		// libssl3t64 from Debian 13 on.
		if !slices.Contains(names, wanted) && !slices.Contains(names, wanted+"t64") {
			t.Errorf("%s is not among %v", wanted, names)
		}
	}

	// Of what is in the image, and of nothing newer.
	if err := os.WriteFile(filepath.Join(s.checkout, "images/another.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sbom(s, nil); err == nil || !strings.Contains(err.Error(), "other files") {
		t.Errorf("of an image that is not built from these files: %v", err)
	}
	if err := writeSBOM(s, recipe{Name: "one", Program: "target/release/two"}, name.Tag{}); err == nil {
		t.Error("of no program")
	}
}

func TestPackageIn(t *testing.T) {
	for found, name := range map[string]string{
		"libc6:amd64: /lib/x86_64-linux-gnu/libc.so.6\n": "libc6:amd64",
		"diversion by libc6 from: /lib64/ld-linux-x86-64.so.2\ndiversion by libc6 to: /lib64/ld-linux-x86-64.so.2.usr-is-merged\n" +
			"libc6:amd64: /usr/lib64/ld-linux-x86-64.so.2\n": "libc6:amd64",
		"diversion by libc6 from: /lib64/ld-linux-x86-64.so.2\n": "",
		"": "",
	} {
		if packageIn(found) != name {
			t.Errorf("%q: %q, expected %q", found, packageIn(found), name)
		}
	}
}
