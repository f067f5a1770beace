package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// value is one that can be set, with what values.yaml says of it.
type value struct {
	Path    string
	Comment string
	Node    *yaml.Node
	// Whether other values are in it, each with a comment of its own.
	IsSection bool
}

// readValues is what values.yaml has, in its order. A map is a section if what is in it
// has comments.
func readValues(t *testing.T) []value {
	t.Helper()
	text, err := os.ReadFile(directory + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var values []value
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i < len(node.Content); i += 2 {
			key, content := node.Content[i], node.Content[i+1]
			comment := strings.ReplaceAll(strings.ReplaceAll(key.HeadComment, "\n# ", " "), "# ", "")
			v := value{Path: prefix + key.Value, Comment: comment, Node: content}
			v.IsSection = content.Kind == yaml.MappingNode && len(content.Content) > 0 && content.Content[0].HeadComment != ""
			values = append(values, v)
			if v.IsSection {
				walk(v.Path+".", content)
			}
		}
	}
	walk("", document.Content[0])
	return values
}

func TestEveryValueIsExplained(t *testing.T) {
	for _, v := range readValues(t) {
		if !strings.HasSuffix(v.Comment, ".") {
			t.Errorf("values.yaml: %s needs a comment of whole sentences above it, it has %q", v.Path, v.Comment)
		}
	}
}

// The table in the chart's README.md is made of values.yaml.
func TestTheReadmeHasEveryValue(t *testing.T) {
	var table strings.Builder
	for _, v := range readValues(t) {
		comment := strings.ReplaceAll(v.Comment, "|", `\|`)
		if v.IsSection {
			fmt.Fprintf(&table, "| **`%s`** | | %s |\n", v.Path, comment)
			continue
		}
		var meaning any
		if err := v.Node.Decode(&meaning); err != nil {
			t.Fatal(err)
		}
		byDefault, err := json.Marshal(meaning)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", v.Path, byDefault, comment)
	}
	const file, begin, end = directory + "/README.md", "<!-- make chart writes this table from values.yaml -->\n", "<!-- end of the table -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasBegin := strings.Cut(string(text), begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has no place for the table: %q … %q", file, begin, end)
	}
	compare(t, file, before+begin+"| value | default | |\n|---|---|---|\n"+table.String()+end+after)
}

// schema is what this test needs of a JSON schema.
type schema struct {
	Properties           map[string]schema
	AdditionalProperties any
}

