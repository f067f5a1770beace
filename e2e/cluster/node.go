// The node's first process: it makes the node's surroundings, starts the components in order, reports to `cluster up`
// through its standard output, and then keeps the components running until `cluster down` kills it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const nodeVerb = "run-node" // of `cluster up` only

// What `cluster up` writes to the node's standard input, once the node's veth is there.
type nodeOrder struct {
	Layout     layout
	PauseImage string
}

const readyMark = "ready" // written to the state directory when all of the start has succeeded

func runNode() {
	if os.Getpid() != 1 {
		fail(fmt.Errorf("%s is for `cluster up` only", nodeVerb))
	}
	var order nodeOrder
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		fail(fmt.Errorf("the order of `cluster up`: %w", err))
	}
	if err := startNode(order); err != nil {
		fmt.Println()
		fail(err)
	}
	if err := writeFile(filepath.Join(nodeState, readyMark), "", 0o644); err != nil {
		fail(err)
	}
	// `cluster up` reads to the end of this output, so the output goes to the log from here on.
	notes, err := os.OpenFile(filepath.Join(nodeState, "logs/node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fail(err)
	}
	for _, descriptor := range []int{1, 2} {
		if err := syscall.Dup3(int(notes.Fd()), descriptor, 0); err != nil {
			fail(err)
		}
	}
	select {}
}

func startNode(order nodeOrder) error {
	l := order.Layout
	if err := mountNodeFileSystems(l); err != nil {
		return err
	}
	s := newSupervisor()
	for _, command := range []string{
		"ip link set lo up",
		"ip address add " + l.nodeIP() + "/30 dev eth0",
		"ip link set eth0 up",
	} {
		if err := s.run(strings.Fields(command)...); err != nil {
			return err
		}
	}
	// Between pods, services and the host, inside this network namespace only.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	if err := writeCredentials(l); err != nil {
		return err
	}
	if err := writeConfiguration(l, order.PauseImage); err != nil {
		return err
	}
	if err := os.MkdirAll(nodeState+"/logs", 0o755); err != nil {
		return err
	}
	all, err := stages(l)
	if err != nil {
		return err
	}
	var started []*running
	for _, stage := range all {
		begin := time.Now()
		fresh := []*running{}
		for _, c := range stage {
			r, err := s.startComponent(c)
			if err != nil {
				return fmt.Errorf("%s does not start: %w", c.name, err)
			}
			fresh = append(fresh, r)
		}
		for _, r := range fresh {
			step(r.name)
			if err := awaitReady(r); err != nil {
				return err
			}
			done(begin)
		}
		started = append(started, fresh...)
	}
	begin := time.Now()
	step("node ready")
	admin, err := adminClient(nodeState)
	if err != nil {
		return err
	}
	if err := await(60*time.Second, started, func(ctx context.Context) error { return nodeReady(ctx, l, admin) }); err != nil {
		return err
	}
	done(begin)
	for _, r := range started {
		go s.keep(r)
	}
	return nil
}

func step(name string)     { fmt.Printf("  %-24s … ", name) }
func done(begin time.Time) { fmt.Printf("%.1f s\n", time.Since(begin).Seconds()) }

func awaitReady(r *running) error {
	if err := await(120*time.Second, []*running{r}, r.ready); err != nil {
		return fmt.Errorf("%w\nthe end of %s.log:\n%s", err, r.name, lastLines(r.log.Name(), 15))
	}
	return nil
}

// await asks until the answer is good, one of the components ends, or the time is over.
func await(limit time.Duration, components []*running, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, r := range components {
			select {
			case status := <-r.ended:
				return fmt.Errorf("%s ended: %s", r.name, describe(status))
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", limit, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func lastLines(path string, count int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
