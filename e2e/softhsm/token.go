// Package softhsm makes a SoftHSM2 token in a directory and packs it for a pod.
// Keys are not made here: that is `tezos-signer keys generate`.
package softhsm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/miekg/pkcs11"
)

// Module is where Debian and the project's SoftHSM image have it.
const Module = "/usr/lib/softhsm/libsofthsm2.so"

const config = `directories.tokendir = %s/tokens
objectstore.backend = file
log.level = ERROR
slots.removable = false
`

// Token is an initialised token in a directory of its own.
type Token struct {
	Label   string
	dir     string
	PinFile string
}

// NewToken initialises a token with a random PIN in the form that CloudHSM has,
// <crypto user>:<password>. softhsm2-util would want the PIN as an argument,
// where every process of the machine can read it, so the module is asked itself.
func NewToken(dir, label string) (*Token, error) {
	t := &Token{Label: label, dir: dir, PinFile: filepath.Join(dir, "pin")}
	pin := "cu_user:" + rand.Text()
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "tokens"), 0o700),
		os.WriteFile(t.ConfigFile(), fmt.Appendf(nil, config, dir), 0o600),
		os.WriteFile(t.PinFile, []byte(pin), 0o600),
		os.Setenv("SOFTHSM2_CONF", t.ConfigFile()), // read at C_Initialize
	); err != nil {
		return nil, err
	}
	module := pkcs11.New(Module)
	if module == nil {
		return nil, fmt.Errorf("%s cannot be loaded: install the package softhsm2", Module)
	}
	defer module.Destroy()
	if err := module.Initialize(); err != nil {
		return nil, fmt.Errorf("C_Initialize of %s: %w", Module, err)
	}
	defer module.Finalize()
	if err := initialise(module, label, pin); err != nil {
		return nil, err
	}
	return t, nil
}

func initialise(module *pkcs11.Ctx, label, pin string) error {
	slots, err := module.GetSlotList(true)
	if err != nil || len(slots) != 1 {
		return fmt.Errorf("a new token directory must have one free slot, found %d: %v", len(slots), err)
	}
	securityOfficer := rand.Text() // needed once, and forgotten
	if err := module.InitToken(slots[0], securityOfficer, label); err != nil {
		return fmt.Errorf("C_InitToken: %w", err)
	}
	session, err := module.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("C_OpenSession: %w", err)
	}
	if err := module.Login(session, pkcs11.CKU_SO, securityOfficer); err != nil {
		return fmt.Errorf("C_Login as security officer: %w", err)
	}
	if err := module.InitPIN(session, pin); err != nil {
		return fmt.Errorf("C_InitPIN: %w", err)
	}
	return nil
}

// ConfigFile is what SOFTHSM2_CONF must name on this machine.
func (t *Token) ConfigFile() string { return filepath.Join(t.dir, "softhsm2.conf") }

// File is one file of the token as a Secret holds it.
type File struct {
	Key     string // a Secret's keys hold no '/'
	Path    string // where it belongs below the mount point
	Content []byte
}

// PackFor reads the token, with a configuration for the place where it will be
// mounted. The PIN is not among the files.
func (t *Token) PackFor(mountPath string) ([]File, error) {
	files := []File{{Key: "softhsm2.conf", Path: "softhsm2.conf", Content: fmt.Appendf(nil, config, mountPath)}}
	err := filepath.WalkDir(filepath.Join(t.dir, "tokens"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(t.dir, path)
		files = append(files, File{Key: strings.ReplaceAll(below, "/", "_"), Path: below, Content: content})
		return err
	})
	return files, err
}
