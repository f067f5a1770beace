// A run: its rows, and where and when they were measured. Runs are kept as JSON.

package performance

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Run is all that one run of `make bench` has measured.
type Run struct {
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	// Revision is the commit; with a + behind it, sources that are not committed.
	Revision string `json:"revision"`
	// Release is the commit of the release that is measured beside it.
	Release string  `json:"release"`
	Machine Machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	// Brief: fewer of everything than the figures need. Such a run shows that the harness works.
	Brief bool `json:"brief,omitempty"`
	// Partial: not all sections. Later runs are not compared with it.
	Partial bool  `json:"partial,omitempty"`
	Rows    []Row `json:"rows"`
}

// Machine is where it ran.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Kernel    string `json:"kernel"`
	// Load is the load average of the minute before the run.
	Load string `json:"load"`
	// Disk is the file system that records on disk are on.
	Disk string `json:"disk"`
}

// Beyond are the rows that miss their bar.
func (r *Run) Beyond() []*Row {
	var beyond []*Row
	for i := range r.Rows {
		if !r.Rows[i].Within() {
			beyond = append(beyond, &r.Rows[i])
		}
	}
	return beyond
}

// sections are the names of the sections, in their order.
func (r *Run) sections() []string {
	var names []string
	for _, row := range r.Rows {
		if !slices.Contains(names, row.Section) {
			names = append(names, row.Section)
		}
	}
	return names
}

func (r *Run) rowsOf(section string) []*Row {
	var rows []*Row
	for i := range r.Rows {
		if r.Rows[i].Section == section {
			rows = append(rows, &r.Rows[i])
		}
	}
	return rows
}

// Save writes it into that directory, under the time at which it began.
func (r *Run) Save(directory string) (path string, err error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(directory, r.Began.UTC().Format("2006-01-02T150405Z")+".json")
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, append(text, '\n'), 0o644)
}

// Load reads one.
func Load(path string) (*Run, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var run Run
	if err := json.Unmarshal(text, &run); err != nil {
		return nil, fmt.Errorf("%s is no run of make bench: %w", path, err)
	}
	return &run, nil
}

// ErrNoRun says that nothing was measured yet.
var ErrNoRun = errors.New("there is no run yet: make bench makes one")

// Latest is the path of the newest whole run of that directory that is as brief as that. It may be none: ErrNoRun.
func Latest(directory string, brief bool) (string, error) {
	paths, err := filepath.Glob(filepath.Join(directory, "*Z.json"))
	if err != nil {
		return "", err
	}
	slices.Sort(paths)
	slices.Reverse(paths)
	for _, path := range paths {
		run, err := Load(path)
		if err != nil {
			return "", err
		}
		if run.Brief == brief && !run.Partial {
			return path, nil
		}
	}
	return "", ErrNoRun
}
