// What a signer cannot be faster than: a bare signature of the token, and bytes brought to the disk.

package measure

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/sys/unix"

	"signer.tezos.io/e2e/payload"
)

// rawSignatures are n of C_SignInit and C_Sign by this process, with the processor time of all of them.
func (b *Bench) rawSignatures(by *key, n int) (took []time.Duration, cpu time.Duration, err error) {
	if b.rawKey != by { // a search takes much longer than a signature
		if err := b.raw.Use(by.label); err != nil {
			return nil, 0, err
		}
		b.rawKey = by
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range n {
		vote, err := payload.New("attestation", initialLevel, 0)
		if err != nil {
			return nil, 0, err
		}
		digest := blake2b.Sum256(vote)
		before, began := threadCPU(), time.Now()
		if err := b.raw.Sign(digest[:]); err != nil {
			return nil, 0, err
		}
		took = append(took, time.Since(began))
		cpu += threadCPU() - before
	}
	return took, cpu, nil
}

func threadCPU() time.Duration {
	var used unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used) // it cannot fail
	return time.Duration(used.Nano())
}

// slots is a file of two slots of 4 096 bytes, written in turns, as large as it will ever be.
type slots struct {
	file *os.File
	next int64
	page [slot]byte
}

const slot = 4096

func newSlots(directory string) (*slots, error) {
	file, err := os.OpenFile(filepath.Join(directory, "slots"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = file.Write(make([]byte, 2*slot)); err == nil {
		err = file.Sync()
	}
	return &slots{file: file}, err
}

// writes are n of a write and an fdatasync.
func (s *slots) writes(n int) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	for range n {
		rand.Read(s.page[:])
		began := time.Now()
		if _, err := s.file.WriteAt(s.page[:], s.next); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		s.next = slot - s.next
	}
	return took, nil
}

func (s *slots) close() { s.file.Close() }
