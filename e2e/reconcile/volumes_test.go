package reconcile

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// A PIN by CSI: the API server takes the pod, and what the kubelet says about the driver's volume is told with the driver, the class and
// what to do. What it says later takes the place of it.
func TestADriverThatDoesNotMountIsTold(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	env.StartReady(image)

	signer := env.Signer("csi", operatorenv.Service)
	signer["spec"].(object)["hsm"].(object)["pkcs11"].(object)["pin"] = object{
		"csi": object{"driver": "secrets-store.csi.k8s.io", "volumeAttributes": object{"secretProviderClass": "hsm-pin"}},
		"key": "pin",
	}
	env.Create(signer)
	env.AwaitCreated("csi")
	waitForVolumes(env, "csi")
	awaitCondition(t, env, "csi", "Ready", "False", "Starting", "(it needs CSI driver secrets-store.csi.k8s.io (secretProviderClass hsm-pin)")
	const driver = "the CSI driver secrets-store.csi.k8s.io (secretProviderClass hsm-pin) does not mount the volume signer-pin: "
	const absent = "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers"
	sayNotMounted(env, "csi", "absent", absent)
	awaitCondition(t, env, "csi", "Ready", "False", "NoAnswer", driver+absent+"; install secrets-store.csi.k8s.io")
	time.Sleep(time.Second) // events have the time in seconds
	sayNotMounted(env, "csi", "class", `rpc error: code = Unknown desc = failed to get secretproviderclass bakers/hsm-pin, error: SecretProviderClass "hsm-pin" not found`)
	awaitCondition(t, env, "csi", "Ready", "False", "NoAnswer", "; create the SecretProviderClass hsm-pin in the namespace "+operatorenv.Namespace+", or correct its name, and the kubelet tries again")
}

// waitForVolumes makes the pods of a TezosSigner wait for their volumes, as a kubelet reports it.
func waitForVolumes(env *operatorenv.Env, signer string) {
	env.Await("it has pods", func() bool { return len(pods(env, signer)) == 2 })
	for _, pod := range pods(env, signer) {
		waiting := object{"name": "signer", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": object{"waiting": object{"reason": "ContainerCreating"}}}
		env.ChangeStatus(operatorenv.Path("pods", operatorenv.Namespace, pod), func(o object) {
			o["status"] = object{
				"phase": "Pending", "startTime": time.Now().UTC().Format(time.RFC3339), "containerStatuses": []any{waiting},
				"conditions": []any{object{"type": "PodScheduled", "status": "True"}, object{"type": "PodReadyToStartContainers", "status": "False"}},
			}
		})
	}
}

// sayNotMounted says of the volume with the PIN what a kubelet would, in events of that name.
func sayNotMounted(env *operatorenv.Env, signer, name, why string) {
	for i, pod := range pods(env, signer) {
		live := env.Get(operatorenv.Path("pods", operatorenv.Namespace, pod))
		env.Must(http.MethodPost, "/api/v1/namespaces/"+operatorenv.Namespace+"/events", object{
			"metadata": object{"name": fmt.Sprint(name, "-", i), "namespace": operatorenv.Namespace},
			"involvedObject": object{
				"kind": "Pod", "namespace": operatorenv.Namespace, "name": pod, "uid": operatorenv.TextOf(live, "metadata", "uid"),
			},
			"type": "Warning", "reason": "FailedMount", "source": object{"component": "kubelet"},
			"message": `MountVolume.SetUp failed for volume "signer-pin" : ` + why, "lastTimestamp": time.Now().UTC().Format(time.RFC3339),
		})
	}
}
