// Which machines an image is for: where their programs are when they are built, and where the libraries that these link are found.
package main

import (
	"debug/elf"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

type platform struct {
	architecture string // in Go's and the registries' words
	triplet      string // in Debian's
	rustTarget   string
	machine      elf.Machine
	loader       string // its path in every image and on every such machine
}

var platforms = []platform{
	{"amd64", "x86_64-linux-gnu", "x86_64-unknown-linux-gnu", elf.EM_X86_64, "/lib64/ld-linux-x86-64.so.2"},
	{"arm64", "aarch64-linux-gnu", "aarch64-unknown-linux-gnu", elf.EM_AARCH64, "/lib/ld-linux-aarch64.so.1"},
}

func findPlatform(architecture string) (platform, error) {
	var known []string
	for _, p := range platforms {
		if p.architecture == architecture {
			return p, nil
		}
		known = append(known, p.architecture)
	}
	return platform{}, fmt.Errorf("no images are made for %q, only for %s", architecture, strings.Join(known, ", "))
}

// isForeign: another machine's, for which this one has a cross compiler, and the libraries that came with it.
func (p platform) isForeign() bool { return p.architecture != runtime.GOARCH }

// library finds one by its name: where it is on this machine, and where it is in the image, which is where a Debian of that
// architecture has it.
func (p platform) library(name string) (source, target string, err error) {
	if name == path.Base(p.loader) {
		return p.file(p.loader)
	}
	for _, directory := range []string{"/lib/" + p.triplet, "/usr/lib/" + p.triplet, "/lib", "/usr/lib"} {
		source, target, err = p.file(path.Join(directory, name))
		if err == nil {
			return source, target, nil
		}
	}
	return "", "", fmt.Errorf("there is no %s for %s on this machine", name, p.architecture)
}

// file is the same for the path that such a machine has it at.
func (p platform) file(name string) (source, target string, err error) {
	source = name
	if p.isForeign() {
		// Debian's cross compilers have all of the other architecture in one directory.
		source = path.Join("/usr", p.triplet, "lib", path.Base(name))
		target = name
		if strings.HasPrefix(name, "/lib") { // a link, in every Debian
			target = "/usr" + name
		}
	} else {
		directory, err := filepath.EvalSymlinks(path.Dir(name))
		if err != nil {
			return "", "", err
		}
		target = path.Join(directory, path.Base(name))
	}
	_, err = os.Stat(source)
	return source, target, err
}

// linked are the libraries that a program or library names, none if it is static.
func (p platform) linked(file string) ([]string, error) {
	parsed, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer parsed.Close()
	if parsed.Machine != p.machine {
		return nil, fmt.Errorf("%s is for %s, and the image for %s", file, parsed.Machine, p.architecture)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		if paths, err := parsed.DynString(tag); err == nil && len(paths) > 0 {
			return nil, fmt.Errorf("%s looks for its libraries in %v too: teach this program to", file, paths)
		}
	}
	return parsed.ImportedLibraries()
}
