package monitoring

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// A real Prometheus finds real signers and the operator by the chart's PodMonitors;
// every alert and every panel asks for what is there; and an alert fires while the HSM
// is broken, and ends when it is healed.
func TestOnARealPrometheus(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it starts an API server and Prometheus, and needs E2E=1 and make images")
	}
	s := newMonitoredEnv(t)
	p := s.startPrometheus()
	s.eventually("three signers and the operator are scraped", func() bool {
		s.signOnce()
		up, err := p.query(`up == 1`)
		return err == nil && len(up) == 4
	})

	run := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			defer func(whole *testing.T) { s.t = whole }(s.t)
			s.t = t // whose failure it is
			test(t)
		})
	}
	run("every panel has data", func(t *testing.T) {
		for _, b := range readDashboards(t) {
			for _, panel := range b.Panels {
				for _, q := range panel.Targets {
					var err error
					// A rate needs two scrapes.
					s.eventually(b.file+": "+panel.Title+": "+q.filled(), func() bool {
						var samples []sample
						samples, err = p.query(q.filled())
						if err != nil {
							return true
						}
						if len(samples) == 0 {
							s.signOnce()
							s.triggerReconcile()
						}
						return len(samples) > 0
					})
					if err != nil {
						t.Errorf("%s: %s: %v", b.file, panel.Title, err)
					}
				}
			}
		}
	})
	run("every alert asks for what is there", func(t *testing.T) {
		for name, a := range readAlerts(t) {
			expr, err := parser.ParseExpr(a.Expr)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			p.checkSelectors(t, name, expr)
		}
	})
	run("an alert for the other blocks that were asked for", func(t *testing.T) {
		s.eventually("the alert fires for both keys", func() bool {
			s.signOnce()
			return len(p.firing()["TezosSignerDoubleSignAttempts"]) == len(s.keys)
		})
	})
	run("an alert while the HSM is broken", func(t *testing.T) {
		// A scrape may be late on a busy machine.
		s.eventually("nothing is wrong, and no critical alert about the signers fires", func() bool {
			var critical []firing
			for _, fires := range p.firing() {
				critical = append(critical, slices.DeleteFunc(fires, func(a firing) bool {
					return a.Labels["tezossigner"] != "signers" || a.Labels["severity"] != "critical"
				})...)
			}
			return len(critical) == 0
		})
		tokens := filepath.Join(s.dir, "tokens")
		if err := os.Rename(tokens, tokens+"-away"); err != nil {
			t.Fatal(err)
		}
		var fires []firing
		s.eventually("the alert fires", func() bool {
			fires = p.firing()["TezosSignerHsmDown"]
			return fires != nil
		})
		want := firing{
			Labels: map[string]string{"alertname": "TezosSignerHsmDown", "namespace": "bakers", "tezossigner": "signers", "severity": "critical"},
			Annotations: map[string]string{
				"summary":     "The HSM or AWS KMS does not sign with any key.",
				"description": "No signer of bakers/signers can sign with any key. Nothing is signed.",
				"runbook_url": "docs/runbooks/TezosSignerHsmDown.md",
			},
		}
		if len(fires) != 1 || !maps.Equal(fires[0].Labels, want.Labels) || !maps.Equal(fires[0].Annotations, want.Annotations) {
			t.Errorf("it says %v, and should say %v", fires, want)
		}
		if err := os.Rename(tokens+"-away", tokens); err != nil {
			t.Fatal(err)
		}
		s.eventually("the alert ends", func() bool { return p.firing()["TezosSignerHsmDown"] == nil })
	})
	run("an alert while a sealed key is refused, and one while nobody can be asked", func(t *testing.T) {
		ofSealed := func(alert string) bool {
			return slices.ContainsFunc(p.firing()[alert], func(a firing) bool { return a.Labels["key"] == s.kms.sealed.Hash() })
		}
		if err := s.kms.kms.Disable(t.Context(), s.kms.sealing); err != nil {
			t.Fatal(err)
		}
		s.eventually("TezosSignerSealedKeyRefused fires", func() bool { return ofSealed("TezosSignerSealedKeyRefused") })
		if err := s.kms.kms.Enable(t.Context(), s.kms.sealing); err != nil {
			t.Fatal(err)
		}
		s.eventually("it ends", func() bool { return !ofSealed("TezosSignerSealedKeyRefused") })
		s.kms.kms.Stop()
		s.eventually("TezosSignerSealedKeyUnreachable fires", func() bool { return ofSealed("TezosSignerSealedKeyUnreachable") })
		s.eventually("and so does TezosSignerKmsErrors", func() bool { return p.firing()["TezosSignerKmsErrors"] != nil })
		if ofSealed("TezosSignerSealedKeyRefused") || ofSealed("TezosSignerKeyUnusable") {
			t.Error("the key signs on, and there is an alert that it does not")
		}
	})
	// After an error of the HSM, or one metric would be missing.
	run("the documentation has every metric", func(t *testing.T) {
		var ofSigners string
		for _, one := range append(slices.Clone(s.signers), s.kms.signer) {
			text, _ := s.get(one.admin + "/metrics")
			ofSigners += text
		}
		ofOperator, _ := s.get(s.operator + "/metrics")
		compareSection(t, "metrics of the signer", metricsTable(ofSigners))
		compareSection(t, "metrics of the operator", metricsTable(ofOperator))
	})
}

