// A signer's process is killed; the kubelet starts another one in the same pod.

package nemesis

import (
	"context"
	"math/rand/v2"
	"syscall"
)

func drawKill(random *rand.Rand, keys int) fault {
	victim := drawVictim(random, keys)
	return fault{what: "SIGKILL " + victim.who, begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		r, err := victim.find(ctx, t.target)
		if err != nil {
			return nil, "", err
		}
		t.noteRestart()
		return nil, r.name, r.signal(syscall.SIGKILL)
	}}
}

func (r replica) signal(signal syscall.Signal) error {
	process, err := r.process()
	if err != nil {
		return err
	}
	return syscall.Kill(process, signal)
}
