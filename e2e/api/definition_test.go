// Package api tries the TezosSigner as an API on a bare API server: no node, so
// nothing runs. E2E=1 go test ./api
//
// This file: what the definition says, and what it refuses.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/controlplane"
)

type object = map[string]any

type apiServer struct {
	*controlplane.Plane
	checkout string
}

// One for all tests of this package: starting it is most of their time.
var server *apiServer

func TestMain(m *testing.M) {
	if os.Getenv("E2E") != "1" {
		fmt.Println("not run: these tests start an API server, with E2E=1")
		return
	}
	status, err := startAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set up:", err)
		status = 1
	}
	os.Exit(status)
}

func startAndRun(m *testing.M) (int, error) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		return 0, err
	}
	directory, err := os.MkdirTemp("", "tezos-signer-api-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(directory)
	plane, err := controlplane.Start(context.Background(), checkout, directory, 1)
	if plane != nil {
		defer plane.Close()
	}
	if err != nil {
		return 0, err
	}
	server = &apiServer{plane, checkout}
	for _, args := range [][]string{
		// Plainly: then all of it stands in an annotation too, which has a limit.
		{"apply", "--filename", filepath.Join(checkout, "crds")},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd/tezossigners.signer.tezos.io"},
		{"create", "namespace", namespace},
		{"create", "namespace", records},
	} {
		if _, err := server.Kubectl("", args...); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

func (s *apiServer) must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	output, err := s.Kubectl(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// examples are all TezosSigners that a reader could copy, by where they stand.
func examples(t *testing.T, checkout string) map[string]string {
	t.Helper()
	found := map[string]string{}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	files := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "operator/examples/*.yaml"} {
		matches, err := filepath.Glob(filepath.Join(checkout, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range matches {
			below, _ := filepath.Rel(checkout, match)
			files = append(files, below)
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(checkout, file))
		if err != nil {
			t.Fatal(err)
		}
		blocks := [][]string{{"", string(text)}}
		if strings.HasSuffix(file, ".md") {
			blocks = block.FindAllStringSubmatch(string(text), -1)
		}
		for _, b := range blocks {
			if strings.Contains("\n"+b[1], "\nkind: TezosSigner\n") && !strings.Contains(b[1], "{…}") { // whole ones
				found[file] += "---\n" + b[1]
			}
		}
	}
	return found
}

func TestEveryExampleIsTaken(t *testing.T) {
	all := examples(t, server.checkout)
	for _, file := range []string{"README.md", "docs/tezossigner.md"} {
		if !strings.Contains(all[file], "octez:") {
			t.Errorf("%s has no example of an Octez baker", file)
		}
	}
	for file, manifest := range all {
		if output, err := server.Kubectl(manifest, "apply", "--dry-run=server", "--validate=strict", "--filename", "-"); err != nil {
			t.Errorf("%s: %s", file, output)
		}
	}
}

func TestTheDefinitionExplainsItself(t *testing.T) {
	all := server.must(t, "", "explain", "tezossigner", "--recursive")
	for _, field := range []string{"octez", "nodeEndpoint", "template", "cloudHsm", "exitAfterSeconds", "observedGeneration", "placement"} {
		if !strings.Contains(all, field) {
			t.Errorf("explain --recursive does not know %s", field)
		}
	}
	for field, text := range map[string]string{
		"spec.baker.octez.liquidityBakingVote": "Default: pass",
		"spec.keys.allow":                      "finalize_unstake",
		"spec.baker.octez.dalNode":             "--without-dal",
		"spec.baker.octez.nodeEndpoints":       "--extra-node",
		"spec.baker.octez.delegates":           "During a change of the consensus key",
		"spec.hsm.cloudHsm.sessions":           "Default: 4",
		"spec.keys.maxFee":                     "in mutez",
		"spec.resources.limits":                "`{memory: 256Mi}`",
	} {
		if output := server.must(t, "", "explain", "tezossigner."+field); !strings.Contains(output, text) {
			t.Errorf("%s: %s", field, output)
		}
	}
	// By its own category, and not where `kubectl delete all --all` would take claims on keys away.
	if names := server.must(t, "", "api-resources", "--categories=tezos", "-o=name"); !strings.Contains(names, "tezossigners") {
		t.Error(names)
	}
	if names := server.must(t, "", "api-resources", "--categories=all", "-o=name"); strings.Contains(names, "tezossigners") {
		t.Error(names)
	}
}

func TestWhatTheAPIServerRefuses(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(server.checkout, "operator/examples/tezossigner-octez.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const path = "/apis/signer.tezos.io/v1alpha1/namespaces/default/tezossigners"
	parse := func() (signer object) {
		if err := yaml.Unmarshal(text, &signer); err != nil {
			t.Fatal(err)
		}
		return signer
	}
	made, err := server.Do(t.Context(), http.MethodPost, path, parse())
	if err != nil {
		t.Fatal(err)
	}
	var live struct {
		Metadata struct{ Name, ResourceVersion string }
	}
	if err := json.Unmarshal(made, &live); err != nil {
		t.Fatal(err)
	}
	try := func(change func(spec object)) error {
		signer := parse()
		change(signer["spec"].(object))
		signer["metadata"].(object)["resourceVersion"] = live.Metadata.ResourceVersion
		_, err := server.Do(t.Context(), http.MethodPut, path+"/"+live.Metadata.Name+"?dryRun=All&fieldValidation=Strict", signer)
		return err
	}
	octez := func(spec object) object { return spec["baker"].(object)["octez"].(object) }
	key := func(spec object) object { return spec["keys"].([]any)[0].(object) }
	const sppk = "sppk7cXzUGMoqqa3MNc5zUZrwuqCAtmxQYcQA82f1xRyZFnzyzYUS5Z"
	mlDSA := "mdpk" + strings.Repeat("a", 1798) // as long as base58check makes its 1312 bytes; an answer that shows all of it is cut off
	second := func(spec object) {
		spec["keys"] = append(spec["keys"].([]any), object{"publicKey": sppk, "label": "two"})
	}
	const tz3, tz2 = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA", "tz2DTy9uoYbCFZrtSi9AHNUsnyE8CgDSyQqp"
	nodes := func(nodes ...any) func(object) {
		return func(spec object) {
			delete(octez(spec), "nodeEndpoint")
			octez(spec)["nodeEndpoints"] = append([]any{}, nodes...)
		}
	}
	start := func(level int) func(object) {
		return func(spec object) { spec["initialWatermark"].(object)["level"] = level }
	}
	pin := func(pin object) func(object) {
		return func(spec object) { spec["hsm"].(object)["pkcs11"].(object)["pin"] = pin }
	}
	service := func(spec object) {
		delete(spec, "baker")
		spec["service"] = object{"unauthenticated": true}
	}

	for name, c := range map[string]struct {
		change   func(spec object)
		complain string // what the answer has; empty: it is taken
	}{
		"another chain":          {func(spec object) { spec["chain"] = "NetXnHfVqm9iesp" }, "spec.chain: cannot be changed, because each chain has watermark records"},
		"the same by another":    {func(spec object) { spec["chain"] = "NetXdQprcVkpaWU" }, ""},
		"another key":            {func(spec object) { key(spec)["publicKey"] = sppk }, ""},
		"another form":           {service, ""},
		"a template":             {func(spec object) { spec["baker"] = object{"template": object{}}; delete(spec, "placement") }, ""},
		"both":                   {func(spec object) { spec["baker"].(object)["template"] = object{} }, "spec.baker: exactly one of octez"},
		"neither":                {func(spec object) { spec["baker"] = object{} }, "spec.baker: exactly one of octez"},
		"two keys":               {second, "spec.baker.octez.delegate: required"},
		"two keys and which":     {func(spec object) { second(spec); octez(spec)["delegate"] = "tz3LUdmLdpj2ZpVY7uTQfYuxarVykqYXxvPA" }, ""},
		"a key twice":            {func(spec object) { spec["keys"] = []any{key(spec), key(spec)} }, "Duplicate value"},
		"17 keys":                {func(spec object) { spec["keys"] = make([]any, 17) }, "keys"},
		"no delegate's address":  {func(spec object) { octez(spec)["delegate"] = "tz5VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb" }, "tz1… to tz4…"},
		"a node's name":          {func(spec object) { octez(spec)["nodeEndpoint"] = "node:8732" }, "expected http://HOST:PORT"},
		"a password":             {func(spec object) { octez(spec)["dalNode"] = "http://me:secret@node" }, "expected http://HOST:PORT"},
		"a vote":                 {func(spec object) { octez(spec)["liquidityBakingVote"] = "maybe" }, "liquidityBakingVote"},
		"the vote on":            {func(spec object) { octez(spec)["liquidityBakingVote"] = "on" }, ""},
		"the vote off":           {func(spec object) { octez(spec)["liquidityBakingVote"] = "off" }, ""},
		"the vote pass":          {func(spec object) { octez(spec)["liquidityBakingVote"] = "pass" }, ""},
		"no such field":          {func(spec object) { octez(spec)["nodeEndpiont"] = "http://node" }, "nodeEndpiont"},
		"no node":                {func(spec object) { delete(octez(spec), "nodeEndpoint") }, "nodeEndpoint"},
		"both ways of nodes":     {func(spec object) { octez(spec)["nodeEndpoints"] = []any{"http://b"} }, "spec.baker.octez: exactly one of nodeEndpoint (one node) and nodeEndpoints"},
		"two nodes":              {nodes("http://a:8732", "https://b/rpc"), ""},
		"a list of one node":     {nodes("http://a:8732"), ""},
		"a list of no nodes":     {nodes(), "nodeEndpoints"},
		"a node twice":           {nodes("http://a", "http://b", "http://a"), "baker.octez.nodeEndpoints: the same node is listed twice"},
		"one of nodes' names":    {nodes("http://a", "b:8732"), "baker.octez.nodeEndpoints: expected http://HOST:PORT"},
		"nine nodes":             {nodes("http://1", "http://2", "http://3", "http://4", "http://5", "http://6", "http://7", "http://8", "http://9"), "nodeEndpoints"},
		"two keys bake":          {func(spec object) { second(spec); octez(spec)["delegates"] = []any{tz3, tz2} }, ""},
		"a list of one key":      {func(spec object) { octez(spec)["delegates"] = []any{tz3} }, ""},
		"a list of no keys":      {func(spec object) { octez(spec)["delegates"] = []any{} }, "delegates"},
		"a delegate twice":       {func(spec object) { octez(spec)["delegates"] = []any{tz3, tz3} }, "baker.octez.delegates: the same key is listed twice"},
		"no delegates' address":  {func(spec object) { octez(spec)["delegates"] = []any{tz3, "tz5VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"} }, "baker.octez.delegates: expected addresses"},
		"both ways of delegates": {func(spec object) { octez(spec)["delegate"] = tz3; octez(spec)["delegates"] = []any{tz3} }, "spec.baker.octez: at most one of delegate"},
		"ballots":                {func(spec object) { key(spec)["allow"] = []any{"block", "ballot"}; key(spec)["ballot"] = []any{"yay"} }, ""},
		"votes without ballots":  {func(spec object) { key(spec)["ballot"] = []any{"yay"} }, "only if allow has ballot"},
		"no such kind":           {func(spec object) { key(spec)["allow"] = []any{"blocks"} }, "allow"},
		"draining by a word":     {func(spec object) { key(spec)["allow"] = []any{"drain_delegate"} }, "allow"},
		"a kind twice":           {func(spec object) { key(spec)["allow"] = []any{"block", "block"} }, "Duplicate value"},
		"clients of a sidecar":   {func(spec object) { key(spec)["authorizedKeys"] = []any{sppk} }, "authorizedKeys only with service"},
		"a client of ML-DSA":     {func(spec object) { service(spec); spec["service"] = object{"authorizedKeys": []any{sppk, mlDSA}} }, "authorizedKeys: an ML-DSA-44 key (mdpk…, tz5…) cannot be used"},
		"one of a key's clients": {func(spec object) { service(spec); key(spec)["authorizedKeys"] = []any{mlDSA} }, "authorizedKeys: an ML-DSA-44 key (mdpk…, tz5…) cannot be used"},
		"a client's address": {func(spec object) {
			service(spec)
			key(spec)["authorizedKeys"] = []any{"tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"}
		}, "authorizedKeys: expected public keys"},
		"a key of ML-DSA":       {func(spec object) { key(spec)["publicKey"] = mlDSA[:200] }, "publicKey: an ML-DSA-44 key (mdpk…, tz5…) cannot be used"},
		"a negative fee":        {func(spec object) { key(spec)["maxFee"] = -1 }, "maxFee"},
		"where a template says": {func(spec object) { spec["baker"] = object{"template": object{}} }, "spec.placement: only with"},
		"a Secret without name": {func(spec object) { spec["imagePullSecrets"] = []any{object{}} }, "imagePullSecrets"},
		"a token of two ways":   {func(spec object) { spec["hsm"].(object)["pkcs11"].(object)["serial"] = "1" }, "exactly one of token"},
		"a PIN by CSI":          {pin(object{"csi": object{"driver": "secrets-store.csi.k8s.io", "volumeAttributes": object{"secretProviderClass": "a"}}, "key": "pin"}), ""},
		"a PIN of two ways":     {pin(object{"secret": "a", "csi": object{"driver": "pins.example"}, "key": "pin"}), "pin: exactly one of secret (the name of a Secret) and csi"},
		"a PIN of no way":       {pin(object{"key": "pin"}), "pin: exactly one of secret (the name of a Secret) and csi"},
		"no driver's name":      {pin(object{"csi": object{"driver": "Secrets_Store"}, "key": "pin"}), "driver: expected the name of a CSI driver"},
		"an attribute's list":   {pin(object{"csi": object{"driver": "pins.example", "volumeAttributes": object{"a": []any{}}}, "key": "pin"}), "volumeAttributes.a"},
		"no PIN":                {func(spec object) { delete(spec["hsm"].(object)["pkcs11"].(object), "pin") }, "pin"},
		"more memory":           {func(spec object) { spec["resources"] = object{"limits": object{"memory": "512Mi", "cpu": 1}} }, ""},
		"claims of the signer":  {func(spec object) { spec["resources"] = object{"claims": []any{}} }, "claims"},
		"a zero too many":       {start(151_819_900), "Check the number of digits"},
		"the highest level":     {start(2_147_483_647), "Check the number of digits"},
		"a high level":          {start(100_000_000), ""},
		"labels of a pod":       {func(spec object) { spec["pod"] = object{"labels": object{"team": "bakers"}} }, ""},
		"labels of a template": {func(spec object) {
			spec["baker"] = object{"template": object{}}
			delete(spec, "placement")
			spec["pod"] = object{}
		}, "spec.pod: only with service or baker.octez"},
		"no time to end":      {func(spec object) { spec["pod"] = object{"terminationGracePeriodSeconds": 1} }, "terminationGracePeriodSeconds"},
		"a variable":          {func(spec object) { spec["env"] = []any{object{"name": "RUST_LOG", "value": "debug"}} }, ""},
		"a variable's name":   {func(spec object) { spec["env"] = []any{object{"name": "A B"}} }, "env: expected the name of a variable"},
		"a variable's Secret": {func(spec object) { spec["env"] = []any{object{"name": "A", "valueFrom": object{}}} }, "valueFrom"},
		"an account's role": {func(spec object) {
			spec["serviceAccount"] = object{"annotations": object{"eks.amazonaws.com/role-arn": "x"}}
		}, ""},
		"an account's name":      {func(spec object) { spec["serviceAccount"] = object{"name": "mine"} }, "name"},
		"seconds of a short day": {func(spec object) { spec["hsm"].(object)["pkcs11"].(object)["exitAfterSeconds"] = 9 }, "exitAfterSeconds"},
	} {
		err := try(c.change)
		if (err == nil) != (c.complain == "") || (err != nil && !strings.Contains(err.Error(), c.complain)) {
			t.Errorf("%s: %v\n  expected: %s", name, err, c.complain)
		}
	}
	// Of a whole one the answer repeats so much that the sentence is cut off by the client. It is not refused for its length.
	err = try(func(spec object) { key(spec)["publicKey"] = mlDSA })
	if err == nil || strings.Contains(err.Error(), "Too long") {
		t.Errorf("a whole key of ML-DSA: %v", err)
	}
}