// checkSelectors fails for a metric or a label that nobody has. Values of labels are
// left out: most of the time no HSM is broken.
func (p *prometheus) checkSelectors(t *testing.T, name string, expr parser.Expr) {
	t.Helper()
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		var wanted []string
		metric := selector.Name
		for _, m := range selector.LabelMatchers {
			if m.Name == labels.MetricName {
				metric = m.Value
			} else {
				wanted = append(wanted, m.Name)
			}
		}
		for one := range strings.SplitSeq(metric, "|") {
			found := p.series(one)
			if len(found) == 0 {
				t.Errorf("%s asks for %s: nobody has that metric", name, one)
			}
			for _, label := range wanted {
				if !slices.ContainsFunc(found, func(has map[string]string) bool { return has[label] != "" }) {
					t.Errorf("%s asks for the label %s of %s: none has it", name, label, one)
				}
			}
		}
		return nil
	})
	// What it is grouped by: it must be on what comes out, or the description has holes.
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		aggregate, is := node.(*parser.AggregateExpr)
		if !is {
			return nil
		}
		samples, err := p.query(aggregate.Expr.String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, label := range aggregate.Grouping {
			if len(samples) > 0 && samples[0].Metric[label] == "" {
				t.Errorf("%s groups by %s, which %s does not have: %v", name, label, aggregate.Expr, samples[0].Metric)
			}
		}
		return nil
	})
}

var (
	helpLine   = regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`)
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (\S+) (.*)$`)
	sampleLine = regexp.MustCompile(`(?m)^(\w+?)(?:_bucket|_sum|_count)?\{(.*)\} `)
	labelName  = regexp.MustCompile(`(\w+)="`)
)

// metricsTable is what programs say of their own metrics, as a table.
func metricsTable(text string) string {
	help, kinds, labelsOf := map[string]string{}, map[string]string{}, map[string]map[string]bool{}
	for _, found := range helpLine.FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(found[1], "process_") {
			help[found[1]] = found[2]
		}
	}
	for _, found := range typeLine.FindAllStringSubmatch(text, -1) {
		kinds[found[1]] = found[2]
	}
	for _, found := range sampleLine.FindAllStringSubmatch(text, -1) {
		for _, label := range labelName.FindAllStringSubmatch(found[2], -1) {
			if label[1] != "le" {
				if labelsOf[found[1]] == nil {
					labelsOf[found[1]] = map[string]bool{}
				}
				labelsOf[found[1]][label[1]] = true
			}
		}
	}
	var table strings.Builder
	table.WriteString("| metric | labels | type | |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(help)) {
		names := strings.Join(slices.Sorted(maps.Keys(labelsOf[name])), ", ")
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, names, kinds[name], strings.ReplaceAll(help[name], "|", `\|`))
	}
	return table.String()
}
