package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fields"
)

// The identities that ask, as flags of kubectl.
var (
	clusterAdmin = []string{}
	editor       = []string{"--as=alice"} // has edit in the bakers' namespace
	operatorUser = []string{"--as=system:serviceaccount:" + namespace + ":" + release}
	breakGlass   = []string{"--as=bob", "--as-group=system:masters", "--as-group=tezos-signer:break-glass"}
	kubeletUser  = []string{"--as=system:node:one", "--as-group=system:nodes", "--as-group=system:masters"}
)

// podPolicyNames are those of templates/pods-policy.yaml. Those of spec.inject are tried by e2e/reconcile, with an operator.
var podPolicyNames = []string{"tezos-signer-pods", "tezos-signer-workloads", "tezos-signer-configurations", "tezos-signer-tokens", "tezos-signer-endpoints"}

func controller(name string) []string {
	return []string{"--as=system:serviceaccount:kube-system:" + name}
}

// podPolicies tries the policies of pods-policy.yaml on an API server.
type podPolicies struct {
	*apiServer
	t        *testing.T
	refusals strings.Builder
}

// refused asks for something that a policy has to refuse, with that in its message.
func (p *podPolicies) refused(what string, who []string, rule, stdin string, args ...string) {
	p.t.Helper()
	_, err := p.Kubectl(stdin, append(args, who...)...)
	switch {
	case err == nil:
		p.t.Errorf("%s, as %v: was let through", what, who)
	case !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'tezos-signer-") || !strings.Contains(err.Error(), rule):
		p.t.Errorf("%s, as %v: was not refused by the rule %q: %v", what, who, rule, err)
	default:
		p.refusals.WriteString(err.Error() + "\n")
	}
}

func (p *podPolicies) allowed(what string, who []string, stdin string, args ...string) {
	p.t.Helper()
	if _, err := p.Kubectl(stdin, append(args, who...)...); err != nil {
		p.t.Errorf("%s, as %v: %v", what, who, err)
	}
}

// The namespace has a baker and signers behind a Service, made as the operator makes them, and real controllers make their
// pods. Whoever else tries to get beside or into them is refused, with a sentence that says what to do; what has nothing to do
// with signers goes through.
func TestOnAnAPIServerOnlyTheOperatorMakesSignersPods(t *testing.T) {
	if os.Getenv("E2E") != "1" {
		t.Skip("not run: it takes half a minute, and E2E=1")
	}
	p := &podPolicies{apiServer: startAPIServer(t), t: t}
	for _, name := range []string{namespace, "bakers", "elsewhere"} {
		p.must(t, "", "create", "namespace", name)
	}
	stop, err := p.StartControllers()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if _, err := run(helms[0], "install", release, directory, "--kubeconfig", p.Kubeconfig(), "--namespace", namespace); err != nil {
		t.Fatal(err)
	}
	// What makes up edit; the controller that puts it together does not run here.
	p.must(t, "", "create", "rolebinding", "edit", "--clusterrole=system:aggregate-to-edit", "--user=alice", "--namespace=bakers")
	p.must(t, "", "create", "rolebinding", "view", "--clusterrole=system:aggregate-to-view", "--user=alice", "--namespace=bakers")

	p.makeSigners()
	pod := p.awaitPod("baker-one")
	p.awaitPolicies()

	t.Run("pods", func(t *testing.T) { p.withT(t).testPods(pod) })
	t.Run("workloads", func(t *testing.T) { p.withT(t).testWorkloads() })
	t.Run("configurations", func(t *testing.T) { p.withT(t).testConfigurations() })
	t.Run("tokens", func(t *testing.T) { p.withT(t).testTokens() })
	t.Run("token requesters", func(t *testing.T) { p.withT(t).testTokenRequesters() })
	t.Run("endpoints", func(t *testing.T) { p.withT(t).testEndpoints() })
	t.Run("other namespaces", func(t *testing.T) { p.withT(t).testOtherWork() })

	for name, o := range render(t, helms[0]) {
		if o.Kind != "ValidatingAdmissionPolicy" || !slices.Contains(podPolicyNames, o.Metadata.Name) {
			continue
		}
		for _, rule := range fields.At(o.fields, "spec", "validations").([]any) {
			if message := fields.At(rule, "message").(string); !strings.Contains(p.refusals.String(), message) {
				t.Errorf("%s: nothing here was refused by this rule: %s", name, message)
			}
		}
	}

	// The signers' pods can go: nothing stands in the way of the namespace.
	p.withT(t).must(t, "", "delete", "pod", p.awaitPod("baker-one"), "--namespace=bakers", "--grace-period=0", "--force")
	p.awaitPod("baker-one")
	p.must(t, "", "delete", "namespace", "bakers", "--wait=false")
	p.await("the namespace is gone", func() bool {
		for _, pod := range strings.Fields(p.must(t, "", "get", "pods", "--namespace=bakers", "--output=name")) {
			p.Kubectl("", "delete", pod, "--namespace=bakers", "--grace-period=0", "--force") // what a kubelet would do
		}
		_, err := p.Kubectl("", "get", "namespace", "bakers")
		return err != nil
	})
}

