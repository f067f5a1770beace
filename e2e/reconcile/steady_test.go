package reconcile

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"signer.tezos.io/e2e/operator"
)

// A steady state makes no write, also where the API server has written values in
// another way than it was asked ("1000m" as "1", "0.5Gi" as "512Mi", no list instead
// of an empty one), also when each TezosSigner is looked at again, and also when
// somebody has added a container of his own.
//
// E2E_STEADY_MINUTES=10 is the long form, `make steady`.
func TestASteadyStateWritesNothing(t *testing.T) {
	needsE2E(t)
	p := operator.NewPlace(t)
	p.StartControllers()
	o := p.StartReady(image)
	forms := map[string]operator.Form{"baker": operator.Baker, "service": operator.Service, "cloudhsm": operator.CloudHSM, "single": func(spec object) {
		operator.Service(spec)
		spec["service"].(object)["replicas"] = 1
	}}
	invalid := p.Signer("invalid", operator.Baker)
	invalid["spec"].(object)["baker"].(object)["template"].(object)["spec"].(object)["shareProcessNamespace"] = true
	p.Create(invalid)
	for name, form := range forms {
		p.Create(p.Signer(name, form))
	}
	for name := range forms {
		p.AwaitMade(name)
	}
	deployment := operator.Path("deployments", operator.Namespace, "baker")
	p.Change(deployment, func(o object) {
		spec := o["spec"].(object)["template"].(object)["spec"].(object)
		spec["containers"] = append(spec["containers"].([]any), object{"name": "injected", "image": "registry.example/mesh:1"})
	})
	p.AwaitQuiet(o, 3*time.Second)
	// As the first look after a start does: what the API server makes of values is not known to a new process.
	o.Stop()
	o = p.StartReady(image)
	p.AwaitQuiet(o, 3*time.Second)

	began := time.Now()
	for round := range 3 {
		looks := o.Looks()
		for name := range forms {
			p.Change(operator.Path("tezossigners", operator.Namespace, name), func(signer object) { annotations(signer)["touched"] = fmt.Sprint(round) })
		}
		p.Await("each was looked at", func() bool { return o.Looks() >= looks+float64(len(forms)) })
		p.AwaitQuiet(o, time.Second)
	}
	if minutes, err := strconv.Atoi(os.Getenv("E2E_STEADY_MINUTES")); err == nil {
		for left := minutes; left > 0; left-- {
			time.Sleep(time.Minute)
			t.Logf("%d minutes left; %d requests so far", left-1, len(p.Requests(began, time.Now())))
		}
	}
	requests := p.Requests(began, time.Now())
	t.Logf("%v, %d TezosSigners, each looked at 3 times and more:\n%s", time.Since(began).Round(time.Second), len(forms)+1, operator.Table(requests))
	if writes := operator.Writes(requests); len(writes) > 0 {
		t.Errorf("%d writes: %v", len(writes), writes)
	}
	if len(requests) == 0 {
		t.Error("there was no request at all: is the log read rightly?")
	}
	containers := operator.At(p.Get(deployment), "spec", "template", "spec", "containers").([]any)
	if len(containers) != 2 {
		t.Errorf("the injected container is gone: %v", containers)
	}
}
