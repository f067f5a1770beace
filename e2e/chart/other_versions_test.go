package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Versions of programs that are not ours, and that nobody should copy from an example.
var olderPrograms = map[string]*regexp.Regexp{
	// Before v25 it has no proto_025: its baker cannot bake on mainnet.
	"Octez v25.1": regexp.MustCompile(`(?i)octez-v(\d|1\d|2[0-4])\b|octez\b.{0,60}\bv(\d|1\d|2[0-4])(\.\d+)?\b`),
	// Where one is named, it is the newest.
	"CloudHSM client 5.18.1": regexp.MustCompile(`cloudhsm(-\w+)?[ :](\d+\.\d+\.\d+-)?5\.(\d|1[0-7]|18\.0)\b`),
}

// Where an older version is said because of what it wrote, by the beginning of the path.
var historyOfOthers = []string{
	"interop/tests/watermarks/", // marks in the shape that octez-signer before 24 wrote, which importers still read
	"interop/tests/foreign.rs",  // reads them
	"e2e/chart/other_versions_test.go",
}

func TestNoFileNamesAnOlderOctezOrCloudHSMClient(t *testing.T) {
	for message, newer := range map[string]string{
		"tezos/tezos:octez-v24.0": "Octez v25.1", "image: octez-v9": "Octez v25.1", "Octez v24.4 and later": "Octez v25.1", "the sources of Octez v23": "Octez v25.1",
		"tezos/tezos:octez-v25.1": "", "Octez v25.1": "", "octez-v240": "", "octez_version 24": "",
		"team/cloudhsm-client:5.17.2": "CloudHSM client 5.18.1", "cloudhsm-pkcs11 5.18.0-1": "CloudHSM client 5.18.1", "tezos-signer-cloudhsm:0.2.0-5.17.2": "CloudHSM client 5.18.1",
		"team/cloudhsm-client:5.18.1": "", "cloudhsm-pkcs11 5.18.1-1": "", "tezos-signer-cloudhsm:0.2.0-5.18.1": "",
	} {
		found := ""
		for program, older := range olderPrograms {
			if older.MatchString(message) {
				found += program
			}
		}
		if found != newer {
			t.Errorf("%q: found %q, expected %q", message, found, newer)
		}
	}

	const root = "../.."
	list, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	files := strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 })
	if len(files) < 100 {
		t.Fatalf("only %d files", len(files))
	}
	for _, file := range files {
		if slices.ContainsFunc(historyOfOthers, func(begin string) bool { return strings.HasPrefix(file, begin) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for program, older := range olderPrograms {
				if found := older.FindString(line); found != "" {
					t.Errorf("%s:%d names %q: expected %s", file, i+1, found, program)
				}
			}
		}
	}
}
