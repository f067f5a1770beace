package reconcile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

const injectLabel = "signer.tezos.io/inject"

// injecting is an API server with the operator, the controllers of workloads, and one TezosSigner that injects, of that name, whose sidecar is published.
func injecting(t *testing.T, name string) (*operatorenv.Env, *operatorenv.Process) {
	t.Helper()
	env, o := withInjectedAccount(t, "--feature-gates=PodCertificateRequest=true", "--runtime-config=certificates.k8s.io/v1beta1=true")
	env.StartControllers()
	publish(env, injectingSigner(env, name))
	return env, o
}

// withInjectedAccount is an API server, started with these flags, with the operator and the ServiceAccount of pods that get a sidecar.
func withInjectedAccount(t *testing.T, flags ...string) (*operatorenv.Env, *operatorenv.Process) {
	t.Helper()
	env := operatorenv.NewWithoutChart(t, flags...)
	env.Install()
	o := env.StartReady(image)
	account(env, operatorenv.Namespace, operatorenv.InjectedAccount)
	return env, o
}

// publish creates a TezosSigner that injects, and waits until its sidecar is published.
func publish(env *operatorenv.Env, signer object) {
	env.Create(signer)
	awaitPublished(env, operatorenv.TextOf(signer, "metadata", "name"))
}

// injectingSigner is one with a library that needs a volume and a variable, and a Secret for its images.
func injectingSigner(env *operatorenv.Env, name string) object {
	signer := env.Signer(name, operatorenv.Inject)
	pkcs11 := operatorenv.FieldOf(signer, "spec", "hsm", "pkcs11").(object)
	pkcs11["volumes"] = []any{object{"name": "library", "projected": object{"sources": []any{object{"downwardAPI": object{"items": []any{
		object{"path": "name", "fieldRef": object{"fieldPath": "metadata.name"}},
	}}}}}}}
	pkcs11["volumeMounts"] = []any{object{"name": "library", "mountPath": "/lib/p11", "readOnly": false}}
	// The API server adds fields to these.
	pkcs11["env"] = []any{object{"name": "P11_EMPTY", "value": ""}, object{"name": "P11_NODE", "valueFrom": object{"fieldRef": object{"fieldPath": "spec.nodeName"}}},
		object{"name": "P11_MEMORY", "valueFrom": object{"resourceFieldRef": object{"resource": "limits.memory", "divisor": "1024Ki"}}}}
	signer["spec"].(object)["imagePullSecrets"] = []any{object{"name": "registry"}}
	return signer
}

// account creates a ServiceAccount, unless there is one of that name.
func account(env *operatorenv.Env, namespace, name string) {
	if env.Get(operatorenv.Path("serviceaccounts", namespace, name)) == nil {
		env.Must(http.MethodPost, operatorenv.Path("serviceaccounts", namespace, ""), object{"metadata": object{"name": name}})
	}
}

func sidecarPath(name string) string {
	return operatorenv.Path("tezossignersidecars", operatorenv.Records, operatorenv.Namespace+"."+name)
}

func digestOf(env *operatorenv.Env, name string) string {
	return operatorenv.TextOf(env.Get(sidecarPath(name)), "spec", "sidecar", "digest")
}

func awaitPublished(env *operatorenv.Env, name string) {
	env.Await("the sidecar of "+name, func() bool { return digestOf(env, name) != "" })
	env.Await("the rights of "+name, func() bool {
		return env.Get(operatorenv.Path("rolebindings", operatorenv.Records, "signer."+operatorenv.Namespace+"."+name)) != nil
	})
}

// bakersPod is one in the shape of the tezos-k8s chart: several containers, init containers, a ServiceAccount of its own.
func bakersPod(signer string) object {
	container := func(name string) object { return object{"name": name, "image": "registry.example/octez:25"} }
	node := container("octez-node")
	node["volumeMounts"] = []any{object{"name": "data", "mountPath": "/var/tezos"}}
	node["ports"] = []any{object{"name": "tezos-rpc", "containerPort": 8732}, object{"name": "tezos-net", "containerPort": 9732}}
	return object{
		"metadata": object{"generateName": "tezos-baking-node-", "labels": object{"appType": "octez-node", injectLabel: signer}},
		"spec": object{
			"serviceAccountName": operatorenv.InjectedAccount, "securityContext": object{"fsGroup": 1000},
			"initContainers": []any{container("config-init"), container("config-generator")},
			"containers":     []any{node, container("baker-one"), container("accuser")},
			"volumes":        []any{object{"name": "data", "emptyDir": object{}}, object{"name": "config", "configMap": object{"name": "tezos-config"}}},
		},
	}
}

