// What an image is made of, as a CycloneDX document beside it: the crates or Go modules of its program, and the Debian packages
// of its libraries. It depends on the image and the lock file only: the same image has the same document.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
)

// contents are components, by their package URL, and which others each needs.
type contents struct {
	site       site
	components map[string]cdx.Component
	needs      map[string][]string
}

func newContents(s site) *contents {
	return &contents{site: s, components: map[string]cdx.Component{}, needs: map[string][]string{}}
}

func (c *contents) add(component cdx.Component, license string, needs ...string) {
	component.BOMRef = component.PackageURL
	if license != "" {
		// Some crates still write the alternative as it was written before SPDX expressions.
		expression := strings.ReplaceAll(license, "/", " OR ")
		component.Licenses = &cdx.Licenses{{Expression: expression}}
	}
	c.components[component.BOMRef] = component
	slices.Sort(needs)
	c.needs[component.BOMRef] = slices.Compact(needs)
}

// writeSBOM writes target/images/<name>.cdx.json for an image that is built.
func writeSBOM(s site, r recipe, reference name.Tag) error {
	l, err := r.layer(s)
	if err != nil {
		return err
	}
	image, err := r.image(s)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if digest.Hex[:12] != reference.TagStr() {
		return fmt.Errorf("%s was built from other files than there are now: images build %s first", reference, r.Name)
	}
	c := newContents(s)
	top, err := c.addProgram(r.program(s))
	if err != nil {
		return err
	}
	needs := []string{top}
	for target, e := range l.entries {
		source := l.sources[target]
		if e.kind != tar.TypeReg || source == "" || strings.HasPrefix(source, s.checkout) {
			continue // a directory, a link, or the project's own
		}
		debian, err := c.addDebianPackage(source)
		if err != nil {
			return err
		}
		needs = append(needs, debian)
	}
	whole := cdx.Component{
		Type:       cdx.ComponentTypeContainer,
		Name:       r.Name,
		Version:    digest.String(),
		PackageURL: fmt.Sprintf("pkg:oci/%s@%s?arch=%s", r.Name, url.QueryEscape(digest.String()), s.platform.architecture),
	}
	whole.BOMRef = whole.PackageURL
	slices.Sort(needs)
	c.needs[whole.BOMRef] = slices.Compact(needs)

	text, err := c.document(whole)
	if err != nil {
		return err
	}
	return os.WriteFile(s.output(r.Name+".cdx.json"), text, 0o644)
}

// document has no time and no serial number, which would be others each time.
func (c *contents) document(top cdx.Component) ([]byte, error) {
	var components []cdx.Component
	for _, ref := range slices.Sorted(maps.Keys(c.components)) {
		components = append(components, c.components[ref])
	}
	var dependencies []cdx.Dependency
	for _, ref := range slices.Sorted(maps.Keys(c.needs)) {
		needs := c.needs[ref]
		dependencies = append(dependencies, cdx.Dependency{Ref: ref, Dependencies: &needs})
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &top}
	bom.Components, bom.Dependencies = &components, &dependencies
	var text bytes.Buffer
	err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return text.Bytes(), err
}

// addProgram adds a Go program by what Go wrote into it, any other as the crate of its name.
func (c *contents) addProgram(program string) (string, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	hashes := &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	info, err := buildinfo.ReadFile(program)
	if err == nil {
		return c.addGoProgram(filepath.Base(program), info, hashes), nil
	}
	return c.addCrates(filepath.Base(program), hashes)
}

func (c *contents) addGoProgram(program string, info *buildinfo.BuildInfo, hashes *[]cdx.Hash) string {
	standard := "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")
	c.add(cdx.Component{Type: cdx.ComponentTypeLibrary, Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), PackageURL: standard}, "BSD-3-Clause")
	needs := []string{standard}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		purl := fmt.Sprintf("pkg:golang/%s@%s", module.Path, module.Version)
		c.add(cdx.Component{Type: cdx.ComponentTypeLibrary, Name: module.Path, Version: module.Version, PackageURL: purl}, "")
		needs = append(needs, purl)
	}
	purl := "pkg:golang/" + info.Path
	c.add(cdx.Component{Type: cdx.ComponentTypeApplication, Name: program, PackageURL: purl, Hashes: hashes}, "Apache-2.0", needs...)
	return purl
}

