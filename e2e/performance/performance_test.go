package performance

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func row(id, unit, floor string, bar Bar, rounds ...Round) Row {
	return Row{ID: id, Section: "Some section", What: id + " <measured>", Unit: unit, Floor: floor, Bar: bar, Rounds: rounds}
}

func TestABarIsKeptByTheMedianOfTheRoundsEachAgainstItsOwnFloor(t *testing.T) {
	rounds := func(pairs ...float64) (made []Round) {
		for i := 0; i < len(pairs); i += 2 {
			made = append(made, Round{pairs[i], pairs[i+1]})
		}
		return made
	}
	for _, c := range []struct {
		what   string
		bar    Bar
		rounds []Round
		within bool
	}{
		{"floor and something", Bar{Factor: 1, Plus: 0.4}, rounds(1.4, 1, 2.4, 2, 9, 1), true},
		{"more than that", Bar{Factor: 1, Plus: 0.4}, rounds(1.5, 1, 2.5, 2, 1, 1), false},
		{"a part of it", Bar{Factor: 0.3}, rounds(3, 10), true},
		{"a rate", Bar{AtLeast: true, Factor: 2.2}, rounds(22, 10, 10, 10, 30, 10), true},
		{"a rate that is too low", Bar{AtLeast: true, Factor: 2.2}, rounds(21, 10), false},
		{"none at all", Bar{}, rounds(0, 0), true},
		{"one too many", Bar{}, rounds(1, 0), false},
		{"no bar", Bar{None: true}, rounds(1, 0), true},
		{"nothing was measured", Bar{Plus: 1}, nil, false},
		// One slow round, slow for the floor as well, changes nothing: ratios are of one round.
		{"a slow round", Bar{Factor: 1.1}, rounds(1, 1, 10, 10, 1, 1), true},
	} {
		r := row("x", "ms", "floor", c.bar, c.rounds...)
		if r.Within() != c.within {
			t.Errorf("%s: within is %v", c.what, r.Within())
		}
	}
}

func TestTheRatioIsTheMedianOfRatiosAndNotTheRatioOfMedians(t *testing.T) {
	r := row("x", "ms", "floor", Bar{}, Round{2, 1}, Round{30, 10}, Round{400, 100})
	if got := r.Ratio(); got.Median != 3 || got.Least != 2 || got.Most != 4 {
		t.Errorf("%+v", got)
	}
}

func TestWhereTheFloorIsNothingTheFigureStandsAlone(t *testing.T) {
	r := row("x", "ms", "floor", Bar{Factor: 1, Plus: 6}, Round{3, 0}, Round{4, 0})
	if got := r.comparedText(); got != "3.50 ms (3..4)" {
		t.Error(got)
	}
}

func TestABarIsShownAsAPersonWouldWriteIt(t *testing.T) {
	for want, bar := range map[string]Bar{
		"≤ floor + 0.40 ms":    {Factor: 1, Plus: 0.4},
		"≤ 1.1 × floor":        {Factor: 1.1},
		"≥ 2.2 × floor":        {AtLeast: true, Factor: 2.2},
		"≤ 22 ms":              {Plus: 22},
		"≤ 1.5 × floor + 1 ms": {Factor: 1.5, Plus: 1},
		"≤ 0 ms":               {},
		"none":                 {None: true},
		"≤ floor + 250 ms":     {Factor: 1, Plus: 250},
	} {
		if got := bar.text("ms"); got != want {
			t.Errorf("%+v is shown as %q, and not as %q", bar, got, want)
		}
	}
}

func someRun() *Run {
	return &Run{Began: time.Date(2026, 12, 1, 2, 40, 0, 0, time.UTC), Revision: "abc", Rounds: 2, Rows: []Row{
		row("fast", "ms", "raw", Bar{Factor: 1, Plus: 1}, Round{1, 0.5}, Round{1.1, 0.5}),
		row("slow", "ms", "raw", Bar{Factor: 1}, Round{2, 0.5}, Round{2, 0.5}),
		row("rate", "/s", "0.2", Bar{AtLeast: true, Factor: 2}, Round{300, 100}, Round{310, 100}),
		row("idle", "%", "", Bar{Plus: 1}, Round{Subject: 0.5}, Round{Subject: 0.6}),
	}}
}

func TestTheTableHasAlignedColumnsAndNamesWhatIsBeyond(t *testing.T) {
	var out strings.Builder
	someRun().Write(&out)
	text := out.String()
	if !strings.Contains(text, "BEYOND their bars, 1 of 4:\n  slow\n") {
		t.Error(text)
	}
	column := -1
	for _, line := range strings.Split(text, "\n") {
		for _, verdict := range []string{"within", "BEYOND"} {
			if at := strings.Index(line, "  "+verdict); at >= 0 && strings.HasPrefix(line, "  ") {
				at = len([]rune(line[:at]))
				if column >= 0 && at != column {
					t.Errorf("another column:\n%s", text)
				}
				column = at
			}
		}
	}
}

