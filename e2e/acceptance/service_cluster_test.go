package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

const (
	leaseDuration = 5 * time.Second // the default
	signingPort   = 6732
)

// newService is a TezosSigner of the Service form, applied and with all its
// replicas ready.
func newService(t *testing.T, name string, replicas int, curves ...*octezclient.Curve) *fixture.Signer {
	t.Helper()
	s := newSigner(t, name, curves...)
	s.Replicas = replicas
	apply(t, s)
	awaitMessage(t, s.Name, fmt.Sprintf("%d of %d replicas are ready; ", replicas, replicas))
	awaitService(t, s.Name)
	return s
}

// awaitService waits until kube-proxy too knows that there are signers.
func awaitService(t *testing.T, name string) {
	t.Helper()
	client := octezclient.NewClient(serviceURL(t, name))
	defer client.Close()
	err := kubectl.Await(t.Context(), 10*time.Second, func() (bool, error) {
		return client.CheckAuthorizedKeys(t.Context()) == nil, nil
	})
	if err != nil {
		t.Fatalf("the Service %s leads nowhere: %v", name, err)
	}
}

// awaitMessage waits until the TezosSigner is Ready with a sentence that begins so.
func awaitMessage(t *testing.T, name, begin string) string {
	t.Helper()
	var ready kubectl.Condition
	err := kubectl.Await(t.Context(), readyTimeout, func() (bool, error) {
		var signer kubectl.TezosSigner
		err := suite.Cluster.Get(t.Context(), &signer, "tezossigner", name, "-n", namespace)
		ready = signer.Condition("Ready")
		return ready.Status == "True" && strings.HasPrefix(ready.Message, begin) && signer.Status.Holder != "", err
	})
	if err != nil {
		t.Fatalf("TezosSigner %s: %v: expected %q, it says %+v", name, err, begin, ready)
	}
	return ready.Message
}

