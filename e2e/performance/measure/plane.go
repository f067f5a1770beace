// An API server with the records of keys, and signers that have theirs there.

package measure

import (
	"context"
	"encoding/json"
	"net/http"
	"os"

	"signer.tezos.io/e2e/bench"
	"signer.tezos.io/e2e/controlplane"
	"signer.tezos.io/e2e/fixture"
)

const recordsPath = "/api/v1/namespaces/" + fixture.RecordsNamespace + "/configmaps"

// plane is the API server, with an etcd that brings its writes to the disk, as one that is depended on does.
type plane struct {
	*controlplane.Plane
}

func (b *Bench) startPlane(ctx context.Context, name string) (*plane, error) {
	b.say("  starting an API server")
	directory, err := newDirectory(b.disk, name)
	if err != nil {
		return nil, err
	}
	started, err := controlplane.StartDurable(ctx, b.Checkout, directory)
	if err == nil {
		_, err = started.Do(ctx, http.MethodPost, "/api/v1/namespaces", object{"metadata": object{"name": fixture.RecordsNamespace}})
	}
	if err != nil && started != nil {
		started.Close()
	}
	return &plane{started}, err
}

// onPlane is a signer with these keys, by that name as a holder of records.
func (b *Bench) onPlane(p *plane, holder string, keys []*key, leaseSeconds int) setup {
	return setup{
		program: b.Program, keys: keys,
		config: object{
			"peer":       object{"listen": "127.0.0.1:0"},
			"watermarks": object{"configMap": object{"namespace": fixture.RecordsNamespace, "leaseDurationSeconds": leaseSeconds}},
		},
		env: []string{"KUBECONFIG=" + p.Kubeconfig(), "POD_UID=" + holder, "POD_IP=127.0.0.1"},
	}
}

// makeRecords has the records of these keys made.
func (b *Bench) makeRecords(ctx context.Context, p *plane, keys []*key) error {
	for _, key := range keys {
		const floor = "1000 2147483647 - -"
		if _, err := p.Do(ctx, http.MethodPost, recordsPath, object{"metadata": object{"name": fixture.RecordName(key.PublicKey)}, "data": object{
			"version": "1", "block": floor, "preattestation": floor, "attestation": floor,
		}}); err != nil {
			return err
		}
	}
	return nil
}

// record reads one.
func (p *plane) record(ctx context.Context, key *key) (*fixture.Record, error) {
	text, err := p.Do(ctx, http.MethodGet, recordsPath+"/"+fixture.RecordName(key.PublicKey), nil)
	if err != nil {
		return nil, err
	}
	var record fixture.Record
	return &record, json.Unmarshal(text, &record)
}

// holder is who holds the record of a key.
func (p *plane) holder(ctx context.Context, key *key) (string, error) {
	record, err := p.record(ctx, key)
	if err != nil {
		return "", err
	}
	var lease struct{ HolderIdentity string }
	text := record.Metadata.Annotations["control-plane.alpha.kubernetes.io/leader"]
	if text == "" {
		return "", nil
	}
	return lease.HolderIdentity, json.Unmarshal([]byte(text), &lease)
}

// copyOf makes a record like that of a key, of the same shape and size, which nobody but the bare PUTs writes.
func (p *plane) copyOf(ctx context.Context, key *key) (*bench.Record, error) {
	record, err := p.record(ctx, key)
	if err != nil {
		return nil, err
	}
	record.Metadata.Name = "bare-" + record.Metadata.Name[len("watermark-"):]
	if _, err := p.Do(ctx, http.MethodPost, recordsPath, record); err != nil {
		return nil, err
	}
	kubeconfig, err := os.ReadFile(p.Kubeconfig())
	if err != nil {
		return nil, err
	}
	access, err := bench.ParseKubeconfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return bench.OpenRecord(ctx, access, fixture.RecordsNamespace, record.Metadata.Name)
}
