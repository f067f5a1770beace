package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What cannot be seen without building it: the base is one that AWS supports, both images run as a number, and
// nothing secret can get in.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("cloudhsm/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	user := map[string]string{} // by stage
	entrypoint := map[string]string{}
	var stages []string
	stage := ""
	joined := strings.ReplaceAll(string(text), "\\\n", " ")
	for line := range strings.Lines(joined) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "FROM":
			if len(words) != 4 || words[2] != "AS" {
				t.Fatalf("a stage without a name: %s", line)
			}
			base := words[1]
			stage = words[3]
			stages = append(stages, stage)
			switch {
			case base == "scratch", base == "${SIGNER_IMAGE}", user[base] != "": // one of ours
			case base != "ubuntu:24.04":
				t.Errorf("stage %s is made from %s", stage, base)
			}
		case "USER":
			user[stage] = words[1]
		case "ENTRYPOINT":
			entrypoint[stage] = strings.Join(words[1:], " ")
		case "ARG", "RUN", "COPY", "ADD":
		default:
			t.Errorf("an instruction that nobody has thought about: %s", line)
		}
		if words[0] == "ARG" && regexp.MustCompile(`(?i)pin|password|secret|token|credential`).MatchString(words[1]) {
			t.Errorf("an argument stays in the image's history: %s", line)
		}
	}
	for _, target := range []string{"client", "signer"} {
		if user[target] != fmt.Sprintf("%d:%d", userID, userID) {
			t.Errorf("%s runs as %q", target, user[target])
		}
	}
	if stages[len(stages)-1] != "signer" || entrypoint["signer"] != `["/usr/bin/tezos-signer"]` {
		t.Errorf("the default target is %s, with the entrypoint %s", stages[len(stages)-1], entrypoint["signer"])
	}
	ignored, err := os.ReadFile("cloudhsm/.dockerignore")
	if err != nil || !strings.Contains(string(ignored), "\n*\n") {
		t.Errorf(".dockerignore must begin with nothing at all: %v", err)
	}
}

// A library that the signer's image cannot load ends the build with what to do.
func TestCheckGlibc(t *testing.T) {
	directory := t.TempDir()
	for _, c := range []struct {
		name, symbols, has, said string
		passes                   bool
	}{
		{"older", "GLIBC_2.2.5 GLIBC_2.34", "2.36", "needs glibc 2.34; the signer's image has 2.36", true},
		{"the same", "GLIBC_2.36 GLIBC_2.9", "2.36", "needs glibc 2.36", true},
		{"newer", "GLIBC_2.9 GLIBC_2.38 GLIBC_2.4", "2.36", "needs glibc 2.38, and the signer's image has 2.36: build --target signer", false},
		{"none", "", "2.36", "needs glibc 0", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			library := filepath.Join(directory, c.name)
			if err := os.WriteFile(library, []byte("\x7fELF\x00"+strings.ReplaceAll(c.symbols, " ", "\x00")+"\x00"), 0o644); err != nil {
				t.Fatal(err)
			}
			output, err := exec.Command("cloudhsm/check-glibc", library, c.has).CombinedOutput()
			if (err == nil) != c.passes || !strings.Contains(string(output), c.said) {
				t.Errorf("%v: %s", err, output)
			}
		})
	}
	if output, err := exec.Command("cloudhsm/check-glibc", "/usr/lib/softhsm/libsofthsm2.so", "2.1").CombinedOutput(); err == nil {
		t.Errorf("a real library: %s", output)
	}
}

// install-client, on a machine of its own: this one's files below, and what is written gone afterwards.
func TestInstallClient(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a file system of its own")
	}
	directory := t.TempDir()
	good := fakePackage(t, directory, "good", "cloudhsm-pkcs11", debianArchitecture(t), true)
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	page := filepath.Join(directory, "page.deb")
	if err := os.WriteFile(page, []byte("<html>404</html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, checksum, said string }{
		{"installs", good, hex.EncodeToString(sum[:]), "cloudhsm-pkcs11 5.18.1-1, which links:"},
		{"installs without a checksum", good, "", "libc.so.6"},
		{"another file", good, strings.Repeat("0", 64), "expected was 0000"},
		{"an error page", page, "", "is no Debian package"},
		{"another package", fakePackage(t, directory, "cli", "cloudhsm-cli", debianArchitecture(t), true), "", "this is the package cloudhsm-cli"},
		{"another architecture", fakePackage(t, directory, "arm", "cloudhsm-pkcs11", "riscv64", true), "", "the package is for riscv64"},
		{"no library", fakePackage(t, directory, "empty", "cloudhsm-pkcs11", debianArchitecture(t), false), "", "the package has no /opt/cloudhsm/lib/libcloudhsm_pkcs11.so"},
	} {
		t.Run(c.name, func(t *testing.T) {
			output, err := installClient(t, c.file, c.checksum)
			if (err == nil) != strings.HasPrefix(c.name, "installs") || !strings.Contains(output, c.said) {
				t.Errorf("%v; wanted %q in\n%s", err, c.said, output)
			}
			if err == nil && !strings.Contains(output, "mode 755 as seen by 65532") {
				t.Errorf("the library cannot be read by the signer's user:\n%s", output)
			}
		})
	}
	if _, err := os.Stat("/opt/cloudhsm/lib/libcloudhsm_pkcs11.so"); err == nil {
		t.Error("the package was installed on this machine")
	}
}

func installClient(t *testing.T, file, checksum string) (string, error) {
	t.Helper()
	// tmpfs above the machine's root; no package source, so that apt asks nobody.
	const script = `
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
mount -t tmpfs tmpfs "$1/root/tmp"
mount --bind /dev "$1/root/dev"
cp "$2" "$1/root/tmp/cloudhsm-pkcs11.deb"
cp cloudhsm/install-client "$1/root/tmp/install-client"
rm -rf "$1"/root/etc/apt/sources.list "$1"/root/etc/apt/sources.list.d
chroot "$1/root" /tmp/install-client /tmp/cloudhsm-pkcs11.deb "$3" 2>&1
chroot --userspec 65532:65532 "$1/root" stat --format 'mode %a as seen by 65532' /opt/cloudhsm/lib/libcloudhsm_pkcs11.so
`
	// A namespace of mounts, which ends with the process.
	command := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", t.TempDir(), file, checksum)
	output, err := command.CombinedOutput()
	return string(output), err
}

func debianArchitecture(t *testing.T) string {
	output, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

// fakePackage has the paths of AWS's, and a library of this machine; modes are tight, as a package's may be.
func fakePackage(t *testing.T, directory, file, name, architecture string, withClient bool) string {
	t.Helper()
	root := filepath.Join(directory, file)
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	control := fmt.Sprintf("Package: %s\nVersion: 5.18.1-1\nArchitecture: %s\nMaintainer: nobody <nobody@example.com>\nDescription: for a test\n", name, architecture)
	write("DEBIAN/control", control, 0o644)
	if withClient {
		library, err := os.ReadFile("/usr/lib/softhsm/libsofthsm2.so")
		if err != nil {
			t.Fatal(err)
		}
		write("opt/cloudhsm/lib/libcloudhsm_pkcs11.so", string(library), 0o700)
		write("opt/cloudhsm/bin/configure-pkcs11", "#!/bin/sh\n", 0o700)
		write("opt/cloudhsm/etc/cloudhsm-pkcs11.cfg", "{}\n", 0o600)
	}
	target := root + ".deb"
	if output, err := exec.Command("dpkg-deb", "--build", "--root-owner-group", root, target).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, output)
	}
	return target
}
