// Package infrastructure tests deploy/: the Terraform modules and their examples, the eksctl files, and the table of docs/costs.md.
// Nothing here reaches AWS.
//
// This file: Terraform's own word on the modules. Terraform reads and applies them, with providers that have the real ones' schemas and
// make nothing (provider/).
package infrastructure

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fields"
)

const checkout = "../.."

var write = flag.Bool("write", false, "write what is generated (the chart's values in e2e/chart/testdata, the table in docs/costs.md) instead of comparing it")

// What a reader of the examples sets.
var variables = map[string]string{
	"region":              "eu-central-1",
	"availability_zones":  `["eu-central-1a", "eu-central-1b", "eu-central-1c"]`,
	"public_access_cidrs": `["198.51.100.7/32"]`,
}

// As `make images` names them.
const (
	operatorImage = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/bakers/tezos-signer-operator:0123456789ab"
	signerImage   = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/bakers/tezos-signer:0123456789ab"
)

// A new module is formatted, and each of its variables and outputs says what it is.
func TestTheModulesAreExplained(t *testing.T) {
	name := regexp.MustCompile(`(?m)^(variable|output) "(\w+)" \{\n((?:  .*\n|\n)*)\}`)
	for _, file := range glob(t, "deploy/terraform/*/*/*.tf") {
		text := read(t, file)
		if strings.Count(text, "\nvariable \"")+strings.Count(text, "\noutput \"") > len(name.FindAllString(text, -1)) {
			t.Errorf("%s: a variable or output that is not in Terraform's format", file)
		}
		for _, found := range name.FindAllStringSubmatch(text, -1) {
			if description := regexp.MustCompile(`(?m)^  description = "(.*)"$`).FindStringSubmatch(found[3]); description == nil || !strings.HasSuffix(description[1], ".") {
				t.Errorf("%s: %s %s has no description of whole sentences", file, found[1], found[2])
			}
			if found[1] == "variable" && !strings.Contains(found[3], "\n  type ") {
				t.Errorf("%s: %s has no type", file, found[2])
			}
		}
	}
	readme := read(t, "deploy/terraform/README.md")
	for _, module := range glob(t, "deploy/terraform/*/*") {
		if link := strings.TrimPrefix(module, "deploy/terraform/"); !strings.Contains(readme, "]("+link+")") {
			t.Errorf("deploy/terraform/README.md does not name %s", link)
		}
	}
}

// Each variable of each module is set at least once in what is applied below.
func TestEveryVariableIsTried(t *testing.T) {
	everything := read(t, "e2e/infrastructure/testdata/everything/main.tf")
	for _, module := range glob(t, "deploy/terraform/modules/*") {
		_, call, found := strings.Cut(everything, `/`+filepath.Base(module)+"\"\n")
		call, _, _ = strings.Cut(call, "\n}\n")
		if !found {
			t.Errorf("testdata/everything has no %s", module)
		}
		for _, variable := range regexp.MustCompile(`(?m)^variable "(\w+)"`).FindAllStringSubmatch(read(t, module+"/variables.tf"), -1) {
			if !regexp.MustCompile(`(?m)^  ` + variable[1] + ` += `).MatchString(call) {
				t.Errorf("testdata/everything does not set %s of %s", variable[1], module)
			}
		}
	}
}

