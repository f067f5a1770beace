// Package bundle reads the tar files of kubectl tezos-signer support-bundle.
package bundle

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"strings"
)

// Read is what a bundle has, by the paths below its one directory.
func Read(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	files := map[string]string{}
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		_, name, _ := strings.Cut(header.Name, "/")
		files[name] = string(text)
	}
}
