// An image's files in a directory: what a Dockerfile copies, so that an engine's image holds what ours does.
package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func export(s site, args []string) error {
	if len(args) != 2 {
		return errors.New("export needs an image and a directory")
	}
	recipes, err := readRecipes(s.checkout, args[:1])
	if err != nil {
		return err
	}
	l, err := recipes[0].layer(s)
	if err != nil {
		return err
	}
	return l.writeTo(args[1])
}

// writeTo needs a directory that is not there, so that nothing else gets into the image.
func (l *layer) writeTo(directory string) error {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	for _, target := range slices.Sorted(maps.Keys(l.entries)) { // what is above comes first
		e, file := l.entries[target], filepath.Join(directory, target)
		var err error
		switch e.kind {
		case tar.TypeDir:
			err = os.Mkdir(file, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(e.link, file)
		default:
			err = os.WriteFile(file, e.content, 0o644)
		}
		if err == nil && e.kind != tar.TypeSymlink {
			err = os.Chmod(file, mode(e)) // whatever the umask
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	return nil
}

func mode(e entry) os.FileMode {
	m := os.FileMode(e.mode & 0o777)
	if e.mode&0o1000 != 0 {
		m |= os.ModeSticky
	}
	return m
}
