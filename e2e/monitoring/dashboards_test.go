// The dashboards as files: what Grafana makes of them cannot be seen here, because it
// cannot be had. So they are read by Grafana's own types, strictly. That each panel has
// data is tried in real_test.go.

package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// grafanaDashboard is what these tests need of a dashboard.
type grafanaDashboard struct {
	file       string
	UID        string `json:"uid"`
	Title      string
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type, AllValue string
			IncludeAll           bool
		}
	}
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  source
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct{ Unit string }
	}
	Targets []target
}

type target struct {
	RefID      string
	Expr       string
	Datasource source
}

type source struct{ Type, UID string }

func readDashboards(t *testing.T) []grafanaDashboard {
	t.Helper()
	files, err := filepath.Glob(chart + "/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	var boards []grafanaDashboard
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b := grafanaDashboard{file: filepath.Base(file)}
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var strict dashboard.Dashboard
		if err := strict.UnmarshalJSONStrict(text); err != nil && err.Error() != "" { // a list of errors, perhaps an empty one
			t.Errorf("%s: Grafana's types say: %v", file, err)
		}
		if err := strict.Validate(); err != nil {
			t.Errorf("%s: Grafana's types say: %v", file, err)
		}
		boards = append(boards, b)
	}
	return boards
}

var variable = regexp.MustCompile(`\$\{?(\w+)`)

func TestTheDashboardsCanBeUsedAnywhere(t *testing.T) {
	uids := map[string]string{}
	for _, b := range readDashboards(t) {
		known := map[string]bool{"__rate_interval": true} // Grafana's own
		hasSource := false
		for _, v := range b.Templating.List {
			known[v.Name] = true
			hasSource = hasSource || v.Type == "datasource" && v.Name == "datasource"
		}
		if !hasSource {
			t.Errorf("%s: the data source cannot be chosen", b.file)
		}
		// Without one Grafana makes one up at each import, and links to the dashboard end. The folder and the title may be changed.
		if b.UID == "" || len(b.UID) > 40 || uids[b.UID] != "" {
			t.Errorf("%s has the uid %q, as %q", b.file, b.UID, uids[b.UID])
		}
		uids[b.UID] = b.file
		ids, cells := map[int]string{}, map[[2]int]string{}
		for _, p := range b.Panels {
			where := b.file + ": " + p.Title
			if p.ID == 0 || ids[p.ID] != "" {
				t.Errorf("%s has the id %d of %q", where, p.ID, ids[p.ID])
			}
			ids[p.ID] = p.Title
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if x >= 24 || cells[[2]int{x, y}] != "" {
						t.Errorf("%s lies over %q or over the edge", where, cells[[2]int{x, y}])
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Title == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
				t.Errorf("%s: a panel needs a title, a unit and a query", where)
			}
			sources := []source{p.Datasource}
			for _, q := range p.Targets {
				sources = append(sources, q.Datasource)
				for _, used := range variable.FindAllStringSubmatch(q.Expr, -1) {
					if !known[used[1]] {
						t.Errorf("%s: there is no variable %s: %s", where, used[0], q.Expr)
					}
				}
				if _, err := parser.ParseExpr(q.filled()); err != nil {
					t.Errorf("%s: %v: %s", where, err, q.Expr)
				}
			}
			for _, s := range sources {
				if s != (source{"prometheus", "${datasource}"}) {
					t.Errorf("%s has the data source %v", where, s)
				}
			}
		}
	}
}

// A Prometheus scrapes much else, and has the alerts of the whole cluster. "All" means all signers.
func TestAllIsAllSignersAndNothingElse(t *testing.T) {
	for _, b := range readDashboards(t) {
		for _, v := range b.Templating.List {
			if v.IncludeAll && v.AllValue != all {
				t.Errorf("%s: All of %s is %q, which matches series without that label", b.file, v.Name, v.AllValue)
			}
		}
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				expr, err := parser.ParseExpr(q.filled())
				if err != nil {
					t.Fatal(err)
				}
				parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
					selector, is := node.(*parser.VectorSelector)
					if is && !isOurs(selector) && !slices.ContainsFunc(path, joinsTheOperator) {
						t.Errorf("%s: %s: %s selects series of others", b.file, p.Title, selector)
					}
					return nil
				})
			}
		}
	}
}

// isOurs is whether only series of signers, of the operator or of their alerts match.
func isOurs(selector *parser.VectorSelector) bool {
	return slices.ContainsFunc(selector.LabelMatchers, func(m *labels.Matcher) bool {
		switch m.Name {
		case labels.MetricName:
			return strings.HasPrefix(m.Value, "tezos_signer_")
		case "tezossigner": // the label that the scrape configuration gives to signers only
			return !m.Matches("")
		case "alertname":
			return !m.Matches("") && !m.Matches("KubePodCrashLooping")
		}
		return false
	})
}

// joinsTheOperator is whether only series remain of the process that has the operator's metrics.
func joinsTheOperator(node parser.Node) bool {
	join, is := node.(*parser.BinaryExpr)
	return is && join.VectorMatching != nil && slices.Equal(join.VectorMatching.MatchingLabels, []string{"job", "instance"}) &&
		strings.Contains(join.RHS.String(), "tezos_signer_operator_")
}

// What Grafana sends for "All": any value, but not a missing label.
const all = ".+"

// filled is the query as Grafana sends it when everything is chosen.
func (q target) filled() string {
	return strings.NewReplacer("$__rate_interval", "1m", "$namespace", all, "$tezossigner", all, "$key", all).Replace(q.Expr)
}
