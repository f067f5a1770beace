// Package nemesis breaks a local cluster under the replicas of one TezosSigner, for
// real, while clients ask all of them for conflicting and identical signatures, and
// writes down all that was asked, answered, edited and broken. What may be answered is
// checked by package history, which knows nothing of this one.
//
// A kind of fault is one file. What is broken when: plan.go. What is asked: clients.go.
// The end, where all must be well again: recovery.go. One history: run.go.
//
// This file: what the faults are made on, and who of it is who.
package nemesis

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
)

// Target is a TezosSigner of the Service form on the local cluster.
type Target struct {
	Checkout, Namespace, Name string
	Replicas                  int
	Service                   string // the base URL
	Keys                      []*octezclient.PublicKey

	api, apiOfPods *apiServer

	lock    sync.Mutex
	pods    []replica
	holders map[string]string // by key hash: the UID of the pod that was last seen to hold it
}

const signingPort, peerPort, apiPort = 6732, 6733, 6443

// replica is a pod, which may be on its way out.
type replica struct {
	name, uid, address string
	ready, leaving     bool
}

func (r replica) url() string { return fmt.Sprintf("http://%s:%d", r.address, signingPort) }

// Open connects to the API server and finds the replicas.
func (f *Target) Open(ctx context.Context) error {
	var err error
	if f.api, err = openAPIServer(f.Checkout); err != nil {
		return err
	}
	if f.apiOfPods, err = f.api.asPods(ctx); err != nil {
		return err
	}
	f.holders = map[string]string{}
	return f.refresh(ctx)
}

// refresh reads which replicas there are and who holds which record. Where the API server does
// not answer, what was known stays.
func (f *Target) refresh(ctx context.Context) error {
	var list struct {
		Items []struct {
			Metadata struct {
				Name              string `json:"name"`
				UID               string `json:"uid"`
				DeletionTimestamp string `json:"deletionTimestamp"`
			} `json:"metadata"`
			Status struct {
				PodIP      string                          `json:"podIP"`
				Conditions []struct{ Type, Status string } `json:"conditions"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := f.api.get(ctx, "/api/v1/namespaces/"+f.Namespace+"/pods?labelSelector=app.kubernetes.io/instance%3D"+f.Name, &list); err != nil {
		return err
	}
	var pods []replica
	for _, pod := range list.Items {
		r := replica{name: pod.Metadata.Name, uid: pod.Metadata.UID, address: pod.Status.PodIP, leaving: pod.Metadata.DeletionTimestamp != ""}
		for _, c := range pod.Status.Conditions {
			r.ready = r.ready || c.Type == "Ready" && c.Status == "True"
		}
		if r.address != "" {
			pods = append(pods, r)
		}
	}
	holders := map[string]string{}
	for _, key := range f.Keys {
		holder, err := f.readHolder(ctx, key)
		if err != nil {
			return err
		}
		holders[key.Hash()] = holder
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	f.pods, f.holders = pods, holders
	return nil
}

func (f *Target) readHolder(ctx context.Context, key *octezclient.PublicKey) (string, error) {
	var record fixture.Record
	if err := f.api.get(ctx, recordPath(key), &record); err != nil {
		return "", err
	}
	var lease struct {
		Holder string `json:"holderIdentity"`
	}
	text := record.Metadata.Annotations["control-plane.alpha.kubernetes.io/leader"]
	if err := json.Unmarshal([]byte(text), &lease); err != nil {
		return "", fmt.Errorf("the lease of %s: %w", record.Metadata.Name, err)
	}
	return lease.Holder, nil
}

func recordPath(key *octezclient.PublicKey) string {
	return "/api/v1/namespaces/" + fixture.RecordsNamespace + "/configmaps/" + fixture.RecordName(key)
}

// replicas are all that may answer, the leaving ones too.
func (f *Target) replicas() []replica {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.pods
}

// holder is who holds the key now or, where the API server does not say so soon, did
// when it last said so.
func (f *Target) holder(ctx context.Context, key *octezclient.PublicKey) (replica, error) {
	soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	f.refresh(soon)
	f.lock.Lock()
	defer f.lock.Unlock()
	for _, r := range f.pods {
		if r.uid == f.holders[key.Hash()] {
			return r, nil
		}
	}
	return replica{}, fmt.Errorf("nobody is known to hold %s", key.Hash())
}

// otherReplicas are all but that one.
func (f *Target) otherReplicas(than replica) []replica {
	var others []replica
	for _, r := range f.replicas() {
		if r.uid != than.uid {
			others = append(others, r)
		}
	}
	return others
}

// cluster runs a command of the cluster tool.
func (f *Target) cluster(ctx context.Context, stdin string, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(f.Checkout, "target/tools/cluster"), args...)
	command.Stdin = strings.NewReader(stdin)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cluster %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(output))
	}
	return nil
}

// process finds the signer's process of a replica: of that program, in a control group
// of that pod.
func (r replica) process() (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		if name, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(name)) != "tezos-signer" {
			continue
		}
		groups, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		if err != nil || !strings.Contains(string(groups), r.uid) {
			continue
		}
		var id int
		_, err = fmt.Sscanf(file, "/proc/%d/comm", &id)
		return id, err
	}
	return 0, fmt.Errorf("no signer runs in pod %s", r.name)
}

// key is the one with the hash, or else the unknown one.
func (f *Target) key(hash string) *octezclient.PublicKey {
	for _, key := range f.Keys {
		if key.Hash() == hash {
			return key
		}
	}
	return unknownKey()
}
