// The API server or etcd ends, by force or as it is asked to, and the node's supervisor
// starts it again.

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
)

func drawRestart(random *rand.Rand, _ int) fault {
	component := []string{"kube-apiserver", "etcd"}[random.IntN(2)]
	signal := []string{"KILL", "TERM"}[random.IntN(2)]
	return fault{what: fmt.Sprintf("SIG%s %s", signal, component), begin: func(ctx context.Context, t *trial) (func(context.Context) error, string, error) {
		script := fmt.Sprintf("kill -%s $(cat /run/cluster/pids/%s)", signal, component)
		return nil, "", t.field.cluster(ctx, "", "exec", "sh", "-c", script)
	}}
}
