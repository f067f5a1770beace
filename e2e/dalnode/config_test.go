package dalnode

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The example of docs/tezossigner.md: Octez takes it, and it lets a baker do what a baker does, and no more.
func TestTheDocumentedACLLetsABakerRegister(t *testing.T) {
	text, err := os.ReadFile("../../docs/tezossigner.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### The DAL node\n")
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(section)
	if !found || example == nil {
		t.Fatal("there is no example")
	}
	config, err := Parse([]byte(example[1]))
	if err != nil {
		t.Fatalf("Octez would not take it: %v", err)
	}
	if config.RPCAddr.Addr().IsLoopback() {
		t.Error("no other pod reaches it")
	}
	// What lib_delegate asks of a DAL node, and what a stranger could.
	for request, expected := range map[string]bool{
		"PATCH /profiles": true,
		"GET /profiles":   true,
		"GET /profiles/tz1burnburnburnburnburnburnburjAYjjX/attested_levels/1/attestable_slots": true,
		"GET /profiles/tz1burnburnburnburnburnburnburjAYjjX/monitor/attestable_slots":           true,
		"GET /health":                       true,
		"GET /synchronized":                 true,
		"GET /protocol_parameters":          true,
		"POST /slots":                       false,
		"POST /p2p/connect":                 false,
		"DELETE /p2p/points/disconnect/a:1": false,
		"PATCH /p2p/peers/id":               false,
	} {
		method, path, _ := strings.Cut(request, " ")
		if allowed, own := config.Allows(method, path); allowed != expected || !own {
			t.Errorf("%s: %t, by an entry for the address: %t", request, allowed, own)
		}
	}
}

func TestWhatTheDALNodeRefuses(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{`, `{"version": 2} {}`,
		`{"rpc-addr": "0.0.0.0:10732"}`, // without a version
		`{"version": "2"}`,
		`{"version": 2, "version": 2}`,
		`{"version": 2, "rpc_addr": "0.0.0.0:10732"}`,
		`{"version": 2, "rpc-addr": "0.0.0.0"}`,
		`{"version": 2, "rpc-addr": "dal-node:10732"}`,
		`{"version": 2, "rpc": {"acl": []}}`, // as octez-node has it
		`{"version": 2, "acl": {}}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0:10732"}]}`,
		`{"version": 2, "acl": [{"whitelist": []}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0:10732", "whitelist": [], "blacklist": []}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0:10732", "whitelist": "GET /**"}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0:10732", "allow": []}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0:port", "blacklist": []}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0:65536", "blacklist": []}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0", "blacklist": [""]}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0", "blacklist": ["HEAD /"]}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0", "blacklist": ["profiles"]}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0", "blacklist": ["/**/a"]}]}`,
		`{"version": 2, "acl": [{"address": "0.0.0.0", "blacklist": ["/a?b"]}]}`,
	} {
		if config, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is taken: %+v", text, config)
		}
	}
}

func TestWhomAnEntryIsAbout(t *testing.T) {
	for text, expected := range map[string][2]bool{
		`[]`: {false, false},
		`[{"address": "127.0.0.1", "blacklist": []}]`:                                        {false, false},
		`[{"address": "0.0.0.0:1", "blacklist": []}]`:                                        {false, false},
		`[{"address": "0.0.0.0", "blacklist": []}]`:                                          {true, true},
		`[{"address": "[::ffff:0.0.0.0]:10732", "blacklist": []}]`:                           {true, true},
		`[{"address": "0.0.0.0", "blacklist": ["/profiles"]}]`:                               {false, true},
		`[{"address": "0.0.0.0", "whitelist": ["PATCH/profiles"]}]`:                          {true, true},
		`[{"address": "0.0.0.0", "whitelist": ["GET /profiles"]}]`:                           {false, true},
		`[{"address": "0.0.0.0", "whitelist": ["PATCH /*"]}]`:                                {true, true},
		`[{"address": "0.0.0.0", "whitelist": ["/profiles/**"]}]`:                            {true, true},
		`[{"address": "0.0.0.0", "whitelist": []}, {"address": "0.0.0.0", "blacklist": []}]`: {false, true}, // the first
	} {
		config, err := Parse([]byte(`{"version": 2, "rpc-addr": "0.0.0.0:10732", "acl": ` + text + `}`))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if allowed, own := config.Allows("PATCH", "/profiles"); [2]bool{allowed, own} != expected {
			t.Errorf("%s: %t, %t", text, allowed, own)
		}
	}
}