// serviceURL is where clients find the signers.
func serviceURL(t *testing.T, name string) string {
	t.Helper()
	var service struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := suite.Cluster.Get(t.Context(), &service, "service", name, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://%s:%d", service.Spec.ClusterIP, signingPort)
}

func pods(t *testing.T, name string) []kubectl.Pod {
	t.Helper()
	all, err := suite.Cluster.Pods(t.Context(), namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// holderPod is the pod that holds the key's record.
func holderPod(t *testing.T, s *fixture.Signer, key *fixture.Key) kubectl.Pod {
	t.Helper()
	holder := holderOf(t, key.Parsed())
	for _, pod := range pods(t, s.Name) {
		if pod.Metadata.UID == holder {
			return pod
		}
	}
	t.Fatalf("the record of %s is held by %q, which is no pod of %s", key.Label, holder, s.Name)
	panic("not reached")
}

// rawRecord is a key's record as the API server has it.
func rawRecord(t *testing.T, key *fixture.Key) (record, lease map[string]any) {
	t.Helper()
	if err := suite.Cluster.Get(t.Context(), &record, "configmap", fixture.RecordName(key.Parsed()), "-n", fixture.RecordsNamespace); err != nil {
		t.Fatal(err)
	}
	annotations := record["metadata"].(map[string]any)["annotations"].(map[string]any)
	if err := json.Unmarshal([]byte(annotations[leaseAnnotation].(string)), &lease); err != nil {
		t.Fatal(err)
	}
	return record, lease
}

// Both replicas answer, and only one of them signs.
func TestSignersBehindAServiceAnswerEachForAll(t *testing.T) {
	t.Parallel()
	s := newService(t, "replicas", 2, octezclient.P256, octezclient.Secp256k1)
	t.Log(awaitMessage(t, s.Name, "2 of 2 replicas are ready; "))
	level := int32(firstLevel)
	sign := func(url string, key *fixture.Key) {
		t.Helper()
		client := octezclient.NewClient(url)
		defer client.Close()
		if _, err := client.Sign(t.Context(), key.Parsed(), newBlock(t, level)); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		level++
	}
	all := pods(t, s.Name)
	if len(all) != 2 {
		t.Fatalf("%d pods, expected 2", len(all))
	}
	service := serviceURL(t, s.Name)
	for _, key := range s.Keys {
		for _, pod := range all {
			sign(fmt.Sprintf("http://%s:%d", pod.Status.PodIP, signingPort), key)
		}
		for range 10 { // connections, which the Service spreads
			sign(service, key)
		}
	}

	// One key is enough to see which replica it was that forwarded.
	block := newBlock(t, level)
	signatures := map[string]bool{}
	for _, pod := range all {
		client := octezclient.NewClient(fmt.Sprintf("http://%s:%d", pod.Status.PodIP, signingPort))
		signature, err := client.Sign(t.Context(), s.Keys[0].Parsed(), block)
		if err != nil {
			t.Fatal(err)
		}
		signatures[signature] = true
		client.Close()
	}
	if len(signatures) != 1 {
		t.Errorf("the replicas gave %d signatures of one block", len(signatures))
	}
}

// The operator writes nothing while nothing changes, and what belongs to a form
// goes with it.
func TestAServiceIsLeftAloneAndBecomesABakerAndBack(t *testing.T) {
	t.Parallel()
	s := newService(t, "forms", 2, octezclient.P256)
	own := []string{"service/" + s.Name, "poddisruptionbudget/" + s.Name + "-signer", "networkpolicy/" + s.Name + "-signer"}
	exist := func() int {
		n := 0
		for _, object := range own {
			if _, err := suite.Cluster.Run(t.Context(), "", "get", object, "-n", namespace); err == nil {
				n++
			} else if !kubectl.NotFound(err) {
				t.Fatal(err)
			}
		}
		return n
	}
	if n := exist(); n != len(own) {
		t.Fatalf("%d of %v exist", n, own)
	}
	time.Sleep(5 * time.Second) // the last news of its start
	before := writesOfOperator(t, s.Name)
	if before == 0 {
		t.Fatal("the API server's log has nothing of how it was made")
	}
	reconcileFiveTimes(t, pods(t, s.Name)[0].Metadata.Name)
	if after := writesOfOperator(t, s.Name); after != before {
		t.Errorf("the operator wrote %d times about %s while nothing changed", after-before, s.Name)
	}

	if _, err := octezclient.NewClient(serviceURL(t, s.Name)).Sign(t.Context(), s.Keys[0].Parsed(), newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}
	s.Replicas = 0
	apply(t, s)
	awaitMessage(t, s.Name, "signing for ")
	if n := exist(); n != 0 {
		t.Errorf("%d of %v exist beside a baker", n, own)
	}
	pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := octezclient.NewClient(forward(t, pod.Metadata.Name)).Sign(t.Context(), s.Keys[0].Parsed(), newBlock(t, firstLevel+1)); err != nil {
		t.Fatal(err)
	}
	s.Replicas = 1
	apply(t, s)
	awaitMessage(t, s.Name, "1 of 1 replicas is ready; ")
	awaitService(t, s.Name)
	if n := exist(); n != 2 {
		t.Errorf("%d of %v exist, expected all but the budget", n, own)
	}
	if _, err := octezclient.NewClient(serviceURL(t, s.Name)).Sign(t.Context(), s.Keys[0].Parsed(), newBlock(t, firstLevel+2)); err != nil {
		t.Fatal(err)
	}
}

// writesOfOperator counts the operator's requests that change something with
// that name in it, by the API server's own log.
func writesOfOperator(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.Checkout, "target/cluster/logs/audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		var event struct {
			Stage, Verb string
			RequestURI  string `json:"requestURI"`
			User        struct{ Username string }
		}
		if json.Unmarshal([]byte(line), &event) != nil || event.Stage != "ResponseComplete" {
			continue
		}
		reads := event.Verb == "get" || event.Verb == "list" || event.Verb == "watch"
		if !reads && strings.HasSuffix(event.User.Username, ":tezos-signer-operator") && strings.Contains(event.RequestURI, name) {
			n++
		}
	}
	return n
}

// The load of a baker that follows Octez' rule: 502 is asked again up to ten
// times, and everything else is a lost signature.
type steadyLoad struct {
	signed, lost atomic.Int32
	slowest      time.Duration
	done         chan struct{}
	stop         context.CancelFunc
}

func startLoad(t *testing.T, url string, key *fixture.Key, level int32) *steadyLoad {
	return startLoadWith(t, octezclient.NewClient(url), key, level)
}

func startLoadWith(t *testing.T, client *octezclient.Client, key *fixture.Key, level int32) *steadyLoad {
	ctx, stop := context.WithCancel(t.Context())
	l := &steadyLoad{done: make(chan struct{}), stop: stop}
	go func() {
		defer close(l.done)
		defer client.Close()
		for ; ctx.Err() == nil; level++ {
			block, err := payload.New(payload.Kinds[int(level)%len(payload.Kinds)], level, 0)
			if err != nil {
				panic("a kind of its own list: " + err.Error())
			}
			begin := time.Now()
			// Not the load's context: a request that has begun is seen to its end.
			if _, err := client.Sign(t.Context(), key.Parsed(), block); err != nil {
				l.lost.Add(1)
				t.Logf("level %d is lost after %s: %v", level, time.Since(begin).Round(time.Millisecond), err)
			} else {
				l.signed.Add(1)
				l.slowest = max(l.slowest, time.Since(begin))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return l
}

func (l *steadyLoad) finish() {
	l.stop()
	<-l.done
}

// Rolling updates under load lose no signature, and none is late. In the long form
// of several Services at once, because each mostly waits.
func TestARolloutLosesNoSignature(t *testing.T) {
	rollouts, services := 3, 1
	if n, err := strconv.Atoi(os.Getenv("E2E_ROLLOUTS")); err == nil {
		rollouts, services = n, 4
	}
	for i := range services {
		t.Run(fmt.Sprint("Service", i), func(t *testing.T) {
			t.Parallel()
			rollOutUnderLoad(t, fmt.Sprint("rollout-", i), rollouts/services)
		})
	}
}

func rollOutUnderLoad(t *testing.T, name string, rollouts int) {
	s := newService(t, name, 2, octezclient.P256)
	load := startLoad(t, serviceURL(t, s.Name), s.Keys[0], firstLevel)
	defer load.finish()
	for n := range rollouts {
		before := holderPod(t, s, s.Keys[0]).Metadata.UID
		if err := rollOut(t, s.Name); err != nil {
			t.Fatal(err)
		}
		err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
			return holderOf(t, s.Keys[0].Parsed()) != before, nil
		})
		if err != nil {
			t.Fatalf("the holder was not replaced: %v", err)
		}
		if (n+1)%5 == 0 {
			t.Logf("%d rollouts: %d signed, %d lost", n+1, load.signed.Load(), load.lost.Load())
		}
	}
	load.finish()
	t.Logf("%d rollouts: %d signed, %d lost, the slowest took %s", rollouts, load.signed.Load(), load.lost.Load(), load.slowest.Round(time.Millisecond))
	if load.lost.Load() != 0 || load.signed.Load() < int32(rollouts)*20 || load.slowest > plannedLimit {
		t.Errorf("%d signatures were lost, %d were given, the slowest took %s", load.lost.Load(), load.signed.Load(), load.slowest)
	}
}

// A holder that ends without a word is replaced within its lease and a second.
func TestAKilledHolderIsReplacedWithinItsLease(t *testing.T) {
	s := newService(t, "failover", 2, octezclient.P256)
	key := s.Keys[0]
	url := serviceURL(t, s.Name)
	level := int32(firstLevel)
	// A connection each time, as clients whose old one broke.
	signAnew := func() error {
		level++
		client := octezclient.NewClient(url)
		defer client.Close()
		_, err := client.RequestSignature(t.Context(), key.Parsed(), newBlock(t, level))
		return err
	}
	for _, c := range []struct {
		name string
		kill func(pod string) (end func(), err error)
	}{
		{"its process is killed where no kubelet starts it again", func(pod string) (func(), error) {
			container := signerContainer(t, pod)
			controlComponent(t, "pause", "kubelet")
			end := func() {
				controlComponent(t, "resume", "kubelet")
				awaitOtherContainer(t, pod, container) // until then the dead one still counts as ready
			}
			return end, signalContainer(t, container, "SIGKILL")
		}},
		{"its pod is deleted by force", func(pod string) (func(), error) {
			_, err := suite.Cluster.Run(t.Context(), "", "delete", "pod", pod, "-n", namespace, "--force", "--grace-period=0", "--wait=false")
			return func() {}, err
		}},
	} {
		awaitMessage(t, s.Name, "2 of 2 replicas are ready; ")
		holder := holderPod(t, s, key)
		if err := signAnew(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		end, err := c.kill(holder.Metadata.Name)
		if err != nil {
			t.Fatal(err)
		}
		signed, failed, last, longest := 0, 0, time.Now(), time.Duration(0)
		// A pod that was deleted by force may go on for a while; then there is a gap, too.
		for next := ""; next == "" || next == holder.Metadata.UID; {
			if err := signAnew(); err != nil {
				failed++
			} else {
				signed, longest, last = signed+1, max(longest, time.Since(last)), time.Now()
				next = holderOf(t, key.Parsed())
			}
			if time.Since(begin) > time.Minute {
				t.Fatalf("%s: it still holds the record, or nobody signs: %d signed, %d failed", c.name, signed, failed)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("%s: another signs after %s; the longest gap was %s, %d signed, %d failed", c.name,
			time.Since(begin).Round(time.Millisecond), longest.Round(time.Millisecond), signed, failed)
		if longest > leaseDuration+time.Second {
			t.Errorf("%s: nothing was signed for %s", c.name, longest)
		}
		end()
		awaitReplicas(t, s) // its replacement, too
	}
}

// controlComponent pauses or resumes a component of the cluster.
func controlComponent(t *testing.T, verb, component string) {
	t.Helper()
	tool := filepath.Join(suite.Checkout, "target/tools/cluster")
	if output, err := exec.CommandContext(t.Context(), tool, verb, component).CombinedOutput(); err != nil {
		t.Fatalf("cluster %s %s: %v: %s", verb, component, err, output)
	}
	if verb == "pause" {
		t.Cleanup(func() { exec.Command(tool, "resume", component).Run() })
	}
}

// A signer that runs on where nobody can end it, on a node whose kubelet is dead,
// keeps its lease: the operator names the pod that replaces it. Here the test is
// that signer, with the identity of a pod that is gone.
func TestARecordIsTakenFromALostHolder(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "lost", octezclient.P256)
	pod := applyReady(t, s)
	key := s.Keys[0]
	const gone = "00000000-0000-0000-0000-000000000000"
	begin, renewals := time.Time{}, 0
	err := kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
		record, lease := rawRecord(t, key)
		if preferred := lease["preferredHolder"]; preferred != nil {
			if preferred != pod.Metadata.UID {
				t.Fatalf("%v is named, expected %s", preferred, pod.Metadata.UID)
			}
			return true, nil // a holder that finds another's name lets go
		}
		if !begin.IsZero() && lease["holderIdentity"] != gone {
			return true, nil // taken already
		}
		// It lives: every second shows a change, so that nobody takes over by waiting.
		lease["holderIdentity"] = gone
		lease["renewTime"] = time.Now().UTC().Format(time.RFC3339Nano)
		text := leaseText(t, lease)
		metadata := record["metadata"].(map[string]any)
		metadata["annotations"].(map[string]any)[leaseAnnotation] = text
		changed, err := json.Marshal(record)
		if err != nil {
			return false, err
		}
		_, err = suite.Cluster.Run(t.Context(), string(changed), append([]string{"replace", "-f", "-"}, kubectl.BreakGlass...)...)
		if err != nil && strings.Contains(err.Error(), "Conflict") {
			return false, nil // the signer or the operator was faster
		}
		if err == nil {
			renewals++
			if begin.IsZero() {
				begin = time.Now()
				// Triggers a reconcile, as what happens to a lost pod and its replacement does.
				_, err = suite.Cluster.Run(t.Context(), "", "annotate", "tezossigner", s.Name, "-n", namespace, "e2e/reconcile=now")
			}
		}
		return false, err
	})
	if err != nil {
		t.Fatalf("nobody was named: %v", err)
	}
	t.Logf("the pod was named after %s and %d renewals of the lost holder", time.Since(begin).Round(time.Millisecond), renewals)

	err = kubectl.Await(t.Context(), 10*time.Second, func() (bool, error) {
		return holderOf(t, key.Parsed()) == pod.Metadata.UID, nil
	})
	if err != nil {
		t.Fatalf("the pod that was named did not take the record: %v", err)
	}
	client := octezclient.NewClient(forward(t, pod.Metadata.Name))
	if _, err := client.Sign(t.Context(), key.Parsed(), newBlock(t, firstLevel)); err != nil {
		t.Fatal(err)
	}
	// The name goes when it has done its work: it would keep the next pod from what is let go.
	err = kubectl.Await(t.Context(), 90*time.Second, func() (bool, error) {
		_, lease := rawRecord(t, key)
		return lease["preferredHolder"] == nil, nil
	})
	if err != nil {
		t.Errorf("the name stayed: %v", err)
	}
}

// leaseText writes the fields in the order of the signer's own text, which the
// API server demands.
func leaseText(t *testing.T, lease map[string]any) string {
	t.Helper()
	var text []string
	for _, field := range []string{"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaderTransitions", "preferredHolder"} {
		value, is := lease[field]
		if !is {
			continue
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, fmt.Sprintf("%q:%s", field, encoded))
	}
	return "{" + strings.Join(text, ",") + "}"
}
