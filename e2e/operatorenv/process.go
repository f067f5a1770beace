// The operator's process: how it starts and ends, what it costs, and its metrics.

package operatorenv

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"signer.tezos.io/e2e/ports"
)

// Process is an operator that runs.
type Process struct {
	t       testing.TB
	command *exec.Cmd
	health  string // host:port
	Log     string
}

// Start starts the operator with that default image of signers. It ends with the test.
func (e *Env) Start(image string, args ...string) *Process {
	e.t.Helper()
	program := os.Getenv("TEZOS_SIGNER_OPERATOR")
	if program == "" {
		program = filepath.Join(e.checkout, "target/release/tezos-signer-operator")
	}
	log, err := os.CreateTemp(e.dir, "operator-*.log")
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	health, err := ports.ReserveAddress()
	if err != nil {
		e.t.Fatal(err)
	}
	command := exec.Command(program, append([]string{"run", "--signer-image", image, "--health-address", health}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+e.operatorsKubeconfig(), "RUST_LOG=info")
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this process is killed
	if err := command.Start(); err != nil {
		e.t.Fatalf("%v: make images builds it", err)
	}
	process := &Process{e.t, command, health, log.Name()}
	e.t.Cleanup(func() {
		if e.t.Failed() {
			text, _ := os.ReadFile(process.Log)
			e.t.Logf("the operator's log, its end:\n%s", text[max(0, len(text)-6000):])
		}
		command.Process.Kill()
		command.Wait()
	})
	return process
}

// StartReady starts it, and waits until it knows all TezosSigners.
func (e *Env) StartReady(image string, args ...string) *Process {
	e.t.Helper()
	process := e.Start(image, args...)
	e.Await("the operator is ready", func() bool { return process.Probe("/readyz") == http.StatusOK })
	return process
}

// operatorsKubeconfig is that of the ServiceAccount of the chart, or of one without any right where there is none.
func (e *Env) operatorsKubeconfig() string {
	e.t.Helper()
	account := Path("serviceaccounts", system, release)
	if e.Get(account) == nil {
		if account = Path("serviceaccounts", system, "nobody"); e.Get(account) == nil {
			e.Must(http.MethodPost, Path("serviceaccounts", system, ""), Object{"metadata": Object{"name": "nobody"}})
		}
	}
	var made struct{ Status struct{ Token string } }
	if err := json.Unmarshal(e.Must(http.MethodPost, account+"/token", Object{"spec": Object{"expirationSeconds": 86400}}), &made); err != nil {
		e.t.Fatal(err)
	}
	path := filepath.Join(e.dir, "operator.kubeconfig")
	if err := write(path, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test,
  clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", certificate-authority-data: %s}}],
  users: [{name: test, user: {token: %s}}], contexts: [{name: test, context: {cluster: test, user: test}}]}`,
		e.Port, base64.StdEncoding.EncodeToString(e.Authority), made.Status.Token)); err != nil {
		e.t.Fatal(err)
	}
	return path
}

// Stop asks it to end, and says how long that took.
func (o *Process) Stop() time.Duration {
	o.t.Helper()
	began := time.Now()
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil {
		o.t.Fatal(err)
	}
	if err := o.command.Wait(); err != nil {
		o.t.Errorf("the operator ended with %v", err)
	}
	return time.Since(began)
}

// IsRunning reports whether it has not ended.
func (o *Process) IsRunning() bool {
	return o.command.Process.Signal(syscall.Signal(0)) == nil && o.state() != "Z"
}

func (o *Process) state() string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.command.Process.Pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(1, len(rest))]
}

// Probe is the HTTP status of one of its probes; 0 if it does not answer.
func (o *Process) Probe(path string) int {
	response, err := http.Get("http://" + o.health + path)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// Metrics are its series, with their values.
func (o *Process) Metrics() map[string]float64 {
	o.t.Helper()
	response, err := http.Get("http://" + o.health + "/metrics")
	if err != nil {
		o.t.Fatal(err)
	}
	defer response.Body.Close()
	metrics := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if at := strings.LastIndexByte(lines.Text(), ' '); at > 0 && !strings.HasPrefix(lines.Text(), "#") {
			metrics[lines.Text()[:at]], _ = strconv.ParseFloat(lines.Text()[at+1:], 64)
		}
	}
	return metrics
}

// Reconciles is how many reconciles it has finished.
func (o *Process) Reconciles() float64 {
	metrics := o.Metrics()
	return metrics[`tezos_signer_operator_reconciles_total{result="ok"}`] + metrics[`tezos_signer_operator_reconciles_total{result="error"}`]
}

// LogContains reports whether its log has that text.
func (o *Process) LogContains(text string) bool {
	log, err := os.Open(o.Log)
	if err != nil {
		o.t.Fatal(err)
	}
	defer log.Close()
	all, _ := io.ReadAll(log)
	return strings.Contains(string(all), text)
}

// CPU is the time that it has computed.
func (o *Process) CPU() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.command.Process.Pid))
	if err != nil {
		o.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	kernel, _ := strconv.Atoi(fields[12])
	return time.Duration(user+kernel) * time.Second / 100
}

// Memory is its resident memory and the most that it ever was, in MiB.
func (o *Process) Memory() (now, most int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.command.Process.Pid))
	if err != nil {
		o.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "VmRSS:":
			now, _ = strconv.Atoi(fields[1])
		case "VmHWM:":
			most, _ = strconv.Atoi(fields[1])
		}
	}
	return now / 1024, most / 1024
}
