package acceptance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

const (
	plannedLimit   = time.Second
	unplannedLimit = leaseDuration + time.Second
)

// How soon another signs: of three replicas behind a Service, and in a baker's pod.
// Alone on the machine, because it is about seconds; both at once, because they
// mostly wait.
func TestAnotherSignsInTime(t *testing.T) {
	t.Run("OfThreeReplicas", testServiceFailover)
	t.Run("InAnotherPodOfABaker", testBakerFailover)
}

func testServiceFailover(t *testing.T) {
	t.Parallel()
	s := newService(t, "three", 3, octezclient.P256)
	checkPlannedReplacements(t, s)
	f := &failoverTest{t: t, signer: s, key: s.Keys[0].Parsed(), level: firstLevel + 5000}
	f.injectFault("its process is frozen", freeze, f.checkOldHolderReleasesNothing)
	f.injectFault("its network is cut", cutNetwork, f.checkOldHolderReleasesNothing)
	f.injectFault("its token is gone", hideToken, f.checkOldHolderForwards)
}

// checkPlannedReplacements is a rolling update, an eviction and a deletion under load: no
// request takes longer than a second.
func checkPlannedReplacements(t *testing.T, s *fixture.Signer) {
	service := serviceURL(t, s.Name)
	for i, c := range []struct {
		name string
		do   func(holder string) error
	}{
		{"a rolling update", func(string) error { return rollOut(t, s.Name) }},
		{"an eviction, as of a drain", func(holder string) error {
			if err := evict(t, holder); err != nil {
				return err
			}
			// One at a time, until its replacement is ready.
			for _, pod := range pods(t, s.Name) {
				if pod.Ready() {
					if err := evict(t, pod.Metadata.Name); err == nil || !strings.Contains(err.Error(), "disruption budget") {
						return fmt.Errorf("a second eviction is not refused: %v", err)
					}
				}
			}
			return nil
		}},
		{"a deletion", func(holder string) error {
			_, err := suite.Cluster.Run(t.Context(), "", "delete", "pod", holder, "-n", namespace, "--wait=false")
			return err
		}},
	} {
		awaitReplicas(t, s)
		holder := holderPod(t, s, s.Keys[0])
		load := startLoad(t, service, s.Keys[0], int32(firstLevel+1000*i))
		time.Sleep(200 * time.Millisecond)
		err := c.do(holder.Metadata.Name)
		if err == nil {
			err = kubectl.Await(t.Context(), time.Minute, func() (bool, error) {
				now := holderOf(t, s.Keys[0].Parsed())
				return now != "" && now != holder.Metadata.UID, nil
			})
		}
		time.Sleep(time.Second)
		load.finish()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		t.Logf("%s: %d signed, %d lost, the slowest took %s", c.name, load.signed.Load(), load.lost.Load(), load.slowest.Round(time.Millisecond))
		if load.lost.Load() != 0 || load.slowest > plannedLimit {
			t.Errorf("%s: %d lost, the slowest took %s", c.name, load.lost.Load(), load.slowest)
		}
	}
}

// rollOut restarts all pods, and waits until it is done.
func rollOut(t *testing.T, name string) error {
	for _, args := range [][]string{{"restart"}, {"status", "--timeout=2m"}} {
		args := append([]string{"rollout", args[0], "deployment/" + name, "-n", namespace}, args[1:]...)
		if _, err := suite.Cluster.Run(t.Context(), "", args...); err != nil {
			return err
		}
	}
	return nil
}

