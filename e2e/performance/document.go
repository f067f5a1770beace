// docs/performance.md and its plots, from the data of a run: TestTheDocumentIsTheOneOfItsData keeps them together.

package performance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Where they are, below the checkout.
const (
	documentPath     = "docs/performance.md"
	directory        = "docs/performance"
	dataPath         = directory + "/run.json"
	explanationsPath = directory + "/explanations.md"
)

const introduction = `# Performance

<!-- Written by make bench-docs, from performance/run.json and performance/explanations.md. -->

How fast the signer is, beside what it cannot be faster than (the floor) or the release before it, measured in the same run, in turns. Figures are
ratios, because machines differ: a ratio of 1 is the floor itself. A row is ` + "`within`" + ` if the median of the rounds keeps the bar, and ` + "`BEYOND`" + ` if not; what
is beyond its bar is explained below its table. Your own machine: ` + "`make bench`" + ` (ten minutes, no root, no other load).

The token is SoftHSM2 and signs in this machine's processor; a CloudHSM takes some milliseconds more for each signature. *raw* is ` + "`C_SignInit` and `C_Sign`" + `
by one PKCS#11 session of the measuring process on the same token. *fdatasync* writes 4 096 bytes in place into a file that is already that large, on
the disk of the records, and brings them to the disk. *0.2* is the signer of release 0.2, built from its sources and started beside this one.
`

// Documentation is the document and its plots, by path below the checkout.
func Documentation(run *Run, explanations *Explanations) map[string][]byte {
	files := map[string][]byte{}
	var text strings.Builder
	text.WriteString(introduction)
	fmt.Fprintf(&text, "\nMeasured %s at revision %s, on %d cores of %s, Linux %s, records on %s; load before: %s. %d rounds in %.0f minutes.\n",
		run.Began.UTC().Format("2006-01-02 15:04 UTC"), run.Revision, run.Machine.Cores, run.Machine.Processor, run.Machine.Kernel, run.Machine.Disk,
		run.Machine.Load, run.Rounds, run.Seconds/60)
	if run.Brief {
		text.WriteString("\n**This was a brief run**, which shows that the harness works. Its figures are no promise.\n")
	}
	if explanations.Introduction != "" {
		text.WriteString("\n" + explanations.Introduction + "\n")
	}
	for _, section := range run.sections() {
		rows := run.rowsOf(section)
		fmt.Fprintf(&text, "\n## %s\n\n", section)
		writeRows(&text, rows)
		for _, unit := range unitsOf(rows) {
			name := slug(section+" "+unit) + ".svg"
			files[filepath.Join(directory, name)] = plot(section, unit, withUnit(rows, unit))
			fmt.Fprintf(&text, "\n![%s, in %s](performance/%s)\n", section, unitInWords(unit), name)
		}
		writeExplanations(&text, section, rows, explanations)
	}
	files[documentPath] = []byte(text.String())
	return files
}

func writeRows(text *strings.Builder, rows []*Row) {
	text.WriteString("| | signer | floor | ratio, or the figure alone: median (least..most) | bar | |\n|---|---|---|---|---|---|\n")
	for _, row := range rows {
		what, floor := row.What, ""
		if row.Note != "" {
			what += "; " + row.Note
		}
		if row.HasFloor() {
			floor = fmt.Sprintf("%s: %s", row.Floor, Quantity(row.FloorFigure().Median, row.Unit))
		}
		verdict := row.Verdict()
		if verdict == "BEYOND" {
			verdict = "**BEYOND**"
		}
		fmt.Fprintf(text, "| %s | %s | %s | %s | %s | %s |\n", what, Quantity(row.Subject().Median, row.Unit), floor, row.comparedText(), row.Bar.text(row.Unit), verdict)
	}
}

func writeExplanations(text *strings.Builder, section string, rows []*Row, explanations *Explanations) {
	if about := explanations.of[section]; about != "" {
		text.WriteString("\n" + about + "\n")
	}
	for _, row := range rows {
		about := explanations.of[row.ID]
		switch {
		case about != "":
			fmt.Fprintf(text, "\n**%s.** %s\n", row.What, about)
		case !row.Within() && explanations.of[section] == "":
			fmt.Fprintf(text, "\n**%s.** Beyond its bar, and not explained yet.\n", row.What)
		}
	}
}

// Explanations are what a person has written: explanations.md, whose headings are names of sections or IDs of rows.
type Explanations struct {
	Introduction string
	of           map[string]string
}

// ParseExplanations reads the text of explanations.md. HTML comments in it are for who writes it.
func ParseExplanations(text string) *Explanations {
	e := &Explanations{of: map[string]string{}}
	heading, body := "", []string{}
	keep := func() {
		about := strings.TrimSpace(strings.Join(body, "\n"))
		if heading == "" {
			e.Introduction = about
		} else {
			e.of[heading] = about
		}
		body = nil
	}
	for _, line := range strings.Split(withoutComments(text), "\n") {
		if name, found := strings.CutPrefix(line, "## "); found {
			keep()
			heading = strings.TrimSpace(name)
			continue
		}
		body = append(body, line)
	}
	keep()
	return e
}

func withoutComments(text string) string {
	for {
		before, rest, found := strings.Cut(text, "<!--")
		if !found {
			return text
		}
		_, after, _ := strings.Cut(rest, "-->")
		text = before + after
	}
}

// Unknown are headings that name nothing of that run.
func (e *Explanations) Unknown(run *Run) []string {
	known := map[string]bool{}
	for _, row := range run.Rows {
		known[row.ID], known[row.Section] = true, true
	}
	var unknown []string
	for heading := range e.of {
		if !known[heading] {
			unknown = append(unknown, heading)
		}
	}
	return unknown
}

// Missing are the rows of that run that are beyond their bars and have no explanation, of their own or of their section.
func (e *Explanations) Missing(run *Run) []string {
	var missing []string
	for _, row := range run.Beyond() {
		if e.of[row.ID] == "" && e.of[row.Section] == "" {
			missing = append(missing, row.ID)
		}
	}
	return missing
}

// WriteDocumentation makes that run the data of docs/performance, and writes what follows from it.
func WriteDocumentation(checkout string, run *Run) error {
	old, err := filepath.Glob(filepath.Join(checkout, directory, "*"))
	if err != nil {
		return err
	}
	data, err := run.Save(filepath.Join(checkout, directory))
	if err != nil {
		return err
	}
	if err := os.Rename(data, filepath.Join(checkout, dataPath)); err != nil {
		return err
	}
	files, err := FromData(checkout)
	if err != nil {
		return err
	}
	for _, path := range old { // of rows that are no more
		if filepath.Ext(path) == ".svg" {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(checkout, path), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Written are the data of docs/performance and the explanations of them.
func Written(checkout string) (*Run, *Explanations, error) {
	run, err := Load(filepath.Join(checkout, dataPath))
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(filepath.Join(checkout, explanationsPath))
	if err != nil {
		return nil, nil, err
	}
	return run, ParseExplanations(string(text)), nil
}

// FromData is the documentation that follows from them.
func FromData(checkout string) (map[string][]byte, error) {
	run, explanations, err := Written(checkout)
	if err != nil {
		return nil, err
	}
	if unknown := explanations.Unknown(run); len(unknown) > 0 {
		return nil, fmt.Errorf("%s has headings that are neither a section nor the ID of a row: %q", explanationsPath, unknown)
	}
	return Documentation(run, explanations), nil
}
