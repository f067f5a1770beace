package ports

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Many at once in this process, and in another one, get a port each.
func TestAPortIsReservedOnce(t *testing.T) {
	if os.Getenv("RESERVE_AND_WAIT") != "" {
		reserved, err := Reserve(200)
		fmt.Println("reserved", strings.Trim(fmt.Sprint(reserved), "[]"), err)
		fmt.Scanln()
		os.Exit(0)
	}
	other := exec.Command(os.Args[0], "-test.run", t.Name())
	other.Env = append(os.Environ(), "RESERVE_AND_WAIT=1")
	input, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		other.Wait()
	})
	var mutex sync.Mutex
	seen := map[int]bool{}
	record := func(port int) {
		mutex.Lock()
		defer mutex.Unlock()
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
	}
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			reserved, err := Reserve(5)
			if err != nil {
				t.Error(err)
			}
			for _, port := range reserved {
				record(port)
			}
		})
	}
	group.Wait()
	var word string
	fmt.Fscan(output, &word)
	for range 200 {
		var port int
		if _, err := fmt.Fscan(output, &port); err != nil {
			t.Fatal(err)
		}
		record(port)
	}
	if len(seen) != 400 {
		t.Errorf("%d ports", len(seen))
	}
}
