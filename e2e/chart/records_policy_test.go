package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// A text of the length and the alphabet of each scheme's signatures. That of tz4, the longest, is a real one.
var signatures = map[string]string{
	"tz1": "edsig" + strings.Repeat("a", 94),
	"tz2": "spsig1" + strings.Repeat("a", 93),
	"tz3": "p2sig" + strings.Repeat("a", 93),
	"tz4": "BLsigBJT4BDdToM3q7ywHgKc1nJ7q3bhizZ41d2YBWmG25Adz2fYKhW41KcJa9MZ6nGLdeEY8QD9CPHfjp54f2oEoi2wfUofMDhs6yLnAEKKSnvC6gdxRnPxJHKy2Luu8zGDBKPZVKMnh2",
}

// Each scheme has records, by its name and with the length of its signatures; and the policies guard them alike.
func TestOnAnAPIServerEachSchemeHasRecords(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it takes half a minute, and E2E=1")
	}
	p := &podPolicies{apiServer: startAPIServer(t), t: t}
	p.must(t, "", "create", "namespace", namespace)
	if _, err := run(helms[0], "install", release, directory, "--kubeconfig", p.Kubeconfig(), "--namespace", namespace); err != nil {
		t.Fatal(err)
	}
	record := func(name string, level int, signature string) string {
		row := fmt.Sprint(level, " 0 ", strings.Repeat("ab", 32), " ", signature)
		text, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name},
			"data": map[string]string{"version": "1", "block": row, "preattestation": row, "attestation": row},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	name := func(scheme string) string {
		return "watermark-" + scheme + "-" + strings.Repeat("0", 40) + "-7a06a770"
	}
	in := func(verb string) []string {
		return []string{verb, "--namespace", "tezos-signer-records", "--filename", "-"}
	}

	// The API server takes up each policy a moment after it was written.
	first := "watermark-tz3-" + strings.Repeat("f", 40) + "-7a06a770"
	p.allowed("a record", breakGlass, record(first, 5, "-"), in("create")...)
	for _, trial := range []struct {
		object string
		args   []string
	}{
		{record(first, 4, "-"), slices.Concat(in("replace"), breakGlass)},
		{record("watermark-tz0-0-7a06a770", 5, "-"), slices.Concat(in("create"), breakGlass)},
		{"", []string{"delete", "configmap", first, "--namespace", "tezos-signer-records"}},
	} {
		p.await("refused: "+strings.Join(trial.args, " "), func() bool {
			_, err := p.Kubectl(trial.object, append(trial.args, "--dry-run=server")...)
			return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy")
		})
	}

	for scheme, signature := range signatures {
		p.allowed("a record of "+scheme, breakGlass, record(name(scheme), 5, signature), in("create")...)
		p.allowed("a higher row of "+scheme, breakGlass, record(name(scheme), 6, signature), in("replace")...)
		p.refused("a lower row of "+scheme, breakGlass, "only rises", record(name(scheme), 4, signature), in("replace")...)
		other := strings.Replace(record(name(scheme), 6, signature), "abab", "cdcd", 1)
		p.refused("another digest of "+scheme, breakGlass, "only rises", other, in("replace")...)
		p.refused("a record of "+scheme+" that is taken away", clusterAdmin, "", "", "delete", "configmap", name(scheme), "--namespace", "tezos-signer-records")
	}
	for _, scheme := range []string{"tz0", "tz5", "tz44", "sr1"} {
		p.refused("a record of "+scheme, breakGlass, "expected the name watermark-<tz1|tz2|tz3|tz4>-", record(name(scheme), 5, "-"), in("create")...)
	}
	higher := func(signature string) string { return record(name("tz4"), 7, signature) }
	p.refused("a signature that is too long", breakGlass, "expected level round digest signature", higher(signatures["tz4"]+"1"), in("replace")...)
	p.refused("two signatures", breakGlass, "expected level round digest signature", higher(signatures["tz4"]+" "+signatures["tz4"]), in("replace")...)
}
