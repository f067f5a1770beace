package reconcile

import (
	"slices"
	"strings"
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

// The PIN by CSI in a pod with an injected sidecar: the sidecar has it, and a container of the user's does not get it by a volume of its own.
func TestAnInjectedSidecarHasThePINByCSIAlone(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "other")
	class := func(name string) object {
		return object{"driver": "secrets-store.csi.k8s.io", "volumeAttributes": object{"secretProviderClass": name}}
	}
	signer := env.Signer("a", operatorenv.Inject)
	operatorenv.FieldOf(signer, "spec", "hsm", "pkcs11").(object)["pin"] = object{"csi": class("hsm-pin"), "key": "pin"}
	publish(env, signer)

	made, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod("a"))
	if refusal != "" {
		t.Fatal(refusal)
	}
	pin, _ := named(listOf(made, "spec", "volumes"), "signer-pin")["csi"].(object)
	if pin["readOnly"] != true || pin["driver"] != "secrets-store.csi.k8s.io" || operatorenv.TextOf(pin, "volumeAttributes", "secretProviderClass") != "hsm-pin" {
		t.Errorf("the volume is %v", pin)
	}
	for _, container := range append(listOf(made, "spec", "containers"), listOf(made, "spec", "initContainers")...) {
		if mounts := named(listOf(container, "volumeMounts"), "signer-pin") != nil; mounts != (container["name"] == "signer") {
			t.Errorf("%v mounts the PIN: %v", container["name"], mounts)
		}
	}

	const refused = "spec.volumes: v is the volume of secrets-store.csi.k8s.io with the PIN, which only the signer's containers may mount"
	more := class("hsm-pin")
	more["volumeAttributes"].(object)["more"] = "x"
	elsewhere := class("hsm-pin")
	elsewhere["driver"] = "pins.example"
	for name, c := range map[string]struct {
		csi     object
		refusal string
	}{
		"the PIN's class":              {class("hsm-pin"), refused},
		"the same and more":            {more, refused},
		"without an attribute":         {object{"driver": "secrets-store.csi.k8s.io"}, refused},
		"another class":                {class("of-the-node"), ""},
		"a class of another driver":    {elsewhere, ""},
		"another driver, no attribute": {object{"driver": "pins.example"}, ""},
	} {
		pod := bakersPod("a")
		spec := pod["spec"].(object)
		spec["volumes"] = append(spec["volumes"].([]any), object{"name": "v", "csi": c.csi})
		spec["containers"].([]any)[1].(object)["volumeMounts"] = []any{object{"name": "v", "mountPath": "/v"}}
		if _, refusal := tryPod(t, env, operatorenv.Namespace, pod); c.refusal == "" && refusal != "" || !strings.Contains(refusal, c.refusal) {
			t.Errorf("%s: refused with %q", name, refusal)
		}
	}
	// Where the PIN is in a Secret, CSI volumes are no matter of the signer's.
	pod := bakersPod("other")
	pod["spec"].(object)["volumes"] = append(pod["spec"].(object)["volumes"].([]any), object{"name": "v", "csi": class("hsm-pin")})
	if _, refusal := tryPod(t, env, operatorenv.Namespace, pod); refusal != "" {
		t.Errorf("beside a PIN of a Secret: refused with %q", refusal)
	}
}

// EKS gives AWS credentials to each container that the annotation does not name (operator/src/build/tests/eks.rs): in a pod with an injected
// sidecar to the same as in the operator's own pods.
func TestAnInjectedSidecarGetsCredentialsOfAWSAlone(t *testing.T) {
	needsE2E(t)
	env, _ := injecting(t, "token")
	cloudHSMInject := func(spec object) {
		operatorenv.CloudHSM(spec)
		operatorenv.Inject(spec)
	}
	clusterID := env.Signer("cluster-id", cloudHSMInject)
	cloudHSM := operatorenv.FieldOf(clusterID, "spec", "hsm", "cloudHsm").(object)
	delete(cloudHSM, "addresses")
	cloudHSM["clusterId"], cloudHSM["region"] = "cluster-abcdefghijk", "eu-central-1"
	kms := env.Signer("kms", operatorenv.Inject)
	delete(kms["spec"].(object), "hsm")
	kms["spec"].(object)["awsKms"] = object{"region": "eu-central-1"}
	key := kms["spec"].(object)["keys"].([]any)[0].(object)
	delete(key, "label")
	key["kmsKey"] = "alias/baker"
	for name, c := range map[string]struct {
		signer object
		gets   []string
	}{
		"kms":        {kms, []string{"signer"}},
		"cluster-id": {clusterID, []string{"signer-cloudhsm-configure"}},
		"addresses":  {env.Signer("addresses", cloudHSMInject), nil},
	} {
		publish(env, c.signer)
		made, refusal := tryPod(t, env, operatorenv.Namespace, bakersPod(name))
		if refusal != "" {
			t.Fatal(name, refusal)
		}
		skipped := strings.Split(operatorenv.TextOf(made, "metadata", "annotations", "eks.amazonaws.com/skip-containers"), ",")
		var gets []string
		for _, container := range namesOf(append(listOf(made, "spec", "initContainers"), listOf(made, "spec", "containers")...)) {
			if !slices.Contains(skipped, container) {
				gets = append(gets, container)
			}
		}
		if !slices.Equal(gets, c.gets) {
			t.Errorf("%s: %v get credentials, and not %v", name, gets, c.gets)
		}
	}
}
