// The objects that are applied: manifests/*.yaml filled in, and Secrets.

package stage

import (
	"context"
	"embed"
	"encoding/json"
	"os"
	"strings"
	"text/template"
	"time"

	"signer.tezos.io/e2e/softhsm"
)

//go:embed manifests/*.yaml
var manifestFiles embed.FS

var manifests = template.Must(template.ParseFS(manifestFiles, "manifests/*.yaml"))

const (
	runLabel   = "tezos-signer-e2e/run"
	tokenMount = "/var/lib/softhsm"

	// BakerPinFile is where the baker container of a signer with BakerHasToken has the PIN.
	BakerPinFile = "/run/bench-pin/pin"
)

func fill(file string, values any) (string, error) {
	var text strings.Builder
	err := manifests.ExecuteTemplate(&text, file, values)
	return text.String(), err
}

// Signer is a TezosSigner to be applied.
type Signer struct {
	Name         string
	Keys         []*Key
	InitialLevel int
	NotAfter     time.Time
	// BakerHasToken mounts the token and the PIN into the baker container too: for
	// the benchmark only, which asks the token itself.
	BakerHasToken bool
	// BakerEndsAfter is how many seconds the baker takes to end, as one that has a node or a signature to finish.
	BakerEndsAfter int
	// Octez has the operator write the pod of an Octez baker, played by octez-stand-in, which signs with the last key.
	Octez bool
	// BakerArguments are more of that baker's.
	BakerArguments []string
	// OnSpareNode has the baker run on that node of the local cluster as long as there is one.
	OnSpareNode bool
	// Replicas are the signers behind a Service; 0 means a baker instead.
	Replicas int
	// AuthorizedKeys are those of the Service's clients; none means that whoever reaches it may ask.
	AuthorizedKeys []string
	// TLSSecret has their certificate, and the authority of their clients'; empty means plain HTTP.
	TLSSecret string
}

// Manifest is the TezosSigner as YAML.
func (s *Stage) Manifest(signer *Signer) (string, error) {
	player, err := Image(s.Checkout, "octez-player")
	if err != nil {
		return "", err
	}
	standIn, delegate := "", ""
	if signer.Octez {
		delegate = signer.Keys[len(signer.Keys)-1].PublicKeyHash
		if standIn, err = Image(s.Checkout, "octez-stand-in"); err != nil {
			return "", err
		}
	}
	files, err := s.Token.PackFor(tokenMount)
	if err != nil {
		return "", err
	}
	return fill("signer.yaml", map[string]any{
		"Signer": signer, "Namespace": s.Namespace, "Run": s.Run, "PlayerImage": player, "OctezImage": standIn, "Delegate": delegate,
		"NotAfter": signer.NotAfter.UTC().Format(time.RFC3339),
		"Module":   softhsm.Module, "Token": s.Token.Label, "TokenFiles": files, "TokenMount": tokenMount,
		"TokenSecret": s.tokenSecret(), "PinSecret": s.pinSecret(), "BenchPinSecret": s.benchPinSecret(), "PinDirectory": strings.TrimSuffix(BakerPinFile, "/pin"),
	})
}

// ApplySigner applies the manifest.
func (s *Stage) ApplySigner(ctx context.Context, signer *Signer) error {
	manifest, err := s.Manifest(signer)
	if err != nil {
		return err
	}
	return s.Cluster.Apply(ctx, manifest)
}

func (s *Stage) tokenSecret() string { return "token-" + s.Run }
func (s *Stage) pinSecret() string   { return "pin-" + s.Run }

// benchPinSecret has the same PIN: that of a TezosSigner is refused to its baker.
func (s *Stage) benchPinSecret() string { return "bench-pin-" + s.Run }

// ApplySecrets applies the token's files and, apart from them, its PIN: when all
// keys are made, and again whenever one is added.
func (s *Stage) ApplySecrets(ctx context.Context) error {
	files, err := s.Token.PackFor(tokenMount)
	if err != nil {
		return err
	}
	pin, err := os.ReadFile(s.Token.PinFile)
	if err != nil {
		return err
	}
	token := map[string][]byte{}
	for _, file := range files {
		token[file.Key] = file.Content
	}
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		s.secret(s.tokenSecret(), token),
		s.secret(s.pinSecret(), map[string][]byte{"pin": pin}), s.secret(s.benchPinSecret(), map[string][]byte{"pin": pin}),
	}})
	if err != nil {
		return err
	}
	return s.Cluster.Apply(ctx, string(list))
}

// ApplySecret applies a Secret that Clear removes.
func (s *Stage) ApplySecret(ctx context.Context, name string, data map[string][]byte) error {
	text, err := json.Marshal(s.secret(name, data))
	if err != nil {
		return err
	}
	return s.Cluster.Apply(ctx, string(text))
}

func (s *Stage) secret(name string, data map[string][]byte) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "data": data, // []byte is base64 in JSON
		"metadata": map[string]any{"name": name, "namespace": s.Namespace, "labels": map[string]string{runLabel: s.Run}},
	}
}
