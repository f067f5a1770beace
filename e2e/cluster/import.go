// Giving container images to the node, from archives, without a registry.
package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// importImages takes docker archives whose tag is a hash of their content: an image with a name that the node has is that image.
func importImages(archives []string) error {
	l, node, err := runningNode()
	if err != nil {
		return err
	}
	for _, archive := range archives {
		names, err := imageNames(archive)
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		begin := time.Now()
		fmt.Printf("  %s … ", strings.Join(names, " "))
		imported := make(chan error, len(members))
		for _, m := range members {
			// The member's containerd, as seen from the host: archives may be anywhere.
			socket := fmt.Sprintf("/proc/%d/root%s", node, m.socket())
			go func() { imported <- importImage(l, socket, archive, names) }()
		}
		for range members {
			err = errors.Join(err, <-imported)
		}
		if err != nil {
			return err
		}
		fmt.Printf("%.1f s\n", time.Since(begin).Seconds())
	}
	return nil
}

// importImage does nothing, quickly, where the image is.
func importImage(l layout, socket, archive string, names []string) error {
	ctr := func(args ...string) ([]byte, error) {
		all := append([]string{"--address", socket, "--namespace", "k8s.io", "images"}, args...)
		return exec.Command(l.tool("ctr"), all...).CombinedOutput()
	}
	listed, err := ctr("list", "--quiet")
	if err != nil {
		return fmt.Errorf("ctr images list: %w: %s: see %s", err, listed, l.state("logs"))
	}
	present := strings.Fields(string(listed))
	if !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(present, name) }) {
		return nil
	}
	if output, err := ctr("import", archive); err != nil {
		return fmt.Errorf("ctr images import %s: %w: %s", archive, err, output)
	}
	return nil
}

// imageNames reads the names from the archive's manifest.
func imageNames(archive string) ([]string, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for entries := tar.NewReader(file); ; {
		entry, err := entries.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("no manifest.json in it: not a docker archive")
		}
		if err != nil {
			return nil, err
		}
		if filepath.Clean(entry.Name) != "manifest.json" {
			continue
		}
		var images []struct{ RepoTags []string }
		if err := json.NewDecoder(entries).Decode(&images); err != nil {
			return nil, err
		}
		var names []string
		for _, image := range images {
			names = append(names, image.RepoTags...)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("its images have no name")
		}
		return names, nil
	}
}
