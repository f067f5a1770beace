// What is made for the Prometheus operator, and what is refused.

package chart

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Two that scrape the operator would count everything twice; a rule that is left out by a wrong name would not be.
func TestMonitorsThatContradictAreRefused(t *testing.T) {
	for set, message := range map[string]string{
		"podMonitor.enabled=true,serviceMonitor.enabled=true":                       "podMonitor.operator and serviceMonitor.enabled",
		"prometheusRule.enabled=true,prometheusRule.excludeRules={TezosSignerDawn}": "there is no alert TezosSignerDawn",
		"podMonitor.enabled=true,prometheusOperator.renderMode=failIfMissing":       "monitoring.coreos.com/v1",
	} {
		for _, helm := range helms {
			if _, err := template(helm, "--set", set); err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%s should refuse %s: %v", helm, set, err)
			}
		}
	}
}

// Where the definitions are installed, they are used in every mode.
func TestMonitorsAreMadeWhereTheyAreDefined(t *testing.T) {
	always := render(t, helms[0], "--set", "podMonitor.enabled=true,prometheusRule.enabled=true")
	for _, mode := range []string{"skipIfMissing", "failIfMissing"} {
		there := render(t, helms[0], "--set", "podMonitor.enabled=true,prometheusRule.enabled=true,prometheusOperator.renderMode="+mode,
			"--api-versions", "monitoring.coreos.com/v1")
		if d := difference(t, always, there); d != "" {
			t.Errorf("%s: %s", mode, d)
		}
	}
	for _, kind := range []string{"PodMonitor", "PrometheusRule"} {
		if always[kind+" "+namespace+"/"+release].Kind != kind {
			t.Errorf("there is no %s", kind)
		}
	}
}

// `helm upgrade --reuse-values` from a release that had none of these values yet.
func TestAnEarlierReleasesValuesWillDo(t *testing.T) {
	without := []string{"--set-json", "prometheusOperator=null,serviceMonitor=null,prometheusRule=null,grafanaDashboard=null,podMonitor.operator=null"}
	if d := difference(t, render(t, helms[0]), render(t, helms[0], without...)); d != "" {
		t.Error(d)
	}
	monitors := render(t, helms[0], append(without, "--set", "podMonitor.enabled=true")...)
	if monitors["PodMonitor "+namespace+"/"+release+"-signers"].Kind == "" {
		t.Error("the signers are not scraped any more")
	}
}

// Where the definitions of the Prometheus operator are.
const prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

// definePrometheusOperator installs its definitions, so that the API server validates what the chart makes of them.
func (s *apiServer) definePrometheusOperator(t *testing.T) {
	t.Helper()
	output, err := exec.Command("go", "mod", "download", "-json", prometheusOperator).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(output, &module); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"podmonitors", "servicemonitors", "prometheusrules"} {
		file := filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml")
		s.must(t, "", "apply", "--server-side", "--filename", file)
		s.must(t, "", "wait", "--for=condition=Established", "--filename", file)
	}
}
