// Package chart tests the Helm chart without a cluster: what each value changes, that
// nothing wrong is taken, that the documentation says what is there, and what must be
// true of every object. What the API server makes of it is tested in acceptance/.
//
// This file: the chart as Helm renders it, in objects.
package chart

import (
	"bytes"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	directory = "../../charts/tezos-signer-operator"
	release   = "tezos-signer-operator"
	namespace = "tezos-signer-system"
)

var write = flag.Bool("write", false, "write what is generated (README.md of the chart, testdata/switches/*.diff) instead of comparing it")

// Users install with either. The other tests take the first: both render the same.
var helms = []string{"../../target/tools/helm", "../../target/tools/helm4"}

// object is one that the chart makes, as text with its comments and as what the text means.
type object struct {
	Source, Text string
	Kind         string
	Metadata     struct {
		Name, Namespace     string
		Labels, Annotations map[string]string
	}
	fields map[string]any
}

func (o object) String() string {
	if o.Metadata.Namespace == "" {
		return o.Kind + " " + o.Metadata.Name
	}
	return o.Kind + " " + o.Metadata.Namespace + "/" + o.Metadata.Name
}

// run is helm's output, and what it said if it failed.
func run(helm string, args ...string) (string, error) {
	command := exec.Command(helm, args...)
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", helm, strings.Join(args, " "), err, &failure)
	}
	return string(output), nil
}

func template(helm string, args ...string) (string, error) {
	return run(helm, append([]string{"template", release, directory, "--namespace", namespace}, args...)...)
}

// render is what the chart makes with these arguments of helm, by kind and name.
func render(t *testing.T, helm string, args ...string) map[string]object {
	t.Helper()
	text, err := template(helm, args...)
	if err != nil {
		t.Fatalf("%v (make tools builds it)", err)
	}
	return objectsOf(t, text)
}

// objectsOf is what helm has printed, by kind and name.
func objectsOf(t *testing.T, text string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if err := yaml.UnmarshalStrict([]byte(document), &o.fields); err != nil { // no key twice
			t.Fatalf("%v in\n%s", err, document)
		}
		if o.Kind == "" {
			continue // a comment alone
		}
		source, rest, _ := strings.Cut(strings.TrimPrefix(document, "\n"), "\n")
		o.Source, o.Text = strings.TrimPrefix(source, "# Source: tezos-signer-operator/"), strings.TrimSpace(rest)+"\n"
		if _, twice := objects[o.String()]; twice {
			t.Errorf("%s is there twice", o)
		}
		objects[o.String()] = o
	}
	return objects
}
