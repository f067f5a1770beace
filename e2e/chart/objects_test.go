package chart

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fields"
)

const everyValueFile = "testdata/everything.yaml"

// What remembers and guards what was signed outlives the chart, and nothing else does.
func TestWhatIsKeptOnUninstall(t *testing.T) {
	kept := []string{
		"CustomResourceDefinition tezossigners.signer.tezos.io",
		"CustomResourceDefinition tezossignersidecars.signer.tezos.io",
		"MutatingAdmissionPolicy tezos-signer-inject",
		"MutatingAdmissionPolicyBinding tezos-signer-inject",
		"Namespace tezos-signer-records",
		"Role tezos-signer-records/tezos-signer-break-glass",
		"RoleBinding tezos-signer-records/tezos-signer-break-glass",
	}
	for _, policy := range []string{"records-rise", "records-stay", "records-writers", "pods", "workloads", "configurations", "tokens", "endpoints",
		"injected-pods", "injected-sidecars", "injected-changes", "sidecars"} {
		kept = append(kept, "ValidatingAdmissionPolicy tezos-signer-"+policy, "ValidatingAdmissionPolicyBinding tezos-signer-"+policy)
	}
	for name, o := range render(t, helms[0], "--values", everyValueFile) {
		if keeps := o.Metadata.Annotations["helm.sh/resource-policy"] == "keep"; keeps != slices.Contains(kept, name) {
			t.Errorf("%s is kept: %v", name, keeps)
		}
	}
}

// Who reads a role must learn why each right is there. And there is none on Secrets, and none by asterisk.
func TestEveryRightHasAReason(t *testing.T) {
	rule := regexp.MustCompile(`(?m)^(.*)\n- apiGroups:`)
	for name, o := range render(t, helms[0], "--values", everyValueFile) {
		if o.Kind != "Role" && o.Kind != "ClusterRole" {
			continue
		}
		rules, _ := fields.At(o.fields, "rules").([]any)
		lines := rule.FindAllStringSubmatch(o.Text, -1)
		if len(rules) == 0 || len(lines) != len(rules) {
			t.Errorf("%s: %d rules, %d found in the text", name, len(rules), len(lines))
		}
		for _, line := range lines {
			if !strings.HasPrefix(line[1], "#") {
				t.Errorf("%s: a rule without a comment above it, after %q", name, line[1])
			}
		}
		if strings.Contains(o.Text, "*") || regexp.MustCompile(`(?m)^  resources: .*\bsecrets\b`).MatchString(o.Text) {
			t.Errorf("%s has rights on Secrets or on everything:\n%s", name, o.Text)
		}
	}
}

// Whoever may make a TezosSigner can claim a key of anybody's, or spoil it: that is not for everybody who may run pods.
func TestOnlyAdminsWriteTezosSigners(t *testing.T) {
	for verb, roles := range map[string]string{"get": "admin edit view", "create": "admin", "delete": "admin"} {
		var have []string
		for _, o := range render(t, helms[0]) {
			rules, _ := fields.At(o.fields, "rules").([]any)
			may := slices.ContainsFunc(rules, func(rule any) bool {
				resources, _ := fields.At(rule, "resources").([]any)
				verbs, _ := fields.At(rule, "verbs").([]any)
				return slices.Contains(resources, any("tezossigners")) && slices.Contains(verbs, any(verb))
			})
			for label := range o.Metadata.Labels {
				if to, is := strings.CutPrefix(label, "rbac.authorization.k8s.io/aggregate-to-"); is && may {
					have = append(have, to)
				}
			}
		}
		slices.Sort(have)
		if got := strings.Join(have, " "); got != roles {
			t.Errorf("%s TezosSigners: %q may, not %q", verb, got, roles)
		}
	}
}

// With watchNamespaces the operator has no right outside of them and of the records' namespace.
func TestWatchedNamespacesAreAllThatTheOperatorReaches(t *testing.T) {
	everywhere := render(t, helms[0])["ClusterRole "+release]
	objects := render(t, helms[0], "--set-json", `watchNamespaces=["bakers","more-bakers"]`)
	bound := map[string]bool{}
	for name, o := range objects {
		switch o.Kind {
		case "ClusterRoleBinding":
			t.Errorf("%s gives rights everywhere", name)
		case "RoleBinding":
			if fields.At(o.fields, "subjects", 0, "kind") == "ServiceAccount" {
				bound[o.Metadata.Namespace] = true
			}
		}
	}
	if want := map[string]bool{"bakers": true, "more-bakers": true, "tezos-signer-records": true}; !reflect.DeepEqual(bound, want) {
		t.Errorf("the operator has rights in %v", bound)
	}
	for _, name := range []string{"bakers", "more-bakers"} {
		role := objects["Role "+name+"/"+release]
		if len(role.fields) == 0 || !reflect.DeepEqual(role.fields["rules"], everywhere.fields["rules"]) {
			t.Errorf("in %s the rights are not those that it has everywhere without watchNamespaces: %v", name, role.fields["rules"])
		}
	}
}