// metadata is what this needs of `cargo metadata`.
type metadata struct {
	Packages []struct{ ID, Name, Version, License, Description, Repository string }
	Resolve  struct {
		Nodes []struct {
			ID   string
			Deps []struct {
				Pkg      string
				DepKinds []struct{ Kind *string } `json:"dep_kinds"`
			}
		}
	}
}

// addCrates adds a crate of the workspace and what gets into its program: neither what only builds it nor what only tests it.
// Cargo's answer is for the whole workspace, so that a crate which only another member turns on is there too.
func (c *contents) addCrates(crate string, hashes *[]cdx.Hash) (string, error) {
	command := exec.Command("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", c.site.platform.rustTarget)
	command.Dir = c.site.checkout
	output, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("cargo metadata: %w", err)
	}
	var known metadata
	if err := json.Unmarshal(output, &known); err != nil {
		return "", fmt.Errorf("cargo metadata: %w", err)
	}
	purls := map[string]string{}
	top := ""
	for _, p := range known.Packages {
		purls[p.ID] = fmt.Sprintf("pkg:cargo/%s@%s", p.Name, url.QueryEscape(p.Version))
		if p.Name == crate {
			top = p.ID
		}
	}
	if top == "" {
		return "", fmt.Errorf("%s is neither a Go program nor named as a crate: what is it made of?", crate)
	}
	needs := map[string][]string{}
	for _, node := range known.Resolve.Nodes {
		for _, dependency := range node.Deps {
			for _, kind := range dependency.DepKinds {
				if kind.Kind == nil {
					needs[node.ID] = append(needs[node.ID], dependency.Pkg)
				}
			}
		}
	}
	reached := map[string]bool{top: true}
	for queue := []string{top}; len(queue) > 0; queue = queue[1:] {
		for _, next := range needs[queue[0]] {
			if !reached[next] {
				reached[next] = true
				queue = append(queue, next)
			}
		}
	}
	for _, p := range known.Packages {
		if !reached[p.ID] {
			continue
		}
		component := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, Description: p.Description, PackageURL: purls[p.ID]}
		if p.Repository != "" {
			component.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeVCS, URL: p.Repository}}
		}
		if p.ID == top {
			component.Type, component.Hashes = cdx.ComponentTypeApplication, hashes
		}
		var below []string
		for _, need := range needs[p.ID] {
			below = append(below, purls[need])
		}
		c.add(component, p.License, below...)
	}
	return purls[top], nil
}

// packageIn is the package in the output of dpkg-query --search. From Debian 13 on, it names the diversions of a file too.
func packageIn(found string) string {
	for line := range strings.Lines(found) {
		if name, _, is := strings.Cut(line, ": "); is && !strings.HasPrefix(line, "diversion by ") {
			return name
		}
	}
	return ""
}

// addDebianPackage adds the package that this machine has the file from.
func (c *contents) addDebianPackage(file string) (string, error) {
	debian := "ca-certificates" // which makes that file when it is installed, so that dpkg does not know it
	if file != certificateAuthorities {
		// /lib is a link to /usr/lib, and dpkg knows a file by the one path that its package says.
		merged := strings.TrimPrefix(file, "/usr")
		output, err := exec.Command("dpkg-query", "--search", merged, "/usr"+merged).Output()
		if debian = packageIn(string(output)); debian == "" {
			return "", fmt.Errorf("no Debian package has %s (%v): what is it?", file, err)
		}
	}
	output, err := exec.Command("dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}", debian).Output()
	if err != nil {
		return "", fmt.Errorf("dpkg-query --show %s: %w", debian, err)
	}
	var packageName, version, arch string
	if _, err := fmt.Sscan(string(output), &packageName, &version, &arch); err != nil {
		return "", fmt.Errorf("dpkg-query --show %s: %w: %q", debian, err, output)
	}
	purl := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", packageName, url.QueryEscape(version), arch)
	c.add(cdx.Component{Type: cdx.ComponentTypeLibrary, Name: packageName, Version: version, PackageURL: purl}, "")
	return purl, nil
}