func (p *podPolicies) withT(t *testing.T) *podPolicies {
	p.t = t
	return p
}

func (p *podPolicies) await(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(90 * time.Second); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not so after 90 s: %s", what)
		}
	}
}

// makeSigners applies what the operator's own tests say that it makes, in its name, which also shows that it may. Without the
// owner, which is not there.
func (p *podPolicies) makeSigners() {
	p.t.Helper()
	var all []string
	for _, file := range []string{"golden.yaml", "golden-service.yaml"} {
		text, err := os.ReadFile("../../operator/src/build/" + file)
		if err != nil {
			p.t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			all = append(all, document)
			// The ServiceAccount and its rights are in one of the two only.
			if kind := kindOf(p.t, document); file == "golden.yaml" && (kind == "ServiceAccount" || kind == "Role" || kind == "RoleBinding") {
				all = append(all, strings.ReplaceAll(document, "baker-one", "signer-one"))
			}
		}
	}
	for i, document := range all {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			p.t.Fatal(err)
		}
		delete(o["metadata"].(map[string]any), "ownerReferences")
		text, err := json.Marshal(o)
		if err != nil {
			p.t.Fatal(err)
		}
		all[i] = string(text)
	}
	for _, document := range all {
		var err error
		p.await("the operator makes "+document, func() bool { // its rights are known a moment after they were given
			_, err = p.Kubectl(document, append([]string{"apply", "--server-side", "--filename=-"}, operatorUser...)...)
			return err == nil || !strings.Contains(err.Error(), "forbidden")
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func kindOf(t *testing.T, document string) string {
	t.Helper()
	var o struct{ Kind string }
	if err := yaml.Unmarshal([]byte(document), &o); err != nil {
		t.Fatal(err)
	}
	return o.Kind
}

// awaitPod waits until the controllers have made a pod of that TezosSigner.
func (p *podPolicies) awaitPod(signer string) string {
	p.t.Helper()
	var name string
	p.await("there is a pod of "+signer, func() bool {
		name = strings.TrimSpace(p.must(p.t, "", "get", "pods", "--namespace=bakers", "--selector=app.kubernetes.io/instance="+signer,
			"--field-selector=status.phase=Pending", "--output=jsonpath={.items[0:1].metadata.name}"))
		return name != ""
	})
	return name
}

// awaitPolicies waits until the API server has taken up each of them, a moment after it was written.
func (p *podPolicies) awaitPolicies() {
	p.t.Helper()
	for _, object := range []string{
		podOf("late", signersLabels, ""), workload("apps/v1", "Deployment", signersLabels, ""), configuration("baker-one-signer-0123456789"),
		tokenSecret("baker-one-signer"), slice("signer-one"),
	} {
		p.await("refused: "+object, func() bool {
			_, err := p.Kubectl(object, createDry...)
			return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy")
		})
	}
}

const signersLabels = `{app.kubernetes.io/name: tezos-signer, app.kubernetes.io/instance: baker-one}`

func podOf(name, labels, account string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: bakers, labels: %s},
  spec: {serviceAccountName: %q, containers: [{name: main, image: example}]}}`, name, labels, account)
}

// workload makes pods with these labels, by that ServiceAccount.
func workload(version, kind, labels, account string) string {
	template := fmt.Sprintf(`{metadata: {labels: %s}, spec: {serviceAccountName: %q, restartPolicy: %s, containers: [{name: main, image: example}]}}`,
		labels, account, map[bool]string{true: "Never", false: "Always"}[version == "batch/v1"])
	spec := fmt.Sprintf(`{selector: {matchLabels: %s}, template: %s}`, labels, template)
	switch kind {
	case "StatefulSet":
		spec = fmt.Sprintf(`{serviceName: x, selector: {matchLabels: %s}, template: %s}`, labels, template)
	case "ReplicationController":
		spec = fmt.Sprintf(`{selector: %s, template: %s}`, labels, template)
	case "Job":
		spec = fmt.Sprintf(`{template: %s}`, template)
	case "CronJob":
		spec = fmt.Sprintf(`{schedule: "* * * * *", jobTemplate: {spec: {template: %s}}}`, template)
	}
	return fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: another, namespace: bakers}, spec: %s}`, version, kind, spec)
}

