// What stands before the API server where a test wants other answers than it gives.

package cost

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// proxy stands before the API server, with its certificate, and refuses requests when a test sets it so.
type proxy struct {
	port      int
	requests  atomic.Int64
	turnsAway atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	// answers may change what the API server answers. Set before anybody asks.
	answers func(*http.Response) error
}

func (s *signerEnv) newProxy() *proxy {
	s.t.Helper()
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: fmt.Sprint("127.0.0.1:", s.Port)})
	forward.Transport = &http.Transport{TLSClientConfig: s.ClientTLS(), DisableCompression: true}
	forward.FlushInterval = -1 // watches
	p := &proxy{answers: func(*http.Response) error { return nil }}
	p.open()
	forward.ModifyResponse = func(response *http.Response) error { return p.answers(response) }
	certificate, err := s.ServerTLS()
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	p.port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		if !(*p.turnsAway.Load())(w, r) {
			forward.ServeHTTP(w, r)
		}
	})}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	go server.ServeTLS(listener, "", "")
	s.t.Cleanup(func() { server.Close() })
	return p
}

func (p *proxy) set(turnsAway func(http.ResponseWriter, *http.Request) bool) {
	p.turnsAway.Store(&turnsAway)
}

func (p *proxy) open() { p.set(func(http.ResponseWriter, *http.Request) bool { return false }) }