func withoutLabel(pod object) object {
	delete(operatorenv.FieldOf(pod, "metadata", "labels").(object), injectLabel)
	return pod
}

// createPod creates a pod with that name.
func createPod(env *operatorenv.Env, name string, pod object) {
	pod["metadata"].(object)["name"] = name
	env.Must(http.MethodPost, operatorenv.Path("pods", operatorenv.Namespace, ""), pod)
}

// removePod deletes a pod, which no kubelet has to end.
func removePod(env *operatorenv.Env, name string) {
	env.Must(http.MethodDelete, operatorenv.Path("pods", operatorenv.Namespace, name)+"?gracePeriodSeconds=0", nil)
}

// tryPod asks the API server for a pod in that namespace, and returns what it would make of it, or its refusal.
func tryPod(t *testing.T, env *operatorenv.Env, namespace string, pod object) (object, string) {
	t.Helper()
	answer, err := env.Do(t.Context(), http.MethodPost, operatorenv.Path("pods", namespace, "")+"?dryRun=All", pod)
	if err != nil {
		return nil, err.Error()
	}
	var made object
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	return made, ""
}

func listOf(o any, path ...string) []object {
	items, _ := operatorenv.FieldOf(o, path...).([]any)
	var list []object
	for _, item := range items {
		list = append(list, item.(object))
	}
	return list
}

func named(list []object, name string) object {
	at := slices.IndexFunc(list, func(o object) bool { return o["name"] == name })
	if at < 0 {
		return nil
	}
	return list[at]
}

func namesOf(list []object) (names []string) {
	for _, o := range list {
		names = append(names, fmt.Sprint(o["name"]))
	}
	return names
}

// A labelled pod has the sidecar before its init containers, no other container has a token, and the API server would take the result again as it
// is. An unlabelled pod is untouched.
func TestALabelledPodGetsItsSidecar(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	made, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
	if refusal != "" {
		t.Fatal(refusal)
	}
	init := listOf(made, "spec", "initContainers")
	if names := namesOf(init); !slices.Equal(names, []string{"signer", "config-init", "config-generator"}) {
		t.Fatalf("init containers %v", names)
	}
	if init[0]["image"] != image || init[0]["restartPolicy"] != "Always" {
		t.Errorf("the sidecar is %v", init[0])
	}
	others := append(listOf(made, "spec", "containers"), init[1:]...)
	for _, container := range others {
		for _, mount := range listOf(container, "volumeMounts") {
			if mount["name"] != "data" {
				t.Errorf("%v mounts %v", container["name"], mount)
			}
		}
	}
	if is := operatorenv.FieldOf(made, "spec", "automountServiceAccountToken"); is != false {
		t.Errorf("automountServiceAccountToken is %v", is)
	}
	if names := namesOf(listOf(made, "spec", "imagePullSecrets")); !slices.Equal(names, []string{"registry"}) {
		t.Errorf("imagePullSecrets are %v", names)
	}
	for _, volume := range listOf(made, "spec", "volumes") {
		if strings.HasPrefix(volume["name"].(string), "kube-api-access") {
			t.Errorf("the pod has %v", volume["name"])
		}
	}
	annotations, _ := operatorenv.FieldOf(made, "metadata", "annotations").(object)
	for name, want := range map[string]any{
		"signer.tezos.io/sidecar":           digestOf(env, "a"),
		"signer.tezos.io/config":            operatorenv.FieldOf(env.Get(sidecarPath("a")), "spec", "sidecar", "config"),
		"eks.amazonaws.com/skip-containers": "config-init,config-generator,octez-node,baker-one,accuser",
	} {
		if annotations[name] != want {
			t.Errorf("%s is %v and not %v", name, annotations[name], want)
		}
	}

	// Again, as it came out.
	again := object{"metadata": object{"generateName": "x-", "labels": made["metadata"].(object)["labels"], "annotations": annotations}, "spec": made["spec"]}
	second, refusal := tryPod(t, env, operatorenv.Namespace, again)
	if first, _ := json.Marshal(made["spec"]); refusal != "" {
		t.Error(refusal)
	} else if next, _ := json.Marshal(second["spec"]); string(first) != string(next) {
		t.Errorf("the second pass makes\n%s\nof\n%s", next, first)
	}

	// Server-side apply, twice.
	bare := bakersPod("a")
	bare["apiVersion"], bare["kind"] = "v1", "Pod"
	bare["metadata"].(object)["name"], bare["metadata"].(object)["namespace"] = "applied", operatorenv.Namespace
	delete(bare["metadata"].(object), "generateName")
	text, _ := json.Marshal(bare)
	for range 2 {
		if output, err := env.Kubectl(string(text), "apply", "--server-side", "-f", "-"); err != nil || !strings.Contains(output, "serverside-applied") {
			t.Fatal(output, err)
		}
	}
	if applied := env.Get(operatorenv.Path("pods", operatorenv.Namespace, "applied")); operatorenv.TextOf(applied, "metadata", "resourceVersion") == "" || listOf(applied, "spec", "initContainers")[0]["name"] != "signer" {
		t.Errorf("applied: %v", applied)
	}

	// Without the label.
	made, refusal = tryPod(t, env, operatorenv.Namespace, withoutLabel(bakersPod("a")))
	if names := namesOf(listOf(made, "spec", "initContainers")); refusal != "" || !slices.Equal(names, []string{"config-init", "config-generator"}) {
		t.Errorf("%s, init containers %v", refusal, names)
	}
	if operatorenv.FieldOf(made, "metadata", "annotations") != nil || operatorenv.FieldOf(made, "spec", "automountServiceAccountToken") != nil {
		t.Errorf("the unlabelled pod is %v", made)
	}
}

