// A connection that is kept alive, without anything between the measurement and the socket: reads and writes block their thread, as those of
// a client that has one thing to do.

package measure

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// longestAnswer is when an answer is given up.
const longestAnswer = 60 * time.Second

type connection struct {
	address string
	socket  *os.File
	reader  *bufio.Reader
	out     []byte
	// closing: the last answer said that the connection ends with it, as one does that asks the client to try another replica.
	closing bool
}

// connect connects to an address of this host.
func connect(address string) (*connection, error) {
	socket, err := dial(address)
	if err != nil {
		return nil, err
	}
	return &connection{address: address, socket: socket, reader: bufio.NewReader(socket)}, nil
}

func dial(address string) (*os.File, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	remote := &unix.SockaddrInet4{Port: to.Port}
	copy(remote.Addr[:], to.IP.To4())
	timeout := unix.NsecToTimeval(longestAnswer.Nanoseconds())
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(socket, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) },
		func() error { return unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout) },
		func() error { return unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout) },
		func() error { return unix.Connect(socket, remote) },
	} {
		if err := step(); err != nil {
			unix.Close(socket)
			return nil, err
		}
	}
	return os.NewFile(uintptr(socket), address), nil // it blocks, because the socket does
}

func (c *connection) close() { c.socket.Close() }

// prepare makes the request for a signature, so that sending it is one write.
func (c *connection) prepare(key *key, payload []byte) {
	c.out = fmt.Appendf(c.out[:0], "POST /keys/%s?version=3 HTTP/1.1\r\nhost: signer\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n\"",
		key.Hash(), 2+hex.EncodedLen(len(payload)))
	c.out = append(hex.AppendEncode(c.out, payload), '"')
}

// send sends what was prepared, and returns the answer when all of it is there.
func (c *connection) send() (status int, body []byte, err error) {
	if c.closing {
		c.close()
		if c.socket, err = dial(c.address); err != nil {
			return 0, nil, err
		}
		c.reader.Reset(c.socket)
		c.closing = false
	}
	if _, err := c.socket.Write(c.out); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(response.Body)
	c.closing = response.Close
	return response.StatusCode, body, err
}
