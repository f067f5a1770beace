package reconcile

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
	"signer.tezos.io/e2e/ports"
)

// withSidecar is a baker's pod whose template has the sidecar that the plugin prints, changed where change is given.
func withSidecar(t *testing.T, env *operatorenv.Env, signer string, change func(sidecar object)) object {
	t.Helper()
	program := os.Getenv("KUBECTL_TEZOS_SIGNER")
	if program == "" {
		program = "../../target/debug/kubectl-tezos_signer"
	}
	command := exec.Command(program, "--kubeconfig", env.Kubeconfig(), "--namespace", operatorenv.Namespace, "sidecar", signer, "--output", "json")
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var template object
	if err := json.Unmarshal(output, &template); err != nil {
		t.Fatal(err)
	}
	pod := bakersPod(signer)
	metadata, spec := pod["metadata"].(object), pod["spec"].(object)
	maps.Copy(metadata["labels"].(object), template["metadata"].(object)["labels"].(object))
	metadata["annotations"] = template["metadata"].(object)["annotations"]
	for name, value := range template["spec"].(object) {
		if list, isList := value.([]any); isList {
			before, _ := spec[name].([]any)
			spec[name] = append(list, before...)
		} else {
			spec[name] = value
		}
	}
	if change != nil {
		change(spec["initContainers"].([]any)[0].(object))
	}
	return pod
}

func refused(t *testing.T, env *operatorenv.Env, what string, pod object, words string) {
	t.Helper()
	if _, refusal := tryPod(t, env, operatorenv.Namespace, pod); !strings.Contains(refusal, words) {
		t.Errorf("%s: refused with %q", what, refusal)
	}
}

func taken(t *testing.T, env *operatorenv.Env, what string, pod object) object {
	t.Helper()
	made, refusal := tryPod(t, env, operatorenv.Namespace, pod)
	if refusal != "" {
		t.Errorf("%s: refused with %q", what, refusal)
	}
	return made
}

