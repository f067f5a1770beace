// The bare PUT: a ConfigMap like a watermark record, replaced as the signer
// replaces its own, by plain net/http.

package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

// Record is a ConfigMap as it was last read or written.
type Record struct {
	url    string
	token  string
	client *http.Client
	object map[string]any
	// The audit log that the record is anchored to: a new one, of which nothing is
	// there but the number of its newest line.
	log      string
	sequence uint64
}

// OpenRecord reads the ConfigMap that is to be written.
func OpenRecord(ctx context.Context, access *Access, namespace, name string) (*Record, error) {
	r := &Record{
		url:    fmt.Sprintf("%s/api/v1/namespaces/%s/configmaps/%s", strings.TrimRight(access.Server, "/"), namespace, name),
		token:  access.token,
		client: access.client(),
		log:    newLog(),
	}
	_, err := r.call(ctx, http.MethodGet, nil)
	return r, err
}

func newLog() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// Put replaces the record by one with that attestation row, the next line's anchor
// and the time of now in its lease, as a signer does, on condition that nobody else
// wrote it. It returns how long the request took.
func (r *Record) Put(ctx context.Context, attestation string) (time.Duration, error) {
	data, _ := r.object["data"].(map[string]any)
	if data == nil {
		return 0, fmt.Errorf("%s has no data: it must be a copy of a watermark record", r.url)
	}
	r.sequence++
	data["attestation"], data["audit"] = attestation, fmt.Sprintf("%s %d %s", r.log, r.sequence, strings.Repeat("0", 64))
	r.renew()
	body, err := json.Marshal(r.object)
	if err != nil {
		return 0, err
	}
	return r.call(ctx, http.MethodPut, body)
}

var renewTime = regexp.MustCompile(`"renewTime":"[^"]*"`)

// renew changes the text and not what is parsed of it: the API server takes no other
// form of it.
func (r *Record) renew() {
	metadata, _ := r.object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if text, found := annotations[leaderAnnotation].(string); found {
		annotations[leaderAnnotation] = renewTime.ReplaceAllString(text, time.Now().UTC().Format(`"renewTime":"2006-01-02T15:04:05.000000Z"`))
	}
}

func (r *Record) call(ctx context.Context, method string, body []byte) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	start := time.Now()
	response, err := r.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s %s: %s: %.300s", method, r.url, response.Status, answer)
	}
	r.object = nil
	return took, json.Unmarshal(answer, &r.object)
}
