package acceptance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/payload"
	"signer.tezos.io/e2e/stage"
)

const (
	planned   = time.Second
	unplanned = leaseDuration + time.Second
)

// How soon another signs: of three replicas behind a Service, and in a baker's pod.
// Alone on the machine, because it is about seconds; both at once, because they
// mostly wait.
func TestAnotherSignsInTime(t *testing.T) {
	t.Run("OfThreeReplicas", ofThreeReplicas)
	t.Run("InAnotherPodOfABaker", inAnotherPodOfABaker)
}

func ofThreeReplicas(t *testing.T) {
	t.Parallel()
	s := newService(t, "three", 3, octez.P256)
	replacedAsPlanned(t, s)
	f := &failures{t: t, signer: s, key: s.Keys[0].Parsed(), level: firstLevel + 5000}
	f.strike("its process is frozen", freeze, f.releasesNothing)
	f.strike("its network is cut", cutOff, f.releasesNothing)
	f.strike("its token is gone", takeToken, f.forwards)
}

// replacedAsPlanned is a rolling update, an eviction and a deletion under load: no
// request takes longer than a second.
func replacedAsPlanned(t *testing.T, s *stage.Signer) {
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
			_, err := theStage.Cluster.Run(t.Context(), "", "delete", "pod", holder, "-n", namespace, "--wait=false")
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
		load.end()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		t.Logf("%s: %d signed, %d lost, the slowest took %s", c.name, load.signed.Load(), load.lost.Load(), load.slowest.Round(time.Millisecond))
		if load.lost.Load() != 0 || load.slowest > planned {
			t.Errorf("%s: %d lost, the slowest took %s", c.name, load.lost.Load(), load.slowest)
		}
	}
}

// rollOut restarts all pods, and waits until it is done.
func rollOut(t *testing.T, name string) error {
	for _, args := range [][]string{{"restart"}, {"status", "--timeout=2m"}} {
		args := append([]string{"rollout", args[0], "deployment/" + name, "-n", namespace}, args[1:]...)
		if _, err := theStage.Cluster.Run(t.Context(), "", args...); err != nil {
			return err
		}
	}
	return nil
}

// evict asks for what a drain asks for.
func evict(t *testing.T, pod string) error {
	eviction := marshalled(t, values{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": values{"name": pod, "namespace": namespace}})
	_, err := theStage.Cluster.Run(t.Context(), eviction, "create", "-f", "-", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/eviction")
	return err
}

// awaitReplicas waits until there are as many as there should be, all ready.
func awaitReplicas(t *testing.T, s *stage.Signer) {
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

// failures are what nobody has planned, one after the other, each of the holder.
type failures struct {
	t      *testing.T
	signer *stage.Signer
	key    *octez.PublicKey
	level  int32 // the last that was asked for
}

// oldHolder is the holder that was struck.
type oldHolder struct {
	pod kubectl.Pod
	// Both reach it however it fares, inside its pod and outside.
	inside, outside *octez.Client
}

// strike does something to the holder, and undoes it when both others sign. Then
// they are asked what `meanwhile` says; what that returns, once it is undone.
func (f *failures) strike(name string, strike func(t *testing.T, pod kubectl.Pod) (undo func() error), meanwhile func(string, oldHolder, *octez.Client) func()) {
	f.t.Helper()
	awaitReplicas(f.t, f.signer)
	pod := holderPod(f.t, f.signer, f.signer.Keys[0])
	old := oldHolder{pod, insideOf(f.t, signerContainer(f.t, pod.Metadata.Name)), octez.NewClient(podURL(pod))}
	var others []*octez.Client
	for _, other := range pods(f.t, f.signer.Name) {
		if other.Metadata.UID != pod.Metadata.UID && other.Ready() {
			others = append(others, octez.NewClient(podURL(other)))
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
		go func() { took <- untilSigned(f.t, other, f.key, payload.Kinds[1+i], first+1, begin, 2*unplanned) }()
	}
	slowest := max(<-took, <-took)
	f.t.Logf("%s: both others sign after %s", name, slowest.Round(time.Millisecond))
	if slowest > unplanned {
		f.t.Errorf("%s: another signs only after %s", name, slowest)
	}
	f.statusNamesAnother(name, pod, begin)
	after := meanwhile(name, old, others[0])
	if err := undo(); err != nil {
		f.t.Fatalf("%s: undoing it: %v", name, err)
	}
	after()
	if now := holderOf(f.t, f.key); now == pod.Metadata.UID {
		f.t.Errorf("%s: it holds the record again, though others do their work", name)
	}
}

// statusNamesAnother: who looks at the TezosSigner sees soon who took over.
func (f *failures) statusNamesAnother(name string, than kubectl.Pod, begin time.Time) {
	f.t.Helper()
	err := kubectl.Await(f.t.Context(), 20*time.Second, func() (bool, error) {
		var signer kubectl.TezosSigner
		err := theStage.Cluster.Get(f.t.Context(), &signer, "tezossigner", f.signer.Name, "-n", namespace)
		return signer.Status.Holder != "" && signer.Status.Holder != than.Metadata.Name, err
	})
	if err != nil {
		f.t.Errorf("%s: the status does not name another holder: %v", name, err)
		return
	}
	f.t.Logf("%s: the status names another after %s", name, time.Since(begin).Round(100*time.Millisecond))
}

// untilSigned asks for one after the other, each once, until one is signed: how long
// after begin.
func untilSigned(t *testing.T, client *octez.Client, key *octez.PublicKey, kind string, level int32, begin time.Time, patience time.Duration) time.Duration {
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

// releasesNothing: what the old holder was asked for while it could not be seen is
// not signed, not then and not later, because another block of that level is. After
// that it answers as all do.
func (f *failures) releasesNothing(name string, old oldHolder, other *octez.Client) func() {
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

// forwards: a holder without its token has another sign, before and after it is back.
func (f *failures) forwards(name string, old oldHolder, _ *octez.Client) func() {
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

// refusedWith tells whether it is an answer with one of these statuses.
func refusedWith(err error, statuses ...int) bool {
	var answer *octez.AnswerError
	return errors.As(err, &answer) && slices.Contains(statuses, answer.Status)
}