func TestTheDifferenceSaysWhatBecameBetterOrWorseThanTheRoundsDiffer(t *testing.T) {
	earlier, now := someRun(), someRun()
	now.Rows[0].Rounds = []Round{{2, 0.5}, {2.1, 0.5}} // slower
	now.Rows[1].Rounds = []Round{{2, 0.5}, {1, 0.5}}   // overlaps
	now.Rows[2].Rounds = []Round{{400, 100}, {410, 100}}
	earlier.Rows = earlier.Rows[:3]
	var out strings.Builder
	now.WriteDifference(&out, earlier)
	for row, judgement := range map[string]string{"fast": "WORSE", "slow": "%", "rate": "better", "idle": "new"} {
		for _, line := range strings.Split(out.String(), "\n") {
			if strings.HasPrefix(line, row+" ") && !strings.HasSuffix(line, judgement) {
				t.Errorf("%s is not judged %q:\n%s", row, judgement, out.String())
			}
		}
	}
}

func TestARunIsKeptAndFoundAgain(t *testing.T) {
	dir := t.TempDir()
	if _, err := Latest(dir, false); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
	first, second, brief, partial := someRun(), someRun(), someRun(), someRun()
	second.Began = first.Began.Add(time.Hour)
	brief.Began, brief.Brief = first.Began.Add(2*time.Hour), true
	partial.Began, partial.Partial = first.Began.Add(3*time.Hour), true
	var paths []string
	for _, run := range []*Run{first, second, brief, partial} {
		path, err := run.Save(dir)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	latest, err := Latest(dir, false)
	if err != nil || latest != paths[1] {
		t.Errorf("the latest is %s: %v", latest, err)
	}
	read, err := Load(latest)
	if err != nil || len(read.Rows) != 4 || read.Rows[2].Ratio() != second.Rows[2].Ratio() {
		t.Errorf("%+v: %v", read, err)
	}
}

func TestPlotsAreWellFormedAndEachIsInTheDocument(t *testing.T) {
	files := Documentation(someRun(), ParseExplanations(""))
	if len(files) != 1+3 {
		t.Errorf("%d files", len(files))
	}
	document := string(files[documentPath])
	for path, content := range files {
		if filepath.Ext(path) != ".svg" {
			continue
		}
		if !strings.Contains(document, "(performance/"+filepath.Base(path)+")") {
			t.Errorf("%s is not in the document", path)
		}
		for decoder := xml.NewDecoder(bytes.NewReader(content)); ; {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
	}
}

func TestExplanationsStandWhereTheirRowIs(t *testing.T) {
	e := ParseExplanations("<!-- for the writer -->\nSome words.\n\n## slow\nBecause of that.\n\n## gone\nNo more.\n")
	document := string(Documentation(someRun(), e)[documentPath])
	if e.Introduction != "Some words." || !strings.Contains(document, "**slow <measured>.** Because of that.") || strings.Contains(document, "not explained") {
		t.Error(document)
	}
	if unknown := e.Unknown(someRun()); len(unknown) != 1 || unknown[0] != "gone" {
		t.Error(unknown)
	}
	none, ofSection := ParseExplanations(""), ParseExplanations("## Some section\nAll of it.")
	if document := string(Documentation(someRun(), none)[documentPath]); !strings.Contains(document, "not explained yet") {
		t.Error(document)
	}
	if missing := none.Missing(someRun()); len(missing) != 1 || missing[0] != "slow" {
		t.Error(missing)
	}
	if missing := append(e.Missing(someRun()), ofSection.Missing(someRun())...); len(missing) != 0 {
		t.Error(missing)
	}
}

// What make bench-docs would write is what is there.
func TestTheDocumentIsTheOneOfItsData(t *testing.T) {
	const checkout = "../.."
	if _, err := os.Stat(filepath.Join(checkout, dataPath)); err != nil {
		t.Skip("nothing was measured yet: " + dataPath)
	}
	files, err := FromData(checkout)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if got, err := os.ReadFile(filepath.Join(checkout, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what follows from %s and %s: run make bench-docs DATA=%s (%v)", path, dataPath, explanationsPath, dataPath, err)
		}
	}
	run, explanations, err := Written(checkout)
	if err != nil {
		t.Fatal(err)
	}
	if missing := explanations.Missing(run); len(missing) > 0 {
		t.Errorf("beyond their bars, and not explained in %s: %q", explanationsPath, missing)
	}
	plots, _ := filepath.Glob(filepath.Join(checkout, directory, "*.svg"))
	if len(plots) != len(files)-1 {
		t.Errorf("%d plots are there, and %d are of the data", len(plots), len(files)-1)
	}
}
