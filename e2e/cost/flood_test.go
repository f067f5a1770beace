// An API server that a stranger floods: with the chart's FlowSchema the signers have
// a share of it that nobody else can take.

package cost

import (
	"context"
	"crypto/tls"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/payload"
)

const (
	// Of reads, and as many of writes: by default it is 400 and 200, and a flood of those would load the machine instead.
	inFlight = 20
	flooders = 300
	// What each of them lists: more than the kernel keeps of an answer that nobody reads.
	listed, listedSize = 20, 900 << 10
	// From the baker's question to the answer: the signer's own deadline.
	deadline = 1500 * time.Millisecond
)

func TestAFlowSchemaOfItsOwnKeepsSigningAliveInAFlood(t *testing.T) {
	s := newSignerEnv(t, 1, fmt.Sprint("--max-requests-inflight=", inFlight), fmt.Sprint("--max-mutating-requests-inflight=", inFlight))
	holder := s.startPod("holder", 5, s.Port)
	s.startPod("standby", 5, s.Port)
	level := int32(initialLevel)
	// try has that many votes signed, one after the other, and says how many were in time.
	try := func(when string, votes int) int {
		var took []time.Duration
		for range votes {
			level++
			vote, err := payload.New("attestation", level, 0)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			began := time.Now()
			if _, err = holder.client.Sign(ctx, keys[0], vote); err == nil {
				took = append(took, time.Since(began))
			}
			cancel()
		}
		slices.Sort(took)
		line := fmt.Sprintf("%-42s %2d of %2d signed within %v", when, len(took), votes, deadline)
		if len(took) > 0 {
			line += fmt.Sprintf("; median %v, worst %v", took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
		}
		t.Log(line)
		return len(took)
	}

	if n := try("no flood", 10); n != 10 {
		t.Errorf("%d of 10 without a flood", n)
	}
	s.flood()
	if n := try("flood, without the FlowSchema", 4); n > 1 {
		t.Errorf("%d of 4 were signed: this is no flood, and shows nothing", n)
	}
	s.applyPriority()
	eventually(t, "the first signature with the FlowSchema", func() bool { return try("flood, the FlowSchema was just made", 1) == 1 })
	if n := try("flood, with the FlowSchema", 20); n != 20 {
		t.Errorf("%d of 20 with the FlowSchema", n)
	}
}

// flood has a stranger with a right of its own list large objects, hundreds of times
// at once, and read none of the answers: each keeps its place until the API server
// gives up on it.
func (s *signerEnv) flood() {
	s.t.Helper()
	const elsewhere = "/api/v1/namespaces/flood"
	s.create("/api/v1/namespaces", object{"metadata": object{"name": "flood"}})
	for i := range listed {
		s.create(elsewhere+"/configmaps", object{
			"metadata": object{"name": fmt.Sprint("large-", i)}, "data": object{"x": strings.Repeat("x", listedSize)},
		})
	}
	s.create("/api/v1/namespaces/"+namespace+"/serviceaccounts", object{"metadata": object{"name": "stranger"}})
	const rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/flood"
	s.create(rights+"/roles", object{"metadata": object{"name": "stranger"}, "rules": []object{{
		"apiGroups": []string{""}, "resources": []string{"configmaps"}, "verbs": []string{"list"},
	}}})
	s.create(rights+"/rolebindings", object{
		"metadata": object{"name": "stranger"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "stranger"},
		"subjects": []object{{"kind": "ServiceAccount", "name": "stranger", "namespace": namespace}},
	})
	token := s.newToken("stranger", "stranger-1")
	list := "GET " + elsewhere + "/configmaps HTTP/1.1\r\nHost: flood\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	config := s.ClientTLS()
	config.ServerName, config.NextProtos = "127.0.0.1", []string{"http/1.1"}
	var connected sync.WaitGroup
	for range flooders {
		connected.Go(func() {
			connection, err := tls.Dial("tcp", fmt.Sprint("127.0.0.1:", s.Port), config)
			if err != nil {
				s.t.Error(err)
				return
			}
			s.t.Cleanup(func() { connection.Close() })
			if _, err := connection.Write([]byte(list)); err != nil {
				s.t.Error(err)
			}
		})
	}
	connected.Wait()
	time.Sleep(2 * time.Second) // until they all have their place, or wait for one
}

// applyPriority makes what the chart makes.
func (s *signerEnv) applyPriority() {
	s.t.Helper()
	text, err := exec.Command(filepath.Join(checkout, "target/tools/helm"), "template", "tezos-signer-operator",
		filepath.Join(checkout, "charts/tezos-signer-operator"), "--show-only", "templates/priority.yaml").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	made := 0
	for _, document := range strings.Split(string(text), "\n---\n") {
		var parsed object
		if err := yaml.Unmarshal([]byte(document), &parsed); err != nil {
			s.t.Fatal(err)
		}
		resources := map[any]string{"FlowSchema": "flowschemas", "PriorityLevelConfiguration": "prioritylevelconfigurations"}
		s.create("/apis/flowcontrol.apiserver.k8s.io/v1/"+resources[parsed["kind"]], parsed)
		made++
	}
	if made != 2 {
		s.t.Fatalf("the chart makes %d objects there", made)
	}
}
