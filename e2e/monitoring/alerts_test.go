// Package monitoring tries what the chart gives to Prometheus and Grafana: that each
// alert fires when it should and in no rollout, that it has a runbook, and that it and
// every panel of the dashboards ask for metrics that are really there.
//
// This file: the alerts, by promtool, which computes what Prometheus would for series
// that are written down. real_test.go has a real Prometheus, and needs E2E=1.
package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	chart    = "../../charts/tezos-signer-operator"
	runbooks = "../../docs/runbooks"
	tools    = "../../target/tools"
)

// alert is one file of the chart's directory alerts.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func readAlerts(t *testing.T) map[string]alert {
	t.Helper()
	files, err := filepath.Glob(chart + "/alerts/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no alerts", err)
	}
	alerts := map[string]alert{}
	for _, file := range files {
		var a alert
		readYAML(t, file, &a)
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); a.Alert != name {
			t.Errorf("%s has the alert %s", file, a.Alert)
		}
		alerts[a.Alert] = a
	}
	return alerts
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// scenario is what series do, one value each 30 seconds, and which alerts that fires.
type scenario struct {
	Name   string
	Series map[string]string
	// When the alert does not fire.
	Quiet []string
	// When it does, and with which labels beside its name and severity.
	Fires map[string][]map[string]string
}

// What promtool reads: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
type (
	promtoolFile struct {
		RuleFiles          []string       `json:"rule_files"`
		EvaluationInterval string         `json:"evaluation_interval"`
		Tests              []promtoolTest `json:"tests"`
	}
	promtoolTest struct {
		Name     string              `json:"name"`
		Interval string              `json:"interval"`
		Series   []promtoolSeries    `json:"input_series"`
		Alerts   []promtoolAlertTest `json:"alert_rule_test"`
	}
	promtoolSeries struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	promtoolAlertTest struct {
		EvalTime  string          `json:"eval_time"`
		AlertName string          `json:"alertname"`
		Expected  []promtoolAlert `json:"exp_alerts"`
	}
	promtoolAlert struct {
		Labels map[string]string `json:"exp_labels"`
	}
)

func (s scenario) test(t *testing.T) promtoolTest {
	t.Helper()
	test := promtoolTest{Name: s.Name, Interval: "30s"}
	for _, series := range slices.Sorted(maps.Keys(s.Series)) {
		if values := s.Series[series]; hexadecimal.MatchString(values) {
			t.Errorf("%s: promtool takes 0x20 in %q for the number 32: write 0+0x20", s.Name, values)
		}
		test.Series = append(test.Series, promtoolSeries{series, s.Series[series]})
	}
	return test
}

var hexadecimal = regexp.MustCompile(`(^| )0x`)

// Each alert fires when testdata/alerts says so, and not when it says that it does not.
func TestEveryAlertFiresWhenItShould(t *testing.T) {
	alerts := readAlerts(t)
	for name, a := range alerts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var scenarios []scenario
			readYAML(t, "testdata/alerts/"+name+".yaml", &scenarios)
			rules := writeRules(t, map[string]alert{name: a})
			file := promtoolFile{RuleFiles: []string{rules}, EvaluationInterval: "30s"}
			fires, quiet := false, false
			for _, s := range scenarios {
				test := s.test(t)
				for _, at := range s.Quiet {
					test.Alerts = append(test.Alerts, promtoolAlertTest{EvalTime: at, AlertName: name})
					quiet = true
				}
				for at, expected := range s.Fires {
					firing := promtoolAlertTest{EvalTime: at, AlertName: name}
					for _, labels := range expected {
						labels = maps.Clone(labels)
						maps.Copy(labels, a.Labels)
						firing.Expected = append(firing.Expected, promtoolAlert{labels})
						fires = true
					}
					test.Alerts = append(test.Alerts, firing)
				}
				file.Tests = append(file.Tests, test)
			}
			if !fires || !quiet {
				t.Error("there must be a moment when it fires, and one when it does not")
			}
			testRules(t, file)
		})
	}
	files, err := filepath.Glob("testdata/alerts/*.yaml")
	if err != nil || len(files) != len(alerts) {
		t.Errorf("%d alerts, and %d files in testdata/alerts: %v", len(alerts), len(files), err)
	}
}

