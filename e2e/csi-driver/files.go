package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// dataLink leads to the directory with the files of now, in which all of them change at once. This is how the kubelet writes Secrets, and
// how drivers write theirs: NAME → ..data/NAME, ..data → ..<time>.
const dataLink = "..data"

func replaceFiles(directory string, files map[string][]byte) error {
	link := filepath.Join(directory, dataLink)
	before, _ := os.Readlink(link)
	now := "..stamp-" + time.Now().Format("2006-01-02-15-04-05.000000000")
	for name, content := range files {
		path := filepath.Join(directory, now, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if err := os.Symlink(now, link+"_tmp"); err != nil {
		return err
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		return err
	}
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		if err := os.Symlink(filepath.Join(dataLink, first), filepath.Join(directory, first)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	if before == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(directory, before))
}
