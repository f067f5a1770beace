// Requests to the API server of the local cluster without kubectl, whose start alone takes a fifth of a second of a processor: tests
// ask again and again, many at once.

package kubectl

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

type apiServer struct {
	url    string
	client *http.Client
}

// Credentials reads a kubeconfig with one cluster and one user, whose certificate is in it: the URL of the API server, and the TLS by which
// that user is known there.
func Credentials(kubeconfig string) (url string, config *tls.Config, err error) {
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		return "", nil, err
	}
	var read struct {
		Clusters []struct {
			Cluster struct {
				Server    string `json:"server"`
				Authority []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(text, &read); err != nil {
		return "", nil, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	if len(read.Clusters) != 1 || len(read.Users) != 1 {
		return "", nil, fmt.Errorf("%s: expected one cluster and one user", kubeconfig)
	}
	cluster, user := read.Clusters[0].Cluster, read.Users[0].User
	certificate, err := tls.X509KeyPair(user.Certificate, user.Key)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(cluster.Authority) {
		return "", nil, fmt.Errorf("%s: no certificate authority", kubeconfig)
	}
	return cluster.Server, &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: authorities}, nil
}

func connect(kubeconfig string) (*apiServer, error) {
	url, config, err := Credentials(kubeconfig)
	if err != nil {
		return nil, err
	}
	// Without HTTP/2, so that a broken connection breaks one request.
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 16}
	return &apiServer{url, &http.Client{Transport: transport}}, nil
}

// resources are what is read this way, by the singular of kubectl's names of them.
var resources = map[string]resource{
	"pod":         {"api/v1", "pods", true},
	"configmap":   {"api/v1", "configmaps", true},
	"service":     {"api/v1", "services", true},
	"node":        {"api/v1", "nodes", false},
	"namespace":   {"api/v1", "namespaces", false},
	"deployment":  {"apis/apps/v1", "deployments", true},
	"tezossigner": {"apis/signer.tezos.io/v1alpha1", "tezossigners", true},
}

type resource struct {
	group, plural string
	namespaced    bool
}

func (r resource) path(namespace, name string) string {
	path := r.group
	if r.namespaced {
		path += "/namespaces/" + namespace
	}
	path += "/" + r.plural
	if name != "" {
		path += "/" + name
	}
	return path
}

// errNotRead says that kubectl has to be asked.
var errNotRead = errors.New("not among what is read without kubectl")

// get is `kubectl get -o json` of these arguments: a kind, a name or none, -n and -l.
func (a *apiServer) get(ctx context.Context, args []string) ([]byte, error) {
	kind, known := resources[strings.TrimSuffix(args[0], "s")]
	name, namespace, query := "", "", url.Values{}
	for i := 1; i < len(args); i++ {
		switch {
		case args[i] == "-n" && i+1 < len(args):
			namespace = args[i+1]
			i++
		case args[i] == "-l" && i+1 < len(args):
			query.Set("labelSelector", args[i+1])
			i++
		case name == "" && !strings.HasPrefix(args[i], "-"):
			name = args[i]
		default:
			return nil, errNotRead
		}
	}
	if !known || kind.namespaced != (namespace != "") {
		return nil, errNotRead
	}
	return a.do(ctx, http.MethodGet, kind.path(namespace, name), query, nil, "", nil)
}

// patchConfigMap merges a patch into a ConfigMap, as somebody else where who has kubectl's flags for it.
func (a *apiServer) patchConfigMap(ctx context.Context, who []string, namespace, name, patch string, dryRun bool) error {
	query := url.Values{}
	if dryRun {
		query.Set("dryRun", "All")
	}
	header := http.Header{}
	for _, flag := range who {
		name, value, _ := strings.Cut(flag, "=")
		switch name {
		case "--as":
			header["Impersonate-User"] = []string{value}
		case "--as-group":
			header["Impersonate-Group"] = append(header["Impersonate-Group"], value)
		case "--as-user-extra":
			extra, of, _ := strings.Cut(value, "=")
			header["Impersonate-Extra-"+url.PathEscape(extra)] = []string{of}
		default:
			return fmt.Errorf("%s: only --as, --as-group and --as-user-extra", flag)
		}
	}
	path := resources["configmap"].path(namespace, name)
	_, err := a.do(ctx, http.MethodPatch, path, query, header, "application/merge-patch+json", []byte(patch))
	return err
}

func (a *apiServer) do(ctx context.Context, method, path string, query url.Values, header http.Header, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.url+"/"+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 == 2 {
		return answer, err
	}
	var refusal struct{ Reason, Message string }
	if json.Unmarshal(answer, &refusal) != nil {
		refusal.Message = string(answer)
	}
	return nil, &CommandError{
		Command: method + " " + path, Status: 1,
		// As kubectl says it.
		Stderr: fmt.Sprintf("Error from server (%s): %s", refusal.Reason, refusal.Message),
	}
}
