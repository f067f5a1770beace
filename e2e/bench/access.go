// Access to the API server from a kubeconfig that holds a bearer token.

package bench

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"sigs.k8s.io/yaml"
)

// Access is where the API server is, how to know it and how to be known to it.
type Access struct {
	Server string
	roots  *x509.CertPool
	token  string
}

// ParseKubeconfig reads the only cluster and the only user of a kubeconfig, as
// the demo writes it; it is no general reader of such files.
func ParseKubeconfig(text []byte) (*Access, error) {
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server               string `json:"server"`
				CertificateAuthority []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Token string `json:"token"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("the kubeconfig does not parse: %w", err)
	}
	if len(config.Clusters) != 1 || len(config.Users) != 1 {
		return nil, fmt.Errorf("the kubeconfig has %d clusters and %d users: it must have one of each", len(config.Clusters), len(config.Users))
	}
	cluster, token := config.Clusters[0].Cluster, config.Users[0].User.Token
	roots := x509.NewCertPool()
	if token == "" || !roots.AppendCertsFromPEM(cluster.CertificateAuthority) {
		return nil, errors.New("the kubeconfig must have certificate-authority-data and a user with a token")
	}
	return &Access{Server: cluster.Server, roots: roots, token: token}, nil
}

// client keeps its connections alive and speaks HTTP/2 where the server offers it.
func (a *Access) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: a.roots},
		ForceAttemptHTTP2: true,
	}}
}