// The Pod Security Standard "restricted", by which the namespace may be guarded.
func TestTheOperatorIsRestricted(t *testing.T) {
	pod := fields.At(render(t, helms[0])["Deployment "+namespace+"/"+release].fields, "spec", "template", "spec")
	container := fields.At(pod, "containers", 0, "securityContext")
	for what, is := range map[string]bool{
		"runAsNonRoot":             fields.At(pod, "securityContext", "runAsNonRoot") == true,
		"a numeric user":           fields.At(pod, "securityContext", "runAsUser") == float64(65532),
		"seccompProfile":           fields.At(pod, "securityContext", "seccompProfile", "type") == "RuntimeDefault",
		"allowPrivilegeEscalation": fields.At(container, "allowPrivilegeEscalation") == false,
		"capabilities":             reflect.DeepEqual(fields.At(container, "capabilities"), map[string]any{"drop": []any{"ALL"}}),
		"readOnlyRootFilesystem":   fields.At(container, "readOnlyRootFilesystem") == true,
		"a limit of memory":        fields.At(pod, "containers", 0, "resources", "limits", "memory") != nil,
		"one container, no volume": len(fields.At(pod, "containers").([]any)) == 1 && fields.At(pod, "volumes") == nil,
		"nothing of the host":      fields.At(pod, "hostNetwork") == nil && fields.At(pod, "hostPID") == nil && fields.At(pod, "hostIPC") == nil,
	} {
		if !is {
			t.Errorf("%s is not as it must be: %v", what, pod)
		}
	}
}

// A selector that selects nothing is silent: no metrics, no policy, no budget.
func TestSelectorsFindTheirPods(t *testing.T) {
	checkSelectors(t, nil)
}

// Whatever labels somebody wants for his own ends: the chart's own win, then those of one object, then the common ones.
func TestLabelsThatAreSetTwiceBreakNoSelector(t *testing.T) {
	args := []string{"--set-json", `commonLabels={"app.kubernetes.io/name":"mine","release":"common","team":"bakers"}`,
		"--set-json", `podLabels={"app.kubernetes.io/instance":"mine","team":"pods"}`, "--set-json", `podMonitor.labels={"release":"monitor"}`}
	checkSelectors(t, args)
	objects := render(t, helms[0], append([]string{"--values", everyValueFile}, args...)...)
	monitor := objects["PodMonitor monitoring/"+release+"-signers"].Metadata.Labels
	pod, _ := fields.At(objects["Deployment "+namespace+"/"+release].fields, "spec", "template", "metadata", "labels").(map[string]any)
	if monitor["release"] != "monitor" || monitor["team"] != "bakers" || pod["team"] != "pods" || pod["release"] != "common" {
		t.Errorf("the PodMonitor has %v, the pod %v", monitor, pod)
	}
}

// A namespace may be called 2024, or null.
func TestNamesAreTexts(t *testing.T) {
	args := []string{"--values", everyValueFile, "--namespace", "2024", "--set-json", `watchNamespaces=["2025"]`}
	for _, value := range []string{"podMonitor", "serviceMonitor", "prometheusRule", "grafanaDashboard"} {
		args = append(args, "--set-string", value+".namespace=2026")
	}
	args = append(args, "--set-string", "priorityClassName=2027")
	found := map[string]bool{}
	for _, o := range render(t, helms[0], args...) {
		found[o.Metadata.Namespace] = true
		if subject := fields.At(o.fields, "subjects", 0); fields.At(subject, "kind") == "ServiceAccount" && fields.At(subject, "namespace") != "2024" {
			t.Errorf("%s: %v", o, subject)
		}
	}
	if !found["2024"] || !found["2025"] || !found["2026"] {
		t.Errorf("there are objects in %v", found)
	}
	if notes := notes(t, "--set-json", `watchNamespaces=["2025"]`); !strings.Contains(notes, `namespace: "2025"}`) {
		t.Errorf("the example is for another namespace:\n%s", notes)
	}
}

