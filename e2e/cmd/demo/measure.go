// The benchmark: run in the second signer's pod, so that all it measures is
// measured from inside the cluster.

package main

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"strings"

	"signer.tezos.io/e2e/figures"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/softhsm"
)

// record is a watermark record, as far as it is copied and shown.
type record struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]any    `json:"metadata"`
	Data       map[string]string `json:"data"`
}

func (r *record) annotations() map[string]string {
	found := map[string]string{}
	annotations, _ := r.Metadata["annotations"].(map[string]any)
	for name, value := range annotations {
		found[name] = fmt.Sprint(value)
	}
	return found
}

// record finds a key's record: its name is derived from the key's hash, which is
// the operator's business, so the record is found by the owner it names.
func (d *demo) record(ctx context.Context, key tokenKey) (*record, error) {
	var list struct {
		Items []record `json:"items"`
	}
	if err := d.cluster.Get(ctx, &list, "configmaps", "-n", recordsNamespace); err != nil {
		return nil, err
	}
	prefix := "watermark-" + key.PublicKeyHash[:3] + "-"
	owner := namespace + "/" + strings.TrimSuffix(key.Label, "-"+key.PublicKeyHash[:3]) + "/"
	for _, r := range list.Items {
		name, _ := r.Metadata["name"].(string)
		if strings.HasPrefix(name, prefix) && strings.HasPrefix(r.annotations()["signer.tezos.io/owner"], owner) {
			return &r, nil
		}
	}
	return nil, fmt.Errorf("no watermark record of %s in %s names %s as its owner", key.PublicKeyHash, recordsNamespace, owner)
}

// benchRecord is a name as a record's, of a key that nobody has.
func benchRecord(run string) string {
	return fmt.Sprintf("watermark-tz3-%x-7a06a770", sha1.Sum([]byte(run)))
}

func (d *demo) measure(ctx context.Context) error {
	if err := d.await(ctx, &d.bench); err != nil {
		return err
	}
	access, err := d.renderAccess(ctx)
	if err != nil {
		return err
	}
	defer d.clearBench()
	if err := d.copyRecord(ctx); err != nil {
		return err
	}
	key := d.bench.keys[0]
	var result figures.Figures
	if err := d.player(ctx, &d.bench, access, &result, "bench", "--output", "json",
		"--public-key", key.PublicKey, "--votes", "1000", "--kubeconfig", "-", "--record", benchRecord(d.run), "--namespace", recordsNamespace,
		"--module", softhsm.Module, "--token", d.token.Label, "--label", key.Label, "--pin-file", "/run/bench-pin/pin",
	); err != nil {
		return err
	}
	var table strings.Builder
	result.Write(&table)
	say("%s", table.String())
	d.promised("a vote takes longer than promised", result.FastEnough())
	d.promised("the signer holds more memory than promised", result.SmallEnough())
	return nil
}

// copyRecord makes the record that the bare PUTs write: a copy of the signer's
// own, so of its shape and size, under the same admission policies.
func (d *demo) copyRecord(ctx context.Context) error {
	copied, err := d.record(ctx, d.bench.keys[0])
	if err != nil {
		return err
	}
	copied.Metadata = map[string]any{
		"name": benchRecord(d.run), "namespace": recordsNamespace,
		"labels": copied.Metadata["labels"], "annotations": copied.Metadata["annotations"],
	}
	text, err := json.Marshal(copied)
	if err != nil {
		return err
	}
	_, err = d.cluster.Run(ctx, string(text), append([]string{"create", "-f", "-"}, kubectl.BreakGlass...)...)
	return err
}

// renderAccess makes a kubeconfig for the bench record alone. Its token is bound to
// the signer's pod, which the record names as its holder, and it is handed over by
// standard input: it lies in no file, argument or Secret.
func (d *demo) renderAccess(ctx context.Context) (string, error) {
	role, err := d.render("bench-role.yaml", &d.bench)
	if err != nil {
		return "", err
	}
	if err := d.cluster.Apply(ctx, role); err != nil {
		return "", err
	}
	pod := d.bench.pod
	token, err := d.cluster.Run(ctx, "", "create", "token", pod.Spec.ServiceAccountName, "-n", namespace, "--duration", "10m",
		"--bound-object-kind", "Pod", "--bound-object-name", pod.Metadata.Name, "--bound-object-uid", pod.Metadata.UID)
	if err != nil {
		return "", err
	}
	var api struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := d.cluster.Get(ctx, &api, "service", "kubernetes", "-n", "default"); err != nil {
		return "", err
	}
	var root struct {
		Data map[string]string `json:"data"`
	}
	if err := d.cluster.Get(ctx, &root, "configmap", "kube-root-ca.crt", "-n", namespace); err != nil {
		return "", err
	}
	config, err := json.Marshal(map[string]any{
		"clusters": []any{map[string]any{"cluster": map[string]any{
			"server": "https://" + api.Spec.ClusterIP, "certificate-authority-data": []byte(root.Data["ca.crt"]),
		}}},
		"users": []any{map[string]any{"user": map[string]any{"token": strings.TrimSpace(token)}}},
	})
	return string(config), err
}

// clearBench takes away what only the measurement needed, also after a failure.
func (d *demo) clearBench() {
	for _, args := range [][]string{
		append([]string{"delete", "configmap", benchRecord(d.run), "-n", recordsNamespace}, kubectl.BreakGlass...),
		{"delete", "role,rolebinding", "demo-bench-" + d.run, "-n", recordsNamespace},
	} {
		if _, err := d.cluster.Run(context.Background(), "", append(args, "--ignore-not-found")...); err != nil {
			say("left behind: %v", err)
		}
	}
}
