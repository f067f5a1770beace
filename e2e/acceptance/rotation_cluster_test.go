package acceptance

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
)

// What docs/installing.md says of rotating: a certificate, and its authority, change in the Secret
// while clients sign, and no pod is restarted. The kubelet brings it within about a minute. Of the
// PIN: sidecar/tests/signer/hsm_faults.rs.
func TestACertificateIsRotatedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "rotation", octezclient.P256)
	s.Replicas, s.TLSSecret = 2, s.Name+"-tls"
	name := fmt.Sprintf("%s.%s.svc", s.Name, namespace)
	type set struct{ certificate, key, ca []byte }
	var first, next set
	first.certificate, first.key, first.ca = newCertificate(t, name)
	next.certificate, next.key, next.ca = newCertificate(t, name)
	serve := func(with set, authorities ...[]byte) {
		t.Helper()
		data := map[string][]byte{"tls.crt": with.certificate, "tls.key": with.key, "ca.crt": bytes.Join(authorities, nil)}
		if err := suite.ApplySecret(t.Context(), s.TLSSecret, data); err != nil {
			t.Fatal(err)
		}
	}
	serve(first, first.ca)
	apply(t, s)
	awaitMessage(t, s.Name, "2 of 2 replicas are ready; ")
	before := pods(t, s.Name)

	client := func(with set) *http.Client {
		pair, err := tls.X509KeyPair(with.certificate, with.key)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(first.ca)
		roots.AppendCertsFromPEM(next.ca)
		// Each request on a connection of its own, as the next baker's will be.
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: name, Certificates: []tls.Certificate{pair},
		}}}
	}
	level := int32(firstLevel)
	signAtEach := func(who string, by *http.Client) {
		t.Helper()
		for _, pod := range before {
			if _, err := signOverTLS(by, fmt.Sprintf("%s:%d", pod.Status.PodIP, signingPort), s.Keys[0], newBlock(t, level)); err != nil {
				t.Errorf("%s at %s: %v", who, pod.Metadata.Name, err)
			}
			level++
		}
	}
	// await signs by a client that is known before and after, until each pod serves that certificate.
	await := func(what string, served set, by *http.Client) {
		t.Helper()
		block, _ := pem.Decode(served.certificate)
		begin := time.Now()
		err := kubectl.Await(t.Context(), 4*time.Minute, func() (bool, error) {
			signAtEach(what, by)
			for _, pod := range before {
				touch(t, pod.Metadata.Name)
			}
			for _, pod := range before {
				shown := ""
				connection, err := tls.Dial("tcp", fmt.Sprintf("%s:%d", pod.Status.PodIP, signingPort), &tls.Config{
					InsecureSkipVerify: true, // checked below, by VerifyPeerCertificate
					VerifyPeerCertificate: func(certificates [][]byte, _ [][]*x509.Certificate) error {
						shown = string(certificates[0])
						return nil
					},
				})
				if err == nil {
					connection.Close()
				}
				if shown != string(block.Bytes) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: after %s", what, time.Since(begin).Round(time.Second))
	}
	await("the first certificate", first, client(first))
	serve(next, first.ca, next.ca)
	await("the next one, with both authorities", next, client(first))
	signAtEach("a client with the next certificate", client(next))

	for _, pod := range pods(t, s.Name) {
		if !slices.ContainsFunc(before, func(old kubectl.Pod) bool { return old.Metadata.UID == pod.Metadata.UID }) {
			t.Errorf("pod %s is new: a certificate that changes restarts nothing", pod.Metadata.Name)
		}
	}
}
