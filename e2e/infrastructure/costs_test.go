package infrastructure

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const costs = "docs/costs.md"

// The tables of docs/costs.md are computed from its own prices and quantities, by the formulas that it prints.
func TestTheCostsAreComputed(t *testing.T) {
	text := read(t, costs)
	n := map[string]float64{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .*$").FindAllStringSubmatch(text, -1) {
		for _, cell := range strings.Split(row[0], "|") {
			if value, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(cell), "$"), 64); err == nil {
				n[row[1]] = value
			}
		}
		if n[row[1]] == 0 {
			t.Errorf("%s: %s has no number", costs, row[1])
		}
	}
	bakers := []float64{1, 10, 100}
	parts := func(b float64) map[string]float64 {
		signatures := n["hours"] * 3600 / n["blockSeconds"] * n["votesPerBlock"] * b
		nodes := math.Ceil(b/n["bakersPerNode"]) + n["spareNodes"]
		return map[string]float64{
			"KMS keys":    b*n["kmsKey"] + signatures/1e4*n["kmsSign"],
			"CloudHSM":    n["hsms"] * n["hours"] * n["cloudHsm"],
			"two HSMs":    2 * n["hours"] * n["cloudHsm"],
			"EKS":         n["hours"] * n["eks"],
			"nodes":       nodes * n["hours"] * n["node"],
			"systemNodes": n["systemNodes"] * n["hours"] * n["systemNode"],
			"disks":       (nodes*n["nodeDiskGb"] + b*n["bakerDiskGb"]) * n["disk"],
			"systemDisks": n["systemNodes"] * n["nodeDiskGb"] * n["disk"],
			"NAT gateway": n["hours"] * (n["nat"] + n["ipv4"]),
			"endpoint":    n["zones"]*n["hours"]*n["endpoint"] + signatures*n["kmsKilobytes"]/1e6*n["endpointGb"],
			"logs":        (n["baseLogGb"] + signatures*n["auditKilobytes"]/1e6) * (n["logIngest"] + n["logMonths"]*n["logStore"]),
		}
	}
	row := func(title string, of func(p map[string]float64, b float64) float64) string {
		line := "| " + title + " |"
		for _, b := range bakers {
			line += " " + dollars(of(parts(b), b)) + " |"
		}
		return line + "\n"
	}
	sum := func(names ...string) func(p map[string]float64, b float64) float64 {
		return func(p map[string]float64, _ float64) (total float64) {
			for _, name := range names {
				if _, known := p[name]; !known {
					t.Fatal(name)
				}
				total += p[name]
			}
			return total
		}
	}
	each := func(of func(p map[string]float64, b float64) float64) func(p map[string]float64, b float64) float64 {
		return func(p map[string]float64, b float64) float64 { return of(p, b) / b }
	}
	cluster := []string{"EKS", "nodes", "disks", "NAT gateway", "logs"}
	kms := sum(append([]string{"KMS keys", "endpoint"}, cluster...)...)
	hsm := sum(append([]string{"CloudHSM", "systemNodes", "systemDisks"}, cluster...)...)
	twoHsms := sum(append([]string{"two HSMs", "systemNodes", "systemDisks"}, cluster...)...)
	head := "| a month | 1 baker | 10 bakers | 100 bakers |\n|---|---|---|---|\n"
	decision := head +
		row("**with keys in AWS KMS**", kms) + row("of that, the keys themselves", sum("KMS keys", "endpoint")) + row("each baker", each(kms)) +
		row("**with CloudHSM, three HSMs**", hsm) + row("of that, the HSMs", sum("CloudHSM")) + row("each baker", each(hsm)) +
		row("**with CloudHSM, two HSMs**", twoHsms)
	equal := n["hsms"] * n["hours"] * n["cloudHsm"] / (parts(1)["KMS keys"])
	decision += fmt.Sprintf("\nA baker's key in AWS KMS costs %s a month, three HSMs %s: the HSMs are cheaper from %.0f bakers on.\n",
		dollars(parts(1)["KMS keys"]), dollars(parts(1)["CloudHSM"]), math.Ceil(equal))
	detail := head
	for _, name := range []string{"KMS keys", "endpoint", "CloudHSM", "EKS", "nodes", "NAT gateway", "disks", "logs"} {
		title := map[string]string{"KMS keys": "KMS keys (with KMS)", "endpoint": "endpoint (with KMS)", "CloudHSM": "three HSMs (with CloudHSM)", "nodes": "nodes for bakers"}[name]
		if title == "" {
			title = name
		}
		detail += row(title, sum(name))
		if name == "nodes" {
			detail += row("nodes for the rest, with their disks (with CloudHSM)", sum("systemNodes", "systemDisks"))
		}
	}
	wanted := between(t, text, "writes this table from the prices and quantities below -->\n", decision, "<!-- end of the table -->")
	wanted = between(t, wanted, "writes the parts from the prices and quantities below -->\n", detail, "<!-- end of the parts -->")
	if *write {
		if err := os.WriteFile(filepath.Join(checkout, costs), []byte(wanted), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if wanted != text {
		t.Errorf("%s is not what its prices make; if they should be so, run go -C e2e test ./infrastructure -write. Now it would be:\n%s\n%s", costs, decision, detail)
	}

	// What the other pages say of money.
	for file, says := range map[string]string{
		"docs/kms.md":                               fmt.Sprintf("%s a month for three", strings.ReplaceAll(dollars(n["hsms"]*n["hours"]*n["cloudHsm"]), ",", " ")),
		"docs/costs.md":                             fmt.Sprintf("$%.0f a month more", n["hours"]*(n["eksExtended"]-n["eks"])),
		"deploy/terraform/README.md":                "docs/costs.md#what-is-counted",
		"deploy/terraform/modules/eks/variables.tf": "six times as much",
	} {
		if !strings.Contains(read(t, file), says) {
			t.Errorf("%s does not say %q", file, says)
		}
	}
}

// dollars is whole dollars, with a comma for thousands.
func dollars(value float64) string {
	digits := strconv.FormatFloat(math.Round(value), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return "$" + digits
}

// between replaces what stands between the two marks.
func between(t *testing.T, text, begin, middle, end string) string {
	t.Helper()
	before, rest, hasBegin := strings.Cut(text, begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has no place for the table: %q … %q", costs, begin, end)
	}
	return before + begin + middle + end + after
}
