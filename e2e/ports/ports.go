// Package ports reserves TCP ports on loopback for programs that a test starts.
//
// A port that the kernel has picked for a listener, which is closed so that a program can listen on it, may be given to
// somebody else in between: two tests then talk to the same etcd. A reserved port is outside the range from which the kernel picks,
// and locked by a file for as long as the process lives. sidecar/tests/signer/ports.rs locks the same files.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Below net.ipv4.ip_local_port_range (32768 and above), and below Kubernetes' node ports (30000 and above).
const (
	first = 12_000
	count = 16_000
)

var (
	// Files are closed, and so unlocked, when they are collected as garbage: this keeps them.
	locks []*os.File
	mutex sync.Mutex
)

// Reserve returns n ports that nobody uses, and that no other call, of any process, returns while this process lives.
func Reserve(n int) ([]int, error) {
	mutex.Lock()
	defer mutex.Unlock()
	directory := filepath.Join(os.TempDir(), "tezos-signer-test-ports")
	if err := os.MkdirAll(directory, 0o777); err != nil {
		return nil, err
	}
	os.Chmod(directory, 0o777) // for the other users of this machine; only its owner can
	var reserved []int
	begin := rand.IntN(count)
	for i := range count {
		port := first + (begin+i)%count
		lock, err := os.OpenFile(filepath.Join(directory, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil { // another user's
			continue
		}
		lock.Chmod(0o666)
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !isFree(port) {
			lock.Close()
			continue
		}
		locks = append(locks, lock)
		if reserved = append(reserved, port); len(reserved) == n {
			return reserved, nil
		}
	}
	return nil, errors.New("no free port: all are reserved or used")
}

// ReserveAddress reserves one port, as 127.0.0.1:port.
func ReserveAddress() (string, error) {
	reserved, err := Reserve(1)
	if err != nil {
		return "", err
	}
	return fmt.Sprint("127.0.0.1:", reserved[0]), nil
}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return false
	}
	listener.Close()
	return true
}
