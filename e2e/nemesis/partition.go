// The network is cut, by rules in the node's namespace: silently, or so that the other
// side is told. Between a replica and the API server, in both directions or in one:
// where only the answers are lost, a write takes effect and its writer does not know.

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// verdicts of a rule.
var verdicts = []string{"drop", "reject with tcp reset"}

func drawCutFromAPIServer(random *rand.Rand, keys int) fault {
	lasts := between(random, 300*time.Millisecond, 3*time.Second)
	if random.IntN(3) == 0 {
		lasts = between(random, leaseDuration+200*time.Millisecond, leaseDuration+2*time.Second)
	}
	verdict, all := verdicts[random.IntN(2)], random.IntN(4) == 0
	lost := []string{"requests and answers", "requests", "answers"}[random.IntN(3)]
	victim := drawVictim(random, keys)
	who := victim.who
	if all {
		who = "all replicas"
	}
	what := fmt.Sprintf("%s between %s and the API server: %s", lost, who, verdict)
	return fault{what: what, duration: lasts, begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		met, err := victim.find(ctx, t.target)
		if err != nil {
			return nil, "", err
		}
		cutOff := []replica{met}
		if all {
			cutOff = t.target.replicas()
		}
		var rules []string
		for _, r := range cutOff {
			if lost != "answers" {
				rules = append(rules, fmt.Sprintf("input ip saddr %s tcp dport %d %s", r.address, apiPort, verdict))
			}
			if lost != "requests" {
				rules = append(rules, fmt.Sprintf("output ip daddr %s tcp sport %d %s", r.address, apiPort, verdict))
			}
		}
		return t.addRules(ctx, rules, names(cutOff))
	}}
}

func drawCutBetweenReplicas(random *rand.Rand, keys int) fault {
	verdict, victim := verdicts[random.IntN(2)], drawVictim(random, keys)
	what := fmt.Sprintf("between %s and its peers: %s", victim.who, verdict)
	return fault{what: what, duration: between(random, 500*time.Millisecond, 4*time.Second), begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		met, err := victim.find(ctx, t.target)
		if err != nil {
			return nil, "", err
		}
		var rules []string
		for _, r := range t.target.otherReplicas(met) {
			for _, way := range [][2]string{{met.address, r.address}, {r.address, met.address}} {
				rules = append(rules, fmt.Sprintf("forward ip saddr %s ip daddr %s tcp dport %d %s", way[0], way[1], peerPort, verdict))
			}
		}
		return t.addRules(ctx, rules, met.name)
	}}
}

// addRules puts the rules into a table of their own, which is taken away at the end.
func (t *historyRun) addRules(ctx context.Context, rules []string, met string) (func(context.Context) error, string, error) {
	t.lock.Lock()
	table := fmt.Sprintf("nemesis-%d", len(t.tables))
	t.tables[table] = true
	t.lock.Unlock()
	text := "table inet " + table + " {\n"
	for _, hook := range []string{"input", "forward", "output"} {
		text += fmt.Sprintf("chain %s { type filter hook %s priority filter - 10; }\n", hook, hook)
	}
	text += "}\n"
	for _, rule := range rules {
		text += fmt.Sprintf("add rule inet %s %s\n", table, rule)
	}
	end := func(ctx context.Context) error { return t.removeRules(ctx, table) }
	if err := t.target.cluster(ctx, text, "exec", "nft", "-f", "-"); err != nil {
		t.setInForce(table, false) // all of it or nothing
		return nil, met, err
	}
	return end, met, nil
}

func (t *historyRun) removeRules(ctx context.Context, table string) error {
	err := t.target.cluster(ctx, "", "exec", "nft", "delete", "table", "inet", table)
	if err == nil {
		t.setInForce(table, false)
	}
	return err
}

func (t *historyRun) setInForce(table string, is bool) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.tables[table] = is
}

func (t *historyRun) tablesInForce() (tables []string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for table, inForce := range t.tables {
		if inForce {
			tables = append(tables, table)
		}
	}
	return tables
}

func names(replicas []replica) string {
	var all []string
	for _, r := range replicas {
		all = append(all, r.name)
	}
	return strings.Join(all, " ")
}
