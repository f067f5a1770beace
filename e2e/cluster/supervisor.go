// Processes of the node: starting them, noticing their end, keeping the components running. The supervisor is process 1
// of the node's process namespace, so it also reaps what containerd's shims leave to it, and when it ends the kernel
// ends all the others.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

type supervisor struct {
	lock  sync.Mutex
	ended map[int]chan syscall.WaitStatus // by process id
}

func newSupervisor() *supervisor {
	s := &supervisor{ended: map[int]chan syscall.WaitStatus{}}
	go s.reap()
	return s
}

// reap is the only one to wait for children, known or not: nothing here may call exec.Cmd's Wait or Run.
func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.ECHILD:
			time.Sleep(50 * time.Millisecond) // no child yet
		case err == nil:
			s.lock.Lock() // held by start until the process is known
			if ended := s.ended[pid]; ended != nil {
				ended <- status
				delete(s.ended, pid)
			}
			s.lock.Unlock()
		}
	}
}

func (s *supervisor) start(args []string, output *os.File) (int, <-chan syscall.WaitStatus, error) {
	command := exec.Command(args[0], args[1:]...)
	command.Env = []string{"PATH=" + nodeTools + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	command.Dir = "/"
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.lock.Lock()
	defer s.lock.Unlock()
	if err := command.Start(); err != nil {
		return 0, nil, err
	}
	pid, ended := command.Process.Pid, make(chan syscall.WaitStatus, 1)
	s.ended[pid] = ended
	command.Process.Release()
	return pid, ended, nil
}

// run starts a command, waits for its end, and gives what it printed when it failed.
func (s *supervisor) run(args ...string) error {
	output, err := os.CreateTemp("", "output")
	if err != nil {
		return err
	}
	defer os.Remove(output.Name())
	defer output.Close()
	_, ended, err := s.start(args, output)
	if err != nil {
		return err
	}
	if status := <-ended; status != 0 {
		text, _ := os.ReadFile(output.Name())
		return fmt.Errorf("%s: %s: %s", strings.Join(args, " "), describe(status), strings.TrimSpace(string(text)))
	}
	return nil
}

// A component that has been started: ended gets how its present process ended.
type running struct {
	component
	log   *os.File
	ended <-chan syscall.WaitStatus
}

func (s *supervisor) startComponent(c component) (*running, error) {
	output, err := os.OpenFile(filepath.Join(nodeState, "logs", c.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	r := &running{component: c, log: output}
	return r, s.startAgain(r)
}

func (s *supervisor) startAgain(r *running) error {
	pid, ended, err := s.start(r.args, r.log)
	if err != nil {
		return err
	}
	r.ended = ended
	return writeFile(filepath.Join(nodeState, "pids", r.name), fmt.Sprintln(pid), 0o644)
}

// keep starts the component again a second after each end, for ever.
func (s *supervisor) keep(r *running) {
	for {
		status := <-r.ended
		log.Printf("%s ended: %s; starting it again", r.name, describe(status))
		time.Sleep(time.Second)
		for err := s.startAgain(r); err != nil; err = s.startAgain(r) {
			log.Printf("%s does not start: %v; trying again", r.name, err)
			time.Sleep(time.Second)
		}
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
