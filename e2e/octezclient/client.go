// Package octezclient is a client of a Tezos remote signer that behaves as the Octez
// baker does, and believes nothing: each signature is verified here, by code
// that shares nothing with the signer.
//
// Per signature it sends GET /authorized_keys, then POST /keys/<hash>. Each of the
// two is repeated on status 502 and only then; a refused or reset connection is
// an error at once.
package octezclient

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"
)

const (
	accept           = "application/json;q=1000, application/octet-stream;q=200, application/bson;q=100"
	signatureVersion = "3" // what Octez 25 asks for; it has a meaning for tz4 only
	attempts         = 10
	sleepStep        = 100 * time.Millisecond
	longestBody      = 1 << 20
)

// Client talks to one signer over connections that are kept alive.
type Client struct {
	base string
	http *http.Client
	key  *ClientKey // of the client; nil: it has none
}

// NewClient makes a client of the signer at base, such as http://127.0.0.1:6732.
// It has a connection pool of its own. As with Octez there is no timeout but
// that of the context.
func NewClient(base string) *Client {
	return NewClientBy(new(net.Dialer).DialContext, base)
}

// NewClientBy makes one that connects by dial, such as from within a pod.
func NewClientBy(dial func(ctx context.Context, network, address string) (net.Conn, error), base string) *Client {
	return &Client{
		base: strings.TrimRight(base, "/"),
		http: &http.Client{
			Transport: &http.Transport{DisableCompression: true, DialContext: dial},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // Octez follows none
			},
		},
	}
}

// With is the client with a key of its own, by which signers know it.
func (c *Client) With(key *ClientKey) *Client {
	c.key = key
	return c
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Sign has payload signed by key, as one Octez signature: both requests, then
// the verification of what came back.
func (c *Client) Sign(ctx context.Context, key *PublicKey, payload []byte) (string, error) {
	if err := c.CheckAuthorizedKeys(ctx); err != nil {
		return "", err
	}
	signature, err := c.RequestSignature(ctx, key, payload)
	if err != nil {
		return "", err
	}
	return signature, CheckSignature(key, payload, signature)
}

// CheckSignature is what the client demands of every signature it was given.
func CheckSignature(key *PublicKey, payload []byte, signature string) error {
	if err := key.Verify(payload, signature); err != nil {
		return fmt.Errorf("the signer gave a wrong signature: %w", err)
	}
	return key.LowS(signature)
}

// CheckAuthorizedKeys asks whether the signer wants signed requests, which needs a
// client with a key that it lists.
func (c *Client) CheckAuthorizedKeys(ctx context.Context) error {
	var answer struct {
		AuthorizedKeys *[]string `json:"authorized_keys"`
	}
	if err := c.call(ctx, attempts, http.MethodGet, "/authorized_keys", nil, &answer); err != nil {
		return fmt.Errorf("GET /authorized_keys: %w", err)
	}
	switch {
	case answer.AuthorizedKeys == nil:
	case c.key == nil:
		return errors.New("the signer wants requests signed by one of its authorized keys, and this client has none: turn authentication off for it")
	case !slices.Contains(*answer.AuthorizedKeys, c.key.Hash()):
		return fmt.Errorf("the key of this client, %s, is none of the signer's authorized keys: %v", c.key.Hash(), *answer.AuthorizedKeys)
	}
	return nil
}

// PublicKey asks for the key with that hash, as importing it does.
func (c *Client) PublicKey(ctx context.Context, hash string) (*PublicKey, error) {
	var answer struct {
		PublicKey string `json:"public_key"`
	}
	if err := c.call(ctx, attempts, http.MethodGet, "/keys/"+hash, nil, &answer); err != nil {
		return nil, fmt.Errorf("GET /keys/%s: %w", hash, err)
	}
	key, err := ParsePublicKey(answer.PublicKey)
	if err == nil && key.Hash() != hash {
		err = fmt.Errorf("the signer gave the key of %s for that of %s", key.Hash(), hash)
	}
	return key, err
}

// ProvePossession asks for the proof that the signer has the private half of a tz4 key, as octez-client does to register one.
func (c *Client) ProvePossession(ctx context.Context, key *PublicKey) (proof string, err error) {
	var answer struct {
		Proof string `json:"bls_prove_possession"`
	}
	if err := c.call(ctx, attempts, http.MethodGet, "/bls_prove_possession/"+key.Hash(), nil, &answer); err != nil {
		return "", fmt.Errorf("GET /bls_prove_possession/%s: %w", key.Hash(), err)
	}
	return answer.Proof, key.VerifyProof(answer.Proof)
}

// RequestSignature sends the POST alone and does not verify the answer: the
// part of a signature that the benchmark measures.
func (c *Client) RequestSignature(ctx context.Context, key *PublicKey, payload []byte) (string, error) {
	return c.requestSignature(ctx, attempts, key, payload)
}

// RequestOnce is RequestSignature without its attempts after 502: what finds out
// when a signer signs again.
func (c *Client) RequestOnce(ctx context.Context, key *PublicKey, payload []byte) (string, error) {
	return c.requestSignature(ctx, 1, key, payload)
}

func (c *Client) requestSignature(ctx context.Context, attempts int, key *PublicKey, payload []byte) (string, error) {
	var answer struct {
		Signature string `json:"signature"`
	}
	path := "/keys/" + key.Hash() + "?version=" + signatureVersion
	if c.key != nil {
		path += "&authentication=" + c.key.authenticate(key, payload)
	}
	body := []byte(`"` + hex.EncodeToString(payload) + `"`)
	if err := c.call(ctx, attempts, http.MethodPost, path, body, &answer); err != nil {
		return "", err
	}
	if answer.Signature == "" {
		return "", &UnreadableAnswer{http.StatusOK, "without a signature"}
	}
	return answer.Signature, nil
}

// call sends one request, again on 502 up to that many attempts, and parses the
// answer into result.
func (c *Client) call(ctx context.Context, attempts int, method, path string, body []byte, result any) error {
	for attempt := 1; ; attempt++ {
		status, contentType, answer, err := c.sendOnce(ctx, method, path, body)
		switch {
		case err != nil:
			return err
		case status == http.StatusOK && !isJSON(contentType):
			return &UnreadableAnswer{status, fmt.Sprintf("with content-type %q instead of application/json", contentType)}
		case status == http.StatusOK:
			if err := json.Unmarshal(answer, result); err != nil {
				return &UnreadableAnswer{status, fmt.Sprintf("with a body that does not parse: %v: %.200q", err, answer)}
			}
			return nil
		case status != http.StatusBadGateway || attempt == attempts:
			return parseAnswerError(status, contentType, answer, attempt)
		}
		select { // 0, 0.1, … 0.8 s
		case <-time.After(time.Duration(attempt-1) * sleepStep):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

var errSilentRetry = errors.New("the signer closed the connection under a request")

func (c *Client) sendOnce(ctx context.Context, method, path string, body []byte) (status int, contentType string, answer []byte, err error) {
	// net/http repeats a request by itself when a connection that was kept alive
	// turns out to be dead. Octez does not, so the second connection of one
	// request is an error here.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	connections := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if connections++; connections > 1 {
			cancel(errSilentRetry)
		}
	}})

	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	request.GetBody = nil // see above
	request.Header.Set("Accept", accept)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		if connections > 1 {
			err = errSilentRetry
		}
		return 0, "", nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, longestBody))
	return response.StatusCode, response.Header.Get("Content-Type"), answer, err
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}
