package reconcile

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"signer.tezos.io/e2e/operatorenv"
)

// A steady state makes no write, also where the API server has written values in
// another way than it was asked ("1000m" as "1", "0.5Gi" as "512Mi", no list instead
// of an empty one), also when each TezosSigner is reconciled again, and also when
// somebody has added a container of his own.
//
// E2E_STEADY_MINUTES=10 is the long form, `make test-steady-state`.
func TestASteadyStateWritesNothing(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	forms := map[string]operatorenv.Workload{"baker": operatorenv.Baker, "service": operatorenv.Service, "cloudhsm": operatorenv.CloudHSM, "single": func(spec object) {
		operatorenv.Service(spec)
		spec["service"].(object)["replicas"] = 1
	}}
	invalid := env.Signer("invalid", operatorenv.Baker)
	invalid["spec"].(object)["baker"].(object)["template"].(object)["spec"].(object)["shareProcessNamespace"] = true
	env.Create(invalid)
	for name, form := range forms {
		env.Create(env.Signer(name, form))
	}
	for name := range forms {
		env.AwaitCreated(name)
	}
	deployment := operatorenv.Path("deployments", operatorenv.Namespace, "baker")
	env.Change(deployment, func(o object) {
		spec := o["spec"].(object)["template"].(object)["spec"].(object)
		spec["containers"] = append(spec["containers"].([]any), object{"name": "injected", "image": "registry.example/mesh:1"})
	})
	env.AwaitIdle(o, 3*time.Second)
	// As the first reconcile after a start does: what the API server makes of values is not known to a new process.
	o.Stop()
	o = env.StartReady(image)
	env.AwaitIdle(o, 3*time.Second)

	began := time.Now()
	for round := range 3 {
		reconciles := o.Reconciles()
		for name := range forms {
			env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, name), func(signer object) { annotations(signer)["touched"] = fmt.Sprint(round) })
		}
		env.Await("each was reconciled", func() bool { return o.Reconciles() >= reconciles+float64(len(forms)) })
		env.AwaitIdle(o, time.Second)
	}
	if minutes, err := strconv.Atoi(os.Getenv("E2E_STEADY_MINUTES")); err == nil {
		for left := minutes; left > 0; left-- {
			time.Sleep(time.Minute)
			t.Logf("%d minutes left; %d requests so far", left-1, len(env.Requests(began, time.Now())))
		}
	}
	requests := env.Requests(began, time.Now())
	t.Logf("%v, %d TezosSigners, each reconciled 3 times and more:\n%s", time.Since(began).Round(time.Second), len(forms)+1, operatorenv.CountByResource(requests))
	if writes := operatorenv.Writes(requests); len(writes) > 0 {
		t.Errorf("%d writes: %v", len(writes), writes)
	}
	if len(requests) == 0 {
		t.Error("there was no request at all: is the log read rightly?")
	}
	containers := operatorenv.FieldOf(env.Get(deployment), "spec", "template", "spec", "containers").([]any)
	if len(containers) != 2 {
		t.Errorf("the injected container is gone: %v", containers)
	}
}
