// A real Prometheus, Debian's, configured as the Prometheus operator would by the
// chart's PodMonitors and PrometheusRule, and faster.

package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/ports"
)

// chartObjects is what the chart makes for monitoring.
func chartObjects(t *testing.T) map[string]object {
	t.Helper()
	text, err := exec.Command(tools+"/helm", "template", release, chart, "--namespace", system,
		"--set", "podMonitor.enabled=true,prometheusRule.enabled=true").Output()
	if err != nil {
		t.Fatalf("helm: %v (make tools builds it)", err)
	}
	objects := map[string]object{}
	for document := range strings.SplitSeq("\n"+string(text), "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     object
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		objects[o.Kind+" "+o.Metadata.Name] = o.Spec
	}
	return objects
}

// podMonitor is what the chart uses of one.
type podMonitor struct {
	Selector            struct{ MatchLabels map[string]string }
	NamespaceSelector   struct{ MatchNames []string }
	PodMetricsEndpoints []struct {
		Port, Path  string
		HonorLabels bool
		Relabelings []struct {
			SourceLabels []string
			TargetLabel  string
		}
	}
}

type scrapeConfig struct {
	JobName     string          `json:"job_name"`
	HonorLabels bool            `json:"honor_labels,omitempty"`
	Discovery   []discovery     `json:"kubernetes_sd_configs,omitempty"`
	Static      []staticConfig  `json:"static_configs,omitempty"`
	Relabel     []relabelConfig `json:"relabel_configs"`
}

type discovery struct {
	Role       string           `json:"role"`
	Namespaces *namespacesNamed `json:"namespaces,omitempty"`
}

type staticConfig struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

type namespacesNamed struct {
	Names []string `json:"names"`
}

type relabelConfig struct {
	SourceLabels []string `json:"source_labels"`
	Regex        string   `json:"regex,omitempty"`
	TargetLabel  string   `json:"target_label,omitempty"`
	Action       string   `json:"action,omitempty"`
}

// scrapeConfigs is what the Prometheus operator makes of the chart's PodMonitors.
func scrapeConfigs(t *testing.T) []scrapeConfig {
	t.Helper()
	objects := chartObjects(t)
	var configs []scrapeConfig
	for job, name := range map[string]string{"tezos-signer": release + "-signers", "tezos-signer-operator": release} {
		var monitor podMonitor
		convert(t, objects["PodMonitor "+name], &monitor)
		if len(monitor.PodMetricsEndpoints) != 1 {
			t.Fatalf("PodMonitor %s: %+v", name, monitor)
		}
		endpoint := monitor.PodMetricsEndpoints[0]
		config := scrapeConfig{JobName: job, HonorLabels: endpoint.HonorLabels, Discovery: []discovery{{Role: "pod"}}}
		if names := monitor.NamespaceSelector.MatchNames; len(names) > 0 {
			config.Discovery[0].Namespaces = &namespacesNamed{names}
		}
		for _, key := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/name"} {
			if value := monitor.Selector.MatchLabels[key]; value != "" {
				config.Relabel = append(config.Relabel, relabelConfig{[]string{labelOf(key)}, value, "", "keep"})
			}
		}
		config.Relabel = append(config.Relabel,
			relabelConfig{[]string{"__meta_kubernetes_pod_container_port_name"}, endpoint.Port, "", "keep"},
			relabelConfig{[]string{"__meta_kubernetes_namespace"}, "", "namespace", ""},
			relabelConfig{[]string{"__meta_kubernetes_pod_name"}, "", "pod", ""})
		for _, r := range endpoint.Relabelings {
			config.Relabel = append(config.Relabel, relabelConfig{SourceLabels: r.SourceLabels, TargetLabel: r.TargetLabel})
		}
		configs = append(configs, config)
	}
	return configs
}

// labelOf is how Prometheus calls a label of a pod while it relabels.
func labelOf(key string) string {
	return "__meta_kubernetes_pod_label_" + strings.NewReplacer(".", "_", "/", "_", "-", "_").Replace(key)
}

