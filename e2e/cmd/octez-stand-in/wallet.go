// The client directory: the files in which octez-client keeps names, keys and where
// they are, each a list of {"name", "value"}.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

type wallet string

type entry struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	hashes     = "public_key_hashs" // as Octez spells it
	publicKeys = "public_keys"
	secretKeys = "secret_keys"
)

func (w wallet) read(file string) (entries []entry, err error) {
	text, err := os.ReadFile(filepath.Join(string(w), file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &entries)
	}
	return entries, err
}

func (w wallet) write(file string, entries []entry) error {
	text, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(string(w), file), text, 0o600)
}

func (w wallet) add(alias, hash, publicKey, uri string, force bool) error {
	for file, value := range map[string]string{hashes: hash, publicKeys: publicKey, secretKeys: uri} {
		entries, err := w.read(file)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(entries, func(e entry) bool { return e.Name == alias })
		switch {
		case at < 0:
			entries = append(entries, entry{alias, value})
		case entries[at].Value != value && !force:
			return fmt.Errorf("the %s %s already exists; use --force to update", file, alias)
		default:
			entries[at].Value = value
		}
		if err := w.write(file, entries); err != nil {
			return err
		}
	}
	return nil
}

func (w wallet) find(alias string) (uri, publicKey string, err error) {
	value := func(file string) string {
		var entries []entry
		if entries, err = w.read(file); err != nil {
			return ""
		}
		at := slices.IndexFunc(entries, func(e entry) bool { return e.Name == alias })
		if at < 0 {
			err = fmt.Errorf("no %s alias named %s", file, alias)
			return ""
		}
		return entries[at].Value
	}
	if uri = value(secretKeys); err != nil {
		return "", "", err
	}
	publicKey = value(publicKeys)
	return uri, publicKey, err
}
