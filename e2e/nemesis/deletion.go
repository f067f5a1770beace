// A pod is deleted, as by a drain or by force, and another one takes its place.

package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
)

func drawDeletion(random *rand.Rand, keys int) fault {
	victim, how, query := drawVictim(random, keys), "", ""
	if random.IntN(2) == 0 {
		how, query = " by force", "?gracePeriodSeconds=0"
	}
	return fault{what: "the pod of " + victim.who + " is deleted" + how, begin: func(ctx context.Context, t *historyRun) (func(context.Context) error, string, error) {
		r, err := victim.find(ctx, t.target)
		if err != nil {
			return nil, "", err
		}
		t.noteRestart()
		path := "/api/v1/namespaces/" + t.target.Namespace + "/pods/" + r.name + query
		status, answer, err := t.target.api.call(ctx, http.MethodDelete, path, "", nil, administrator)
		if err == nil && status >= 300 {
			err = fmt.Errorf("DELETE %s: %d %.200s", path, status, answer)
		}
		return nil, r.name, err
	}}
}