// discovered is what a Prometheus with discovery in Kubernetes would find. Debian's is
// built without; what the PodMonitors do with what was found is the same.
func (s *monitoredEnv) discovered() (targets []staticConfig) {
	for _, pod := range s.pods {
		labels := map[string]string{
			"__meta_kubernetes_namespace": pod.namespace, "__meta_kubernetes_pod_name": pod.name, "__meta_kubernetes_pod_container_port_name": pod.port,
		}
		for key, value := range pod.labels {
			labels[labelOf(key)] = value
		}
		targets = append(targets, staticConfig{[]string{strings.TrimPrefix(pod.address, "http://")}, labels})
	}
	return targets
}

func convert(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

type prometheus struct {
	*monitoredEnv
	base string
}

// startPrometheus has it scrape these signers and the operator, and watch for the chart's alerts, twice a
// second each. What the rules wait for before they fire (`for`) is a second here.
func (s *monitoredEnv) startPrometheus() *prometheus {
	s.t.Helper()
	var rules ruleFile
	convert(s.t, chartObjects(s.t)["PrometheusRule "+release], &rules)
	count := 0
	for _, group := range rules.Groups {
		for i := range group.Rules {
			if group.Rules[i].For != "" {
				group.Rules[i].For = "1s"
			}
			count++
		}
	}
	if count != len(readAlerts(s.t)) {
		s.t.Errorf("the PrometheusRule has %d alerts", count)
	}
	configs := scrapeConfigs(s.t)
	for i := range configs {
		configs[i].Discovery, configs[i].Static = nil, s.discovered()
	}
	config := s.write("prometheus.yml", object{
		"global":         object{"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
		"rule_files":     []string{s.write("rules.yml", rules)},
		"scrape_configs": configs,
	})
	address, err := ports.ReserveAddress()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start("prometheus", tools+"/prometheus", []string{
		"--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(s.dir, "tsdb"), "--web.listen-address=" + address, "--log.level=warn",
	})
	p := &prometheus{s, "http://" + address}
	s.eventually("Prometheus is ready", func() bool {
		_, status := s.get(p.base + "/-/ready")
		return status == http.StatusOK
	})
	return p
}

// api is the data of an answer of Prometheus' API.
func (p *prometheus) api(path string, parameters url.Values, into any) error {
	text, status := p.get(p.base + "/api/v1/" + path + "?" + parameters.Encode())
	var answer struct {
		Data  json.RawMessage
		Error string
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
		return fmt.Errorf("%s %v: %d %s %v", path, parameters, status, answer.Error, err)
	}
	return json.Unmarshal(answer.Data, into)
}

// query is the samples of an instant query that are numbers.
func (p *prometheus) query(expr string) ([]sample, error) {
	var data struct{ Result []sample }
	if err := p.api("query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, err
	}
	var numbers []sample
	for _, s := range data.Result {
		if s.Value[1] != "NaN" {
			numbers = append(numbers, s)
		}
	}
	return numbers, nil
}

type sample struct {
	Metric map[string]string
	Value  [2]any
}

// series is the labels of what matches a selector.
func (p *prometheus) series(selector string) []map[string]string {
	p.t.Helper()
	var found []map[string]string
	if err := p.api("series", url.Values{"match[]": {selector}}, &found); err != nil {
		p.t.Error(err)
	}
	return found
}

type firing struct {
	Labels      map[string]string
	Annotations map[string]string
	State       string
}

// firing is the alerts that fire now, by name.
func (p *prometheus) firing() map[string][]firing {
	p.t.Helper()
	var data struct{ Alerts []firing }
	if err := p.api("alerts", nil, &data); err != nil {
		p.t.Error(err)
	}
	by := map[string][]firing{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			by[a.Labels["alertname"]] = append(by[a.Labels["alertname"]], a)
		}
	}
	return by
}
