// TezosSigners as tests want them: valid, with keys that nobody has.

package operator

import (
	"fmt"
	"net/http"
	"time"

	"signer.tezos.io/e2e/octez"
	"signer.tezos.io/e2e/stage"
)

// Form is what a TezosSigner is.
type Form func(spec Object)

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

// CloudHSM is a baker whose HSM is an AWS CloudHSM cluster.
func CloudHSM(spec Object) {
	Baker(spec)
	spec["hsm"] = Object{"cloudHsm": Object{
		"addresses": []any{"10.0.1.6"}, "customerCa": Object{"configMap": "cloudhsm-ca"},
		"clientImage": "registry.example/cloudhsm:5", "pin": Object{"secret": "pin", "key": "pin"},
	}}
}

// NewKey is a public key.
func (p *Place) NewKey() *octez.PublicKey {
	p.t.Helper()
	key, err := octez.NewP256()
	if err != nil {
		p.t.Fatal(err)
	}
	return key
}

// Signer is a TezosSigner of that form and name, not applied yet.
func (p *Place) Signer(name string, form Form, keys ...*octez.PublicKey) Object {
	p.t.Helper()
	if len(keys) == 0 {
		keys = append(keys, p.NewKey())
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
func (p *Place) Create(signer Object) {
	p.t.Helper()
	p.Must(http.MethodPost, Path("tezossigners", Text(signer, "metadata", "namespace"), ""), signer)
}

// Condition is one of a TezosSigner's conditions, or nil.
func (p *Place) Condition(name, type_ string) Object {
	p.t.Helper()
	conditions, _ := At(p.Get(Path("tezossigners", Namespace, name)), "status", "conditions").([]any)
	for _, condition := range conditions {
		if Text(condition, "type") == type_ {
			return condition.(Object)
		}
	}
	return nil
}

// AwaitMade waits until everything of that TezosSigner is there, and its status tells of it.
func (p *Place) AwaitMade(name string) time.Duration {
	p.t.Helper()
	return p.Await(name+" is made", func() bool {
		return p.Get(Path("deployments", Namespace, name)) != nil && Text(p.Condition(name, "Accepted"), "status") == "True"
	})
}

// RecordName is the name of the watermark record of key.
func RecordName(key *octez.PublicKey) string { return stage.RecordName(key) }

// AwaitQuiet waits until the operator has not looked at anything for a while.
func (p *Place) AwaitQuiet(o *Process, quiet time.Duration) {
	p.t.Helper()
	looks, since := o.Looks(), time.Now()
	p.Await("the operator is quiet", func() bool {
		if now := o.Looks(); now != looks {
			looks, since = now, time.Now()
		}
		return time.Since(since) > quiet
	})
}