// Each refusal of the baker form is one of a labelled pod too, with a sentence.
func TestALabelledPodThatWouldEndangerItsSignerIsRejected(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "a")
	other := "other"
	env.Must(http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": other}})
	for _, name := range []string{operatorenv.InjectedAccount, "else"} {
		account(env, other, name)
		account(env, operatorenv.Namespace, name)
	}
	account(env, operatorenv.Namespace, "administrator")
	env.Must(http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object{
		"metadata": object{"name": "administrator"}, "roleRef": object{"kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{object{"kind": "ServiceAccount", "name": "administrator", "namespace": operatorenv.Namespace}},
	})
	spec := func(change func(spec object)) func(object) {
		return func(pod object) { change(pod["spec"].(object)) }
	}
	baker := func(field string, value any) func(object) {
		return spec(func(spec object) { spec["containers"].([]any)[1].(object)[field] = value })
	}
	add := func(list string, item object) func(object) {
		return spec(func(spec object) { spec[list] = append(spec[list].([]any), item) })
	}
	both := func(changes ...func(object)) func(object) {
		return func(pod object) {
			for _, change := range changes {
				change(pod)
			}
		}
	}
	projected := func(source object) func(object) {
		return both(add("volumes", object{"name": "v", "projected": object{"sources": []any{source}}}),
			baker("volumeMounts", []any{object{"name": "v", "mountPath": "/v"}}))
	}
	token := func(fields object) func(object) {
		fields["path"] = "token"
		return projected(object{"serviceAccountToken": fields})
	}
	for name, c := range map[string]struct {
		change  func(pod object)
		refusal string
	}{
		"hostNetwork":               {spec(func(s object) { s["hostNetwork"] = true }), "spec.hostNetwork: not allowed"},
		"hostPID":                   {spec(func(s object) { s["hostPID"] = true }), "spec.hostPID: not allowed"},
		"hostIPC":                   {spec(func(s object) { s["hostIPC"] = true }), "spec.hostIPC: not allowed"},
		"shareProcessNamespace":     {spec(func(s object) { s["shareProcessNamespace"] = true }), "spec.shareProcessNamespace: not allowed"},
		"another account":           {spec(func(s object) { s["serviceAccountName"] = "else" }), "no TezosSigner a with inject.serviceAccountName: else"},
		"the default account":       {spec(func(s object) { delete(s, "serviceAccountName") }), "no TezosSigner a with inject.serviceAccountName: default"},
		"a cluster-admin's account": {spec(func(s object) { s["serviceAccountName"] = "administrator" }), "administrator"},
		"a cluster-admin's account, no such TezosSigner": {both(func(p object) { p["metadata"].(object)["labels"].(object)[injectLabel] = "b" }, spec(func(s object) {
			s["serviceAccountName"], s["automountServiceAccountToken"] = "administrator", false
			s["initContainers"] = []any{object{"name": "signer", "image": "x", "restartPolicy": "Always"}}
		}), add("volumes", object{"name": "signer-config", "configMap": object{"name": "mine"}})), "spec.serviceAccountName: administrator has all rights on signer.tezos.io"},
		"no such TezosSigner": {func(p object) { p["metadata"].(object)["labels"].(object)[injectLabel] = "b" },
			"no TezosSigner b with inject.serviceAccountName: tezos-baker is in the namespace bakers"},
		"an empty label":     {func(p object) { p["metadata"].(object)["labels"].(object)[injectLabel] = "" }, "no TezosSigner  with"},
		"a container signer": {baker("name", "signer"), "spec.containers: signer is the name of a container that the operator adds"},
		"a container of the client": {baker("name", "signer-cloudhsm-client"),
			"spec.containers: signer-cloudhsm-client is the name of a container that the operator adds"},
		"the signing port":   {baker("ports", []any{object{"containerPort": 6732}}), "container baker-one: 6732 and 9583 are ports of the signer"},
		"the admin port":     {baker("ports", []any{object{"containerPort": 9583, "hostPort": 80}}), "container baker-one: 6732 and 9583 are ports of the signer"},
		"the PIN's volume":   {baker("volumeMounts", []any{object{"name": "signer-pin", "mountPath": "/pin"}}), "container baker-one: only the containers of the signer may mount its volumes"},
		"the token's volume": {baker("volumeMounts", []any{object{"name": "signer-token", "mountPath": "/t"}}), "container baker-one: only the containers of the signer may mount"},
		"the library's volume": {baker("volumeMounts", []any{object{"name": "library", "mountPath": "/l"}}),
			"container baker-one: only the containers of the signer may mount its volumes (signer-config, signer-pin, signer-token, library)"},
		"a token":                      {token(object{}), "spec.volumes: v has a token of the ServiceAccount"},
		"a token for the API server":   {token(object{"audience": "https://kubernetes.default.svc"}), "spec.volumes: v has a token of the ServiceAccount"},
		"a token of IRSA in the baker": {token(object{"audience": "sts.amazonaws.com"}), "spec.volumes: v has a token of the ServiceAccount"},
		"a token of IRSA for nobody else": {add("volumes", object{"name": "aws-iam-token", "projected": object{"sources": []any{
			object{"serviceAccountToken": object{"audience": "sts.amazonaws.com", "path": "token"}}}}}), ""},
		"a token of Pod Identity for nobody else": {add("volumes", object{"name": "eks-pod-identity-token", "projected": object{"sources": []any{
			object{"serviceAccountToken": object{"audience": "pods.eks.amazonaws.com", "path": "token"}}}}}), ""},
		"a certificate":               {projected(object{"podCertificate": object{"signerName": "example.com/x", "keyType": "ED25519", "credentialBundlePath": "c"}}), "spec.volumes: a certificate of the pod is the signer's"},
		"the PIN's Secret":            {add("volumes", object{"name": "v", "secret": object{"secretName": "pin"}}), "may use the Secret pin"},
		"the PIN's Secret, projected": {projected(object{"secret": object{"name": "pin"}}), "may use the Secret pin"},
		"the PIN in a variable": {baker("env", []any{object{"name": "PIN", "valueFrom": object{"secretKeyRef": object{"name": "pin", "key": "pin"}}}}),
			"may use the Secret pin"},
		"the PIN in all variables": {baker("envFrom", []any{object{"secretRef": object{"name": "pin"}}}), "may use the Secret pin"},
		"the PIN in an init container": {spec(func(s object) {
			s["initContainers"].([]any)[1].(object)["envFrom"] = []any{object{"secretRef": object{"name": "pin"}}}
		}), "may use the Secret pin"},
		"a token in a container with a name of the signer's": {both(add("volumes", object{"name": "v", "projected": object{"sources": []any{
			object{"serviceAccountToken": object{"path": "token"}}}}}), add("initContainers", object{"name": "signer-cloudhsm-client", "image": "x",
			"volumeMounts": []any{object{"name": "v", "mountPath": "/v"}}})), "are names of containers that the operator adds"},
		"the token of a mesh": {token(object{"audience": "istio-ca"}), ""},
		"a sidecar of its own": {spec(func(s object) {
			s["initContainers"] = []any{object{"name": "signer", "image": "x", "restartPolicy": "Always"}}
		}), ""},
		"another Secret":        {add("volumes", object{"name": "v", "secret": object{"secretName": "its-own"}}), ""},
		"another init sidecar":  {add("initContainers", object{"name": "signer-of-logs", "image": "x", "restartPolicy": "Always"}), ""},
		"annotations, no class": {func(p object) { p["metadata"].(object)["annotations"] = object{"a/b": "c"} }, ""},
	} {
		pod := bakersPod("a")
		c.change(pod)
		made, refusal := tryPod(t, env, operatorenv.Namespace, pod)
		if c.refusal == "" && refusal != "" || !strings.Contains(refusal, c.refusal) {
			t.Errorf("%s: refused with %q", name, refusal)
		}
		if c.refusal == "" && (len(listOf(made, "spec", "initContainers")) == 0 || listOf(made, "spec", "initContainers")[0]["image"] != image) {
			t.Errorf("%s: %v", name, made)
		}
	}
	if _, refusal := tryPod(t, env, other, bakersPod("a")); !strings.Contains(refusal, "is in the namespace other") {
		t.Errorf("in another namespace: refused with %q", refusal)
	}
}
