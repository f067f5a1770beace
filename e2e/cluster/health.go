// Whether the cluster as a whole is well, as its API server tells it. Used by the node while it starts, and from outside.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// adminClient speaks to the API server with the administrator's certificate.
func adminClient(stateDirectory string) (*http.Client, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(stateDirectory, "pki/admin.crt"), filepath.Join(stateDirectory, "pki/admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(stateDirectory, "pki/ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots},
	}}, nil
}

// nodeReady is nil when the node is Ready and pods can be scheduled to it.
func nodeReady(ctx context.Context, l layout, admin *http.Client) error {
	body, err := get(ctx, admin, l.apiServer()+"/api/v1/nodes/"+mainMember.name)
	if err != nil {
		return err
	}
	var node struct {
		Spec struct {
			Taints []struct{ Key, Effect string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	for _, taint := range node.Spec.Taints {
		if taint.Effect != "PreferNoSchedule" {
			return fmt.Errorf("the node has the taint %s", taint.Key)
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("the node is not ready: %s", condition.Message)
		}
	}
	return errors.New("the node has not reported its state yet")
}
