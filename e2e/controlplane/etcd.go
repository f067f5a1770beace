// The etcd members, of which one leads.

package controlplane

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Member is one of them.
type Member struct {
	name    string
	flags   []string
	process *exec.Cmd
	client  string // its URL
	frozen  bool
}

func (p *Plane) startMembers(reserved []int) error {
	var cluster []string
	for i := range len(reserved) / 2 {
		cluster = append(cluster, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, reserved[2*i+1]))
	}
	for i := range cluster {
		client, peer := fmt.Sprint("http://127.0.0.1:", reserved[2*i]), fmt.Sprint("http://127.0.0.1:", reserved[2*i+1])
		member := &Member{name: fmt.Sprint("etcd-of-", i), client: client, flags: []string{
			fmt.Sprint("--name=m", i), "--data-dir=" + p.dataOf(i),
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=" + strings.Join(cluster, ","),
		}}
		if !p.durable {
			member.flags = append(member.flags, "--unsafe-no-fsync") // no test cuts the power
		}
		if err := p.startMember(member); err != nil {
			return err
		}
		p.Members = append(p.Members, member)
	}
	return nil
}

func (p *Plane) dataOf(member int) string { return p.file(fmt.Sprint("etcd-", member)) }

func (p *Plane) startMember(m *Member) (err error) {
	m.process, err = p.start(m.name, m.flags...)
	return err
}

// Kill ends it at once.
func (m *Member) Kill() { end(m.process); m.process = nil }

// Freeze stops it where it is: its connections stay, and nothing comes of them.
func (m *Member) Freeze() error { m.frozen = true; return m.process.Process.Signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (m *Member) Thaw() error { m.frozen = false; return m.process.Process.Signal(syscall.SIGCONT) }

// Status is what a member says of itself and of the leader.
type Status struct{ Member, Leader string }

func (m *Member) status() (Status, error) {
	var answer struct {
		Header struct {
			MemberID string `json:"member_id"`
		} `json:"header"`
		Leader string `json:"leader"`
	}
	err := m.post("/v3/maintenance/status", struct{}{}, &answer)
	return Status{answer.Header.MemberID, answer.Leader}, err
}

func (m *Member) post(path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Post(m.client+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd: %s: %.300s", response.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	return err
}

// Leader is the member that leads, once there is one.
func (p *Plane) Leader() (*Member, error) {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		for _, m := range p.Members {
			if m.process == nil || m.frozen {
				continue
			}
			if status, err := m.status(); err == nil && status.Leader != "0" && status.Leader == status.Member {
				return m, nil
			}
		}
	}
	return nil, errors.New("no etcd member leads")
}

// MoveLeader has another member lead.
func (p *Plane) MoveLeader() error {
	leader, err := p.Leader()
	if err != nil {
		return err
	}
	for _, m := range p.Members {
		if m == leader || m.process == nil {
			continue
		}
		status, err := m.status()
		if err != nil {
			return err
		}
		var answer struct{}
		return leader.post("/v3/maintenance/transfer-leadership", map[string]string{"targetID": status.Member}, &answer)
	}
	return errors.New("there is no other member")
}
