// The rows as a terminal shows them, and what has changed since another run.

package performance

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Write shows all rows and how many miss their bar.
func (r *Run) Write(to io.Writer) {
	table := table{{"MEASURED", "SIGNER", "FLOOR", "RATIO, OR THE FIGURE ALONE", "BAR", "", "FLOOR IS"}}
	for _, section := range r.sections() {
		table = append(table, nil, []string{section})
		for _, row := range r.rowsOf(section) {
			floor := ""
			if row.HasFloor() {
				floor = Quantity(row.FloorFigure().Median, row.Unit)
			}
			table = append(table, []string{
				"  " + row.What, Quantity(row.Subject().Median, row.Unit), floor, row.comparedText(), row.Bar.text(row.Unit), row.Verdict(), row.Floor,
			})
		}
	}
	table.write(to)
	fmt.Fprintf(to, "\nMedians of %d rounds (least..most).", r.Rounds)
	if beyond := r.Beyond(); len(beyond) > 0 {
		fmt.Fprintf(to, " BEYOND their bars, %d of %d:\n", len(beyond), len(r.Rows))
		for _, row := range beyond {
			fmt.Fprintf(to, "  %s\n", row.ID)
		}
	} else {
		fmt.Fprintf(to, " All %d are within their bars.\n", len(r.Rows))
	}
}

// WriteDifference shows how the figures differ from those of an earlier run. What differs by more than the rounds of either run differ among
// themselves is marked.
func (r *Run) WriteDifference(to io.Writer, earlier *Run) {
	fmt.Fprintf(to, "Against the run of %s (%s):\n", earlier.Began.UTC().Format("2006-01-02 15:04 UTC"), earlier.Revision)
	table := table{{"ROW", "THEN", "NOW", "CHANGE", ""}}
	before := map[string]*Row{}
	for i := range earlier.Rows {
		before[earlier.Rows[i].ID] = &earlier.Rows[i]
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		was := before[row.ID]
		if was == nil {
			table = append(table, []string{row.ID, "", row.comparedText(), "new", ""})
			continue
		}
		table = append(table, []string{row.ID, was.comparedText(), row.comparedText(), change(was, row), judgement(was, row)})
	}
	table.write(to)
}

func change(was, is *Row) string {
	then, now := was.compared().Median, is.compared().Median
	if then == 0 {
		if now == 0 {
			return "same"
		}
		return "from 0"
	}
	return fmt.Sprintf("%+.0f %%", (now/then-1)*100)
}

// judgement is empty where the spreads overlap.
func judgement(was, is *Row) string {
	then, now := was.compared(), is.compared()
	rose, fell := now.Least > then.Most, now.Most < then.Least
	switch {
	case !rose && !fell:
		return ""
	case rose == is.Bar.AtLeast:
		return "better"
	}
	return "WORSE"
}

// table is lines of cells. A line without cells is empty; one with a single cell takes no part in the widths.
type table [][]string

func (t table) write(to io.Writer) {
	var widths []int
	for _, line := range t {
		for i, cell := range line {
			if len(line) == 1 {
				continue
			}
			for len(widths) <= i {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range t {
		var text strings.Builder
		for i, cell := range line {
			text.WriteString(cell)
			if i < len(line)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(to, strings.TrimRight(text.String(), " "))
	}
}
