// One image for several architectures: an index of images that a registry has already, each built and pushed where its programs
// were. A node pulls the one that is for it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func index(args []string) error {
	if len(args) < 2 {
		return errors.New("index needs the reference to make, and the images that are to be in it")
	}
	digest, err := makeIndex(args[0], args[1:])
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, " ", args[0])
	fmt.Println(digest)
	return nil
}

// makeIndex has the same digest for the same images in the same order.
func makeIndex(target string, images []string) (v1.Hash, error) {
	reference, err := name.ParseReference(target, name.StrictValidation)
	if err != nil {
		return v1.Hash{}, err
	}
	login := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	all := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	there := map[string]string{}
	for _, text := range images {
		source, err := name.ParseReference(text, name.StrictValidation)
		if err != nil {
			return v1.Hash{}, err
		}
		image, err := remote.Image(source, login)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("%s: %w: push it first", text, err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			return v1.Hash{}, fmt.Errorf("%s: %w", text, err)
		}
		if other := there[config.Architecture]; other != "" {
			return v1.Hash{}, fmt.Errorf("%s and %s are both for %s: an index has one image for each architecture", other, text, config.Architecture)
		}
		there[config.Architecture] = text
		all = mutate.AppendManifests(all, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: config.OS, Architecture: config.Architecture}},
		})
	}
	if err := remote.WriteIndex(reference, all, login); err != nil {
		return v1.Hash{}, fmt.Errorf("push %s: %w", target, err)
	}
	return all.Digest()
}
