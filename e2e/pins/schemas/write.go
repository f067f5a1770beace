//go:build ignore

// Writes the schemas beside it from the types of external-secrets and Sealed Secrets, whose modules are too large for the tests: their
// fields, and which of them are required.
//
//	mkdir /tmp/schemas && cp write.go /tmp/schemas/main.go && cd /tmp/schemas && sed -i '/^.\/go:build/d' main.go && go mod init schemas &&
//	go get github.com/external-secrets/external-secrets@v0.16.2 github.com/bitnami-labs/sealed-secrets@v0.27.1 && go mod tidy && go run . CHECKOUT/e2e/pins/schemas
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	sealed "github.com/bitnami-labs/sealed-secrets/pkg/apis/sealedsecrets/v1alpha1"
	external "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
)

type object = map[string]any

func main() {
	for name, of := range map[string]struct {
		value      any
		apiVersion string
		kind       string
	}{
		"external-secret": {external.ExternalSecret{}, "external-secrets.io/v1", "ExternalSecret"},
		"secret-store":    {external.SecretStore{}, "external-secrets.io/v1", "SecretStore"},
		"sealed-secret":   {sealed.SealedSecret{}, "bitnami.com/v1alpha1", "SealedSecret"},
	} {
		schema := schemaOf(reflect.TypeOf(of.value), map[reflect.Type]bool{})
		properties := schema["properties"].(object)
		delete(properties, "status")
		properties["apiVersion"], properties["kind"] = object{"enum": []string{of.apiVersion}}, object{"enum": []string{of.kind}}
		if name == "secret-store" { // of the hundred providers, the one that is used here
			provider := properties["spec"].(object)["properties"].(object)["provider"].(object)["properties"].(object)
			aws := provider["aws"].(object)
			aws["properties"].(object)["service"] = object{"enum": []string{"SecretsManager", "ParameterStore"}}
			properties["spec"].(object)["properties"].(object)["provider"] = object{"properties": object{"aws": aws}}
		}
		text, err := json.Marshal(schema)
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[1], name+".json"), append(text, '\n'), 0o644)
		}
		if err != nil {
			panic(err)
		}
	}
}

func schemaOf(t reflect.Type, above map[reflect.Type]bool) object {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), above)
	case reflect.Slice:
		return object{"items": schemaOf(t.Elem(), above)}
	case reflect.Struct:
	default:
		return object{}
	}
	if above[t] || t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) {
		return object{}
	}
	above[t] = true
	defer delete(above, t)
	properties, required := object{}, []string{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && field.Anonymous:
			for inner, schema := range schemaOf(field.Type, above)["properties"].(object) {
				properties[inner] = schema
			}
		default:
			properties[name] = schemaOf(field.Type, above)
			if !strings.Contains(options, "omit") && field.Type.Kind() != reflect.Struct {
				required = append(required, name)
			}
		}
	}
	schema := object{"properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}
