// Hostile connections: silent ones, slow heads, slow bodies, ones that ask and stay, garbage. Each that is closed comes back.

package measure

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	// So long one that was closed stays away: else what is measured is how fast this host makes connections.
	comesBackAfter = 2 * time.Second
	// So often a slow one sends a byte.
	slowByte = time.Second
)

// attack opens n of them, and keeps them until its end is called.
func attack(ctx context.Context, address string, n int) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			for ctx.Err() == nil {
				hostile(ctx, address, i)
				// Not all at the same moment.
				sleep(ctx, comesBackAfter+rand.N(comesBackAfter))
			}
		})
	}
	return func() {
		cancel()
		wait.Wait()
	}
}

// hostile is one connection, until either end closes it.
func hostile(ctx context.Context, address string, i int) {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	const post = "POST /keys/tz3 HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
	begin := [...]struct {
		text string
		slow bool
	}{
		{"", false},
		{"POST /keys", true},
		{post + "\r\n\"11", true},
		{"GET /authorized_keys HTTP/1.1\r\nhost: x\r\n\r\n", false},
		{"\x00\x01 garbage\r\n\r\n", false},
	}[i%5]
	if _, err := connection.Write([]byte(begin.text)); err != nil {
		return
	}
	if begin.slow {
		go func() {
			for sleep(ctx, slowByte) == nil {
				if _, err := connection.Write([]byte("1")); err != nil {
					return
				}
			}
		}()
	}
	for answer := make([]byte, 512); ; {
		if _, err := connection.Read(answer); err != nil {
			return
		}
	}
}
