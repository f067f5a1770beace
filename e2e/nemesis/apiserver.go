// Requests to the API server, as its administrator or in somebody else's name. They are
// plain HTTP, because it must be known when each was sent and when it was answered.

package nemesis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
)

// An API server that is paused or cut off is not waited for longer.
const callTimeout = 4 * time.Second

type apiServer struct {
	url    string
	client *http.Client
}

// identity is in whose name something is asked.
type identity struct {
	name   string
	groups []string
}

var (
	administrator = identity{} // the administrator himself
	breakGlass    = identity{"break-glass", []string{"system:masters", "tezos-signer:break-glass"}}
	operator      = identity{"system:serviceaccount:" + fixture.SystemNamespace + ":tezos-signer-operator", []string{"system:serviceaccounts", "system:authenticated"}}
)

func openAPIServer(checkout string) (*apiServer, error) {
	url, config, err := kubectl.Credentials(filepath.Join(checkout, "target/cluster/kubeconfig"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the local cluster is not up (make cluster-up): %w", err)
	}
	if err != nil {
		return nil, err
	}
	return &apiServer{url, &http.Client{
		Timeout: callTimeout,
		// HTTP/1.1: a connection that hangs is hung by one request only.
		Transport: &http.Transport{TLSClientConfig: config},
	}}, nil
}

// asPods is the same API server on the way that pods take: by its Service, with a new
// connection for each request.
func (a *apiServer) asPods(ctx context.Context) (*apiServer, error) {
	var service struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := a.get(ctx, "/api/v1/namespaces/default/services/kubernetes", &service); err != nil {
		return nil, err
	}
	transport := a.client.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return &apiServer{"https://" + service.Spec.ClusterIP, &http.Client{Timeout: callTimeout, Transport: transport}}, nil
}

// isUp reports whether it is ready, etcd with it.
func (a *apiServer) isUp(ctx context.Context) bool {
	status, _, err := a.call(ctx, http.MethodGet, "/readyz", "", nil, administrator)
	return err == nil && status == http.StatusOK
}

func (a *apiServer) call(ctx context.Context, method, path, contentType string, body []byte, as identity) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.GetBody = nil // nothing is sent twice behind our back
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if as.name != "" {
		request.Header.Set("Impersonate-User", as.name)
		for _, group := range as.groups {
			request.Header.Add("Impersonate-Group", group)
		}
	}
	response, err := a.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (a *apiServer) get(ctx context.Context, path string, result any) error {
	status, answer, err := a.call(ctx, http.MethodGet, path, "", nil, administrator)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %.300s", path, status, answer)
	}
	return json.Unmarshal(answer, result)
}
