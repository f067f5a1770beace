package scenario

import (
	"fmt"
	"io"
	"text/tabwriter"
)

const longestCell = 76

// Write shows the rows as one aligned table.
func (r *Result) Write(to io.Writer) {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tWHAT\tEXPECTED\tOK\tGOT")
	for _, row := range r.Rows {
		ok := "yes"
		if !row.OK {
			ok = "NO"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.Key, row.What, row.Expected, ok, shorten(row.Got, row.OK))
	}
	table.Flush()
}

// What is wrong is shown in full.
func shorten(text string, ok bool) string {
	runes := []rune(text)
	if !ok || len(runes) <= longestCell {
		return text
	}
	return string(runes[:longestCell-1]) + "…"
}