func TestTerraformTakesTheModules(t *testing.T) {
	t.Parallel()
	tf := newTerraform(t)
	tf.run(tf.directory("deploy/terraform"), "fmt", "-check", "-recursive", "-diff")
	// By itself: a module must not need what a caller happens to have.
	for _, module := range glob(t, "deploy/terraform/modules/*") {
		tf.run(tf.directory(module), "init", "-backend=false")
		tf.run(tf.directory(module), "validate")
	}
	applied := everything(t)

	// The chart takes each value that the module can set, and the caller's own win.
	args := []string{"template", "release", filepath.Join(checkout, "charts/tezos-signer-operator")}
	values, _ := applied.of("helm_release")[0]["values"].([]any)
	for i, text := range values {
		file := filepath.Join(tf.work, fmt.Sprint("values-", i, ".yaml"))
		if err := os.WriteFile(file, []byte(text.(string)), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--values", file)
	}
	output, err := exec.Command(filepath.Join(checkout, "target/tools/helm"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, part := range []string{"kind: PodMonitor", "kind: PrometheusRule", "release: kube-prometheus-stack", "interval: 30s", `value: "debug"`, "team: platform", "grafana_dashboard"} {
		if !strings.Contains(string(output), part) {
			t.Errorf("with everything that the module chart can set, the chart has no %s", part)
		}
	}
}

var once struct {
	sync.Mutex
	applied *state
}

// everything is what is there after an apply of testdata/everything, which takes a while.
func everything(t *testing.T) state {
	t.Helper()
	once.Lock()
	defer once.Unlock()
	if once.applied == nil {
		applied := newTerraform(t).apply("e2e/infrastructure/testdata/everything", nil)
		once.applied = &applied
	}
	return *once.applied
}

// The three applies of the guide: without images; with them; and with all HSMs.
func TestTheExamplesAreApplied(t *testing.T) {
	t.Parallel()
	tf := newTerraform(t)
	images := map[string]string{"operator_image": operatorImage, "signer_image": signerImage}

	first := tf.apply("deploy/terraform/examples/one-baker-cloudhsm", variables)
	if len(first.of("helm_release")) != 0 || len(first.of("aws_cloudhsm_v2_hsm")) != 1 {
		t.Errorf("the first apply makes %d releases and %d HSMs", len(first.of("helm_release")), len(first.of("aws_cloudhsm_v2_hsm")))
	}
	withHSM := tf.apply("deploy/terraform/examples/one-baker-cloudhsm", variables, images, map[string]string{"initialised": "true"})
	if got := len(withHSM.of("aws_cloudhsm_v2_hsm")); got != 3 {
		t.Errorf("after the initialisation there are %d HSMs", got)
	}
	withKMS := tf.apply("deploy/terraform/examples/one-baker-kms", variables, images)

	// What Terraform gives the chart is a switch of the chart, so it goes through the chart's own tests: by both Helms, and on an API server.
	for _, state := range []state{withHSM, withKMS} {
		releases := state.of("helm_release")
		if len(releases) != 1 {
			t.Fatalf("%d releases", len(releases))
		}
		values, _ := releases[0]["values"].([]any)
		if len(values) != 2 || values[1] != "{}\n" {
			t.Fatalf("the chart's values: %q", values)
		}
		const file = "e2e/chart/testdata/switches/terraform.yaml"
		wanted := "# What deploy/terraform writes: go -C e2e test ./infrastructure -write.\n" + values[0].(string)
		if *write {
			if err := os.WriteFile(filepath.Join(checkout, file), []byte(wanted), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if read(t, file) != wanted {
			t.Errorf("%s is not what deploy/terraform writes; if it should be, run go -C e2e test ./infrastructure -write. Now it would be:\n%s", file, wanted)
		}
		if chart, _ := releases[0]["chart"].(string); !strings.HasSuffix(filepath.Clean(chart), "charts/tezos-signer-operator") {
			t.Errorf("the chart is %s", chart)
		}
	}

	// What a reader applies next, once he has filled in what only he knows.
	fill := strings.NewReplacer("PUBLIC-KEY", "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk", "LAST-LEVEL", "15181990", "HALF-AN-HOUR-FROM-NOW", "2026-12-01T00:00:00Z")
	var definition map[string]any
	decode(t, read(t, "crds/tezossigners.signer.tezos.io.yaml"), &definition)
	schema := fields.At(definition, "spec", "versions", 0, "schema", "openAPIV3Schema", "properties", "spec")
	for _, state := range []state{withHSM, withKMS} {
		text, _ := state.outputs["tezossigner"].(string)
		documents := strings.Split(fill.Replace(text), "\n---\n")
		var signer, claim map[string]any
		decode(t, documents[0], &signer)
		decode(t, documents[1], &claim)
		fields.Check(t, "spec", signer["spec"], schema)
		if name := fields.At(signer, "spec", "baker", "octez", "volumeClaim"); name != fields.At(claim, "metadata", "name") || claim["kind"] != "PersistentVolumeClaim" {
			t.Errorf("the disk is %v, of a %v %v", name, claim["kind"], fields.At(claim, "metadata", "name"))
		}
	}
	// The nodes that reach the HSMs are those that the TezosSigner asks for.
	for _, group := range withHSM.of("aws_eks_node_group") {
		if isBakers := group["node_group_name"] == "bakers"; isBakers != (fields.At(group, "labels", "node-group") == "bakers") || isBakers != (len(group["taint"].([]any)) == 1) {
			t.Errorf("the node group %v has the labels %v and the taints %v", group["node_group_name"], group["labels"], group["taint"])
		}
	}
	for _, template := range withHSM.of("aws_launch_template") {
		groups, _ := template["vpc_security_group_ids"].([]any)
		if reaches := slices.Contains(groups, any("aws_security_group.id")); reaches != strings.HasSuffix(template["name"].(string), "-bakers") {
			t.Errorf("%v has the security groups %v", template["name"], groups)
		}
		if hops := fields.At(template, "metadata_options", 0, "http_put_response_hop_limit"); hops != float64(1) {
			t.Errorf("%v lets pods reach the node's credentials: %v", template["name"], hops)
		}
	}
}

// terraform is Terraform or OpenTofu with providers of the tests, in a copy of the modules: it writes where it runs.
type terraform struct {
	t             *testing.T
	program, work string
}

func newTerraform(t *testing.T) terraform {
	t.Helper()
	if os.Getenv("E2E") != "1" {
		t.Skip("needs Terraform or OpenTofu: make terraform-test")
	}
	tf := terraform{t: t, work: t.TempDir()}
	built, err := filepath.Abs(filepath.Join(checkout, "target/tools/tofu"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"terraform", "tofu", built} {
		if path, err := exec.LookPath(name); err == nil && tf.program == "" {
			tf.program = path
		}
	}
	if tf.program == "" {
		t.Fatal("neither terraform nor tofu is in PATH: e2e/cluster/install tofu builds tofu then")
	}
	for _, folder := range []string{"deploy", "e2e/infrastructure/testdata"} {
		if err := os.CopyFS(filepath.Join(tf.work, folder), os.DirFS(filepath.Join(checkout, folder))); err != nil {
			t.Fatal(err)
		}
	}
	provider := filepath.Join(tf.work, "provider")
	if output, err := exec.Command("go", "build", "-C", "provider", "-o", provider, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, registry := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		for _, name := range []string{"aws", "helm"} {
			var schema struct{ Version string }
			if err := json.Unmarshal([]byte(read(t, "e2e/infrastructure/schemas/"+name+".json")), &schema); err != nil {
				t.Fatal(err)
			}
			folder := filepath.Join(tf.work, "mirror", registry, "hashicorp", name, schema.Version, runtime.GOOS+"_"+runtime.GOARCH)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(provider, filepath.Join(folder, "terraform-provider-"+name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	configuration := "provider_installation {\n  filesystem_mirror {\n    path = \"" + filepath.Join(tf.work, "mirror") + "\"\n  }\n}\n"
	if err := os.WriteFile(filepath.Join(tf.work, "rc"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	return tf
}

func (tf terraform) directory(folder string) string { return filepath.Join(tf.work, folder) }

func (tf terraform) run(directory string, args ...string) string {
	tf.t.Helper()
	schemas, err := filepath.Abs("schemas")
	if err != nil {
		tf.t.Fatal(err)
	}
	command := exec.Command(tf.program, args...)
	command.Dir = directory
	command.Env = append(os.Environ(), "SCHEMAS="+schemas, "TF_CLI_CONFIG_FILE="+filepath.Join(tf.work, "rc"),
		"CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_INPUT=0", "TF_CLI_ARGS=-no-color")
	output, err := command.CombinedOutput()
	if err != nil {
		tf.t.Fatalf("%s %s in %s: %v\n%s", filepath.Base(tf.program), strings.Join(args, " "), strings.TrimPrefix(directory, tf.work), err, output)
	}
	return string(output)
}

// state is what is there after an apply.
type state struct {
	resources []resource
	outputs   map[string]any
}

type resource struct {
	Address, Type string
	Values        map[string]any
}

// of are the values of the resources of that type.
func (s state) of(type_ string) (found []map[string]any) {
	for _, r := range s.resources {
		if r.Type == type_ {
			found = append(found, r.Values)
		}
	}
	return found
}

func (tf terraform) apply(folder string, sets ...map[string]string) state {
	tf.t.Helper()
	directory := tf.directory(folder)
	tf.run(directory, "init")
	tf.run(directory, "validate")
	args := []string{"apply", "-auto-approve"}
	for _, set := range sets {
		for name, value := range set {
			args = append(args, "-var", name+"="+value)
		}
	}
	tf.run(directory, args...)
	type module struct {
		Resources []resource
		Modules   []module `json:"child_modules"`
	}
	var shown struct {
		Values struct {
			Outputs map[string]struct{ Value any }
			Root    module `json:"root_module"`
		}
	}
	if err := json.Unmarshal([]byte(tf.run(directory, "show", "-json")), &shown); err != nil {
		tf.t.Fatal(err)
	}
	result := state{outputs: map[string]any{}}
	for name, output := range shown.Values.Outputs {
		result.outputs[name] = output.Value
	}
	var walk func(m module)
	walk = func(m module) {
		result.resources = append(result.resources, m.Resources...)
		for _, below := range m.Modules {
			walk(below)
		}
	}
	walk(shown.Values.Root)
	return result
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(checkout, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, none", pattern, err)
	}
	for i := range files {
		files[i] = strings.TrimPrefix(files[i], checkout+"/")
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}
