// The dashboards as files: what Grafana makes of them cannot be seen here, because it
// cannot be had. So they are read by Grafana's own types, strictly. That each panel has
// data is tried in real_test.go.

package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
)

// grafanaDashboard is what these tests need of a dashboard.
type grafanaDashboard struct {
	file       string
	UID        *string `json:"uid"`
	Title      string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type string }
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
		if b.UID != nil {
			t.Errorf("%s has a uid of its own: it could be taken", b.file)
		}
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

// filled is the query as Grafana sends it when everything is chosen.
func (q target) filled() string {
	return strings.NewReplacer("$__rate_interval", "1m", "$namespace", ".*", "$tezossigner", ".*", "$key", ".*").Replace(q.Expr)
}
