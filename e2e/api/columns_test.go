package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is printed of a TezosSigner fits on a screen of 120 columns, but for the sentence, which is the last. And it says how old it is:
// the operator that wrote it may be away.
func TestTheColumnsFitOnAScreen(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(server.checkout, "operator/examples/tezossigner-service.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const longest = "a-tezossigner-whose-name-is-the-longest-"
	name := longest[:39] + "x"
	server.must(t, strings.Replace(string(text), "name: signer-one\n", "name: "+name+"\n", 1), "apply", "--namespace", namespace, "--filename", "-")
	t.Cleanup(func() { server.Kubectl("", "delete", "tezossigner", name, "--namespace", namespace) })
	holder := name + "-7d656f9f56-lzkxx"
	sentence := strings.Repeat("a long sentence ", 50)
	condition := object{"type": "Ready", "status": "True", "reason": "Signing", "message": sentence, "lastTransitionTime": "2026-11-30T08:00:00Z"}
	status, err := json.Marshal(object{"status": object{
		"holder": holder, "conditions": []any{condition},
		"keys": []any{object{"chain": "NetXdQprcVkpaWU", "publicKeyHash": "tz3x", "record": "watermark-x", "recordUID": "u", "suspended": false, "rows": object{"readAt": "2026-11-20T08:00:00Z"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server.must(t, "", "patch", "tezossigner", name, "--namespace", namespace, "--subresource", "status", "--type", "merge", "--patch", string(status))

	output := server.must(t, "", "get", "tezossigners", name, "--namespace", namespace)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != 2 {
		t.Fatal(output)
	}
	if columns := strings.Join(strings.Fields(lines[0]), " "); columns != "NAME READY HOLDER AGE REPORTED CHAIN STATUS" {
		t.Errorf("the columns are %s", columns)
	}
	for _, column := range []string{"HOLDER", "AGE"} {
		if end := strings.Index(lines[0], column) + len(column); end > 120 {
			t.Errorf("%s ends in column %d", column, end)
		}
	}
	if end := strings.Index(lines[1], holder) + len(holder); end > 120 {
		t.Errorf("the holder ends in column %d", end)
	}
	if at := strings.Index(lines[0], "REPORTED"); !strings.HasSuffix(strings.Fields(lines[1][at:])[0], "d") {
		t.Errorf("it does not say that the status is of ten days ago: %s", lines[1])
	}
}
