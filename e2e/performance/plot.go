// Plots: for each section and unit, the signer's figure, the floor's and the bar, side by side.

package performance

import (
	"bytes"
	"fmt"
	"html"
	"slices"
	"strings"
)

const (
	width, labelWidth, valueWidth = 960, 350, 90
	rowHeight, top, bottom        = 46, 66, 14

	within, beyond, floorColour, ink, paper = "#2563eb", "#ea580c", "#9ca3af", "#1f2937", "#ffffff"
)

// plot draws one group of bars a row.
func plot(section, unit string, rows []*Row) []byte {
	longest := 0.0
	for _, row := range rows {
		longest = max(longest, row.Subject().Most, row.FloorFigure().Median, row.limit())
	}
	scale := 1.0
	if longest > 0 {
		scale = (width - labelWidth - valueWidth) / longest
	}
	height := top + rowHeight*len(rows) + bottom
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" fill="%s">`+"\n", width, height, ink)
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" fill="%s"/>`+"\n", width, height, paper)
	fmt.Fprintf(&svg, `<text x="16" y="26" font-size="16" font-weight="bold">%s, in %s</text>`+"\n", html.EscapeString(section), html.EscapeString(unitInWords(unit)))
	legend(&svg)
	for i, row := range rows {
		drawRow(&svg, row, float64(top+rowHeight*i), scale)
	}
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

// limit is the bar at the median of the floor; 0 if there is none.
func (r *Row) limit() float64 {
	if r.Bar.None {
		return 0
	}
	floor := 0.0
	if r.HasFloor() {
		floor = r.FloorFigure().Median
	}
	return r.Bar.Limit(floor)
}

func legend(svg *bytes.Buffer) {
	x := 16
	for _, entry := range []struct{ colour, text string }{
		{within, "signer, within its bar"}, {beyond, "signer, beyond its bar"}, {floorColour, "floor"},
	} {
		fmt.Fprintf(svg, `<rect x="%d" y="40" width="12" height="12" fill="%s"/><text x="%d" y="51">%s</text>`+"\n", x, entry.colour, x+18, entry.text)
		x += 190
	}
	fmt.Fprintf(svg, `<path d="M%d 38v16" stroke="%s" stroke-width="2"/><text x="%d" y="51">bar; the thin line is least to most</text>`+"\n", x-60, ink, x-50)
}

func drawRow(svg *bytes.Buffer, row *Row, y, scale float64) {
	figure := row.Subject()
	colour := within
	if !row.Within() {
		colour = beyond
	}
	fmt.Fprintf(svg, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`+"\n", labelWidth-10, y+22, html.EscapeString(shortened(row.What)))
	drawBar(svg, y+6, 14, figure.Median*scale, colour, Quantity(figure.Median, row.Unit), row.pastTheTick(figure.Most, scale)*scale)
	fmt.Fprintf(svg, `<path d="M%.1f %.1fH%.1f" stroke="%s" stroke-width="1.5"/>`+"\n", labelWidth+figure.Least*scale, y+13, labelWidth+figure.Most*scale, ink)
	if row.HasFloor() {
		floor := row.FloorFigure().Median
		drawBar(svg, y+22, 10, floor*scale, floorColour, Quantity(floor, row.Unit), row.pastTheTick(floor, scale)*scale)
	}
	if !row.Bar.None {
		fmt.Fprintf(svg, `<path d="M%.1f %.1fv34" stroke="%s" stroke-width="2"/>`+"\n", labelWidth+row.limit()*scale, y+2, ink)
	}
}

// pastTheTick is where a figure can stand that belongs to a bar of that end: behind the tick of the limit, if that is near.
func (r *Row) pastTheTick(end, scale float64) float64 {
	if limit := r.limit(); limit > end && (limit-end)*scale < valueWidth {
		return limit
	}
	return end
}

// drawBar has its figure behind it, and behind whatever else reaches further.
func drawBar(svg *bytes.Buffer, y, thickness, length float64, colour, figure string, reach float64) {
	fmt.Fprintf(svg, `<rect x="%d" y="%.1f" width="%.1f" height="%.0f" fill="%s"/>`, labelWidth, y, max(length, 1), thickness, colour)
	fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" font-size="11">%s</text>`+"\n", labelWidth+max(length, reach)+6, y+thickness-2, html.EscapeString(figure))
}

func shortened(text string) string {
	const most = 48
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func unitsOf(rows []*Row) []string {
	var units []string
	for _, row := range rows {
		if !slices.Contains(units, row.Unit) {
			units = append(units, row.Unit)
		}
	}
	return units
}

func withUnit(rows []*Row, unit string) []*Row {
	return slices.DeleteFunc(slices.Clone(rows), func(row *Row) bool { return row.Unit != unit })
}

func unitInWords(unit string) string {
	switch unit {
	case "/s":
		return "signatures a second"
	case "":
		return "numbers"
	case "%":
		return "% of a core"
	}
	return unit
}

var unitNames = strings.NewReplacer("/s", "per-second", "%", "percent", "×", "times", "µ", "u")

// slug is a name for files.
func slug(text string) string {
	text = strings.ToLower(unitNames.Replace(text))
	words := strings.FieldsFunc(text, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	return strings.Join(words, "-")
}
