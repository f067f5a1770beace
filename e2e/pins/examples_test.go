// The examples of docs/pin.md are the files of deploy/pin, their fields are those of the types that they are for, and they fit together: the
// names that one writes and another reads.
//
// schemas/external-secret.json, secret-store.json and sealed-secret.json are written by schemas/write.go from the types of external-secrets
// 0.16.2 and Sealed Secrets 0.27.1. secret-provider-class.json has the fields of the CustomResourceDefinition of the Secrets Store CSI driver
// 1.5 and of the README of AWS' provider, by hand.
package pins

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fields"
)

type object = map[string]any

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents are the objects of a file of deploy/pin, each checked against the schema of its kind.
func documents(t *testing.T, file string) map[string]object {
	t.Helper()
	found := map[string]object{}
	for text := range strings.SplitSeq(read(t, "deploy/pin/"+file), "---\n") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		kind, _ := o["kind"].(string)
		found[kind] = o
		fields.Check(t, kind, o, schema(t, kind))
	}
	return found
}

func schema(t *testing.T, kind string) (schema any) {
	t.Helper()
	name := strings.ToLower(regexp.MustCompile("([a-z])([A-Z])").ReplaceAllString(kind, "$1-$2"))
	if err := json.Unmarshal([]byte(read(t, "e2e/pins/schemas/"+name+".json")), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestTheExamplesOfThePIN(t *testing.T) {
	// As in the document, where blocks in a list are indented.
	document := regexp.MustCompile("(?m)^ +").ReplaceAllString(read(t, "docs/pin.md"), "")
	for _, file := range []string{"secret-provider-class.yaml", "external-secret.yaml", "sealed-secret.yaml"} {
		_, text, _ := strings.Cut(read(t, "deploy/pin/"+file), "\n") // the first line says where it is explained
		if !strings.Contains(document, regexp.MustCompile("(?m)^ +").ReplaceAllString(text, "")) {
			t.Errorf("docs/pin.md does not show deploy/pin/%s as it is", file)
		}
	}

	var signer object
	block := regexp.MustCompile("(?s)```yaml\n(apiVersion: signer.tezos.io.*?)```").FindStringSubmatch(read(t, "docs/pin.md"))
	if block == nil || yaml.UnmarshalStrict([]byte(block[1]), &signer) != nil {
		t.Fatal("docs/pin.md has no TezosSigner")
	}
	pin := fields.At(signer, "spec", "hsm", "cloudHsm", "pin")

	class := documents(t, "secret-provider-class.yaml")["SecretProviderClass"]
	if name := fields.At(class, "metadata", "name"); name != fields.At(pin, "csi", "volumeAttributes", "secretProviderClass") {
		t.Errorf("the TezosSigner names another SecretProviderClass than %v", name)
	}
	if fields.At(class, "metadata", "namespace") != fields.At(signer, "metadata", "namespace") {
		t.Error("the SecretProviderClass is in another namespace than the TezosSigner")
	}
	var secrets []any
	if err := yaml.UnmarshalStrict([]byte(fields.At(class, "spec", "parameters", "objects").(string)), &secrets); err != nil {
		t.Fatal(err)
	}
	fields.Check(t, "objects", secrets, object{"items": fields.At(schema(t, "SecretProviderClass"), "objects")})
	name, _ := fields.At(secrets, 0, "objectName").(string)
	if len(secrets) != 1 || fields.At(secrets, 0, "objectAlias") != fields.At(pin, "key") {
		t.Errorf("the file of the volume is not the key of the PIN: %v", secrets)
	}

	var policy struct{ Statement []object }
	if err := json.Unmarshal([]byte(read(t, "deploy/pin/iam.json")), &policy); err != nil || len(policy.Statement) != 1 {
		t.Fatal(err, policy)
	}
	resource, _ := fields.At(policy.Statement[0], "Resource", 0).(string)
	region, _ := fields.At(class, "spec", "parameters", "region").(string)
	// Secrets Manager adds six characters to the name of a secret in its ARN.
	if !strings.HasSuffix(resource, ":secret:"+name+"-??????") || !strings.Contains(resource, ":"+region+":") {
		t.Errorf("the role may not read %s in %s, but %s", name, region, resource)
	}

	external := documents(t, "external-secret.yaml")
	secret, store := external["ExternalSecret"], external["SecretStore"]
	if fields.At(secret, "spec", "secretStoreRef", "name") != fields.At(store, "metadata", "name") ||
		fields.At(secret, "spec", "data", 0, "remoteRef", "key") != name || fields.At(store, "spec", "provider", "aws", "region") != region {
		t.Error("the ExternalSecret does not lead to the PIN of Secrets Manager")
	}
	sealed := documents(t, "sealed-secret.yaml")["SealedSecret"]
	const wanted = "hsm-pin" // of `kubectl create secret` in the document, and of docs/cloudhsm.md
	for what, found := range map[string]any{
		"the ExternalSecret's": fields.At(secret, "spec", "target", "name"),
		"the SealedSecret's":   fields.At(sealed, "spec", "template", "metadata", "name"),
		"the SealedSecret":     fields.At(sealed, "metadata", "name"), // it is encrypted for this name
	} {
		if found != wanted {
			t.Errorf("%s: %v", what, found)
		}
	}
	encrypted, _ := fields.At(sealed, "spec", "encryptedData").(object)
	if fields.At(secret, "spec", "data", 0, "secretKey") != "pin" || encrypted["pin"] == nil || len(encrypted) != 1 {
		t.Error("the key in the Secret is not pin")
	}
}

// The schemas reject wrong fields: a schema that accepts everything would prove nothing.
func TestTheSchemasRefuse(t *testing.T) {
	for kind, wrong := range map[string]string{
		"SecretProviderClass": "{apiVersion: secrets-store.csi.x-k8s.io/v1, kind: SecretProviderClass, spec: {provider: aws, parameters: {usePodIdentities: 'true'}}}",
		"ExternalSecret":      "{apiVersion: external-secrets.io/v1beta1, kind: ExternalSecret}",
		"SecretStore":         "{apiVersion: external-secrets.io/v1, kind: SecretStore, spec: {provider: {aws: {service: SecretManager, region: x}}}}",
		"SealedSecret":        "{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, spec: {encrypted: {}}}",
	} {
		var o object
		if err := yaml.Unmarshal([]byte(wrong), &o); err != nil {
			t.Fatal(err)
		}
		recorder := &recorder{TB: t}
		fields.Check(recorder, kind, o, schema(t, kind))
		if recorder.errors == 0 {
			t.Errorf("taken: %s", wrong)
		}
	}
}

type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Errorf(string, ...any) { r.errors++ }