func configuration(name string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: bakers}, data: {config.yaml: evil}}`, name)
}

func tokenSecret(account string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token,
  metadata: {name: long-lived, namespace: bakers, annotations: {kubernetes.io/service-account.name: %s}}}`, account)
}

func slice(service string) string {
	return fmt.Sprintf(`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, endpoints: [{addresses: [10.9.9.9]}],
  metadata: {name: by-hand, namespace: bakers, labels: {kubernetes.io/service-name: %s}}}`, service)
}

var createDry = []string{"create", "--dry-run=server", "--filename=-"}

func (p *podPolicies) testPods(pod string) {
	const labels, account, kept, inside = "only the operator may create pods", "use its ServiceAccount", "cannot be added to an existing pod", "the containers of a signer's pod cannot be changed"
	ours := []string{"--namespace=bakers", "--dry-run=server"}
	for _, who := range [][]string{editor, clusterAdmin, controller("daemon-set-controller"), controller("job-controller")} {
		p.refused("a pod that the Service finds", who, labels, podOf("beside", signersLabels, ""), createDry...)
	}
	for _, who := range [][]string{editor, clusterAdmin, controller("replicaset-controller"), controller("statefulset-controller")} {
		p.refused("a pod with the ServiceAccount", who, account, podOf("beside", "{app: other}", "baker-one-signer"), createDry...)
	}
	for _, who := range [][]string{breakGlass, controller("replicaset-controller"), {"--as=system:kube-controller-manager", "--as-group=system:masters"}} {
		p.allowed("a pod of a signer", who, podOf("beside", signersLabels, "baker-one-signer"), createDry...)
	}
	for _, who := range [][]string{editor, clusterAdmin} {
		p.refused("the labels off a signer's pod", who, kept, "", append([]string{"label", "pod", pod, "app.kubernetes.io/name-"}, ours...)...)
		p.refused("another instance", who, kept, "", append([]string{"label", "pod", pod, "app.kubernetes.io/instance=signer-one", "--overwrite"}, ours...)...)
		p.refused("another image in a pod that runs", who, inside, "", append([]string{"set", "image", "pod/" + pod, "baker=evil"}, ours...)...)
		p.allowed("another label", who, "", append([]string{"label", "pod", pod, "team=one"}, ours...)...)
		p.allowed("an annotation", who, "", append([]string{"annotate", "pod", pod, "team=one"}, ours...)...)
		p.allowed("deletion", who, "", append([]string{"delete", "pod", pod}, ours...)...)
	}
	p.allowed("another image, on purpose", breakGlass, "", append([]string{"set", "image", "pod/" + pod, "baker=other"}, ours...)...)
	var debugged map[string]any
	if err := json.Unmarshal([]byte(p.must(p.t, "", "get", "pod", pod, "--namespace=bakers", "--output=json")), &debugged); err != nil {
		p.t.Fatal(err)
	}
	debugged["spec"].(map[string]any)["ephemeralContainers"] = []any{map[string]any{
		"name": "debug", "image": "example", "terminationMessagePolicy": "File", "imagePullPolicy": "Always",
	}}
	body, err := json.Marshal(debugged)
	if err != nil {
		p.t.Fatal(err)
	}
	debug := []string{"replace", "--raw", "/api/v1/namespaces/bakers/pods/" + pod + "/ephemeralcontainers?dryRun=All", "--filename=-"}
	p.refused("a container for debugging", clusterAdmin, inside, string(body), debug...)
	p.allowed("a container for debugging, on purpose", breakGlass, string(body), debug...)
	eviction := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":"bakers"},"deleteOptions":{"dryRun":["All"]}}`, pod)
	p.allowed("a drain", clusterAdmin, eviction, "create", "--raw", "/api/v1/namespaces/bakers/pods/"+pod+"/eviction", "--filename=-")
	status := `{"status":{"conditions":[{"type":"e2e/seen","status":"True"}]}}`
	p.allowed("a status", kubeletUser, "", append([]string{"patch", "pod", pod, "--subresource=status", "--type=strategic", "--patch=" + status}, ours...)...)

	// Pods that are no signer's: labels of one cannot come later, and all else may be done to them.
	p.allowed("another pod", editor, podOf("mine", "{app: other}", ""), "create", "--filename=-")
	p.refused("the labels onto another pod", editor, kept, "", "label", "pod", "mine", "app.kubernetes.io/name=tezos-signer", "--namespace=bakers")
	p.allowed("another image of another pod", editor, "", "set", "image", "pod/mine", "main=other", "--namespace=bakers")
	p.allowed("its end", editor, "", "delete", "pod", "mine", "--namespace=bakers", "--grace-period=0", "--force")
	// An account whose name is like a signer's, and that is none.
	p.must(p.t, "", "create", "serviceaccount", "document-signer", "--namespace=bakers")
	p.allowed("a pod with an account of that kind of name", editor, podOf("mine", "{app: other}", "document-signer"), createDry...)
}

