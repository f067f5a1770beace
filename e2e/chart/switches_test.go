package chart

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every value does what testdata/switches/*.diff shows, and nothing else: each is the
// difference between the chart with the values beside it and the chart as Helm installs it.
func TestEverySwitch(t *testing.T) {
	usual := render(t, helms[0], "--values", releaseFile)
	for _, values := range switchFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(values), ".yaml"), func(t *testing.T) {
			t.Parallel()
			got := difference(t, usual, render(t, helms[0], "--values", releaseFile, "--values", values))
			compare(t, strings.TrimSuffix(values, ".yaml")+".diff", got)
		})
	}
}

// A user has Helm 3 or Helm 4.
func TestBothHelmsRenderTheSame(t *testing.T) {
	for _, values := range append(switchFiles(t), directory+"/values.yaml", eksctlFile) {
		t.Run(filepath.Base(values), func(t *testing.T) {
			t.Parallel()
			args := []string{"--values", releaseFile, "--values", values}
			if d := difference(t, render(t, helms[0], args...), render(t, helms[1], args...)); d != "" {
				t.Error(d)
			}
		})
	}
}

// The values of those who use eksctl. Those that Terraform writes are a switch.
const eksctlFile = "../../deploy/eksctl/values.yaml"

// With it, `helm template` makes what `helm install` does.
const releaseFile = "testdata/release.yaml"

func switchFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/switches/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no switches", err)
	}
	return files
}

// difference is what was taken away, what came, and the changed lines of the rest.
func difference(t *testing.T, before, after map[string]object) string {
	t.Helper()
	names := maps.Clone(before)
	maps.Copy(names, after)
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, was := before[name]
		now, is := after[name]
		switch {
		case was && !is:
			fmt.Fprintf(&out, "without %s (%s)\n", name, old.Source)
		case is && !was:
			fmt.Fprintf(&out, "with %s (%s)\n", name, now.Source)
			for line := range strings.Lines(now.Text) {
				out.WriteString("+" + line)
			}
		case old.Text != now.Text:
			fmt.Fprintf(&out, "%s (%s)\n%s", name, now.Source, changedLines(t, old.Text, now.Text))
		}
	}
	return out.String()
}

// What diff says of where a change is: it moves with every line before.
var position = regexp.MustCompile(`(?m)^@@.*$`)

func changedLines(t *testing.T, before, after string) string {
	t.Helper()
	work := t.TempDir()
	for name, text := range map[string]string{"before": before, "after": after} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output, err := exec.Command("diff", "--unified=2", filepath.Join(work, "before"), filepath.Join(work, "after")).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("diff: %v", err)
	}
	lines := bytes.SplitN(output, []byte("\n"), 3) // the names of the files first
	return position.ReplaceAllString(string(lines[2]), "@@")
}

// compare fails if the file is not what it should be, or writes it with -write.
func compare(t *testing.T, file, wanted string) {
	t.Helper()
	if *write {
		if err := os.WriteFile(file, []byte(wanted), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	found, err := os.ReadFile(file)
	if err != nil || string(found) != wanted {
		t.Errorf("%s is not what the chart gives now; if it should be, run make chart and commit it. Now it would be:\n%s", file, wanted)
	}
}
