// A standby watches renewals, and reads less for it. That delays no take-over: not
// where it may not watch, nor where the watch goes silent without an error.

package cost

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/payload"
)

func TestAStandbyThatMayNotWatchTakesOverAllTheSame(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 1)
	if _, err := s.Do(t.Context(), http.MethodPut, rbac+"/roles/signer", object{"metadata": object{"name": "signer"}, "rules": []object{{
		"apiGroups": []string{""}, "resources": []string{"configmaps"},
		"resourceNames": []string{fixture.RecordName(keys[0]), fixture.RecordName(keys[1])}, "verbs": []string{"get", "update"},
	}}}); err != nil {
		t.Fatal(err)
	}
	holder := s.startPod("holder", int(auditLease.Seconds()), s.Port)
	standby := s.startPod("standby", int(auditLease.Seconds()), s.Port)
	mustTakeOver(t, s, holder, standby)
}

func TestAStandbyThatWatchesTakesOverInTime(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 1)
	holder := s.startPod("holder", int(auditLease.Seconds()), s.Port)
	standby := s.startPod("standby", int(auditLease.Seconds()), s.Port)
	time.Sleep(3 * renewal) // it watches renewals, and polls no more
	mustTakeOver(t, s, holder, standby)
}

// mustTakeOver kills the holder: the other one serves both keys within the lease and a second.
func mustTakeOver(t *testing.T, s *signerEnv, holder, standby *pod) {
	t.Helper()
	holder.kill()
	began := time.Now()
	for i, key := range keys {
		eventually(t, "another holder of key "+fmt.Sprint(i), func() bool {
			_, held := s.record(key)
			return held.HolderIdentity == standby.name
		})
	}
	took := time.Since(began)
	t.Logf("both keys were taken over %v after the holder was killed", took.Round(time.Millisecond))
	if took > auditLease+time.Second {
		t.Errorf("that is more than the lease and a second")
	}
	vote, err := payload.New("attestation", initialLevel+1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := standby.client.Sign(t.Context(), keys[0], vote); err != nil {
		t.Error(err)
	}
}

func TestAWatchThatFallsSilentDelaysNoTakeOver(t *testing.T) {
	skipIfShort(t)
	s := newSignerEnv(t, 1)
	p := s.newProxy()
	var notified, unnotified atomic.Int64
	p.answers = func(response *http.Response) error {
		if response.Request.URL.Query().Get("watch") == "" {
			return nil
		}
		events, reader := bufio.NewReader(response.Body), response.Body
		end, write := io.Pipe()
		go func() {
			defer reader.Close()
			for {
				event, err := events.ReadBytes('\n')
				if err != nil {
					write.CloseWithError(err)
					return
				}
				if unnotified.Load() == 0 {
					notified.Add(1)
					write.Write(event)
				}
			}
		}()
		response.Body = end
		return nil
	}
	holder := s.startPod("holder", int(auditLease.Seconds()), s.Port)
	standby := s.startPod("standby", int(auditLease.Seconds()), p.port)
	eventually(t, "some renewals are delivered", func() bool { return notified.Load() > 6 })
	unnotified.Store(1)
	time.Sleep(renewal * 3 / 2) // at least one that is not delivered
	mustTakeOver(t, s, holder, standby)
}