func (p *podPolicies) testWorkloads() {
	const makes, changes = "only the operator may create workloads", "only the operator may change the pod template"
	for kind, version := range map[string]string{"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
		"Job": "batch/v1", "CronJob": "batch/v1", "ReplicationController": "v1"} {
		for _, who := range [][]string{editor, clusterAdmin} {
			p.refused("a "+kind, who, makes, workload(version, kind, signersLabels, ""), createDry...)
		}
		p.allowed("a "+kind+", on purpose", breakGlass, workload(version, kind, signersLabels, ""), createDry...)
		p.allowed("another "+kind, editor, workload(version, kind, "{app: other}", "document-signer"), createDry...)
	}
	p.refused("a Deployment by a controller", append(controller("deployment-controller"), "--as-group=system:masters"), makes, workload("apps/v1", "Deployment", signersLabels, ""), createDry...)
	p.allowed("its ReplicaSet by its controller", controller("deployment-controller"), workload("apps/v1", "ReplicaSet", signersLabels, ""), createDry...)

	// The labels of a template of one's own come later.
	p.allowed("another Job", editor, workload("batch/v1", "CronJob", "{app: other}", ""), "create", "--filename=-")
	label := `{"spec":{"jobTemplate":{"spec":{"template":{"metadata":{"labels":{"app.kubernetes.io/name":"tezos-signer"}}}}}}}`
	p.refused("the labels into its template", editor, changes, "", "patch", "cronjob", "another", "--namespace=bakers", "--type=merge", "--patch="+label)
	p.allowed("another schedule", editor, "", "patch", "cronjob", "another", "--namespace=bakers", "--type=merge", `--patch={"spec":{"suspend":true}}`)

	ours := []string{"deployment/baker-one", "--namespace=bakers", "--dry-run=server"}
	replicaSet := strings.TrimSpace(p.must(p.t, "", "get", "replicasets", "--namespace=bakers", "--selector=app.kubernetes.io/instance=baker-one", "--output=name"))
	for _, who := range [][]string{editor, clusterAdmin} {
		p.refused("another image", who, changes, "", append(append([]string{"set", "image"}, ours...), "baker=evil")...)
		p.refused("another image in the ReplicaSet", who, changes, "", "set", "image", replicaSet, "baker=evil", "--namespace=bakers", "--dry-run=server")
		for what, patch := range map[string]string{
			"a container":                        `{"spec":{"containers":[{"name":"evil","image":"evil"}]}}`,
			"an annotation that a webhook reads": `{"metadata":{"annotations":{"sidecar.example/inject":"evil"}}}`,
			"the labels off":                     `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`,
		} {
			p.refused(what, who, changes, "", append([]string{"patch", "--type=strategic", `--patch={"spec":{"template":` + patch + `}}`}, ours...)...)
		}
		restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
		p.allowed("a restart", who, "", append([]string{"patch", "--type=strategic", "--patch=" + restart}, ours...)...)
		p.allowed("replicas", who, "", append([]string{"patch", "--type=merge", `--patch={"spec":{"replicas":2}}`}, ours...)...)
		p.allowed("another annotation", who, "", append(append([]string{"annotate"}, ours...), "team=one")...)
	}
	p.allowed("a rollout", editor, "", "rollout", "restart", "deployment/baker-one", "--namespace=bakers")
	p.awaitPod("baker-one")
}

