// A signer's process: how it starts and ends, and what it costs.

package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"signer.tezos.io/e2e/ports"
	"signer.tezos.io/e2e/softhsm"
)

const (
	initialLevel = 1000
	patience     = time.Minute // the machine may be busy
	pollPeriod   = 2 * time.Millisecond
)

// setup is which signer is started, and how.
type setup struct {
	program string
	keys    []*key
	// records is the directory of the records; empty: config says where they are.
	records string
	module  string // empty: SoftHSM2
	config  object // more of the configuration file
	env     []string
	// under is a program that runs the signer, and its arguments.
	under []string
}

// signer is one that runs.
type signer struct {
	command *exec.Cmd
	ended   chan struct{}
	address string // host:port
	admin   string // http://host:port
	log     string
	launch  time.Time
}

// start starts a signer with records of its own, above initialLevel, and waits until it signs.
func (b *Bench) start(ctx context.Context, wanted setup) (*signer, error) {
	s, err := b.launch(ctx, wanted)
	if err != nil {
		return nil, err
	}
	if _, err := s.awaitReady(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// launch does not wait.
func (b *Bench) launch(ctx context.Context, wanted setup) (*signer, error) {
	number := b.started.Add(1)
	name := filepath.Join(b.work, fmt.Sprint("signer-", number))
	reserved, err := ports.Reserve(2)
	if err != nil {
		return nil, err
	}
	if wanted.module == "" {
		wanted.module = softhsm.Module
	}
	var keys []object
	for _, key := range wanted.keys {
		keys = append(keys, key.section())
	}
	address, admin := fmt.Sprint("127.0.0.1:", reserved[0]), fmt.Sprint("127.0.0.1:", reserved[1])
	config := object{"listen": address, "admin": admin, "hsm": b.hsmSection(wanted.module), "keys": keys}
	if wanted.records != "" {
		config["watermarks"] = object{"file": wanted.records}
	}
	for field, value := range wanted.config {
		config[field] = value
	}
	if err := writeJSON(name+".json", config); err != nil {
		return nil, err
	}
	if wanted.records != "" && !b.initialised[wanted.records] {
		if _, err := b.command(ctx, wanted.program, wanted.env, "watermarks", "initialise", "--config", name+".json", "--level", fmt.Sprint(initialLevel)); err != nil {
			return nil, err
		}
		b.initialised[wanted.records] = true
	}
	log, err := os.Create(name + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &signer{address: address, admin: "http://" + admin, log: log.Name(), ended: make(chan struct{})}
	run := append(wanted.under, wanted.program, "serve", "--config", name+".json")
	s.command = exec.Command(run[0], run[1:]...)
	s.command.Env, s.command.Stderr = b.environment(wanted.env), log
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this process is killed
	s.launch = time.Now()
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.command.Wait()
		close(s.ended)
	}()
	return s, nil
}

// awaitReady waits until signing works, and returns how long after the launch that was.
func (s *signer) awaitReady(ctx context.Context) (time.Duration, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pollPeriod) {
		if s.probe("/startupz") == http.StatusOK {
			return time.Since(s.launch), nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-s.ended:
			return 0, fmt.Errorf("the signer ended: %s", s.lastLog())
		default:
		}
	}
	return 0, fmt.Errorf("the signer is not ready after %v: %s", patience, s.lastLog())
}

// probe is the status of a page of the admin port; 0 if there is none.
func (s *signer) probe(path string) int {
	response, err := http.Get(s.admin + path)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func (s *signer) lastLog() string {
	text, _ := os.ReadFile(s.log)
	select {
	case <-s.ended:
		text = append(text, s.command.ProcessState.String()...)
	default:
	}
	return string(text[max(0, len(text)-2000):])
}

// kill ends it at once; records survive that.
func (s *signer) kill() {
	if s != nil {
		s.command.Process.Kill()
		<-s.ended
	}
}

// terminate asks it to end.
func (s *signer) terminate() error { return s.command.Process.Signal(syscall.SIGTERM) }

// cpu is the processor time of all its threads, also of those that have ended.
func (s *signer) cpu() (time.Duration, error) {
	const ofProcess, scheduled = 3, 2 // CPUCLOCK_SCHED, and where the kernel has the process' number in the clock's
	var used unix.Timespec
	err := unix.ClockGettime(int32(^s.command.Process.Pid<<ofProcess|scheduled), &used)
	return time.Duration(used.Nano()), err
}

// memory is its resident memory now, in MiB.
func (s *signer) memory() (float64, error) {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), "VmRSS:"); found {
			kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			return kilobytes / 1024, err
		}
	}
	return 0, errors.New("the signer has ended")
}
