package plugin

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// kubelet is a node with its kubelet, as far as the plugin needs one: pods that run, their logs, and connections that are
// forwarded to the signers' admin ports, as WebSocket frames of v4.channel.k8s.io.
type kubelet struct {
	t    *testing.T
	env  *operatorenv.Env
	lock sync.Mutex
	logs map[string]string            // by pod
	http map[string]map[string]string // by pod: what GET of a path answers
}

const node = "played"

func newKubelet(t *testing.T, env *operatorenv.Env) *kubelet {
	t.Helper()
	k := &kubelet{t: t, env: env, logs: map[string]string{}, http: map[string]map[string]string{}}
	server := httptest.NewTLSServer(http.HandlerFunc(k.serve))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	number, _ := strconv.Atoi(port)
	env.Must(http.MethodPost, "/api/v1/nodes", object{"metadata": object{"name": node}})
	env.ChangeStatus("/api/v1/nodes/"+node, func(o object) {
		o["status"] = object{
			"addresses":       []any{object{"type": "InternalIP", "address": "127.0.0.1"}},
			"daemonEndpoints": object{"kubeletEndpoint": object{"Port": number}},
		}
	})
	return k
}

// runs waits for the pod of a TezosSigner, and has it run on the node. It returns the name of the pod and its object.
func (k *kubelet) runs(signer string) (string, object) {
	k.t.Helper()
	var pod object
	k.env.Await("there is a pod", func() bool {
		list := k.env.Get(operatorenv.Path("pods", operatorenv.Namespace, "") + "?labelSelector=app.kubernetes.io/instance%3D" + signer)
		items, _ := list["items"].([]any)
		if len(items) > 0 {
			pod = items[0].(object)
		}
		return len(items) > 0
	})
	name := operatorenv.TextOf(pod, "metadata", "name")
	k.run(name)
	return name, pod
}

// run has a pod run on the node.
func (k *kubelet) run(name string) {
	k.t.Helper()
	path := operatorenv.Path("pods", operatorenv.Namespace, name)
	k.env.Must(http.MethodPost, path+"/binding", object{
		"apiVersion": "v1", "kind": "Binding", "metadata": object{"name": name}, "target": object{"kind": "Node", "name": node},
	})
	running := func(name string) object {
		return object{"name": name, "image": name, "imageID": "", "ready": true, "started": true, "restartCount": 0, "state": object{"running": object{}}}
	}
	k.env.ChangeStatus(path, func(o object) {
		status := object{
			"phase": "Running", "podIP": "127.77.0.1", "podIPs": []any{object{"ip": "127.77.0.1"}},
			"conditions": []any{object{"type": "Ready", "status": "True"}}, "startTime": time.Now().UTC().Format(time.RFC3339),
		}
		if operatorenv.FieldOf(o, "spec", "initContainers") != nil {
			status["initContainerStatuses"], status["containerStatuses"] = []any{running("signer")}, []any{running("baker")}
		} else {
			status["containerStatuses"] = []any{running("signer")}
		}
		o["status"] = status
	})
}

// logs sets the log of a pod's signer, and answers what its admin port gives.
func (k *kubelet) set(pod, log string, answers map[string]string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.logs[pod], k.http[pod] = log, answers
}

func (k *kubelet) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	k.lock.Lock()
	defer k.lock.Unlock()
	switch parts[0] {
	case "containerLogs": // containerLogs/NAMESPACE/POD/CONTAINER
		if r.URL.Query().Get("previous") == "true" {
			http.Error(w, "previous terminated container not found", http.StatusBadRequest)
			return
		}
		io.WriteString(w, k.logs[parts[2]])
	case "portForward": // portForward/NAMESPACE/POD
		k.forward(w, r, k.http[parts[2]])
	default:
		http.NotFound(w, r)
	}
}

// forward takes a connection to a port, and answers one HTTP request on it.
func (k *kubelet) forward(w http.ResponseWriter, r *http.Request, answers map[string]string) {
	port, err := strconv.ParseUint(r.URL.Query().Get("port"), 10, 16)
	if err != nil || !strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), "v4.channel.k8s.io") {
		http.Error(w, "only WebSockets of v4.channel.k8s.io are played", http.StatusBadRequest)
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		k.t.Error(err)
		return
	}
	defer connection.Close()
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"+
		"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n", base64.StdEncoding.EncodeToString(accept[:]))
	number := binary.LittleEndian.AppendUint16(nil, uint16(port))
	writeFrame(connection, append([]byte{0}, number...)) // data
	writeFrame(connection, append([]byte{1}, number...)) // errors
	var asked []byte
	for !bytes.Contains(asked, []byte("\r\n\r\n")) {
		frame, err := readFrame(buffered.Reader)
		if err != nil {
			return
		}
		if len(frame) > 1 && frame[0] == 0 {
			asked = append(asked, frame[1:]...)
		}
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(asked)))
	if err != nil {
		k.t.Error(err)
		return
	}
	answer, found := answers[request.URL.Path]
	status := "200 OK"
	if !found {
		status = "404 Not Found"
	}
	writeFrame(connection, append([]byte{0}, fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(answer), answer)...))
	readFrame(buffered.Reader) // until the client has read it
}

func writeFrame(w io.Writer, payload []byte) {
	header := []byte{0x82, 126}
	if len(payload) < 126 {
		header = []byte{0x82, byte(len(payload))}
	} else {
		header = binary.BigEndian.AppendUint16(header, uint16(len(payload)))
	}
	w.Write(append(header, payload...))
}

func readFrame(r *bufio.Reader) ([]byte, error) {
	header := make([]byte, 2)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	length := uint64(header[1] & 0x7f)
	if length == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return nil, err
		}
		length = uint64(binary.BigEndian.Uint16(long[:]))
	}
	rest := make([]byte, 4+length) // the mask, and what it masks
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	for i := range rest[4:] {
		rest[4+i] ^= rest[i%4]
	}
	if header[0]&0x0f == 8 {
		return nil, io.EOF
	}
	return rest[4:], nil
}

// statusOf is what a signer says that holds the record of a key, and has signed at that level.
func statusOf(pkh, record string, level int, hsm any) string {
	row := object{"level": level, "round": 0}
	reasons := []any{}
	if hsm != nil {
		reasons = append(reasons, hsm)
	}
	text, _ := json.Marshal(object{
		"ready": hsm == nil, "started": true, "identity": "played", "hsm": object{"ready": hsm == nil, "reason": hsm}, "tls": nil, "peerTls": nil,
		"reasons": reasons,
		"keys": []any{object{
			"publicKeyHash": pkh, "chain": "NetXdQprcVkpaWU", "record": record, "holder": "played", "since": nil, "term": 1, "held": true,
			"holderAddress": nil, "wentBack": false, "suspended": false, "ceiling": nil, "reason": nil, "hsm": hsm,
			"rows": object{"block": row, "preattestation": row, "attestation": row},
		}},
	})
	return string(text)
}

// signedLine is the line of an audit log for an attestation.
func signedLine(pkh string, level int, at time.Time) string {
	text, _ := json.Marshal(object{
		"log": strings.Repeat("0", 32), "sequence": 1, "previous": nil, "time": at.UTC().Format(time.RFC3339Nano), "event": "outcome",
		"client": "127.0.0.1:4", "key": pkh, "kind": "attestation", "chain": "NetXdQprcVkpaWU", "level": level, "round": 0,
		"status": 200, "outcome": "signed", "intent": 0, "microseconds": object{"total": 1},
	})
	return string(text)
}