func (p *podPolicies) testConfigurations() {
	const rule = "only the operator may write the configuration"
	found := strings.TrimSpace(p.must(p.t, "", "get", "configmaps", "--namespace=bakers", "--selector=app.kubernetes.io/instance=baker-one", "--output=jsonpath={.items[0].metadata.name}"))
	for _, who := range [][]string{editor, clusterAdmin} {
		p.refused("another of its name", who, rule, configuration("baker-one-signer-0123456789"), createDry...)
		p.allowed("another label", who, "", "label", "configmap", found, "team=one", "--namespace=bakers", "--dry-run=server")
		p.allowed("one that is named like a signer's", who, configuration("document-signer-0123456789"), createDry...)
		p.allowed("another ConfigMap", who, configuration("some"), createDry...)
	}
	p.allowed("its own", operatorUser, configuration("baker-one-signer-0123456789"), createDry...)
	p.allowed("on purpose", breakGlass, configuration("baker-one-signer-0123456789"), createDry...)
	// One that is not immutable, as of a hand that meant well.
	p.allowed("on purpose", breakGlass, configuration("baker-one-signer-abcdef"), "create", "--filename=-")
	p.refused("another content", editor, rule, "", "patch", "configmap", "baker-one-signer-abcdef", "--namespace=bakers", "--type=merge", `--patch={"data":{"config.yaml":"worse"}}`)
	p.refused("more content", editor, rule, "", "patch", "configmap", "baker-one-signer-abcdef", "--namespace=bakers", "--type=merge", `--patch={"binaryData":{"more":"YQ=="}}`)
}

func (p *podPolicies) testTokens() {
	const rule = "only the kubelet may get a token"
	uid := strings.TrimSpace(p.must(p.t, "", "get", "pods", "--namespace=bakers", "--selector=app.kubernetes.io/instance=signer-one", "--output=jsonpath={.items[0].metadata.uid}"))
	name := strings.TrimSpace(p.must(p.t, "", "get", "pods", "--namespace=bakers", "--selector=app.kubernetes.io/instance=signer-one", "--output=jsonpath={.items[0].metadata.name}"))
	mint := []string{"create", "token", "signer-one-signer", "--namespace=bakers"}
	bound := append(slices.Clone(mint), "--bound-object-kind=Pod", "--bound-object-name="+name, "--bound-object-uid="+uid)
	for _, who := range [][]string{editor, clusterAdmin, append(operatorUser, "--as-group=system:masters"), append(controller("replicaset-controller"), "--as-group=system:masters")} {
		p.refused("a token", who, rule, "", mint...)
		p.refused("a token of the holder's pod", who, rule, "", bound...)
	}
	p.allowed("the pod's own", kubeletUser, "", bound...)
	p.allowed("on purpose", breakGlass, "", bound...)
	openShift := []string{"--as=system:serviceaccount:openshift-infra:serviceaccount-pull-secrets-controller", "--as-group=system:masters"}
	p.allowed("for OpenShift's pull secret", openShift, "", mint...)
	for _, who := range [][]string{editor, clusterAdmin, kubeletUser} {
		p.refused("a token for ever", who, rule, tokenSecret("baker-one-signer"), createDry...)
	}

	// Of other accounts, like a signer's by name too.
	p.allowed("another token", editor, "", "create", "token", "default", "--namespace=bakers")
	p.allowed("another token", editor, "", "create", "token", "document-signer", "--namespace=bakers")
	p.allowed("another token for ever", editor, tokenSecret("document-signer"), "create", "--filename=-")
	p.await("its controller has filled it", func() bool {
		return p.must(p.t, "", "get", "secret", "long-lived", "--namespace=bakers", "--output=jsonpath={.data.token}") != ""
	})
	p.refused("a Secret that becomes one", editor, rule, "", "annotate", "secret", "long-lived", "--namespace=bakers", "--overwrite",
		"kubernetes.io/service-account.name=baker-one-signer")
	p.allowed("another annotation of it", editor, "", "annotate", "secret", "long-lived", "--namespace=bakers", "team=one")
	p.allowed("another Secret", editor, `{apiVersion: v1, kind: Secret, metadata: {name: some, namespace: bakers}, stringData: {a: b}}`, createDry...)
}

