// An image's one layer: its files and the libraries that they link, as an archive that depends on nothing but their
// content, so that the same inputs give the same image.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const userID = 65532

// Trusted by whatever speaks TLS to the outside; of the Debian package ca-certificates.
const certificateAuthorities = "/etc/ssl/certs/ca-certificates.crt"

type layer struct {
	platform platform
	entries  map[string]entry  // by path in the image
	sources  map[string]string // the file of this machine that it came from, by path in the image
}

type entry struct {
	kind    byte // tar.TypeReg, TypeDir, TypeSymlink
	mode    int64
	content []byte
	link    string
}

// newLayer has what every image has: a user, the certificate authorities, the order of name look-ups and /tmp.
func newLayer(p platform) (*layer, error) {
	l := &layer{platform: p, entries: map[string]entry{}, sources: map[string]string{}}
	user := fmt.Sprintf("nonroot:x:%d:%d::/:/sbin/nologin\n", userID, userID)
	l.add("/etc/passwd", entry{kind: tar.TypeReg, mode: 0o644, content: []byte("root:x:0:0::/:/sbin/nologin\n" + user)})
	l.add("/etc/group", entry{kind: tar.TypeReg, mode: 0o644, content: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", userID)})
	// The C library would ask a DNS server before it looks into /etc/hosts, where the kubelet writes.
	l.add("/etc/nsswitch.conf", entry{kind: tar.TypeReg, mode: 0o644, content: []byte("hosts: files dns\n")})
	l.add("/tmp", entry{kind: tar.TypeDir, mode: 0o1777})
	// As in Debian, whose loader looks in /lib and whose packages install to /usr/lib.
	for _, name := range []string{"bin", "lib", "lib64"} {
		l.add("/"+name, entry{kind: tar.TypeSymlink, mode: 0o777, link: "usr/" + name})
	}
	for _, directory := range []string{"/usr/bin", "/usr/lib", "/usr/lib64"} { // the links' targets
		l.add(directory, entry{kind: tar.TypeDir, mode: 0o755})
	}
	return l, l.addFile(certificateAuthorities, certificateAuthorities, 0o644)
}

// add also makes the directories above.
func (l *layer) add(target string, e entry) {
	for directory := path.Dir(target); directory != "/"; directory = path.Dir(directory) {
		if _, found := l.entries[directory]; !found {
			l.entries[directory] = entry{kind: tar.TypeDir, mode: 0o755}
		}
	}
	l.entries[target] = e
}

func (l *layer) addFile(target, source string, mode int64) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	l.add(target, entry{kind: tar.TypeReg, mode: mode, content: content})
	l.sources[target] = source
	return nil
}

// addTree takes a file, a directory with all that is below, or nothing when there is no such thing yet. Of a file's mode, only
// whether it can be executed counts.
func (l *layer) addTree(target, source string) error {
	return filepath.WalkDir(source, func(file string, found fs.DirEntry, err error) error {
		if os.IsNotExist(err) && file == source {
			return nil
		}
		if err != nil || found.IsDir() {
			return err
		}
		below, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info, err := os.Stat(file); err != nil {
			return err
		} else if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		return l.addFile(path.Join(target, filepath.ToSlash(below)), file, mode)
	})
}

// addLinkedLibraries adds what a program or library links, directly or not, the loader included.
func (l *layer) addLinkedLibraries(file string) error {
	names, err := l.platform.linked(file)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.addLibrary(name); err != nil {
			return fmt.Errorf("%s links %s: %w", file, name, err)
		}
	}
	return nil
}

// addLibrary adds one by its name or path, and what it links.
func (l *layer) addLibrary(name string) error {
	find := l.platform.library
	if path.IsAbs(name) {
		find = l.platform.file
	}
	source, target, err := find(name)
	if err != nil {
		return err
	}
	if _, isThere := l.entries[target]; isThere {
		return nil
	}
	if err := l.addFile(target, source, 0o755); err != nil {
		return err
	}
	return l.addLinkedLibraries(source)
}

func (l *layer) build() (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, target := range slices.Sorted(maps.Keys(l.entries)) {
		e := l.entries[target]
		name := strings.TrimPrefix(target, "/")
		if e.kind == tar.TypeDir {
			name += "/"
		}
		// No time, no owner's name: nothing of this machine.
		header := &tar.Header{Typeflag: e.kind, Name: name, Mode: e.mode, Size: int64(len(e.content)), Linkname: e.link, Format: tar.FormatUSTAR}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(e.content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
}
