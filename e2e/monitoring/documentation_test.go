// What docs/monitoring.md has of the chart and of the programs, which `make monitoring WRITE=1` writes, and its links.

package monitoring

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var write = flag.Bool("write", false, "write what is generated in docs/monitoring.md instead of comparing it")

const documentation = "../../docs/monitoring.md"

func TestTheDocumentationHasEveryAlert(t *testing.T) {
	alerts := readAlerts(t)
	var table strings.Builder
	table.WriteString("| alert | severity | after | |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(alerts)) {
		a := alerts[name]
		fmt.Fprintf(&table, "| [%s](runbooks/%s.md) | %s | %s | %s |\n", name, name, a.Labels["severity"], a.For, a.Annotations["summary"])
	}
	compareSection(t, "alerts", table.String())
}

// What a Prometheus without its operator is configured with is what the chart's PodMonitors mean.
func TestTheDocumentationHasTheScrapeConfiguration(t *testing.T) {
	configs := scrapeConfigs(t)
	slices.SortFunc(configs, func(a, b scrapeConfig) int { return strings.Compare(a.JobName, b.JobName) })
	text, err := yaml.Marshal(map[string]any{"scrape_configs": configs})
	if err != nil {
		t.Fatal(err)
	}
	compareSection(t, "scrape configuration", "```yaml\n"+string(text)+"```\n")
}

// compareSection compares what stands in docs/monitoring.md between two comments, or writes it.
func compareSection(t *testing.T, name, wanted string) {
	t.Helper()
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end: "+name+" -->\n"
	before, rest, hasBegin := strings.Cut(string(text), begin)
	found, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has no place for the %s: %q … %q", documentation, name, begin, end)
	}
	if found == wanted {
		return
	}
	if !*write {
		t.Errorf("%s: the %s is not what it should be; if the change is meant, run make monitoring WRITE=1. Now it would be:\n%s", documentation, name, wanted)
		return
	}
	if err := os.WriteFile(documentation, []byte(before+begin+wanted+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	inCode  = regexp.MustCompile("(?s)```.*?```")
	dropped = regexp.MustCompile(`[^a-z0-9 _-]`)
	search  = regexp.MustCompile(`grep(?: -\w+)* '([^'|]+)'`)
)

// Who is woken at night follows a link, and looks for words in a log. On every other page too.
func TestEveryPageLeadsSomewhere(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md", "../../deploy/*/*.md", "../../charts/*/*.md", "../../images/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, none", pattern, err)
		}
		files = append(files, found...)
	}
	sources := readSources(t, "../../sidecar/src", "../../operator/src", "../../core/src")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(inCode.ReplaceAllString(string(text), ""), -1) {
			to := file
			if found[1] != "" {
				to = filepath.Join(filepath.Dir(file), found[1])
			}
			if folder, err := os.Stat(to); err == nil && folder.IsDir() && found[2] == "" {
				continue
			}
			there, err := os.ReadFile(to)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if anchor := strings.TrimPrefix(found[2], "#"); anchor != "" && !slices.Contains(anchors(string(there)), anchor) {
				t.Errorf("%s: %s has no #%s", file, found[1], anchor)
			}
		}
		for _, found := range search.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(sources, strings.Trim(found[1], `"`)) && !regexp.MustCompile(`^"\w+":`).MatchString(found[1]) {
				t.Errorf("%s looks for %q in a log, and no program writes that", file, found[1])
			}
		}
	}
}

// anchors is what GitHub makes of the headings.
func anchors(text string) []string {
	var found []string
	for line := range strings.Lines(inCode.ReplaceAllString(text, "")) {
		if title, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); is && strings.HasPrefix(line, "#") {
			found = append(found, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-"))
		}
	}
	return found
}

func readSources(t *testing.T, directories ...string) string {
	t.Helper()
	var all strings.Builder
	for _, directory := range directories {
		err := filepath.WalkDir(directory, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