// evict asks for what a drain asks for.
func evict(t *testing.T, pod string) error {
	eviction := marshalled(t, values{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": values{"name": pod, "namespace": namespace}})
	_, err := suite.Cluster.Run(t.Context(), eviction, "create", "-f", "-", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/eviction")
	return err
}

// awaitReplicas waits until there are as many as there should be, all ready.
func awaitReplicas(t *testing.T, s *fixture.Signer) {
	t.Helper()
	err := kubectl.Await(t.Context(), readyTimeout, func() (bool, error) {
		ready := 0
		for _, pod := range pods(t, s.Name) {
			if pod.Ready() {
				ready++
			}
		}
		return ready == s.Replicas, nil
	})
	if err != nil {
		t.Fatalf("the replicas of %s: %v", s.Name, err)
	}
}

// failoverTest are what nobody has planned, one after the other, each of the holder.
type failoverTest struct {
	t      *testing.T
	signer *fixture.Signer
	key    *octezclient.PublicKey
	level  int32 // the last that was asked for
}

// oldHolder is the holder that was struck.
type oldHolder struct {
	pod kubectl.Pod
	// Both reach it however it fares, inside its pod and outside.
	inside, outside *octezclient.Client
}

// injectFault does something to the holder, and undoes it when both others sign. Then
// they are asked what `meanwhile` says; what that returns, once it is undone.
func (f *failoverTest) injectFault(name string, strike func(t *testing.T, pod kubectl.Pod) (undo func() error), meanwhile func(string, oldHolder, *octezclient.Client) func()) {
	f.t.Helper()
	awaitReplicas(f.t, f.signer)
	pod := holderPod(f.t, f.signer, f.signer.Keys[0])
	old := oldHolder{pod, clientInPod(f.t, signerContainer(f.t, pod.Metadata.Name)), octezclient.NewClient(podURL(pod))}
	var others []*octezclient.Client
	for _, other := range pods(f.t, f.signer.Name) {
		if other.Metadata.UID != pod.Metadata.UID && other.Ready() {
			others = append(others, octezclient.NewClient(podURL(other)))
		}
	}
	if len(others) != 2 {
		f.t.Fatalf("%s: there are %d others", name, len(others))
	}
	f.level += 1000
	first := f.level
	if _, err := old.outside.Sign(f.t.Context(), f.key, newBlock(f.t, first)); err != nil {
		f.t.Fatalf("%s: before: %v", name, err)
	}

	undo := strike(f.t, pod)
	begin := time.Now()
	took := make(chan time.Duration)
	for i, other := range others {
		go func() {
			took <- timeToSignature(f.t, other, f.key, payload.Kinds[1+i], first+1, begin, 2*unplannedLimit)
		}()
	}
	slowest := max(<-took, <-took)
	f.t.Logf("%s: both others sign after %s", name, slowest.Round(time.Millisecond))
	if slowest > unplannedLimit {
		f.t.Errorf("%s: another signs only after %s", name, slowest)
	}
	f.awaitNewHolderInStatus(name, pod, begin)
	after := meanwhile(name, old, others[0])
	if err := undo(); err != nil {
		f.t.Fatalf("%s: undoing it: %v", name, err)
	}
	after()
	if now := holderOf(f.t, f.key); now == pod.Metadata.UID {
		f.t.Errorf("%s: it holds the record again, though others do their work", name)
	}
}

// awaitNewHolderInStatus waits until the status of the TezosSigner names the new holder.
func (f *failoverTest) awaitNewHolderInStatus(name string, than kubectl.Pod, begin time.Time) {
	f.t.Helper()
	err := kubectl.Await(f.t.Context(), 20*time.Second, func() (bool, error) {
		var signer kubectl.TezosSigner
		err := suite.Cluster.Get(f.t.Context(), &signer, "tezossigner", f.signer.Name, "-n", namespace)
		return signer.Status.Holder != "" && signer.Status.Holder != than.Metadata.Name, err
	})
	if err != nil {
		f.t.Errorf("%s: the status does not name another holder: %v", name, err)
		return
	}
	f.t.Logf("%s: the status names another after %s", name, time.Since(begin).Round(100*time.Millisecond))
}

// timeToSignature asks for one after the other, each once, until one is signed: how long
// after begin.
func timeToSignature(t *testing.T, client *octezclient.Client, key *octezclient.PublicKey, kind string, level int32, begin time.Time, patience time.Duration) time.Duration {
	for ; time.Since(begin) < patience; level++ {
		wanted, err := payload.New(kind, level, 0)
		if err != nil {
			t.Error(err)
			break
		}
		if _, err := client.RequestOnce(t.Context(), key, wanted); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(begin)
}

// checkOldHolderReleasesNothing: what the old holder was asked for while it could not be seen is
// not signed, not then and not later, because another block of that level is. After
// that it answers as all do.
func (f *failoverTest) checkOldHolderReleasesNothing(name string, old oldHolder, other *octezclient.Client) func() {
	level := f.level + 500
	wanted, rival := newBlock(f.t, level), newBlock(f.t, level)
	answers := make(chan error, 1)
	go func() {
		signature, err := old.inside.RequestOnce(f.t.Context(), f.key, wanted)
		if err == nil {
			err = fmt.Errorf("it gave the signature %s", signature)
		}
		answers <- err
	}()
	time.Sleep(100 * time.Millisecond)
	signature, err := other.Sign(f.t.Context(), f.key, rival)
	if err != nil {
		f.t.Fatalf("%s: a block that the old holder has not signed: %v", name, err)
	}
	return func() {
		select {
		case err := <-answers:
			f.t.Logf("%s: what it was asked for meanwhile: %v", name, err)
			if !refusedWith(err, 409, 502) {
				f.t.Errorf("%s: it may release nothing: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			f.t.Errorf("%s: it never answers", name)
		}
		again, err := old.outside.Sign(f.t.Context(), f.key, rival)
		if err != nil || again != signature {
			f.t.Errorf("%s: it must give what was signed, %s; it gives %s, %v", name, signature, again, err)
		}
		if _, err := old.outside.Sign(f.t.Context(), f.key, wanted); !refusedWith(err, 409) {
			f.t.Errorf("%s: it must refuse another block of that level: %v", name, err)
		}
		if _, err := old.outside.Sign(f.t.Context(), f.key, newBlock(f.t, level+1)); err != nil {
			f.t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

// checkOldHolderForwards: a holder without its token has another sign, before and after it is back.
func (f *failoverTest) checkOldHolderForwards(name string, old oldHolder, _ *octezclient.Client) func() {
	if _, err := old.outside.Sign(f.t.Context(), f.key, newBlock(f.t, f.level+500)); err != nil {
		f.t.Errorf("%s: through it: %v", name, err)
	}
	return func() {
		if _, err := old.outside.Sign(f.t.Context(), f.key, newBlock(f.t, f.level+501)); err != nil {
			f.t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

// freeze stops the signer's process.
func freeze(t *testing.T, pod kubectl.Pod) (thaw func() error) {
	container := signerContainer(t, pod.Metadata.Name)
	if err := signalContainer(t, container, "SIGSTOP"); err != nil {
		t.Fatal(err)
	}
	return func() error { return signalContainer(t, container, "SIGCONT") }
}

// refusedWith reports whether it is an answer with one of these statuses.
func refusedWith(err error, statuses ...int) bool {
	var answer *octezclient.AnswerError
	return errors.As(err, &answer) && slices.Contains(statuses, answer.Status)
}
