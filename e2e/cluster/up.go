// Starting the cluster, from the host's side: the node's first process in namespaces of its own, the veth that joins
// it to the host, and the wait for it. What happens inside is node.go's.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

func up() error {
	begin := time.Now()
	l, err := newLayout()
	if err != nil {
		return err
	}
	unlock, err := lockCluster(l)
	if err != nil {
		return err
	}
	defer unlock()
	if pid := findNode(l); pid != 0 {
		if l, err = readLayout(l); err == nil {
			err = checkHealth(l)
		}
		if err == nil {
			fmt.Println("the cluster is up")
			return nil
		}
		fmt.Printf("the cluster is up, but not well (%v): starting it anew\n", err)
	}
	if err := remove(l); err != nil {
		return err
	}
	// Fresh logs, so that what they say is about this cluster.
	if err := os.RemoveAll(l.state()); err != nil {
		return err
	}
	pause, err := os.ReadFile(l.image("pause.ref"))
	if err != nil {
		return fmt.Errorf("%w: run e2e/cluster/install first", err)
	}
	if l.Subnet, err = freeSubnet(l.Subnet); err != nil {
		return err
	}
	order := nodeOrder{Layout: l, PauseImage: strings.TrimSpace(string(pause))}
	err = launch(order)
	if err == nil {
		err = importImages([]string{l.image("pause.tar")})
	}
	if err != nil {
		if failed := remove(l); failed != nil {
			fmt.Fprintln(os.Stderr, "cluster:", failed)
		}
		return fmt.Errorf("the cluster did not start: %w (all logs: %s)", err, l.state("logs"))
	}
	fmt.Printf("the cluster is up after %.1f s: export KUBECONFIG=%s\n", time.Since(begin).Seconds(), l.state("kubeconfig"))
	return nil
}

func launch(order nodeOrder) error {
	l := order.Layout
	if err := makeCgroups(l); err != nil {
		return err
	}
	input, err := json.Marshal(order)
	if err != nil {
		return err
	}
	if err := writeFile(l.state("layout.json"), string(input), 0o644); err != nil {
		return err
	}
	// A session of its own, so that it outlives this program and its terminal.
	node := exec.Command(l.tool("cluster"), nodeVerb)
	node.Dir, node.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	node.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
	}
	orders, err := node.StdinPipe()
	if err != nil {
		return err
	}
	progress, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	node.Stdout, node.Stderr = theirs, theirs
	if err := node.Start(); err != nil {
		return err
	}
	theirs.Close()
	for _, command := range []string{
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %d", l.veth(), node.Process.Pid),
		fmt.Sprintf("ip address add %s/30 dev %s", l.hostIP(), l.veth()),
		fmt.Sprintf("ip link set %s up", l.veth()),
		fmt.Sprintf("ip route add %s via %s", l.podCIDR(), l.nodeIP()),
		fmt.Sprintf("ip route add %s via %s", l.serviceCIDR(), l.nodeIP()),
	} {
		args := strings.Fields(command)
		if output, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %s", command, output)
		}
	}
	if _, err := orders.Write(input); err != nil {
		return err
	}
	orders.Close()
	if _, err := io.Copy(os.Stdout, progress); err != nil {
		return err
	}
	if _, err := os.Stat(l.state(readyMark)); err != nil {
		return fmt.Errorf("the node ended: %v", node.Wait())
	}
	return node.Process.Release()
}

// freeSubnet is the first one from here on that no address or route of the host has anything to do with.
func freeSubnet(first int) (int, error) {
	routes, err := exec.Command("ip", "-4", "-json", "route", "show", "table", "all").Output()
	if err != nil {
		return 0, fmt.Errorf("ip route: %w", err)
	}
	var table []struct{ Dst string }
	if err := json.Unmarshal(routes, &table); err != nil {
		return 0, fmt.Errorf("ip route: %w", err)
	}
	taken := func(subnet int) bool {
		_, ours, _ := net.ParseCIDR(fmt.Sprintf("10.%d.0.0/16", subnet))
		for _, route := range table {
			theirs := route.Dst
			if !strings.Contains(theirs, "/") {
				theirs += "/32"
			}
			// A route wider than 10.0.0.0/8 is about elsewhere; ours are more specific.
			if ip, network, err := net.ParseCIDR(theirs); err == nil {
				if ones, _ := network.Mask.Size(); ones >= 8 && (ours.Contains(ip) || network.Contains(ours.IP)) {
					return true
				}
			}
		}
		return false
	}
	for i := range 128 {
		if subnet := 64 + (first-64+i)%128; !taken(subnet) {
			return subnet, nil
		}
	}
	return 0, fmt.Errorf("no free subnet among 10.64.0.0/16 … 10.191.0.0/16: the host's routes cover them all")
}

func checkHealth(l layout) error {
	admin, err := adminClient(l.state())
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := answersOKTo(admin, l.apiServer()+"/readyz")(ctx); err != nil {
		return err
	}
	return nodeReady(ctx, l, admin)
}