// While the operator is away, pods still get their signer; and none is created without it, or with another one, when what the operator publishes is
// missing. All is well again by itself once the operator is back. An uninstalled operator leaves everything as it is.
func TestNoPodIsCreatedWithoutItsSignerWhileTheOperatorIsAway(t *testing.T) {
	needsE2E(t)
	env, o := injecting(t, "a")
	o.Stop()
	taken(t, env, "without the operator", bakersPod("a"))

	static := withSidecar(t, env, "a", nil)
	env.Delete(sidecarPath("a"))
	env.Await("pods without their signer are refused", func() bool { // the API server's policies know of it a little later
		_, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
		return strings.Contains(refusal, "the sidecar of the TezosSigner a was not added: the operator has not published it yet")
	})
	refused(t, env, "with a program of its own", withSidecar(t, env, "a", func(c object) { c["image"] = "registry.example/mine:1" }),
		"the container signer is not the sidecar of the TezosSigner a: its image registry.example/mine:1")
	taken(t, env, "with the sidecar in its template", static)
	unlabelled := withoutLabel(bakersPod("a"))
	taken(t, env, "without the label", unlabelled)

	definition := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tezossignersidecars.signer.tezos.io"
	env.Delete(definition)
	env.Await("the definition is gone", func() bool { return env.Get(definition) == nil })
	env.Await("pods are refused without the definition", func() bool {
		_, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
		return strings.Contains(refusal, "403") || strings.Contains(refusal, "422")
	})
	taken(t, env, "without the label and the definition", unlabelled)

	env.Install()
	o = env.StartReady(image)
	awaitPublished(env, "a")
	env.Await("pods get their signer again", func() bool {
		made, _ := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
		return made != nil && listOf(made, "spec", "initContainers")[0]["image"] == image
	})

	// A parameter that is taken away is published again at once.
	env.Delete(sidecarPath("a"))
	awaitPublished(env, "a")

	o.Stop()
	if output, err := exec.Command("../../target/tools/helm", "uninstall", "tezos-signer-operator", "--no-hooks", "--namespace", "tezos-signer-system",
		"--kubeconfig", env.Kubeconfig()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	taken(t, env, "after the uninstallation", bakersPod("a"))
}

// What would take the signer of a running pod away, replace it or enter it is refused; debugging the baker is not.
func TestARunningPodKeepsItsSidecar(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	createPod(env, "p", bakersPod("a"))
	createPod(env, "u", withoutLabel(bakersPod("a")))

	debug := func(container object) string {
		container["image"] = "registry.example/debug:1"
		patch, _ := json.Marshal(object{"spec": object{"ephemeralContainers": []any{container}}})
		return string(patch)
	}
	for what, c := range map[string]struct{ pod, subresource, patch, refusal string }{
		"the label removed":    {"p", "", `{"metadata": {"labels": {"signer.tezos.io/inject": null}}}`, "the label signer.tezos.io/inject cannot be changed"},
		"the label changed":    {"p", "", `{"metadata": {"labels": {"signer.tezos.io/inject": "b"}}}`, "the label signer.tezos.io/inject cannot be changed"},
		"the label added":      {"u", "", `{"metadata": {"labels": {"signer.tezos.io/inject": "a"}}}`, "the label signer.tezos.io/inject cannot be changed"},
		"the digest changed":   {"p", "", `{"metadata": {"annotations": {"signer.tezos.io/sidecar": "0"}}}`, "the annotations signer.tezos.io/sidecar"},
		"the image changed":    {"p", "", `{"spec": {"initContainers": [{"name": "signer", "image": "x"}]}}`, "the signer's image cannot be changed in a running pod"},
		"another image":        {"p", "", `{"spec": {"containers": [{"name": "accuser", "image": "x"}]}}`, ""},
		"another label":        {"p", "", `{"metadata": {"labels": {"x": "y"}}}`, ""},
		"debugging the signer": {"p", "ephemeralcontainers", debug(object{"name": "d", "targetContainerName": "signer"}), "a container for debugging may neither enter the signer"},
		"the PIN mounted": {"p", "ephemeralcontainers", debug(object{"name": "d", "volumeMounts": []any{object{"name": "signer-pin", "mountPath": "/p"}}}),
			"a container for debugging may neither"},
		"the library mounted": {"p", "ephemeralcontainers", debug(object{"name": "d", "volumeMounts": []any{object{"name": "library", "mountPath": "/p"}}}),
			"a container for debugging may neither"},
		"the PIN in a variable": {"p", "ephemeralcontainers", debug(object{"name": "d", "env": []any{object{"name": "PIN", "valueFrom": object{"secretKeyRef": object{"name": "pin", "key": "pin"}}}}}),
			"a container for debugging may neither"},
		"the PIN in all variables": {"p", "ephemeralcontainers", debug(object{"name": "d", "envFrom": []any{object{"secretRef": object{"name": "pin"}}}}), "a container for debugging may neither"},
		"another Secret":           {"p", "ephemeralcontainers", debug(object{"name": "d", "envFrom": []any{object{"secretRef": object{"name": "other"}}}}), ""},
		"debugging the baker":      {"p", "ephemeralcontainers", debug(object{"name": "d", "targetContainerName": "baker-one"}), ""},
	} {
		arguments := []string{"patch", "pod", c.pod, "--namespace", operatorenv.Namespace, "--type", "strategic", "--patch", c.patch, "--dry-run=server"}
		if c.subresource != "" {
			arguments = append(arguments, "--subresource", c.subresource)
		}
		output, err := env.Kubectl("", arguments...)
		if c.refusal == "" && err != nil || !strings.Contains(output, c.refusal) {
			t.Errorf("%s: %s", what, output)
		}
	}

	env.Must(http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object{
		"metadata": object{"name": "administrator"}, "roleRef": object{"kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{object{"kind": "ServiceAccount", "name": "administrator", "namespace": operatorenv.Namespace}},
	})
	// Whoever has a token of the account could write the record in the pod's name.
	for _, name := range []string{operatorenv.InjectedAccount, "another", "administrator"} {
		account(env, operatorenv.Namespace, name)
		output, err := env.Kubectl("", "create", "token", name, "--namespace", operatorenv.Namespace)
		if isSigners := name == operatorenv.InjectedAccount; isSigners != strings.Contains(output, "only the kubelet may get a token of a signer's ServiceAccount") {
			t.Errorf("a token of %s: %v %s", name, err, output)
		}
	}
	// Whoever writes a sidecar chooses what runs in bakers' pods.
	if output, _ := env.Kubectl("", "patch", "tezossignersidecar", operatorenv.Namespace+".a", "--namespace", operatorenv.Records, "--type", "merge",
		"--patch", `{"spec": {"sidecar": {"image": "x"}}}`); !strings.Contains(output, "only the operator writes a TezosSignerSidecar") {
		t.Error(output)
	}
	// The pods of a workload that cannot be created are told of in its events.
	bad := bakersPod("b")
	delete(bad["metadata"].(object), "generateName")
	env.Must(http.MethodPost, operatorenv.Path("deployments", operatorenv.Namespace, ""), object{
		"metadata": object{"name": "bad"},
		"spec":     object{"selector": object{"matchLabels": object{"appType": "octez-node"}}, "template": bad},
	})
	env.Await("the event of the workload", func() bool {
		events, _ := env.Kubectl("", "get", "events", "--namespace", operatorenv.Namespace)
		return strings.Contains(events, "FailedCreate") && strings.Contains(events, "no TezosSigner b with inject.serviceAccountName: tezos-baker")
	})
}

// The status says which pods have an older sidecar. A suspended or invalid TezosSigner does not keep pods from being created, a deleted one does.
func TestTheStatusSaysWhichPodsHaveAnOlderSidecar(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	awaitCondition(t, env, "a", "Ready", "False", "NoPod", "no pod has the label signer.tezos.io/inject: a: set it in the pod template",
		"with serviceAccountName: tezos-baker")
	awaitCondition(t, env, "a", "SidecarCurrent", "Unknown", "NoPod", "see Ready")
	createPod(env, "first", bakersPod("a"))
	awaitCondition(t, env, "a", "SidecarCurrent", "True", "Current", "pod first has the present sidecar")

	path := operatorenv.Path("tezossigners", operatorenv.Namespace, "a")
	before := digestOf(env, "a")
	env.Change(path, func(o object) { o["spec"].(object)["env"] = []any{object{"name": "RUST_LOG", "value": "debug"}} })
	awaitCondition(t, env, "a", "SidecarCurrent", "False", "OldSidecar", "pod first has an older sidecar", "kubectl delete pod first")
	if digestOf(env, "a") == before {
		t.Error("the digest is the same")
	}
	if previous := operatorenv.TextOf(env.Get(sidecarPath("a")), "spec", "previous", "digest"); previous != before {
		t.Errorf("the previous sidecar is %q and not %q", previous, before)
	}
	removePod(env, "first")
	createPod(env, "second", bakersPod("a"))
	awaitCondition(t, env, "a", "SidecarCurrent", "True", "Current", "pod second has the present sidecar")

	env.Change(path, func(o object) { o["spec"].(object)["suspend"] = true })
	awaitCondition(t, env, "a", "Ready", "False", "Suspended")
	taken(t, env, "suspended", bakersPod("a"))
	env.Change(path, func(o object) {
		o["spec"].(object)["env"] = []any{object{"name": "KUBECONFIG", "value": "x"}}
	})
	awaitCondition(t, env, "a", "Accepted", "False", "Invalid")
	taken(t, env, "invalid", bakersPod("a"))

	env.Delete(path)
	env.Await("it is deleted", func() bool { return env.Get(sidecarPath("a")) == nil })
	env.AwaitLong("no pod without its TezosSigner", 2*time.Minute, func() bool {
		_, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
		return strings.Contains(refusal, "no TezosSigner a with inject.serviceAccountName: tezos-baker")
	})
}

// Where the API server cannot add the sidecar, a labelled pod is refused with the reason, and one with the sidecar in its template is the same pod as
// elsewhere. After a change of the TezosSigner, the sidecar from before is accepted, and no older one.
func TestOnOlderAPIServersTheSidecarStandsInTheTemplate(t *testing.T) {
	needsE2E(t)
	env, _ := withInjectedAccount(t, "--emulated-version=1.35")
	publish(env, injectingSigner(env, "a"))
	if answer := env.Get("/apis/admissionregistration.k8s.io/v1"); named(listOf(answer, "resources"), "mutatingadmissionpolicies") != nil {
		t.Fatal("this API server has MutatingAdmissionPolicies")
	}
	awaitCondition(t, env, "a", "Ready", "False", "NoPod", "This API server cannot add the sidecar", "kubectl tezos-signer sidecar a")
	refused(t, env, "without a sidecar", bakersPod("a"), "this cluster does not add the sidecar of the TezosSigner a by itself (MutatingAdmissionPolicy, Kubernetes 1.36")
	tokens := withSidecar(t, env, "a", nil)
	delete(tokens["spec"].(object), "automountServiceAccountToken")
	refused(t, env, "with a token", tokens, "spec.automountServiceAccountToken: set it to false in the pod template")

	made := taken(t, env, "with the sidecar", withSidecar(t, env, "a", nil))
	if names := namesOf(listOf(made, "spec", "initContainers")); len(names) != 3 || names[0] != "signer" {
		t.Errorf("init containers %v", names)
	}
	for what, c := range map[string]struct {
		change func(c object)
		words  string
	}{
		"another image":    {func(c object) { c["image"] = "x" }, "its image x"},
		"other arguments":  {func(c object) { c["args"] = []any{"serve"} }, "a container of the signer is not as the operator has published it"},
		"a command":        {func(c object) { c["command"] = []any{"sh"} }, "a container of the signer is not as the operator has published it"},
		"no startup probe": {func(c object) { delete(c, "startupProbe") }, "a container of the signer is not as the operator has published it"},
		"a privilege":      {func(c object) { c["securityContext"].(object)["readOnlyRootFilesystem"] = false }, "a container of the signer is not as the operator has published it"},
		"a hook":           {func(c object) { c["lifecycle"] = object{"preStop": object{"exec": object{"command": []any{"x"}}}} }, "a container of the signer is not as the operator has published it"},
		"a variable":       {func(c object) { c["env"] = append(c["env"].([]any), object{"name": "LD_PRELOAD", "value": "/x"}) }, "the environment of a container of the signer"},
		"a variable twice": {func(c object) { c["env"] = append(c["env"].([]any), object{"name": "POD_UID", "value": "1"}) }, "the environment of a container of the signer"},
		"another source": {func(c object) {
			operatorenv.FieldOf(c["env"].([]any)[0], "valueFrom", "fieldRef").(object)["fieldPath"] = "metadata.namespace"
		}, "the environment of a container of the signer"},
		"a value for a source": {func(c object) { c["env"].([]any)[0] = object{"name": "POD_NAME", "value": ""} }, "the environment of a container of the signer"},
		"a part of a mount":    {func(c object) { c["volumeMounts"].([]any)[0].(object)["subPathExpr"] = "$(POD_NAME)" }, "the volumeMounts of a container of the signer"},
		"a variable missing":   {func(c object) { c["env"] = c["env"].([]any)[1:] }, "the environment of a container of the signer"},
		"a mount": {func(c object) {
			c["volumeMounts"] = append(c["volumeMounts"].([]any), object{"name": "data", "mountPath": "/opt"})
		}, "the volumeMounts of a container of the signer"},
		"other resources": {func(c object) { c["resources"] = object{"requests": object{"cpu": "1"}} }, ""},
		"AWS credentials": {func(c object) {
			c["env"] = append(c["env"].([]any), object{"name": "AWS_ROLE_ARN", "value": "arn"})
			c["volumeMounts"] = append(c["volumeMounts"].([]any), object{"name": "data", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"})
		}, ""},
	} {
		pod := withSidecar(t, env, "a", c.change)
		if _, refusal := tryPod(t, env, operatorenv.Namespace, pod); c.words == "" && refusal != "" || !strings.Contains(refusal, c.words) {
			t.Errorf("%s: refused with %q", what, refusal)
		}
	}
	library := withSidecar(t, env, "a", nil)
	for _, volume := range listOf(library, "spec", "volumes") {
		if volume["name"] == "library" {
			delete(volume, "projected")
			volume["emptyDir"] = object{}
		}
	}
	refused(t, env, "another library", library, "a volume of the signer")
	elsewhere := withSidecar(t, env, "a", nil)
	for _, volume := range listOf(elsewhere, "spec", "volumes") {
		if volume["name"] == "signer-pin" {
			volume["secret"].(object)["secretName"] = "other"
		}
	}
	refused(t, env, "another PIN", elsewhere, "a volume of the signer")
	unnamed := withSidecar(t, env, "a", nil)
	delete(unnamed["metadata"].(object)["annotations"].(object), "signer.tezos.io/sidecar")
	refused(t, env, "no digest", unnamed, "metadata.annotations: signer.tezos.io/sidecar and signer.tezos.io/config are not those of the pod's sidecar")

	// After changes.
	first := withSidecar(t, env, "a", nil)
	for i, level := range []string{"debug", "trace"} {
		before := digestOf(env, "a")
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, "a"), func(o object) {
			o["spec"].(object)["keys"].([]any)[0].(object)["maxLevelJump"] = 100 + i
			o["spec"].(object)["env"] = []any{object{"name": "RUST_LOG", "value": level}}
		})
		env.Await("the next sidecar", func() bool { return digestOf(env, "a") != before })
		if i == 0 {
			env.Await("the one before is accepted", func() bool { _, refusal := tryPod(t, env, operatorenv.Namespace, first); return refusal == "" })
			if name := operatorenv.TextOf(first, "metadata", "annotations", "signer.tezos.io/config"); env.Get(operatorenv.Path("configmaps", operatorenv.Namespace, name)) == nil {
				t.Errorf("its configuration %s was deleted", name)
			}
		}
	}
	env.Await("an older one is not", func() bool {
		_, refusal := tryPod(t, env, operatorenv.Namespace, first)
		return strings.Contains(refusal, "the container signer is not the sidecar of the TezosSigner a")
	})
	env.Await("the present one is", func() bool {
		_, refusal := tryPod(t, env, operatorenv.Namespace, withSidecar(t, env, "a", nil))
		return refusal == ""
	})
}

// Another injector may add containers, and must leave the signer alone.
func TestAnotherInjectorBesideIt(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	patches := map[string]string{
		"mesh": `[{"op": "add", "path": "/spec/initContainers/0", "value": {"name": "istio-proxy", "image": "proxy", "restartPolicy": "Always"}},
			{"op": "add", "path": "/metadata/annotations/mesh", "value": "x"}]`,
		"env":   `[{"op": "add", "path": "/spec/initContainers/0/env/-", "value": {"name": "DD_AGENT_HOST", "value": "x"}}]`,
		"aws":   `[{"op": "add", "path": "/spec/initContainers/0/env/-", "value": {"name": "AWS_REGION", "value": "x"}}]`,
		"image": `[{"op": "replace", "path": "/spec/initContainers/0/image", "value": "mirror/signer"}]`,
		"token": `[{"op": "replace", "path": "/spec/automountServiceAccountToken", "value": true}]`,
	}
	reserved, err := ports.Reserve(1)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + fmt.Sprint(reserved[0])
	certificate, err := env.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Addr: address, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID    string
				Object object
			}
		}
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &review)
		response := object{"uid": review.Request.UID, "allowed": true}
		if patch, is := patches[operatorenv.TextOf(review.Request.Object, "metadata", "labels", "patch")]; is {
			response["patchType"], response["patch"] = "JSONPatch", base64.StdEncoding.EncodeToString([]byte(patch))
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
	})}
	go server.ListenAndServeTLS("", "")
	t.Cleanup(func() { server.Close() })
	env.Must(http.MethodPost, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", object{
		"metadata": object{"name": "another"},
		"webhooks": []any{object{
			"name": "another.example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "reinvocationPolicy": "IfNeeded",
			"clientConfig": object{"url": "https://" + address + "/", "caBundle": base64.StdEncoding.EncodeToString(env.Authority)},
			"rules":        []any{object{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE"}}},
		}},
	})
	pod := func(patch string) object {
		pod := bakersPod("a")
		pod["metadata"].(object)["labels"].(object)["patch"] = patch
		return pod
	}
	env.Await("the webhook is asked", func() bool {
		made, refusal := tryPod(t, env, operatorenv.Namespace, pod("mesh"))
		return refusal == "" && named(listOf(made, "spec", "initContainers"), "istio-proxy") != nil
	})
	if made := taken(t, env, "a mesh", pod("mesh")); named(listOf(made, "spec", "initContainers"), "signer")["image"] != image {
		t.Errorf("beside a mesh: %v", listOf(made, "spec", "initContainers"))
	}
	taken(t, env, "AWS credentials", pod("aws"))
	refused(t, env, "a variable", pod("env"), "the environment of a container of the signer")
	refused(t, env, "an image", pod("image"), "its image mirror/signer")
	if made, refusal := tryPod(t, env, operatorenv.Namespace, pod("token")); refusal == "" {
		for _, container := range listOf(made, "spec", "containers") {
			for _, mount := range listOf(container, "volumeMounts") {
				if strings.HasPrefix(mount["name"].(string), "kube-api-access") {
					t.Errorf("%v has a token", container["name"])
				}
			}
		}
	}
}
