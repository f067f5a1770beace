package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/yaml"
)

// api asks the API server as the provider's ServiceAccount: the driver's rights are not what is tried here.
type api struct {
	server, user string
	client       *http.Client
}

func newAPI(kubeconfig, user string) (*api, error) {
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	text, err := os.ReadFile(kubeconfig)
	if err == nil {
		err = yaml.Unmarshal(text, &config)
	}
	if err == nil && (len(config.Clusters) != 1 || len(config.Users) != 1) {
		err = errors.New("expected one cluster and one user")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	own, err := tls.X509KeyPair(config.Users[0].User.Certificate, config.Users[0].User.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{own}}}
	return &api{config.Clusters[0].Cluster.Server, user, &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

func (a *api) get(ctx context.Context, path string, result any) error {
	return a.ask(ctx, http.MethodGet, path, nil, result)
}

func (a *api) post(ctx context.Context, path string, body, result any) error {
	return a.ask(ctx, http.MethodPost, path, body, result)
}

func (a *api) ask(ctx context.Context, method, path string, body, result any) error {
	text := []byte(nil)
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Impersonate-User", a.user)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if response.StatusCode >= 300 {
		var why struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(answer, &why) != nil || why.Message == "" {
			return errors.New(response.Status)
		}
		return errors.New(why.Message)
	}
	return json.Unmarshal(answer, result)
}
