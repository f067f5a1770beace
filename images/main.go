// images: builds the project's container images from programs that are built already, and pushes them.
//
// Here: the verbs and the files they read and write. What an image holds: recipe.go and *.yaml. How its layer is made:
// layer.go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const usage = `usage: images build [--architecture A] [--registry HOST/PATH] [name...]
       images sbom [--architecture A] [name...]
       images push [--architecture A] [name...]
       images index REFERENCE IMAGE...
       images export [--architecture A] NAME DIRECTORY

build writes target/images/<name>.tar, a docker archive, and <name>.ref, the image's full reference
HOST/PATH/<name>:<hash of its content>. Without names: every image whose program is built.
sbom writes target/images/<name>.cdx.json, what a built image is made of, as CycloneDX.
push sends what was built to the registry that its reference names, with the credentials of docker login.
index makes one image of several that a registry has, one for each architecture, and prints its digest.
export writes an image's files to a directory, for a Dockerfile that begins with FROM scratch.

--architecture amd64 or arm64: this machine's, if it is left out. What is for another one is made of programs
that were built for it, into target/images/A.
`

// Where images that are never pushed belong. No such host exists: nothing can be pulled from it by accident.
const localRegistry = "tezos-signer.local"

func main() {
	flags := flag.NewFlagSet("images", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	registry := flags.String("registry", localRegistry, "")
	architecture := flags.String("architecture", runtime.GOARCH, "")
	if len(os.Args) < 2 {
		flags.Usage()
		os.Exit(2)
	}
	flags.Parse(os.Args[2:])
	s, err := findSite(*architecture)
	if err == nil {
		switch os.Args[1] {
		case "build":
			err = build(s, *registry, flags.Args())
		case "sbom":
			err = sbom(s, flags.Args())
		case "push":
			err = push(s, flags.Args())
		case "index":
			err = index(flags.Args())
		case "export":
			err = export(s, flags.Args())
		default:
			flags.Usage()
			os.Exit(2)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// site is a checkout, and for which machines its images are.
type site struct {
	checkout string
	platform platform
}

// findSite goes by this program's own path, <checkout>/target/tools/images.
func findSite(architecture string) (site, error) {
	p, err := findPlatform(architecture)
	if err != nil {
		return site{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return site{}, err
	}
	checkout := filepath.Dir(filepath.Dir(filepath.Dir(program)))
	if _, err := os.Stat(filepath.Join(checkout, "images")); err != nil {
		return site{}, fmt.Errorf("%s is not <checkout>/target/tools/images: build it with e2e/cluster/install", program)
	}
	return site{checkout, p}, nil
}

// output is where what is made goes. All in target/images is imported into the local cluster, so what is for another machine is
// below it.
func (s site) output(file string) string {
	directory := filepath.Join(s.checkout, "target/images")
	if s.platform.isForeign() {
		directory = filepath.Join(directory, s.platform.architecture)
	}
	return filepath.Join(directory, file)
}

func build(s site, registry string, names []string) error {
	recipes, err := readRecipes(s.checkout, names)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.output(""), 0o755); err != nil {
		return err
	}
	for _, r := range recipes {
		begin := time.Now()
		fmt.Printf("  %-24s … ", r.Name)
		image, err := r.image(s)
		if errors.Is(err, errNotBuilt) && len(names) == 0 {
			fmt.Println("skipped:", err)
			continue
		}
		if err != nil {
			fmt.Println()
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		reference, err := write(s, registry, r.Name, image)
		if err != nil {
			fmt.Println()
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		fmt.Printf("%s %.1f s\n", reference, time.Since(begin).Seconds())
	}
	return nil
}

// write leaves the archive alone when it holds this very image already.
func write(s site, registry, imageName string, image v1.Image) (name.Tag, error) {
	digest, err := image.Digest()
	if err != nil {
		return name.Tag{}, err
	}
	reference, err := name.NewTag(fmt.Sprintf("%s/%s:%s", registry, imageName, digest.Hex[:12]), name.StrictValidation)
	if err != nil {
		return name.Tag{}, err
	}
	archive, referenceFile := s.output(imageName+".tar"), s.output(imageName+".ref")
	if text, err := os.ReadFile(referenceFile); err == nil && strings.TrimSpace(string(text)) == reference.Name() {
		if _, err := os.Stat(archive); err == nil {
			return reference, nil
		}
	}
	// The reference is written last: whoever finds it finds its archive.
	if err := os.Remove(referenceFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return name.Tag{}, err
	}
	if err := tarball.WriteToFile(archive, reference, image); err != nil {
		return name.Tag{}, err
	}
	return reference, os.WriteFile(referenceFile, []byte(reference.Name()+"\n"), 0o644)
}

func sbom(s site, names []string) error {
	names, err := namesOrAllBuilt(s, names)
	if err != nil {
		return err
	}
	recipes, err := readRecipes(s.checkout, names)
	if err != nil {
		return err
	}
	for _, r := range recipes {
		reference, err := readReference(s, r.Name)
		if err != nil {
			return err
		}
		if err := writeSBOM(s, r, reference); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		fmt.Printf("  %s\n", s.output(r.Name+".cdx.json"))
	}
	return nil
}

func namesOrAllBuilt(s site, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	built, err := filepath.Glob(s.output("*.ref"))
	for _, file := range built {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".ref"))
	}
	return names, err
}

// readReference is what the image is called that was built.
func readReference(s site, imageName string) (name.Tag, error) {
	text, err := os.ReadFile(s.output(imageName + ".ref"))
	if err != nil {
		return name.Tag{}, fmt.Errorf("%w: images build %s first", err, imageName)
	}
	return name.NewTag(strings.TrimSpace(string(text)), name.StrictValidation)
}

func push(s site, names []string) error {
	names, err := namesOrAllBuilt(s, names)
	if err != nil {
		return err
	}
	for _, imageName := range names {
		begin := time.Now()
		reference, err := readReference(s, imageName)
		if err != nil {
			return err
		}
		if reference.RegistryStr() == localRegistry {
			if imageName == "pause" {
				continue // of the local cluster only
			}
			return fmt.Errorf("%s was built for the local cluster: images build --registry HOST/PATH first", imageName)
		}
		image, err := tarball.ImageFromPath(s.output(imageName+".tar"), &reference)
		if err != nil {
			return err
		}
		fmt.Printf("  %s … ", reference)
		if err := remote.Write(reference, image, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			fmt.Println()
			return fmt.Errorf("push %s: %w", reference, err)
		}
		fmt.Printf("%.1f s\n", time.Since(begin).Seconds())
	}
	return nil
}
