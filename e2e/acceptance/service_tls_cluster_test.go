package acceptance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/octezclient"
)

// With a Secret as cert-manager writes it, clients and replicas speak TLS, each
// knows the other, and who has no certificate gets no answer.
func TestReplicasBehindTLSKnowTheirClientsAndEachOther(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "tls", octezclient.P256)
	s.Replicas, s.TLSSecret = 2, s.Name+"-tls"
	name := fmt.Sprintf("%s.%s.svc", s.Name, namespace)
	certificate, key, ca := newCertificate(t, name)
	err := suite.ApplySecret(t.Context(), s.TLSSecret, map[string][]byte{"tls.crt": certificate, "tls.key": key, "ca.crt": ca})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s)
	t.Log(awaitMessage(t, s.Name, "2 of 2 replicas are ready; "))

	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	known := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: name, Certificates: []tls.Certificate{pair},
	}}}
	unknown := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}}}
	// One of the two forwards.
	for i, pod := range pods(t, s.Name) {
		address := fmt.Sprintf("%s:%d", pod.Status.PodIP, signingPort)
		block := newBlock(t, int32(firstLevel+i))
		signature, err := signOverTLS(known, address, s.Keys[0], block)
		if err != nil {
			t.Fatalf("%s: %v", pod.Metadata.Name, err)
		}
		if err := octezclient.CheckSignature(s.Keys[0].Parsed(), block, signature); err != nil {
			t.Error(err)
		}
		if _, err := signOverTLS(unknown, address, s.Keys[0], block); err == nil {
			t.Errorf("%s signs for a client without a certificate", pod.Metadata.Name)
		}
	}
}

func signOverTLS(client *http.Client, address string, key *fixture.Key, payload []byte) (string, error) {
	body, err := json.Marshal(hex.EncodeToString(payload))
	if err != nil {
		return "", err
	}
	answer, err := client.Post(fmt.Sprintf("https://%s/keys/%s", address, key.PublicKeyHash), "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	var signed struct {
		Signature string `json:"signature"`
	}
	if answer.StatusCode != http.StatusOK || json.Unmarshal(text, &signed) != nil {
		return "", fmt.Errorf("%s: %s", answer.Status, text)
	}
	return signed.Signature, nil
}

// newCertificate makes an authority and a certificate of that name, for servers
// and clients, in PEM.
func newCertificate(t *testing.T, name string) (certificate, key, ca []byte) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	if authority, err = x509.ParseCertificate(made); err != nil {
		t.Fatal(err)
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return text("CERTIFICATE", signed), text("PRIVATE KEY", private), text("CERTIFICATE", made)
}
