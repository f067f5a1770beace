// The cluster's keys and certificates, made anew at each start, and the kubeconfig files that carry them.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

type identity struct{ certificate, key []byte } // PEM

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(pkix.Name{CommonName: "local cluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

func certificateTemplate(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand never fails
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour), // a clock that is set back does not end the cluster
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
}

// issue makes a certificate for clients (user name, groups) and, with names, for a server as well.
func (a *authority) issue(user string, groups []string, names []string, addresses []net.IP) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := certificateTemplate(pkix.Name{CommonName: user, Organization: groups})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.DNSNames, template.IPAddresses = names, addresses
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return identity{}, err
	}
	keyPEM, err := encodeKey(key)
	return identity{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM}, err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

// What a component shows, and where it finds it.
type credentials struct {
	name, user string
	groups     []string
	dnsNames   []string
	addresses  []string
	kubeconfig string
}

func kubeletCredentials(l layout, m member) credentials {
	return credentials{
		name: m.kubelet(), user: "system:node:" + m.name, groups: []string{"system:nodes"},
		dnsNames: []string{m.name}, addresses: []string{l.nodeIP(), "127.0.0.1"}, kubeconfig: "kubeconfigs/" + m.kubelet(),
	}
}

// writeCredentials fills pki/ and kubeconfigs/ below the state directory, and the administrator's kubeconfig.
func writeCredentials(l layout) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	serviceAccounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serviceAccountKey, err := encodeKey(serviceAccounts)
	if err != nil {
		return err
	}
	files := map[string][]byte{"pki/ca.crt": ca.pem, "pki/service-accounts.key": serviceAccountKey}
	for _, c := range []credentials{
		{
			name: "kube-apiserver", user: "kube-apiserver", groups: []string{"system:masters"}, // also its client certificate for the kubelet
			dnsNames:  []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			addresses: []string{l.nodeIP(), l.serviceIP(), "127.0.0.1"},
		},
		kubeletCredentials(l, mainMember), kubeletCredentials(l, spareMember),
		{name: "kube-controller-manager", user: "system:kube-controller-manager", kubeconfig: "kubeconfigs/kube-controller-manager"},
		{name: "kube-scheduler", user: "system:kube-scheduler", kubeconfig: "kubeconfigs/kube-scheduler"},
		{name: "kube-proxy", user: "system:kube-proxy", kubeconfig: "kubeconfigs/kube-proxy"},
		{name: "admin", user: "admin", groups: []string{"system:masters"}, kubeconfig: "kubeconfig"},
	} {
		var addresses []net.IP
		for _, address := range c.addresses {
			addresses = append(addresses, net.ParseIP(address))
		}
		id, err := ca.issue(c.user, c.groups, c.dnsNames, addresses)
		if err != nil {
			return err
		}
		files["pki/"+c.name+".crt"], files["pki/"+c.name+".key"] = id.certificate, id.key
		if c.kubeconfig != "" {
			files[c.kubeconfig] = kubeconfig(l, c.user, ca, id)
		}
	}
	for name, content := range files {
		if err := writeFile(filepath.Join(nodeState, name), string(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func kubeconfig(l layout, user string, ca *authority, id identity) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: local
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %q
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: local
  context: {cluster: local, user: %q}
current-context: local
`, l.apiServer(), encode(ca.pem), user, encode(id.certificate), encode(id.key), user)
}
