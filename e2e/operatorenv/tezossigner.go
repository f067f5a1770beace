// TezosSigners as tests want them: valid, with keys that nobody has.

package operatorenv

import (
	"fmt"
	"net/http"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
)

// Workload is what a TezosSigner is.
type Workload func(spec Object)

// Baker is a pod with a baker and its signer, with values in it that the API server writes in another way.
func Baker(spec Object) {
	spec["baker"] = Object{"template": Object{"spec": Object{
		"containers": []any{Object{
			"name": "baker", "image": "registry.example/baker:1", "args": []any{},
			"resources":     Object{"requests": Object{"cpu": "1000m", "memory": "1024Mi"}, "limits": Object{"memory": "2048Mi"}},
			"livenessProbe": Object{"httpGet": Object{"path": "/", "port": "web"}},
			"ports":         []any{Object{"name": "web", "containerPort": 8080}},
			"env":           []any{Object{"name": "EMPTY", "value": ""}},
		}},
		"volumes": []any{Object{"name": "scratch", "emptyDir": Object{"sizeLimit": "0.5Gi"}}},
	}}}
	delete(spec, "service")
}

// Service is two signers behind a Service.
func Service(spec Object) {
	spec["service"] = Object{"replicas": 2, "unauthenticated": true}
	delete(spec, "baker")
}

// InjectedAccount is the ServiceAccount of pods with an injected sidecar.
const InjectedAccount = "tezos-baker"

// Inject is a sidecar for pods that something else makes.
func Inject(spec Object) {
	spec["inject"] = Object{"serviceAccountName": InjectedAccount}
	delete(spec, "baker")
}

// CloudHSM is a baker whose HSM is an AWS CloudHSM cluster.
func CloudHSM(spec Object) {
	Baker(spec)
	spec["hsm"] = Object{"cloudHsm": Object{
		"addresses": []any{"10.0.1.6"}, "customerCa": Object{"configMap": "cloudhsm-ca"},
		"clientImage": "registry.example/cloudhsm:5", "pin": Object{"secret": "pin", "key": "pin"},
	}}
}

// NewKey is a public key.
func (e *Env) NewKey() *octezclient.PublicKey {
	e.t.Helper()
	key, err := octezclient.NewP256()
	if err != nil {
		e.t.Fatal(err)
	}
	return key
}

// Signer is a TezosSigner of that form and name, not applied yet.
func (e *Env) Signer(name string, form Workload, keys ...*octezclient.PublicKey) Object {
	e.t.Helper()
	if len(keys) == 0 {
		keys = append(keys, e.NewKey())
	}
	var specs []any
	for i, key := range keys {
		specs = append(specs, Object{"publicKey": key.String(), "label": fmt.Sprint("key-", i)})
	}
	spec := Object{
		"chain": "mainnet", "keys": specs,
		"hsm":              Object{"pkcs11": Object{"module": "/lib/p11.so", "token": "t", "pin": Object{"secret": "pin", "key": "pin"}}},
		"initialWatermark": Object{"level": 1000, "notAfter": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
	}
	form(spec)
	return Object{
		"apiVersion": "signer.tezos.io/v1alpha1", "kind": "TezosSigner",
		"metadata": Object{"name": name, "namespace": Namespace}, "spec": spec,
	}
}

// Create creates it.
func (e *Env) Create(signer Object) {
	e.t.Helper()
	e.Must(http.MethodPost, Path("tezossigners", TextOf(signer, "metadata", "namespace"), ""), signer)
}

// Condition is one of a TezosSigner's conditions, or nil.
func (e *Env) Condition(name, type_ string) Object {
	e.t.Helper()
	conditions, _ := FieldOf(e.Get(Path("tezossigners", Namespace, name)), "status", "conditions").([]any)
	for _, condition := range conditions {
		if TextOf(condition, "type") == type_ {
			return condition.(Object)
		}
	}
	return nil
}

// AwaitCreated waits until the Deployment of that TezosSigner exists and its status says Accepted.
func (e *Env) AwaitCreated(name string) time.Duration {
	e.t.Helper()
	return e.Await(name+" is made", func() bool {
		return e.Get(Path("deployments", Namespace, name)) != nil && TextOf(e.Condition(name, "Accepted"), "status") == "True"
	})
}

// RecordName is the name of the watermark record of key.
func RecordName(key *octezclient.PublicKey) string { return fixture.RecordName(key) }

// AwaitIdle waits until the operator has reconciled nothing for a while. It asks rarely: a scrape of many TezosSigners costs the operator more
// than a reconcile.
func (e *Env) AwaitIdle(o *Process, quiet time.Duration) {
	e.t.Helper()
	reconciles, since := o.Reconciles(), time.Now()
	for began := since; time.Since(since) <= quiet; time.Sleep(100 * time.Millisecond) {
		if now := o.Reconciles(); now != reconciles {
			reconciles, since = now, time.Now()
		}
		if time.Since(began) > patience {
			e.t.Fatal("waited in vain: the operator is quiet")
		}
	}
}
