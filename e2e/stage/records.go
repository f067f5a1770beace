// Watermark records, and a copy of one that only the benchmark writes.

package stage

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"strings"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octez"
)

const mainnetID = "7a06a770"

// RecordName is the name that the project's design gives to the record of a key
// on mainnet.
func RecordName(key *octez.PublicKey) string {
	return fmt.Sprintf("watermark-%s-%x-%s", key.Curve.Address, key.HashBytes(), mainnetID)
}

// Record is a watermark record.
type Record struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   RecordMetadata    `json:"metadata"`
	Data       map[string]string `json:"data"`
}

// RecordMetadata is what is read and copied of it.
type RecordMetadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Record reads the record of a key.
func (s *Stage) Record(ctx context.Context, key *octez.PublicKey) (*Record, error) {
	var record Record
	return &record, s.Cluster.Get(ctx, &record, "configmap", RecordName(key), "-n", RecordsNamespace)
}

// DeleteRecord deletes a record past the policies that forbid it.
func (s *Stage) DeleteRecord(ctx context.Context, name string) error {
	_, err := s.Cluster.Run(ctx, "", append([]string{"delete", "configmap", name, "-n", RecordsNamespace, "--ignore-not-found"}, kubectl.BreakGlass...)...)
	return err
}

// ExemptSigner lets that user write a record's rows and lease without being the pod
// that holds it.
func (s *Stage) ExemptSigner(ctx context.Context, record, user string) error {
	_, err := s.Cluster.Run(ctx, "", append([]string{
		"annotate", "configmap", record, "-n", RecordsNamespace, "signer.tezos.io/external-signer=" + user}, kubectl.BreakGlass...)...)
	return err
}

// BenchRecord makes the record that the bare PUTs write: a copy of that key's, so
// of its shape and size, under the same admission policies, but named after a key
// that nobody has.
func (s *Stage) BenchRecord(ctx context.Context, key *octez.PublicKey) (name string, err error) {
	record, err := s.Record(ctx, key)
	if err != nil {
		return "", err
	}
	record.Metadata.Name = fmt.Sprintf("watermark-%s-%x-%s", key.Curve.Address, sha1.Sum([]byte(s.Run)), mainnetID)
	text, err := json.Marshal(record)
	if err != nil {
		return "", err
	}
	_, err = s.Cluster.Run(ctx, string(text), append([]string{"create", "-f", "-"}, kubectl.BreakGlass...)...)
	return record.Metadata.Name, err
}

// BenchAccess makes a kubeconfig for the bench record. Its token is bound to the
// pod, which the record names as its holder. It is for the standard input of the
// benchmark, so that it lies in no file, argument or Secret.
func (s *Stage) BenchAccess(ctx context.Context, pod *kubectl.Pod, record string) (string, error) {
	role, err := fill("bench-role.yaml", map[string]any{
		"Name": s.benchRole(), "RecordsNamespace": RecordsNamespace, "Record": record,
		"ServiceAccount": pod.Spec.ServiceAccountName, "Namespace": s.Namespace,
	})
	if err != nil {
		return "", err
	}
	if err := s.Cluster.Apply(ctx, role); err != nil {
		return "", err
	}
	token, err := s.Cluster.Run(ctx, "", "create", "token", pod.Spec.ServiceAccountName, "-n", s.Namespace, "--duration", "10m",
		"--bound-object-kind", "Pod", "--bound-object-name", pod.Metadata.Name, "--bound-object-uid", pod.Metadata.UID)
	if err != nil {
		return "", err
	}
	var api struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := s.Cluster.Get(ctx, &api, "service", "kubernetes", "-n", "default"); err != nil {
		return "", err
	}
	var root struct {
		Data map[string]string `json:"data"`
	}
	if err := s.Cluster.Get(ctx, &root, "configmap", "kube-root-ca.crt", "-n", s.Namespace); err != nil {
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

func (s *Stage) benchRole() string { return "bench-" + s.Run }

// ClearBench takes away what only the benchmark needed.
func (s *Stage) ClearBench(ctx context.Context, record string) error {
	if err := s.DeleteRecord(ctx, record); err != nil {
		return err
	}
	_, err := s.Cluster.Run(ctx, "", "delete", "role,rolebinding", s.benchRole(), "-n", RecordsNamespace, "--ignore-not-found")
	return err
}