// What happens in every rollout wakes nobody: one of each form of the TezosSigner, and of the operator.
func TestNoAlertFiresInARollout(t *testing.T) {
	alerts := readAlerts(t)
	var s scenario
	readYAML(t, "testdata/rollout.yaml", &s)
	test := s.test(t)
	for name := range alerts {
		for minute := range 31 {
			test.Alerts = append(test.Alerts, promtoolAlertTest{EvalTime: fmt.Sprint(minute, "m"), AlertName: name})
		}
	}
	testRules(t, promtoolFile{RuleFiles: []string{writeRules(t, alerts)}, EvaluationInterval: "30s", Tests: []promtoolTest{test}})
}

// writeRules writes the alerts as a file of rules. Without annotations: promtool would
// compare every word of them.
func writeRules(t *testing.T, alerts map[string]alert) string {
	t.Helper()
	var rules []alert
	for _, name := range slices.Sorted(maps.Keys(alerts)) {
		a := alerts[name]
		a.Annotations = nil
		rules = append(rules, a)
	}
	return writeJSON(t, "rules.yaml", ruleFile{[]ruleGroup{{"alerts", rules}}})
}

type (
	ruleFile struct {
		Groups []ruleGroup `json:"groups"`
	}
	ruleGroup struct {
		Name  string  `json:"name"`
		Rules []alert `json:"rules"`
	}
)

func testRules(t *testing.T, file promtoolFile) {
	t.Helper()
	if output, err := exec.Command(tools+"/promtool", "test", "rules", writeJSON(t, "test.yaml", file)).CombinedOutput(); err != nil {
		t.Errorf("%v (make tools installs promtool): %.3000s", err, output)
	}
}

// writeJSON writes a file in a directory of the test's own; JSON is YAML.
func writeJSON(t *testing.T, name string, content any) string {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Who is woken at night must learn what it is about, where it is, and what to do.
func TestEveryAlertIsExplained(t *testing.T) {
	alerts := readAlerts(t)
	for name, a := range alerts {
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has the severity %q", name, severity)
		}
		for _, annotation := range []string{"summary", "description"} {
			if text := a.Annotations[annotation]; !strings.HasSuffix(text, ".") {
				t.Errorf("%s: its %s is no sentence: %q", name, annotation, text)
			}
		}
		// There is one operator, and of one that is not there nothing is known.
		if !strings.Contains(a.Annotations["description"], "{{ $labels.namespace }}") && name != "TezosSignerOperatorDown" {
			t.Errorf("%s does not say which object it is about: %q", name, a.Annotations["description"])
		}
		if len(a.Annotations) != 2 || len(a.Labels) != 1 {
			t.Errorf("%s has other labels or annotations; the chart adds runbook_url", name)
		}
	}
	// Also that each template of an annotation can be understood.
	var rules []alert
	for _, a := range alerts {
		rules = append(rules, a)
	}
	file := writeJSON(t, "rules.yaml", ruleFile{[]ruleGroup{{"alerts", rules}}})
	if output, err := exec.Command(tools+"/promtool", "check", "rules", "--lint-fatal", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

var heading = regexp.MustCompile(`(?m)^##? (.*)$`)

func TestEveryAlertHasARunbookAndTheOtherWayRound(t *testing.T) {
	alerts := readAlerts(t)
	files, err := filepath.Glob(runbooks + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		written = append(written, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var headings []string
		for _, found := range heading.FindAllStringSubmatch(string(text), -1) {
			headings = append(headings, found[1])
		}
		if want := []string{name, "Meaning", "Impact", "Diagnosis", "Mitigation"}; !slices.Equal(headings, want) {
			t.Errorf("%s has the headings %v, it needs %v", file, headings, want)
		}
	}
	if want := slices.Sorted(maps.Keys(alerts)); !slices.Equal(written, want) {
		t.Errorf("the runbooks are of\n%v\nthe alerts are\n%v", written, want)
	}
}
