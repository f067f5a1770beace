// What an image holds, as its recipe (<name>.yaml beside this file) says it, and the image made of that.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"go.yaml.in/yaml/v3"
)

type recipe struct {
	Name string
	// The one program, below the checkout. It becomes /usr/bin/<its name> and the entrypoint.
	Program string
	// Libraries that the program opens by itself, by path, to be at the same one, or by name. What they and the program link is
	// found.
	Libraries []string
	// Path in the image: file or directory below the checkout.
	Files map[string]string
}

var errNotBuilt = errors.New("not built")

// readRecipes reads those that are named, or all.
func readRecipes(checkout string, names []string) ([]recipe, error) {
	files, err := filepath.Glob(filepath.Join(checkout, "images", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var recipes []recipe
	var known []string
	for _, file := range files {
		input, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewDecoder(input)
		decoder.KnownFields(true)
		var r recipe
		err = decoder.Decode(&r)
		input.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		known = append(known, r.Name)
		if len(names) == 0 || slices.Contains(names, r.Name) {
			recipes = append(recipes, r)
		}
	}
	for _, wanted := range names {
		if !slices.Contains(known, wanted) {
			return nil, fmt.Errorf("no image %q: there are %s", wanted, strings.Join(known, ", "))
		}
	}
	return recipes, nil
}

// layer has all of the image's files.
func (r recipe) layer(s site) (*layer, error) {
	program := r.program(s)
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", program, errNotBuilt)
	}
	l, err := newLayer(s.platform)
	if err != nil {
		return nil, err
	}
	if err := l.addFile(r.entrypoint(), program, 0o755); err != nil {
		return nil, err
	}
	if err := l.addLinkedLibraries(program); err != nil {
		return nil, err
	}
	for _, library := range r.Libraries {
		if err := l.addLibrary(library); err != nil {
			return nil, err
		}
	}
	for target, source := range r.Files {
		if err := l.addTree(target, filepath.Join(s.checkout, source)); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// program is where it is when it is built: cargo has what is for another machine in a directory of its own.
func (r recipe) program(s site) string {
	program := r.Program
	if s.platform.isForeign() {
		program = strings.Replace(program, "target/", "target/"+s.platform.rustTarget+"/", 1)
	}
	return filepath.Join(s.checkout, program)
}

func (r recipe) entrypoint() string { return path.Join("/usr/bin", filepath.Base(r.Program)) }

func (r recipe) image(s site) (v1.Image, error) {
	l, err := r.layer(s)
	if err != nil {
		return nil, err
	}
	content, err := l.build()
	if err != nil {
		return nil, err
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: s.platform.architecture,
		OS:           "linux",
		Created:      v1.Time{Time: time.Unix(0, 0)},
		RootFS:       v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:       fmt.Sprintf("%d:%d", userID, userID), // numeric: runAsNonRoot cannot judge a name
			Entrypoint: []string{r.entrypoint()},
			Env:        []string{"PATH=/usr/bin"},
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(image, content)
}