func checkSelectors(t *testing.T, args []string) {
	t.Helper()
	objects := render(t, helms[0], append([]string{"--values", everyValueFile}, args...)...)
	deployment := objects["Deployment "+namespace+"/"+release]
	operator := fields.At(deployment.fields, "spec", "template", "metadata", "labels").(map[string]any)
	for _, selector := range []any{
		fields.At(deployment.fields, "spec", "selector", "matchLabels"),
		fields.At(objects["PodDisruptionBudget "+namespace+"/"+release].fields, "spec", "selector", "matchLabels"),
		fields.At(objects["NetworkPolicy "+namespace+"/"+release].fields, "spec", "podSelector", "matchLabels"),
	} {
		checkSelects(t, selector, operator)
	}

	monitor := objects["PodMonitor monitoring/"+release+"-signers"].fields
	policy := objects["NetworkPolicy "+namespace+"/"+release].fields
	// The pods that the operator makes, as its own tests say.
	for golden, containers := range map[string]string{"golden.yaml": "initContainers", "golden-service.yaml": "containers"} {
		signers := deploymentOf(t, "../../operator/src/build/"+golden)
		labels := fields.At(signers, "spec", "template", "metadata", "labels").(map[string]any)
		checkSelects(t, fields.At(monitor, "spec", "selector", "matchLabels"), labels)
		checkSelects(t, fields.At(policy, "spec", "egress", 1, "to", 0, "podSelector", "matchLabels"), labels)
		ports, _ := fields.At(signers, "spec", "template", "spec", containers, 0, "ports").([]any)
		scraped := slices.ContainsFunc(ports, func(port any) bool {
			return fields.At(port, "name") == fields.At(monitor, "spec", "podMetricsEndpoints", 0, "port") &&
				fields.At(port, "containerPort") == fields.At(policy, "spec", "egress", 1, "ports", 0, "port")
		})
		if !scraped {
			t.Errorf("%s: no port of %v is the one of the PodMonitor and of the NetworkPolicy", golden, ports)
		}
	}
	// The operator's own metrics: by a Service here, by a PodMonitor where that is wanted.
	service := objects["Service "+namespace+"/"+release+"-metrics"]
	checkSelects(t, fields.At(service.fields, "spec", "selector"), operator)
	byService := objects["ServiceMonitor monitoring/"+release].fields
	checkSelects(t, fields.At(byService, "spec", "selector", "matchLabels"), fields.At(service.fields, "metadata", "labels").(map[string]any))
	byPod := render(t, helms[0], append([]string{"--set", "podMonitor.enabled=true"}, args...)...)["PodMonitor "+namespace+"/"+release].fields
	checkSelects(t, fields.At(byPod, "spec", "selector", "matchLabels"), operator)
	port := fields.At(deployment.fields, "spec", "template", "spec", "containers", 0, "ports", 0, "name")
	for what, scraped := range map[string]any{
		"the PodMonitor":     fields.At(byPod, "spec", "podMetricsEndpoints", 0, "port"),
		"the Service":        fields.At(service.fields, "spec", "ports", 0, "targetPort"),
		"the ServiceMonitor": fields.At(byService, "spec", "endpoints", 0, "port"),
	} {
		if port == nil || scraped != port || fields.At(service.fields, "spec", "ports", 0, "name") != port {
			t.Errorf("%s has the port %v, the operator has %v", what, scraped, port)
		}
	}
	for _, port := range fields.At(deployment.fields, "spec", "template", "spec", "containers", 0, "ports").([]any) {
		if fields.At(port, "containerPort") != fields.At(policy, "spec", "ingress", 0, "ports", 0, "port") {
			t.Errorf("the probes' port %v is not let in", port)
		}
	}
}

func checkSelects(t *testing.T, selector any, labels map[string]any) {
	t.Helper()
	wanted, _ := selector.(map[string]any)
	if len(wanted) == 0 {
		t.Error("no selector")
	}
	for key, value := range wanted {
		if labels[key] != value {
			t.Errorf("the selector wants %s: %v, the pods have %v", key, value, labels)
		}
	}
}

func deploymentOf(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		if o["kind"] == "Deployment" {
			return o
		}
	}
	t.Fatalf("%s has no Deployment", file)
	return nil
}

// What users copy has fields that exist.
func TestTheExamplesFitTheDefinition(t *testing.T) {
	crd := render(t, helms[0])["CustomResourceDefinition tezossigners.signer.tezos.io"].fields
	root := fields.At(crd, "spec", "versions", 0, "schema", "openAPIV3Schema")

	var examples []map[string]any
	annotation(t, chartFile(t), "crdsExamples", &examples)
	manifest, isThere := cutOut(notes(t), "<<'EOF'\n", "\nEOF\n")
	var example map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &example); err != nil || !isThere {
		t.Fatalf("the notes have no manifest: %v in\n%s", err, manifest)
	}
	examples = append(examples, example)
	if len(examples) != 2 {
		t.Errorf("%d examples", len(examples))
	}
	if watched := notes(t, "--set-json", `watchNamespaces=["bakers"]`); !strings.Contains(watched, `namespace: "bakers"}`) {
		t.Errorf("the example is for a namespace that is not watched:\n%s", watched)
	}
	for _, example := range examples {
		if example["kind"] != "TezosSigner" || example["apiVersion"] != "signer.tezos.io/v1alpha1" {
			t.Errorf("an example of %v %v", example["apiVersion"], example["kind"])
		}
		fields.Check(t, "spec", example["spec"], fields.At(root, "properties", "spec"))
	}
}

// notes is what Helm says after an installation: it prints them for a cluster only, so a
// copy of the chart has them in an object.
func notes(t *testing.T, args ...string) string {
	t.Helper()
	chart := t.TempDir()
	if err := os.CopyFS(chart, os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	const object = `notes: {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}`
	if err := os.WriteFile(chart+"/templates/notes.yaml", []byte(object), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := run(helms[0], append([]string{"template", release, chart, "--namespace", namespace, "--show-only", "templates/notes.yaml"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var rendered struct{ Notes string }
	if err := yaml.Unmarshal([]byte(text), &rendered); err != nil {
		t.Fatal(err)
	}
	return rendered.Notes
}

func cutOut(text, begin, end string) (string, bool) {
	_, text, isThere := strings.Cut(text, begin)
	text, _, isWhole := strings.Cut(text, end)
	return text, isThere && isWhole
}
