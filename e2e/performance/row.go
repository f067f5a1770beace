// Package performance is what `make bench` has measured, as data and as a person reads it: the rows with their bars, the runs that
// are kept, the difference of two, the table, and docs/performance.md with its plots. What measures is package measure.
//
// This file: Row, one line of the table.
package performance

import (
	"fmt"

	"signer.tezos.io/e2e/stats"
)

// Row is a figure of the signer beside one of a floor or peer, which was measured in the same rounds.
type Row struct {
	// ID is how runs are compared, and how explanations name the row: section/what/figure.
	ID      string `json:"id"`
	Section string `json:"section"`
	What    string `json:"what"`
	Unit    string `json:"unit"`
	// Floor says what the floor is; empty: the figure stands alone.
	Floor  string  `json:"floor,omitempty"`
	Bar    Bar     `json:"bar"`
	Rounds []Round `json:"rounds"`
	// Note is how many there were of what, for the reader.
	Note string `json:"note,omitempty"`
}

// Round is what one round gave.
type Round struct {
	Subject float64 `json:"subject"`
	Floor   float64 `json:"floor,omitempty"`
}

// Bar is what the subject must reach: Factor × floor + Plus, which is the most that it may be, or with AtLeast the least.
type Bar struct {
	AtLeast bool    `json:"atLeast,omitempty"`
	Factor  float64 `json:"factor,omitempty"`
	Plus    float64 `json:"plus,omitempty"`
	// None: the row is there to be read.
	None bool `json:"none,omitempty"`
}

// Limit is the bar where the floor is that.
func (b Bar) Limit(floor float64) float64 { return b.Factor*floor + b.Plus }

func (b Bar) text(unit string) string {
	if b.None {
		return "none"
	}
	sign := "≤ "
	if b.AtLeast {
		sign = "≥ "
	}
	switch {
	case b.Factor == 0:
		return sign + Quantity(b.Plus, unit)
	case b.Plus == 0:
		return sign + fmt.Sprintf("%.3g × floor", b.Factor)
	case b.Factor == 1:
		return sign + "floor + " + Quantity(b.Plus, unit)
	}
	return sign + fmt.Sprintf("%.3g × floor + %s", b.Factor, Quantity(b.Plus, unit))
}

// HasFloor reports whether the row is a comparison.
func (r *Row) HasFloor() bool { return r.Floor != "" }

func (r *Row) spread(of func(Round) float64) stats.Spread {
	var values []float64
	for _, round := range r.Rounds {
		values = append(values, of(round))
	}
	return stats.SpreadOf(values)
}

// Subject is the signer's figure.
func (r *Row) Subject() stats.Spread {
	return r.spread(func(round Round) float64 { return round.Subject })
}

// FloorFigure is the floor's.
func (r *Row) FloorFigure() stats.Spread {
	return r.spread(func(round Round) float64 { return round.Floor })
}

// Ratio is subject ÷ floor, round by round.
func (r *Row) Ratio() stats.Spread {
	return r.spread(func(round Round) float64 { return round.Subject / round.Floor })
}

// Within reports whether the bar is kept: by the median of how far each round was from its own limit.
func (r *Row) Within() bool {
	if r.Bar.None {
		return true
	}
	room := r.spread(func(round Round) float64 {
		room := r.Bar.Limit(round.Floor) - round.Subject
		if r.Bar.AtLeast {
			room = -room
		}
		return room
	})
	return room.Median >= 0 // not where nothing was measured: that is NaN
}

// Verdict is within or BEYOND.
func (r *Row) Verdict() string {
	switch {
	case r.Bar.None:
		return ""
	case r.Within():
		return "within"
	}
	return "BEYOND"
}

// isRatio: there is a floor, and it is not 0.
func (r *Row) isRatio() bool { return r.HasFloor() && r.FloorFigure().Least > 0 }

// compared is the figure that is compared with another run: the ratio where there is one, because machines differ.
func (r *Row) compared() stats.Spread {
	if r.isRatio() {
		return r.Ratio()
	}
	return r.Subject()
}

func (r *Row) comparedText() string {
	spread, unit := r.compared(), ""
	if !r.isRatio() {
		unit = r.Unit
	}
	return fmt.Sprintf("%s (%s..%s)", Quantity(spread.Median, unit), number(spread.Least), number(spread.Most))
}

// Quantity is a figure with its unit, as all of it shows them.
func Quantity(value float64, unit string) string {
	if unit == "" {
		return number(value)
	}
	return number(value) + " " + unit
}

// number has three digits that count.
func number(value float64) string {
	switch magnitude := max(value, -value); {
	case magnitude >= 100 || value == float64(int(value)):
		return fmt.Sprintf("%.0f", value)
	case magnitude >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}
