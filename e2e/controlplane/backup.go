// A copy of all that etcd has, and its return: what a restore of a snapshot does to a cluster. For one member.

package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// BackUp copies what etcd has. etcd is stopped meanwhile: its own programs for snapshots are not among our tools.
func (p *Plane) BackUp(ctx context.Context) error {
	if err := p.stopOnlyMember(); err != nil {
		return err
	}
	if err := copyDirectory(p.dataOf(0), p.file("backup")); err != nil {
		return err
	}
	if err := p.startMember(p.Members[0]); err != nil {
		return err
	}
	return p.WaitReady(ctx)
}

// Restore puts the copy in the place of what etcd has, with neither etcd nor the API server running, as etcd's documentation asks.
func (p *Plane) Restore(ctx context.Context) error {
	p.StopServer()
	if err := p.stopOnlyMember(); err != nil {
		return err
	}
	if err := os.RemoveAll(p.dataOf(0)); err != nil {
		return err
	}
	if err := copyDirectory(p.file("backup"), p.dataOf(0)); err != nil {
		return err
	}
	if err := p.startMember(p.Members[0]); err != nil {
		return err
	}
	return p.StartServer(ctx)
}

// stopOnlyMember has etcd end by itself, so that all that it has is in its files.
func (p *Plane) stopOnlyMember() error {
	if len(p.Members) != 1 {
		return fmt.Errorf("%d etcd members: a backup is made of one", len(p.Members))
	}
	process := p.Members[0].process
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	process.Wait() // etcd ends by the signal: that is no error here
	return nil
}

func copyDirectory(from, to string) error {
	if output, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, output)
	}
	return nil
}
