package reconcile

import (
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

// Admission plugins that Kubernetes has itself do not keep the sidecar away.
func TestAlwaysPullImagesKeepsNoSidecarAway(t *testing.T) {
	needsE2E(t)
	env, _ := withInjectedAccount(t, "--enable-admission-plugins=AlwaysPullImages")
	publish(env, injectingSigner(env, "a"))
	env.Await("the pod has its signer", func() bool {
		made, _ := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
		signer := named(listOf(made, "spec", "initContainers"), "signer")
		return signer != nil && signer["imagePullPolicy"] == "Always"
	})
}

// A library that logs in with a token of its own, as one of Vault does, has it alone.
func TestALibrarysTokenIsTheSidecarsAlone(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "other")
	signer := injectingSigner(env, "a")
	pkcs11 := operatorenv.FieldOf(signer, "spec", "hsm", "pkcs11").(object)
	pkcs11["volumes"] = []any{object{"name": "library", "projected": object{"sources": []any{
		object{"serviceAccountToken": object{"audience": "vault", "path": "token"}},
	}}}}
	publish(env, signer)
	pod := bakersPod("a")
	made := taken(t, env, "with the library's token", pod)
	createPod(env, "p", pod)
	if named(listOf(made, "spec", "volumes"), "library") == nil {
		t.Errorf("volumes %v", listOf(made, "spec", "volumes"))
	}
	for name, words := range map[string]string{"library": "a container for debugging may neither", "data": ""} {
		output, err := env.Kubectl("", "patch", "pod", "p", "--namespace", operatorenv.Namespace, "--subresource", "ephemeralcontainers", "--type", "strategic", "--dry-run=server",
			"--patch", `{"spec": {"ephemeralContainers": [{"name": "d", "image": "d", "volumeMounts": [{"name": "`+name+`", "mountPath": "/d"}]}]}}`)
		if words == "" && err != nil || !strings.Contains(output, words) {
			t.Errorf("a container for debugging with %s: %s", name, output)
		}
	}
	pod = bakersPod("a")
	pod["spec"].(object)["containers"].([]any)[1].(object)["volumeMounts"] = []any{object{"name": "library", "mountPath": "/l"}}
	refused(t, env, "the library's token in the baker", pod, "library")
}
