package reconcile

import (
	"testing"

	"signer.tezos.io/e2e/operatorenv"
)

// An image that never ran well is gone with the spec that named it: what ran well last is
// used again, or the operator's default where nothing has. What somebody makes of the
// Deployment is no image that ran well.
func TestABadImageIsTakenBackWithTheSpec(t *testing.T) {
	needsE2E(t)
	env := operatorenv.New(t)
	env.StartControllers()
	o := env.StartReady(image)
	const bad, better, next = "registry.example/tezos-signer:typo", "registry.example/tezos-signer:better", "registry.example/tezos-signer:next"
	for _, name := range []string{"well", "never"} {
		signer := env.Signer(name, operatorenv.Baker)
		if name == "never" {
			signer["spec"].(object)["image"] = bad
		}
		env.Create(signer)
		env.AwaitCreated(name)
	}
	name := func(signer, image string) {
		env.Change(operatorenv.Path("tezossigners", operatorenv.Namespace, signer), func(o object) {
			if o["spec"].(object)["image"] = image; image == "" {
				delete(o["spec"].(object), "image")
			}
		})
	}
	deployed := func(signer, image string, why ...string) {
		t.Helper()
		env.Await(signer+" has "+image, func() bool { return signerImage(env, signer) == image && status(env, signer, "deployedImage") == image })
		awaitCondition(t, env, signer, "Accepted", "True", "Valid", append(why, image)...)
	}
	deployed("well", image, "the operator's default")
	deployed("never", bad, "from spec.image")
	if ran := status(env, "well", "image") + status(env, "never", "image"); ran != "" {
		t.Errorf("%s ran well without a pod", ran)
	}

	// Nothing has run well yet.
	name("never", "")
	deployed("never", image, "the operator's default", "no image has run well yet")

	allReady(t, env, 74, "well")
	awaitCondition(t, env, "well", "Accepted", "True", "Valid", "the last one that ran well", image)
	name("well", bad)
	deployed("well", bad, "from spec.image")
	if ran := status(env, "well", "image"); ran != image {
		t.Errorf("%s is said to have run well", ran)
	}
	// Another image, set by hand, while the operator is down.
	o.Stop()
	deployment := operatorenv.Path("deployments", operatorenv.Namespace, "well")
	env.Change(deployment, func(o object) {
		operatorenv.FieldOf(o, "spec", "template", "spec", "initContainers").([]any)[0].(object)["image"] = "registry.example/another:1"
	})
	name("well", "")
	env.StartReady(next)
	deployed("well", image, "the last one that ran well")

	// Another that runs well is what comes back then.
	name("well", better)
	deployed("well", better)
	env.Await("the pod is a new one", func() bool {
		names := pods(env, "well")
		if len(names) != 1 {
			return false
		}
		containers, _ := operatorenv.FieldOf(env.Get(operatorenv.Path("pods", operatorenv.Namespace, names[0])), "spec", "initContainers").([]any)
		return len(containers) > 0 && operatorenv.TextOf(containers[0], "image") == better
	})
	allReady(t, env, 75, "well")
	env.Await("it ran well", func() bool { return status(env, "well", "image") == better })
	name("well", bad)
	deployed("well", bad)
	name("well", "")
	deployed("well", better, "the last one that ran well")
}
