// The objects that the demo applies: manifests/*.yaml filled in, and Secrets.

package main

import (
	"embed"
	"encoding/json"
	"os"
	"strings"
	"text/template"
	"time"

	"signer.tezos.io/e2e/scenario"
	"signer.tezos.io/e2e/softhsm"
)

//go:embed manifests/*.yaml
var manifestFiles embed.FS

var manifests = template.Must(template.ParseFS(manifestFiles, "manifests/*.yaml"))

const (
	runLabel    = "tezos-signer-demo/run"
	tokenSecret = "demo-token"
	pinSecret   = "demo-pin"
	tokenMount  = "/var/lib/softhsm"
)

// render fills in one manifest; s is the TezosSigner it is about, or nil.
func (d *demo) render(file string, s *signer) (string, error) {
	values := map[string]any{
		"Namespace": namespace, "RecordsNamespace": recordsNamespace, "Run": d.run,
		"Module": softhsm.Module, "TokenMount": tokenMount,
		"TokenSecret": tokenSecret + "-" + d.run, "PinSecret": pinSecret + "-" + d.run,
		"InitialLevel": scenario.InitialLevel, "NotAfter": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}
	if s != nil {
		image, err := d.image("octez-player")
		if err != nil {
			return "", err
		}
		files, err := d.token.PackFor(tokenMount)
		if err != nil {
			return "", err
		}
		values["Name"], values["Keys"], values["PlayerImage"] = s.name, s.keys, image
		values["Token"], values["TokenFiles"], values["BakerHasToken"] = d.token.Label, files, s == &d.bench
		if s.pod != nil {
			values["ServiceAccount"], values["BenchRecord"] = s.pod.Spec.ServiceAccountName, benchRecord(d.run)
		}
	}
	var text strings.Builder
	err := manifests.ExecuteTemplate(&text, file, values)
	return text.String(), err
}

// secrets are the token's files and, apart from them, its PIN.
func (d *demo) secrets() (string, error) {
	files, err := d.token.PackFor(tokenMount)
	if err != nil {
		return "", err
	}
	pin, err := os.ReadFile(d.token.PinFile)
	if err != nil {
		return "", err
	}
	token := map[string][]byte{}
	for _, file := range files {
		token[file.Key] = file.Content
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		d.secret(tokenSecret, token), d.secret(pinSecret, map[string][]byte{"pin": pin}),
	}})
	return string(list), err
}

func (d *demo) secret(name string, data map[string][]byte) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "data": data, // []byte is base64 in JSON
		"metadata": map[string]any{"name": name + "-" + d.run, "namespace": namespace, "labels": map[string]string{runLabel: d.run}},
	}
}
