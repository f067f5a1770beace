// The API server or etcd ends, and the node's supervisor starts it again. It is killed,
// or asked to end first, as a kubelet does with its static pod: the API server would
// wait a minute for its watchers.

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Patience is two seconds, and a process that is killed meanwhile is gone.
const restartScript = `
process=$(cat /run/cluster/pids/%s)
kill -%s "$process"
for try in $(seq 20); do kill -0 "$process" 2>/dev/null || exit 0; sleep 0.1; done
kill -KILL "$process" 2>/dev/null || true
`

func drawRestart(random *rand.Rand, _ int) fault {
	component := []string{"kube-apiserver", "etcd"}[random.IntN(2)]
	signal := []string{"KILL", "TERM"}[random.IntN(2)]
	return fault{what: fmt.Sprintf("SIG%s %s", signal, component), disruptive: true, begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		return nil, "", t.target.cluster(ctx, "", "exec", "sh", "-c", fmt.Sprintf(restartScript, component, signal))
	}}
}
