package reconcile

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// kubelet writes the statuses of pods in the place of one, and answers as their signers
// on the pods' addresses. Each has addresses of its own in 127.0.0.0/8.
type kubelet struct {
	t      *testing.T
	env    *operatorenv.Env
	subnet int

	lock    sync.Mutex
	records []string // whose holder is the first pod that asks
	holder  string
	pods    map[string]string               // addresses by pod
	say     func(answer object, key object) // changes what signers answer, unless nil; key is the first one
}

func newKubelet(t *testing.T, env *operatorenv.Env, subnet int, records ...string) *kubelet {
	return &kubelet{t: t, env: env, subnet: subnet, records: records, pods: map[string]string{}}
}

// state is how a pod is.
type state struct {
	signerReady bool
	beside      object // the status of a container that a webhook has added, if there is one
	gate        string // a message of the condition Ready, where all containers are ready
}

// set writes that status of a pod, and has its signer answer.
func (k *kubelet) set(pod string, s state) {
	k.t.Helper()
	k.lock.Lock()
	if k.pods[pod] == "" {
		address := fmt.Sprintf("127.%d.0.%d", k.subnet, len(k.pods)+1)
		listener, err := net.Listen("tcp", address+":9583")
		if err != nil {
			k.t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { k.answer(w, pod) })}
		go server.Serve(listener)
		k.t.Cleanup(func() { server.Close() })
		k.pods[pod] = address
	}
	address := k.pods[pod]
	k.lock.Unlock()
	container := func(name string, ready bool) object {
		return object{"name": name, "image": "mirror/" + name, "imageID": "", "ready": ready, "started": ready, "restartCount": 0, "state": object{"running": object{}}}
	}
	containers, ready, message := []any{container("signer", s.signerReady)}, s.signerReady, ""
	if s.beside != nil {
		containers = append(containers, s.beside)
		ready = ready && s.beside["ready"] == true
	}
	if s.gate != "" {
		ready, message = false, s.gate
	}
	conditions := []any{
		object{"type": "PodReadyToStartContainers", "status": "True"},
		object{"type": "PodScheduled", "status": "True"},
		object{"type": "Ready", "status": map[bool]string{true: "True", false: "False"}[ready], "message": message},
	}
	k.env.ChangeStatus(operatorenv.Path("pods", operatorenv.Namespace, pod), func(o object) {
		status := object{
			"phase": "Running", "podIP": address, "podIPs": []any{object{"ip": address}}, "conditions": conditions,
			"startTime": time.Now().Add(-5 * time.Minute).UTC().Format(time.RFC3339),
		}
		status["containerStatuses"] = containers
		if isBaker := operatorenv.FieldOf(o, "spec", "initContainers") != nil; isBaker {
			status["initContainerStatuses"], status["containerStatuses"] = containers[:1], containers[1:]
		}
		o["status"] = status
	})
}

// answer is what a signer says of itself: one of them holds all records.
func (k *kubelet) answer(w http.ResponseWriter, pod string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if k.holder == "" {
		k.holder = pod
	}
	keys := []any{}
	for _, record := range k.records {
		keys = append(keys, object{
			"publicKeyHash": "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t", "chain": "NetXdQprcVkpaWU", "record": record,
			"holder": k.holder, "since": nil, "term": 1, "held": k.holder == pod, "holderAddress": nil, "wentBack": false,
			"suspended": false, "ceiling": nil, "reason": nil, "hsm": nil, "rows": object{},
		})
	}
	answer := object{
		"ready": true, "started": true, "identity": pod, "hsm": object{"ready": true, "reason": nil},
		"tls": nil, "peerTls": nil, "keys": keys, "reasons": []any{},
	}
	if k.say != nil {
		k.say(answer, keys[0].(object))
	}
	json.NewEncoder(w).Encode(answer)
}

// says has the signers answer something else, and a pod change, so that the operator asks again.
func (k *kubelet) says(say func(answer, key object), pod string, s state) {
	k.t.Helper()
	k.lock.Lock()
	k.say = say
	k.lock.Unlock()
	k.set(pod, s)
	k.env.Change(operatorenv.Path("pods", operatorenv.Namespace, pod), func(o object) { annotations(o)["e2e/asked"] = time.Now().String() })
}

// sidecarStatus is the status of a container that runs beside a signer.
func sidecarStatus(name string, ready bool) object {
	return object{"name": name, "image": "mesh", "imageID": "", "ready": ready, "started": true, "restartCount": 0, "state": object{"running": object{}}}
}

// allReady has the pods of these TezosSigners ready, and waits until their status says
// which image ran well.
func allReady(t *testing.T, env *operatorenv.Env, subnet int, names ...string) {
	t.Helper()
	k := newKubelet(t, env, subnet)
	for _, name := range names {
		env.Await(name+" has pods", func() bool { return len(pods(env, name)) > 0 })
		for _, pod := range pods(env, name) {
			k.set(pod, state{signerReady: true})
		}
		env.Await("its image ran well", func() bool { return status(env, name, "image") != "" })
	}
}

// status is a text in the status of a TezosSigner.
func status(env *operatorenv.Env, name, field string) string {
	return operatorenv.TextOf(env.Get(operatorenv.Path("tezossigners", operatorenv.Namespace, name)), "status", field)
}

// awaitCondition waits until a condition of a TezosSigner is so.
func awaitCondition(t *testing.T, env *operatorenv.Env, name, condition, is, reason string, words ...string) time.Duration {
	t.Helper()
	return env.Await(fmt.Sprintf("%s of %s is %s %s %q", condition, name, is, reason, words), func() bool {
		found := env.Condition(name, condition)
		message := operatorenv.TextOf(found, "message")
		for _, word := range words {
			if !contains(message, word) {
				return false
			}
		}
		return operatorenv.TextOf(found, "status") == is && operatorenv.TextOf(found, "reason") == reason
	})
}
