package standalone

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

// restart tries once more: systemd 257 in a container of a busy machine has failed to start the process («unavailable
// resources», before the signer ran). Its own Restart= does the same.
const restart = "{ systemctl restart tezos-signer || systemctl restart tezos-signer; }"

// A baker asks ten times a second while the signer restarts: nobody is refused,
// and only what a killed process had in flight is lost. A stopped signer stays
// stopped, whoever connects.
func TestARestartIsAWait(t *testing.T) {
	for _, release := range []Debian{Debian12, Debian13} {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			testRestart(t, release)
		})
	}
}

func testRestart(t *testing.T, release Debian) {
	file := debianPackage(t)
	host := Boot(t, checkout, release, "host")
	install(t, host, file)
	for _, block := range documented(t, "standalone.md") {
		if !strings.Contains(block, "systemctl reload") {
			host.Run(t, block)
		}
	}
	host.awaitReady(t, "")
	install(t, host, file)
	baker := &restartBaker{host: host, key: host.key(t), level: 15181990} // of the document

	const (
		terminate = "systemctl restart --no-block tezos-signer"
		kill      = `kill -KILL "$(systemctl show --property MainPID --value tezos-signer)"`
		upgrade   = "apt-get install --yes --reinstall ./tezos-signer_*.deb 2>&1 >/dev/null"
	)
	for _, restart := range []struct {
		by, script string
		lost       int
	}{{"SIGTERM", terminate, 0}, {"SIGKILL", kill, 1}, {"an upgrade", upgrade, 0}} {
		answered := baker.signWhile(t, restart.script)
		t.Logf("%s: %v", restart.by, answered)
		if answered.refused > 0 || answered.broken > restart.lost || answered.other != nil {
			t.Errorf("%s: %v", restart.by, answered)
		}
	}

	// The test sees refused connections where there are some.
	host.Run(t, `mkdir -p /run/systemd/system/tezos-signer.service.d
printf '[Service]\nFileDescriptorStoreMax=0\nEnvironment=FDSTORE=0\n' > /run/systemd/system/tezos-signer.service.d/no-store.conf
systemctl daemon-reload && `+restart)
	answered := baker.signWhile(t, kill)
	t.Logf("without the store, SIGKILL: %v", answered)
	if answered.refused == 0 {
		t.Errorf("nobody is refused without the store either: %v", answered)
	}
	host.Run(t, "rm -r /run/systemd/system/tezos-signer.service.d && systemctl daemon-reload && "+restart)

	// Another address: the old one is closed.
	host.Run(t, "sed --in-place 's/listen: .*/listen: 127.0.0.1:6799/' /etc/tezos-signer/config.yaml && "+restart)
	host.checkConnectionRefused(t, "127.0.0.1:6732")
	host.Run(t, "sed --in-place 's/listen: .*/listen: 127.0.0.1:6732/' /etc/tezos-signer/config.yaml && "+restart)
	host.checkConnectionRefused(t, "127.0.0.1:6799")

	host.Run(t, "systemctl stop tezos-signer")
	for range 20 {
		host.checkConnectionRefused(t, "127.0.0.1:6732")
		time.Sleep(50 * time.Millisecond)
	}
	if state := host.state(t); state != "inactive" {
		t.Errorf("the stopped signer is %s", state)
	}
}

func (h *Host) checkConnectionRefused(t *testing.T, address string) {
	t.Helper()
	connection, err := h.Dial(t.Context(), "tcp", address)
	if err == nil {
		connection.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection to %s is not refused: %v", address, err)
	}
}

// restartBaker asks for one level after the other, as Octez does.
type restartBaker struct {
	host  *Host
	key   *octezclient.PublicKey
	level int32
}

// restartAnswers counts what became of requests.
type restartAnswers struct {
	asked, signed, refused, broken int
	longest                        time.Duration
	other                          error
}

func (a restartAnswers) String() string {
	return fmt.Sprintf("%d of %d signed, %d refused, %d broken, the longest wait %v, other: %v",
		a.signed, a.asked, a.refused, a.broken, a.longest.Round(time.Millisecond), a.other)
}

// signWhile asks ten times a second while script runs, 120 times at least, and 40 times after its end. What waits for an answer delays
// those after it, which follow at once.
func (b *restartBaker) signWhile(t *testing.T, script string) restartAnswers {
	t.Helper()
	ran, output := make(chan struct{}), error(nil)
	time.AfterFunc(2*time.Second, func() {
		defer close(ran)
		if text, err := b.host.try(context.WithoutCancel(t.Context()), script); err != nil {
			output = fmt.Errorf("%s: %w: %s", script, err, text)
		}
	})
	client := octezclient.NewClientBy(b.host.Dial, "http://127.0.0.1:6732")
	defer client.Close()
	var answers restartAnswers
	began := time.Now()
	for least := 120; answers.asked < least; {
		select {
		case <-ran:
		default:
			least = max(least, answers.asked+40)
		}
		time.Sleep(time.Until(began.Add(time.Duration(answers.asked) * 100 * time.Millisecond)))
		answers.asked++
		b.level++
		asked, err := payload.New("block", b.level, 0)
		if err != nil {
			t.Fatal(err)
		}
		sent := time.Now()
		_, err = client.Sign(t.Context(), b.key, asked)
		answers.longest = max(answers.longest, time.Since(sent))
		var answered *octezclient.AnswerError
		switch {
		case err == nil:
			answers.signed++
		case errors.Is(err, syscall.ECONNREFUSED):
			answers.refused++
		case errors.As(err, &answered):
			answers.other = errors.Join(answers.other, err)
		default:
			answers.broken++
			t.Logf("broken: %v", err)
		}
	}
	if output != nil {
		t.Error(output)
	}
	return answers
}