// Values that are known to the schema are in values.yaml, and the other way round; and a
// section takes nothing else.
func TestTheSchemaHasEveryValueAndNoOther(t *testing.T) {
	text, err := os.ReadFile(directory + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	known := []string{"enabled", "global", "tags"} // of parent charts
	sections := map[string]bool{"": true}
	for _, v := range readValues(t) {
		known = append(known, v.Path)
		sections[v.Path] = v.IsSection
	}
	var found []string
	var walk func(path string, s schema)
	walk = func(path string, s schema) {
		if s.AdditionalProperties != false {
			t.Errorf("values.schema.json: %q takes values that nobody knows: additionalProperties must be false", path)
		}
		for name, property := range s.Properties {
			below := strings.TrimPrefix(path+"."+name, ".")
			found = append(found, below)
			if sections[below] {
				walk(below, property)
			}
		}
	}
	walk("", root)
	slices.Sort(known)
	slices.Sort(found)
	if !slices.Equal(known, found) {
		t.Errorf("values.yaml has\n%v\nvalues.schema.json has\n%v", known, found)
	}
}

// A value with a wrong name or a wrong form is an error that names it, not a surprise later.
func TestWrongValuesAreRefused(t *testing.T) {
	refused := map[string]string{ // by what is set: what must be said of it
		"unknown=1":                                       "unknown",
		`image.digest="latest"`:                           "/image/digest",
		`image.repository=""`:                             "/image/repository",
		`image.pullPolicy="Sometimes"`:                    "/image/pullPolicy",
		`imagePullSecrets=["name"]`:                       "/imagePullSecrets/0",
		`imagePullSecrets=[{"name":"a","key":"b"}]`:       "key",
		`watchNamespaces=["Bakers"]`:                      "/watchNamespaces/0",
		`watchNamespaces=["a","a"]`:                       "/watchNamespaces",
		`watchNamespaces=["tezos-signer-records"]`:        "/watchNamespaces/0",
		`logLevel=""`:                                     "/logLevel",
		`resources={"limit":{}}`:                          "limit",
		`podLabels={"a":1}`:                               "/podLabels/a",
		`affinity={"nodeAffinities":{}}`:                  "nodeAffinities",
		`podDisruptionBudget.maxUnavailable=2`:            "/podDisruptionBudget/maxUnavailable",
		`networkPolicy.apiServerPorts=[]`:                 "/networkPolicy/apiServerPorts",
		`networkPolicy.apiServerPorts=[70000]`:            "/networkPolicy/apiServerPorts/0",
		`networkPolicy.apiServerCidrs=["10.0.0.1"]`:       "/networkPolicy/apiServerCidrs/0",
		`podMonitor={"enabled":true,"interval":"often"}`:  "/podMonitor/interval",
		`podMonitor={"enabled":true,"namespace":"not a"}`: "/podMonitor/namespace",
		`serviceMonitor={"enabled":true,"port":1}`:        "port",
		`prometheusRule.excludeRules=[1]`:                 "/prometheusRule/excludeRules/0",
		`prometheusRule.runbookUrl=""`:                    "/prometheusRule/runbookUrl",
		`grafanaDashboard.labels={"a":1}`:                 "/grafanaDashboard/labels/a",
		`prometheusOperator.renderMode="always"`:          "/prometheusOperator/renderMode",
		`extraObjects=[1]`:                                "/extraObjects/0",
		`uninstallCheck.renderMode="never"`:               "/uninstallCheck/renderMode",
		`enabled="yes"`:                                   "/enabled",
		`global=1`:                                        "/global",
		`tags=["bakers"]`:                                 "/tags",
	}
	for _, v := range readValues(t) {
		path := "/" + strings.ReplaceAll(v.Path, ".", "/")
		if v.IsSection {
			refused[v.Path+".unknown=1"] = "unknown"
			continue
		}
		wrong := `"a text"`
		if v.Node.Kind == yaml.ScalarNode && v.Node.Tag == "!!str" {
			wrong = "[1]"
		}
		refused[v.Path+"="+wrong] = path
	}
	for set, message := range refused {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, helms[0], set, message)
		})
	}
}

func TestBothHelmsRefuse(t *testing.T) {
	for _, helm := range helms {
		mustRefuse(t, helm, "image.unknown=1", "unknown")
		mustRefuse(t, helm, `watchNamespaces="bakers"`, "/watchNamespaces")
	}
}

func mustRefuse(t *testing.T, helm, set, message string) {
	t.Helper()
	if _, err := template(helm, "--set-json", set); err == nil {
		t.Errorf("%s took %s", helm, set)
	} else if !strings.Contains(err.Error(), "schema") || !strings.Contains(err.Error(), message) {
		t.Errorf("the schema should say something of %s: %v", message, err)
	}
}

// A value that no switch of testdata sets is one whose effect nobody has seen.
func TestEveryValueHasASwitch(t *testing.T) {
	var set []string
	for _, file := range switchFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var content yaml.Node
		if err := yaml.Unmarshal(text, &content); err != nil {
			t.Fatal(err)
		}
		var walk func(prefix string, node *yaml.Node)
		walk = func(prefix string, node *yaml.Node) {
			for i := 0; node.Kind == yaml.MappingNode && i < len(node.Content); i += 2 {
				set = append(set, prefix+node.Content[i].Value)
				walk(prefix+node.Content[i].Value+".", node.Content[i+1])
			}
		}
		walk("", content.Content[0])
		if difference, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".diff"); err != nil || len(difference) == 0 {
			t.Errorf("%s changes nothing: %v", file, err)
		}
	}
	for _, v := range readValues(t) {
		if !v.IsSection && !slices.Contains(set, v.Path) {
			t.Errorf("%s is set in no testdata/switches/*.yaml", v.Path)
		}
	}
}