func (p *podPolicies) testEndpoints() {
	const service, endpoints = "change where the Service of a signer sends", "the endpoints of a signer's Service"
	ours := []string{"service", "signer-one", "--namespace=bakers", "--dry-run=server"}
	for _, who := range [][]string{editor, clusterAdmin} {
		for what, patch := range map[string]string{
			"another selector": `{"spec":{"selector":{"app":"evil","app.kubernetes.io/name":null,"app.kubernetes.io/instance":null}}}`,
			"another port":     `{"spec":{"ports":[{"name":"signer","port":6732,"targetPort":1}]}}`,
			"another host":     `{"spec":{"type":"ExternalName","externalName":"evil.example"}}`,
			"other labels":     `{"metadata":{"labels":{"app.kubernetes.io/name":"mine"}}}`,
		} {
			p.refused(what, who, service, "", append([]string{"patch", "--type=merge", "--patch=" + patch}, ours...)...)
		}
		p.allowed("a field of theirs", who, "", append([]string{"patch", "--type=merge", `--patch={"spec":{"internalTrafficPolicy":"Local"}}`}, ours...)...)
		p.allowed("an annotation", who, "", append(append([]string{"annotate"}, ours...), "team=one")...)
	}
	p.allowed("on purpose", breakGlass, "", append([]string{"patch", "--type=merge", `--patch={"spec":{"selector":{"app":"mine"}}}`}, ours...)...)
	p.refused("an endpoint by hand", clusterAdmin, endpoints, slice("signer-one"), createDry...)
	p.allowed("an endpoint by the controller", append(controller("endpointslice-controller"), "--as-group=system:masters"), slice("signer-one"), createDry...)
	p.allowed("an endpoint on purpose", breakGlass, slice("signer-one"), createDry...)
	p.allowed("an endpoint of another Service", clusterAdmin, slice("other"), "create", "--filename=-")
	p.refused("which becomes the signer's", clusterAdmin, endpoints, "", "label", "endpointslice", "by-hand", "--namespace=bakers", "--overwrite", "kubernetes.io/service-name=signer-one")
	p.allowed("another Service", editor, "", "create", "service", "clusterip", "other", "--tcp=80", "--namespace=bakers")
	p.allowed("and what it selects", editor, "", "patch", "service", "other", "--namespace=bakers", "--type=merge", `--patch={"spec":{"selector":{"app":"other"}}}`)
}

// testOtherWork: with watchNamespaces the labels are nobody's elsewhere.
func (p *podPolicies) testOtherWork() {
	elsewhere := strings.ReplaceAll(podOf("mine", signersLabels, ""), "namespace: bakers", "namespace: elsewhere")
	p.refused("the labels in a namespace that is watched", clusterAdmin, "only the operator may create pods", elsewhere, createDry...)
	if _, err := run(helms[0], "upgrade", release, directory, "--kubeconfig", p.Kubeconfig(), "--namespace", namespace, "--set-json", `watchNamespaces=["bakers"]`); err != nil {
		p.t.Fatal(err)
	}
	p.await("the labels are free where no TezosSigner can be", func() bool {
		_, err := p.Kubectl(elsewhere, createDry...)
		return err == nil
	})
	p.refused("the labels where one can be", clusterAdmin, "only the operator may create pods", podOf("beside", signersLabels, ""), createDry...)
}
